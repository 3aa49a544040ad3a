package api

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-chi/chi/v5"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/prom"
	"github.com/gaurav/watchingcat/api/ui"
)

func withAlertmanager(c *Config) {
	c.Alertmanager = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := w.Write([]byte(r.URL.Path)); err != nil {
			panic(err)
		}
	})
}

func TestEveryRouteIsDocumentedAndEveryPathRouted(t *testing.T) {
	b := newBench(t, withAlertmanager)
	routed := map[string]bool{}
	require.NoError(t, chi.Walk(b.s.handler.(chi.Routes),
		func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			routed[method+" "+caller.Documented(route)] = true
			return nil
		}))
	documented := map[string]bool{}
	for path, item := range b.s.doc.Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
		}
	}
	require.Equal(t, documented, routed)
}

func TestTheDocumentIsValidAndServed(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.s.doc.Validate(t.Context()))
	w := b.get("/api/openapi.yaml")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, readFile(t, "openapi.yaml"), w.Body.String())
	require.Equal(t, http.StatusNotModified, b.get("/api/openapi.yaml", "If-None-Match: "+w.Header().Get("ETag")).Code)
}

func TestThePageIsServedToBrowsersOutsideTheAPIAlone(t *testing.T) {
	b := newBench(t)
	const html, whatever = "Accept: text/html,*/*", "Accept: */*"
	f := func(target, accept string, status int, contentType string) {
		t.Helper()
		w := b.get(target, accept)
		require.Equal(t, status, w.Code, "%s %s", target, accept)
		require.Equal(t, contentType, w.Header().Get("Content-Type"), "%s %s", target, accept)
	}
	const page, problem = "text/html; charset=utf-8", "application/problem+json"
	f("/", html, 200, page)
	f("/", whatever, 200, page)
	f("/services/cart", html, 200, page)
	f("/services/cart", whatever, 404, problem)
	f("/assets/gone-1234.js", html, 404, problem)
	for _, p := range []string{"/api", "/api/v2/x", "/prometheus", "/prometheus/api/v1/unknown", "/prometheus/config/v2/rules",
		"/alertmanager/api/v2/status",
		"/tempo/api/search", "/loki/api/v1/labels", "/debug/pprof", "/health/odd"} {
		f(p, html, 404, problem)
	}
	w := b.get("/")
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
	require.Equal(t, 304, b.get("/", "If-None-Match: "+w.Header().Get("ETag")).Code)
}

func TestAssetsNeverChange(t *testing.T) {
	b := newBench(t)
	err := fs.WalkDir(ui.FS(), "assets", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return fs.SkipDir // a build without assets
		}
		if strings.HasSuffix(p, ".br") || strings.HasSuffix(p, ".gz") {
			return nil
		}
		w := b.get("/" + p)
		require.Equal(t, http.StatusOK, w.Code, p)
		require.Equal(t, "public, max-age=31536000, immutable", w.Header().Get("Cache-Control"), p)
		return nil
	})
	require.NoError(t, err)
}

func TestHeaders(t *testing.T) {
	b := newBench(t, func(c *Config) { c.CORSOrigins = []string{"https://grafana.example.org"} })
	w := b.get("/api/v1/services", "Origin: https://grafana.example.org")
	h := w.Header()
	require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
	require.Equal(t, "DENY", h.Get("X-Frame-Options"))
	require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'self'")
	require.Equal(t, "no-store", h.Get("Cache-Control"))
	require.Equal(t, "https://grafana.example.org", h.Get("Access-Control-Allow-Origin"))
	require.Empty(t, b.get("/api/v1/services", "Origin: https://evil.example.org").Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "gzip", b.get("/api/openapi.yaml", "Accept-Encoding: gzip").Header().Get("Content-Encoding"))
	require.Equal(t, "zstd", b.get("/api/openapi.yaml", "Accept-Encoding: zstd").Header().Get("Content-Encoding"))
	require.Equal(t, "GET, HEAD", b.do("POST", "/api/v1/services", "").Header().Get("Allow"))
	require.Equal(t, http.StatusOK, b.do("HEAD", "/api/v1/services", "").Code)
}

func TestBodiesAreBounded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Body = 100 })
	w := b.do("POST", "/prometheus/api/v1/query", "query="+strings.Repeat("1", 200))
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Contains(t, w.Body.String(), `"code":"too_large"`)
	// a body of unknown length is found to be too large while it is read
	r := httptest.NewRequest(http.MethodPost, "/api/v1/traces/search",
		io.MultiReader(strings.NewReader(`{"service":"`+strings.Repeat("x", 200)+`"}`)))
	r.Header.Set("Content-Type", "application/json")
	w = httptest.NewRecorder()
	b.s.Handler().ServeHTTP(w, r)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Contains(t, w.Body.String(), `"code":"too_large"`)
}

func TestAPanicIsOneFailedRequest(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Alertmanager = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("planted") })
		c.Logger = c.Logger.Level(6) // the stack is not wanted in the test's output
	})
	w := b.get("/alertmanager/api/v2/status")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "planted")
	require.Contains(t, b.get("/metrics").Body.String(), `http_requests_total{method="GET",route="/alertmanager/api/v2/*",status="500"} 1`)
}

func TestServeLetsRequestsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under, goOn := make(chan struct{}), make(chan struct{})
		b := newBench(t, func(c *Config) {
			c.Alertmanager = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(under)
				<-goOn
				w.WriteHeader(http.StatusNoContent)
			})
		})
		l := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.s.Serve(ctx, l) }()
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial, DisableKeepAlives: true}}
		status := make(chan int, 1)
		go func() {
			if res, err := client.Get("http://watchingcat/alertmanager/api/v2/status"); err == nil {
				status <- res.StatusCode
				_ = res.Body.Close() // it is empty
			}
		}()
		<-under
		stop()
		synctest.Wait()
		require.Empty(t, ended, "a request is under way")
		close(goOn)
		require.Equal(t, http.StatusNoContent, <-status)
		require.NoError(t, <-ended)
	})
}

func TestRemoteRead(t *testing.T) {
	b := newBench(t)
	b.record("10s 40ms cart server GET id=t1/a", "11s 40ms cart server GET id=t1/b")
	b.commit()
	q, err := remote.ToQuery(0, 60_000, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__",
		"traces_span_metrics_calls_total")}, nil)
	require.NoError(t, err)
	ask, err := (&prompb.ReadRequest{Queries: []*prompb.Query{q}}).Marshal()
	require.NoError(t, err)
	w := b.do("POST", prom.Prefix+"/read", string(snappy.Encode(nil, ask)))
	require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
	text, err := snappy.Decode(nil, w.Body.Bytes())
	require.NoError(t, err)
	var answer prompb.ReadResponse
	require.NoError(t, answer.Unmarshal(text))
	samples := answer.Results[0].Timeseries[0].Samples
	require.Equal(t, 2.0, samples[len(samples)-1].Value)
}

func TestMountedPrograms(t *testing.T) {
	b := newBench(t, withAlertmanager)
	require.Equal(t, "/api/v2/status", b.get("/alertmanager/api/v2/status").Body.String())
	require.Equal(t, "echo", b.get("/tempo/api/echo").Body.String())
}

// What Grafana's Prometheus data source sends, call by call.
func TestGrafanasPrometheusRequests(t *testing.T) {
	b := newBench(t)
	b.record("10s 40ms web client GET/cart id=t1/a", "10.005s 30ms cart server GET/cart id=t1/b<a error")
	b.commit()
	b.rules("groups:\n- name: g\n  rules:\n  - alert: Errors\n    expr: traces_span_metrics_calls_total{status_code=\"STATUS_CODE_ERROR\"} > 0\n")
	const form = "application/x-www-form-urlencoded"
	f := func(method, path, args, contains string) {
		t.Helper()
		target, body := prom.Prefix+path, ""
		if method == http.MethodPost {
			body = args
		} else if args != "" {
			target += "?" + args
		}
		w := b.do(method, target, body, "Content-Type: "+form)
		require.Equal(t, http.StatusOK, w.Code, "%s %s: %s", method, target, w.Body)
		var answer struct {
			Status string          `json:"status"`
			Data   json.RawMessage `json:"data"`
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), "%s", w.Body)
		require.Equal(t, "success", answer.Status)
		require.Contains(t, string(answer.Data), contains, "%s %s", method, target)
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		f(method, "/query", "query=1%2B1&time=4", `"2"`)
		f(method, "/query", "query=traces_span_metrics_calls_total&time=20", `"service_name":"cart"`)
		f(method, "/query_range", "query=sum(traces_span_metrics_calls_total)&start=10&end=60&step=10", `"matrix"`)
		f(method, "/query_exemplars", "query=test&start=0&end=60", ``)
		f(method, "/labels", "limit=40000&start=0&end=60", `"service_name"`)
		f(method, "/labels", "match[]={__name__=~\"traces_service_graph_request_total\"}&start=0&end=60", `"client"`)
		f(method, "/series", "match[]=traces_service_graph_request_total&start=0&end=60&limit=10", `"server":"cart"`)
		f(method, "/format_query", "query=sum(x)", `sum(x)`)
		f(method, "/parse_query", "query=sum(x)", `"aggregation"`)
	}
	f("GET", "/label/__name__/values", "start=0&end=60", "traces_spanmetrics_latency_bucket")
	f("GET", "/label/service_name/values", "start=0&end=60", "cart")
	f("GET", "/label/U__service__name/values", "start=0&end=60", "cart")
	f("GET", "/rules", "", `"Errors"`)
	f("GET", "/rules", "type=alert&exclude_alerts=true&group_limit=40&rule_name[]=Errors", `"Errors"`)
	f("GET", "/alerts", "", `"firing"`)
	f("GET", "/metadata", "", `"traces_span_metrics_calls_total":[{"type":"counter"`)
	f("GET", "/metadata", "limit=1", `"type"`)
	f("GET", "/metadata", "metric=traces_service_graph_request_total", `"counter"`)
	f("GET", "/status/buildinfo", "", `"version":"1.2.3"`)
	require.NotContains(t, b.get(prom.Prefix+"/status/buildinfo").Body.String(), "features", "by which Grafana takes the source for Mimir")
	require.Equal(t, http.StatusBadRequest, b.get(prom.Prefix+"/query?query=sum(").Code)
	require.Equal(t, http.StatusBadRequest, b.get(prom.Prefix+"/metadata?limit=x").Code)
	require.Equal(t, http.StatusMethodNotAllowed, b.do("POST", prom.Prefix+"/rules", "").Code)
	require.Equal(t, http.StatusBadRequest, b.do("POST", prom.Prefix+"/read", "odd").Code,
		"remote read is there and refuses what is no snappy")
}

// Every operation documents its errors.
func TestErrorsAreDocumented(t *testing.T) {
	b := newBench(t)
	for path, item := range b.s.doc.Paths.Map() {
		for method, op := range item.Operations() {
			require.NotNil(t, op.Responses.Default(), "%s %s has no default response", method, path)
		}
	}
}
