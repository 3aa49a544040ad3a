package rules

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// TestRulesOverSamples: a rule over OTLP metrics is evaluated when they are committed, at the time up to which they are complete,
// with or without spans; one that needs both waits for both.
func TestRulesOverSamples(t *testing.T) {
	for name, spans := range map[string]bool{"without spans": false, "with spans": true} {
		t.Run(name, func(t *testing.T) {
			kv, r := storage.NewMem(storage.MemOptions{}), &evaltest.Reader{}
			f := evaltest.NewMetricsFeed(t, kv)
			e, err := New(Config{Reader: r, KV: kv, Floor: time.Second, Metrics: f.M,
				Queryable: &query.Sources{Views: &query.Queryable{Reader: r}, Samples: f.Samples}})
			require.NoError(t, err)
			both := `depth_ratio > 5 and on(service_name) sum by (service_name) (traces_span_metrics_calls_total) > 0`
			src, err := ParseSource("rules.yml",
				[]byte("groups:\n- name: metrics\n  interval: 1h\n  rules:\n"+evaltest.Rule("Deep", "depth_ratio > 5", "")+
					"- name: both\n  interval: 1h\n  rules:\n"+evaltest.Rule("Both", both, "")), nil)
			require.NoError(t, err)
			require.NoError(t, e.Load(context.Background(), []Source{src}, evaltest.At(100)))
			advance := func(now time.Time) map[string]time.Time {
				t.Helper()
				require.NoError(t, e.Advance(context.Background(), model.Change{Frontier: r.Frontier()}, now))
				out := map[string]time.Time{}
				for _, a := range e.Active() {
					out[a.Labels.Get("alertname")] = a.ActiveAt
				}
				return out
			}
			if spans {
				r.Span(evaltest.Failing, evaltest.Observation{At: evaltest.At(104), Duration: time.Millisecond, TraceID: 1})
				r.Commit(evaltest.At(104))
			}
			f.Gauge(evaltest.At(100), 1)
			require.Empty(t, advance(evaltest.At(101)))
			f.Gauge(evaltest.At(110), 9)
			active := advance(evaltest.At(112))
			require.Equal(t, evaltest.At(110), active["Deep"].UTC(), "the newest sample's time, not that of the spans")
			require.NotContains(t, active, "Both")
			if spans {
				r.Span(evaltest.Failing, evaltest.Observation{At: evaltest.At(120), Duration: time.Millisecond, TraceID: 2})
				r.Commit(evaltest.At(120))
				f.Gauge(evaltest.At(121), 9)
				require.Contains(t, advance(evaltest.At(124)), "Both")
			}
			f.Gauge(evaltest.At(130), 1)
			require.NotContains(t, advance(evaltest.At(135)), "Deep")
		})
	}
}
