package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/jaeger"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/views/model"
)

// notTelemetry are operations with a range that is not one of telemetry: what was sent, runs over the topics themselves, and how the process
// did.
var notTelemetry = map[string]bool{"/api/v1/alerts/notifications": true, "/api/v1/alerts/history": true, "/api/v1/alerts/backtests": true,
	"/api/v1/audit": true, "/api/v1/incidents": true, "/api/v1/pipeline/history": true}

// ranged are the operations of the document whose answers are about a range of telemetry: they have a start and a meta.
func (b *bench) ranged() (out map[string]string) {
	out = map[string]string{}
	bodies := map[string]string{
		"/api/v1/traces/search": `{"limit":1000,%s}`, "/api/v1/logs/search": `{"limit":1000,%s}`,
		"/api/v1/metrics/query":   `{"query":"sum(rate(traces_span_metrics_calls_total[1m]))","step":"60s",%s}`,
		"/api/v1/alerts/backtest": `{"rule":{"name":"X","expr":"vector(1)"},%s}`,
	}
	for path, item := range b.s.doc.Paths.Map() {
		if notTelemetry[path] {
			continue
		}
		target := strings.NewReplacer("{name}", "web").Replace(path)
		if strings.Contains(target, "{") {
			continue // one thing that may not exist
		}
		if item.Get != nil && strings.HasPrefix(path, "/api/v1/") && item.Get.Parameters.GetByInAndName("query", "start") != nil {
			out["GET "+target] = ""
			if item.Get.Parameters.GetByInAndName("query", "limit") != nil {
				out["GET "+target] = "&limit=1000" // a full page needs nothing older
			}
			if path == "/api/v1/spans/analysis" {
				out["GET "+target] = "&part=facets"
			}
		}
		if item.Post == nil || item.Post.RequestBody == nil {
			continue
		}
		media := item.Post.RequestBody.Value.Content.Get("application/json")
		if media == nil || media.Schema.Value.Properties["start"] == nil || strings.Contains(path, "{") {
			continue
		}
		out["POST "+target] = bodies[path]
	}
	return out
}

// askFrom sends an operation of ranged with a start and an end, and reads meta.
func (b *bench) askFrom(op, body string, start, end int) rest.Meta {
	b.t.Helper()
	method, target, _ := strings.Cut(op, " ")
	var w *httptest.ResponseRecorder
	if method == http.MethodGet {
		w = b.get(fmt.Sprintf("%s?start=%d&end=%d%s", target, start, end, body))
	} else {
		require.NotEmpty(b.t, body, "%s is new: give it a body here", op)
		w = b.do(method, target, fmt.Sprintf(body, fmt.Sprintf(`"start":"%d","end":"%d"`, start, end)), "Content-Type: application/json")
	}
	require.Equal(b.t, 200, w.Code, "%s: %s", op, w.Body)
	var got struct {
		Meta *rest.Meta `json:"meta"`
	}
	require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &got), op)
	require.NotNil(b.t, got.Meta, op)
	return *got.Meta
}

