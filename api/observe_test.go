package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// metered makes the server expose its OpenTelemetry metrics at its own /metrics.
func metered(t *testing.T) func(*Config) {
	return func(c *Config) {
		reader, err := otelprom.New(otelprom.WithRegisterer(c.Registry), otelprom.WithoutScopeInfo())
		require.NoError(t, err)
		c.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	}
}

func TestMetricsAreByRoute(t *testing.T) {
	b := newBench(t, metered(t))
	b.get("/api/v1/services/cart")
	b.get("/api/v1/services/web")
	b.get("/api/v1/services?limt=3")
	b.get("/prometheus/api/v1/query?query=sum(")
	b.get("/some/page", "Accept: text/html")
	b.do("BREW", "/api/v1/services", "")
	b.pipe.behind = true
	require.Equal(t, http.StatusServiceUnavailable, b.get("/readyz").Code)
	require.Equal(t, http.StatusServiceUnavailable, b.get("/-/ready").Code)
	require.Equal(t, http.StatusOK, b.get("/-/healthy").Code)
	text := b.get("/metrics").Body.String()
	for _, line := range []string{
		`http_requests_total{method="GET",route="/api/v1/services/{name}",status="404"} 2`,
		`http_requests_total{method="GET",route="none",status="200"} 1`,
		`http_requests_total{method="other",route="none",status="405"} 1`,
		`http_request_duration_seconds_count{method="GET",route="/api/v1/services/{name}"} 2`,
		`api_errors_total{code="service_not_found"} 2`,
		`api_errors_total{code="unknown_parameter"} 1`,
		`api_errors_total{code="method_not_allowed"} 1`,
		`api_errors_total{code="status_400"} 1`, // of Prometheus' API
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404",http_route="/api/v1/services/{name}",url_scheme="http"} 2`,
		`http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="405",url_scheme="http"} 1`,
		`http_server_active_requests{http_request_method="GET",url_scheme="http"} 1`, // this one
	} {
		require.True(t, strings.Contains(text, line+"\n"), line)
	}
	require.NotContains(t, text, `code="unavailable"`, "who asks whether it is ready makes no error")
}

func TestStreamsAreNoDurations(t *testing.T) {
	made := tracetest.NewSpanRecorder()
	liveHTTP(t, func(b *bench, connect func() *peer, client *http.Client) {
		p := connect()
		p.send(`{"type":"ping","id":"x"}`)
		require.Equal(t, "pong", p.read().Type)
		p.leave()
		res, err := client.Get("http://watchingcat/api/v1/live?view=services")
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		synctest.Wait()
		b.record("1s 1ms cart server GET id=t1/a") // the stream notices that its client has gone when it writes
		b.commit()
		time.Sleep(time.Minute) // of the bubble
		text := b.get("/metrics").Body.String()
		for _, route := range []string{`route="/ws",status="101"`, `route="/api/v1/live",status="200"`} {
			require.Contains(t, text, `http_requests_total{method="GET",`+route+"} 1")
		}
		require.NotContains(t, text, `http_request_duration_seconds_count{method="GET"`)
		require.NotContains(t, text, "http_server_request_duration_seconds_count{")
		require.Empty(t, made.Ended())
	}, metered(t), func(c *Config) {
		c.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(made)).Tracer("test")
	})
}

// TestMetricsInPart: a collector that fails does not hide the others.
func TestMetricsInPart(t *testing.T) {
	b := newBench(t)
	b.reg.MustRegister(failingCollector{})
	w := b.get("/metrics")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "watchingcat_ws_clients 0\n")
}

type failingCollector struct{}

func (failingCollector) Describe(chan<- *prometheus.Desc) {}

func (failingCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(errors.New("planted")), errors.New("planted"))
}

// logged is what the server wrote about requests.
func logged(t *testing.T, lines *bytes.Buffer) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(lines.String()) {
		m := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(line), &m), line)
		if m["message"] == "request" {
			out = append(out, m)
		}
	}
	return out
}

func TestOneLineARequest(t *testing.T) {
	var lines bytes.Buffer
	b := newBench(t, func(c *Config) {
		c.Logger = zerolog.New(&lines)
		c.Alertmanager = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("planted") })
	})
	b.get("/api/v1/services/cart?range=1h&access_token=s3cret", "Authorization: Bearer s3cret", "Cookie: watchingcat_session=s3cret")
	b.get("/alertmanager/api/v2/status")
	b.get("/readyz")
	b.get("/metrics")
	got := logged(t, &lines)
	require.Len(t, got, 4)
	require.Equal(t, "info", got[0]["level"])
	for name, want := range map[string]any{"method": "GET", "route": "/api/v1/services/{name}", "path": "/api/v1/services/cart",
		"status": 400.0, "code": "unknown_parameter",
		"principal": "", "outcome": "failure"} {
		require.Equal(t, want, got[0][name], name)
	}
	require.Contains(t, got[0], "took_ms")
	require.NotZero(t, got[0]["bytes"])
	require.Equal(t, "error", got[1]["level"])
	require.Equal(t, "internal", got[1]["code"])
	require.Equal(t, "debug", got[2]["level"], "probes are not worth a line each few seconds")
	require.Equal(t, "debug", got[3]["level"])
	require.NotContains(t, lines.String(), "s3cret")
}

func TestASpanOfEachRequest(t *testing.T) {
	made := tracetest.NewSpanRecorder()
	b := newBench(t, func(c *Config) {
		c.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(made)).Tracer("test")
		c.Alertmanager = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("planted") })
		c.Logger = c.Logger.Level(zerolog.Disabled)
	})
	b.get("/api/v1/services/cart?range=s3cret", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	b.get("/alertmanager/api/v2/status")
	b.get("/readyz")
	b.get("/metrics")
	spans := made.Ended()
	require.Len(t, spans, 2, "none of probes")
	require.Equal(t, "GET /api/v1/services/{name}", spans[0].Name())
	require.Equal(t, trace.SpanKindServer, spans[0].SpanKind())
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", spans[0].SpanContext().TraceID().String(), "it goes on with the caller's trace")
	require.Equal(t, codes.Unset, spans[0].Status().Code, "a mistake of the client is no error of the server")
	require.Equal(t, "GET /alertmanager/api/v2/*", spans[1].Name())
	require.Equal(t, codes.Error, spans[1].Status().Code)
	for _, a := range spans[0].Attributes() {
		require.NotContains(t, a.Value.String(), "s3cret")
	}
}