// TestTimesThatWereNeverRead: every answer about a time that was never read is partial, and one warning says why, whichever operation of
// the document it is. An answer about times that were read is whole.
func TestTimesThatWereNeverRead(t *testing.T) {
	for name, c := range map[string]struct {
		began progress.Beginning
		store bool
		fails bool
		want  string
	}{
		"latest": {progress.Beginning{Latest: time.Unix(610, 0).UTC()}, false, false,
			"reading began at the end of the topics at 1970-01-01T00:10:10Z"},
		"topics lost their beginning": {progress.Beginning{Trimmed: true}, false, false,
			"the topics had lost their oldest records when reading began: what happened before 1970-01-01T00:10:00Z"},
		"a store of other questions": {progress.Beginning{}, true, false, "the views begin at 1970-01-01T00:10:00Z"},
		"latest, a store that fails": {progress.Beginning{Latest: time.Unix(610, 0).UTC()}, true, true, ""},
		"from the beginning":         {progress.Beginning{}, false, false, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			store := &archive{bench: newBench(t)}
			store.record("100s 40ms old server GET id=o1/a", "100s 40ms older server GET id=o1/b<a")
			store.commit()
			if c.fails {
				store.err = fmt.Errorf("jaeger %w", raw.ErrUnavailable)
			}
			var b *bench
			b = newBench(t, func(cfg *Config) {
				s := &query.Sources{Views: &query.Queryable{Reader: cfg.Views},
					Unread: func() (time.Time, string) { return c.began.Since(b.script.Set.Frontier().Since) }}
				cfg.Queryable, cfg.Exemplars = s, s
				if c.store {
					cfg.Stores = older.Stores{Traces: store, Logs: archiveLogs{store}}
				}
			})
			for i := range 30 {
				b.record(fmt.Sprintf("%ds 40ms web server GET id=t%d/a", 600+i*10, i),
					fmt.Sprintf("%ds 4ms cart server get id=t%d/b<a", 600+i*10, i))
				b.record(fmt.Sprintf("%ds web INFO | hello", 600+i*10))
			}
			b.commit(model.Mark{Topic: "otlp_spans", Watermark: time.Unix(900, 0)})
			b.pipe.began = c.began
			b.now = at(901 * time.Second)
			ops := b.ranged()
			require.Greater(t, len(ops), 15)
			for _, op := range []string{"GET /api/v1/services", "GET /api/v1/servicemap", "GET /api/v1/traces", "GET /api/v1/errors",
				"GET /api/v1/logs", "GET /api/v1/logs/volume", "GET /api/v1/logs/patterns",
				"GET /api/v1/databases", "GET /api/v1/services/web/metrics", "POST /api/v1/metrics/query"} {
				require.Contains(t, ops, op)
			}
			for op, body := range ops {
				meta := b.askFrom(op, body, 700, 890)
				require.Empty(t, meta.Warnings, op)
				require.False(t, meta.Partial, op)
				meta = b.askFrom(op, body, 100, 890)
				if slices.Contains(meta.Source, "jaeger") || slices.Contains(meta.Source, "elasticsearch") || c.want == "-" {
					require.True(t, c.store && !c.fails || c.want == "-", op)
					require.Empty(t, slices.DeleteFunc(slices.Clone(meta.Warnings),
						func(w string) bool { return strings.Contains(w, "neither failures nor latencies") }), op)
					continue
				}
				require.True(t, meta.Partial, op)
				require.Len(t, meta.Warnings, 1, op)
				if !strings.Contains(meta.Warnings[0], "jaeger did not answer") {
					require.Contains(t, meta.Warnings[0], c.want, op)
				}
			}
			// The APIs of others say it in their way.
			for _, path := range []string{"/prometheus/api/v1/query?time=200&query=",
				"/prometheus/api/v1/query_range?start=100&end=890&step=60&query="} {
				w := b.get(path + "sum(rate(traces_span_metrics_calls_total[1m]))")
				require.Equal(t, c.began != progress.Beginning{}, strings.Contains(w.Body.String(), "is not in this answer"), w.Body)
			}
			require.NotContains(t, b.get("/prometheus/api/v1/query?time=890&query=sum(traces_span_metrics_calls_total)").Body.String(),
				"warnings")
			for _, path := range []string{"/jaeger/api/services", "/jaeger/api/operations?service=web", "/jaeger/api/v3/services",
				"/jaeger/api/v3/operations?service=web", "/jaeger/api/dependencies?endTs=890000&lookback=800000",
				"/jaeger/api/traces?service=web&start=100000000&end=890000000",
				"/jaeger/api/v3/trace-summaries?query.start_time_min=1970-01-01T00:01:40Z&query.start_time_max=1970-01-01T00:14:50Z"} {
				w := b.get(path)
				require.Equal(t, 200, w.Code, "%s", w.Body)
				want := 1
				if c.want == "-" || c.store && !c.fails {
					want = 0
				}
				require.Len(t, w.Header().Values(answer.WarningHeader), want, path)
			}
		})
	}
}

// TestNamesOfBoth: services, operations and calls between services of the time before the views come from the store of raw traces.
func TestNamesOfBoth(t *testing.T) {
	store := &archive{bench: newBench(t)}
	b := newBench(t, func(c *Config) { c.Stores = older.Stores{Traces: store} })
	store.record("100s 40ms web client GET id=o1/a", "100s 30ms billing server pay id=o1/b<a")
	store.record("110s 40ms web client GET id=o2/a", "110s 30ms cart server add id=o2/b<a")
	store.record("650s 40ms web client GET id=o3/a", "650s 30ms cart server add id=o3/b<a")
	store.commit(model.Mark{Topic: "otlp_spans", Watermark: time.Unix(900, 0)})
	b.record("650s 40ms web client GET id=o3/a", "650s 30ms cart server add id=o3/b<a")
	b.commit(model.Mark{Topic: "otlp_spans", Watermark: time.Unix(900, 0)})
	store.now, b.now = at(901*time.Second), at(901*time.Second)

	var services struct {
		Services []rest.Service
		Total    int
		Meta     rest.Meta
	}
	read := func(target string, into any) {
		t.Helper()
		w := b.get(target)
		b.conforms("GET", target, w)
		require.Equal(t, 200, w.Code, "%s", w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), into))
	}
	read("/api/v1/services?start=50&end=900", &services)
	names := []string{}
	for _, v := range services.Services {
		names = append(names, fmt.Sprint(v.Name, v.Calls))
	}
	require.Equal(t, []string{"billing0", "cart1", "web1"}, names)
	require.ElementsMatch(t, []string{"view", "jaeger"}, services.Meta.Source)
	require.Equal(t, at(50*time.Second), services.Meta.Since.UTC())
	require.False(t, services.Meta.Partial)
	read("/api/v1/services?start=650&end=900", &services)
	require.Len(t, services.Services, 2)
	require.Equal(t, rest.Source{"view"}, services.Meta.Source)
	require.Equal(t, 200, b.get("/api/v1/services/billing?start=50&end=900").Code)
	require.Equal(t, 404, b.get("/api/v1/services/billing?start=650&end=900").Code)
	require.Equal(t, 404, b.get("/api/v1/services/nobody?start=50&end=900").Code)

	var operations struct {
		Operations []rest.Operation
		Meta       rest.Meta
	}
	read("/api/v1/services/billing/operations?start=50&end=900", &operations)
	require.Len(t, operations.Operations, 1)
	require.Equal(t, "pay", operations.Operations[0].Name)
	require.Equal(t, "SERVER", strings.TrimPrefix(operations.Operations[0].Kind, "SPAN_KIND_"))
	read("/api/v1/services/cart/operations?start=50&end=900", &operations)
	require.Len(t, operations.Operations, 1, "both know it")

	var m rest.ServiceMap
	read("/api/v1/servicemap?start=50&end=900", &m)
	edges := []string{}
	for _, e := range m.Edges {
		if e.ClientType == "service" {
			edges = append(edges, fmt.Sprint(e.Client, e.Server, e.Calls))
		}
	}
	require.Equal(t, []string{"webbilling1", "webcart2"}, edges)
	require.ElementsMatch(t, []string{"view", "jaeger"}, m.Meta.Source)
	require.Len(t, m.Meta.Warnings, 1)
	require.Contains(t, m.Meta.Warnings[0], "calls from before 1970-01-01T00:10:50Z are those that jaeger counted")

	for path, want := range map[string]string{
		"/services": `"data":["billing","cart","web"]`, "/operations?service=billing": `"data":[{"name":"pay","spanKind":"server"}]`,
		"/services/billing/operations": `"data":["pay"]`, "/v3/services": `"services":["billing","cart","web"]`,
		"/v3/operations?service=billing":             `{"name":"pay","spanKind":"server"}`,
		"/dependencies?endTs=900000&lookback=850000": `"data":[{"parent":"web","child":"billing","callCount":1},{"parent":"web","child":"cart","callCount":2},{"parent":"web","child":"web","callCount":2}]`,
	} {
		w := b.get(jaeger.Prefix + path)
		require.Contains(t, w.Body.String(), want, path)
		require.Empty(t, w.Header().Values(answer.WarningHeader), path)
	}
	store.err = fmt.Errorf("jaeger %w", raw.ErrUnavailable)
	w := b.get(jaeger.Prefix + "/services")
	require.Contains(t, w.Body.String(), `"data":["cart","web"]`)
	require.Equal(t, []string{"jaeger did not answer; services from before 1970-01-01T00:10:50Z are missing"},
		w.Header().Values(answer.WarningHeader))
	read("/api/v1/services?start=50&end=900", &services)
	require.True(t, services.Meta.Partial)
	require.Equal(t, []string{"jaeger did not answer; services from before 1970-01-01T00:10:50Z are missing"}, services.Meta.Warnings)
}
