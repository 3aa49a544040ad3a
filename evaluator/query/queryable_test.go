package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/views/model"
)

// shop is 10 min of random traffic with gaps; the same seed gives the same.
func shop(seed uint64) *evaltest.Reader {
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := &evaltest.Reader{}
	for i, svc := range []string{"cart", "checkout", "payment"} {
		for _, st := range []model.Status{model.StatusUnset, model.StatusError} {
			k := model.REDKey{Service: svc, Operation: "GET /" + svc, Kind: model.KindServer, Status: st}
			start, gap := float64(i*45)+rnd.Float64()*30, 1+20*float64(st)
			for s := start; s < 600; s += rnd.ExpFloat64() * gap {
				if s > 200 && s < 320 && svc == "payment" {
					continue // a silence
				}
				d := time.Duration(rnd.ExpFloat64() * float64(120*time.Millisecond))
				o := evaltest.Observation{At: evaltest.At(s), Duration: d, TraceID: byte(rnd.IntN(200) + 1)}
				r.Span(k, o)
				r.Call(model.EdgeKey{Client: "web", Server: svc}, st == model.StatusError, o)
				r.Call(model.EdgeKey{Client: svc, Server: "db", Connection: "database"}, false, o)
			}
		}
	}
	r.Call(model.EdgeKey{Client: "web", Connection: "unpaired:no_parent"}, false, evaltest.Observation{At: evaltest.At(5)})
	return r
}

// expand reads every sample that q has in [mint, maxt].
func expand(t testing.TB, q storage.Queryable, mint, maxt time.Time, ms ...*labels.Matcher) []promql.Series {
	t.Helper()
	sq, err := q.Querier(mint.UnixMilli(), maxt.UnixMilli())
	require.NoError(t, err)
	set := sq.Select(context.Background(), true, nil, ms...)
	var out []promql.Series
	for set.Next() {
		s := promql.Series{Metric: set.At().Labels()}
		it := set.At().Iterator(nil)
		for v := it.Next(); v != chunkenc.ValNone; v = it.Next() {
			if v == chunkenc.ValFloatHistogram {
				ts, h := it.AtFloatHistogram(nil)
				s.Histograms = append(s.Histograms, promql.HPoint{T: ts, H: h})
				continue
			}
			ts, f := it.At()
			s.Floats = append(s.Floats, promql.FPoint{T: ts, F: f})
		}
		require.NoError(t, it.Err())
		out = append(out, s)
	}
	require.NoError(t, set.Err())
	return out
}

func eq(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

func TestSamplesOfACounter(t *testing.T) {
	r := &evaltest.Reader{}
	k := model.REDKey{Service: "cart", Operation: "GET", Kind: model.KindServer, Status: model.StatusError}
	r.Span(k, evaltest.Observation{At: evaltest.At(3)}, evaltest.Observation{At: evaltest.At(4)},
		evaltest.Observation{At: evaltest.At(32.5)})
	q := &Queryable{Reader: r, Lifetime: time.Minute}
	f := func(from, to float64, want ...promql.FPoint) {
		t.Helper()
		got := expand(t, q, evaltest.At(from), evaltest.At(to), eq("__name__", "traces_span_metrics_calls_total"))
		if len(want) == 0 {
			require.Empty(t, got)
			return
		}
		require.Len(t, got, 1)
		require.Equal(t, `{__name__="traces_span_metrics_calls_total", service_name="cart", span_kind="SPAN_KIND_SERVER", span_name="GET", status_code="STATUS_CODE_ERROR"}`, got[0].Metric.String())
		require.Equal(t, want, got[0].Floats)
	}
	p := func(s, v float64) promql.FPoint { return promql.FPoint{T: evaltest.At(s).UnixMilli(), F: v} }
	f(-100, -1)
	f(-100, 20, p(0, 0), p(10, 2), p(20, 2))
	f(11, 60, p(20, 2), p(30, 2), p(32.5, 3), p(40, 3), p(50, 3), p(60, 3))
	f(31, 32.5, p(32.5, 3))
	f(31, 32, p(32, 3)) // asked just before a commit moved the head on: still everything
	f(95, 5000, p(100, 3))
	f(101, 5000) // silent for its lifetime
}

func TestIteratorsSeekAsTheyStep(t *testing.T) {
	r := shop(1)
	q := &Queryable{Reader: r}
	for _, name := range []string{"traces_spanmetrics_latency_bucket", "traces_spanmetrics_latency",
		"traces_service_graph_request_client_seconds_sum"} {
		sq, err := q.Querier(evaltest.At(-50).UnixMilli(), evaltest.At(700).UnixMilli())
		require.NoError(t, err)
		set := sq.Select(context.Background(), false, nil, eq("__name__", name))
		for set.Next() {
			step, seek := set.At().Iterator(nil), set.At().Iterator(nil)
			for n := 0; step.Next() != chunkenc.ValNone; n++ {
				if n%7 != 3 {
					continue
				}
				require.NotEqual(t, chunkenc.ValNone, seek.Seek(step.AtT()-1))
				require.Equal(t, step.AtT(), seek.AtT())
				if name == "traces_spanmetrics_latency" {
					_, a := step.AtFloatHistogram(nil)
					_, b := seek.AtFloatHistogram(nil)
					require.Equal(t, a, b)
					require.NoError(t, a.Validate())
					continue
				}
				_, a := step.At()
				_, b := seek.At()
				require.Equal(t, a, b)
			}
			require.Equal(t, chunkenc.ValNone, step.Next())
			require.Equal(t, chunkenc.ValNone, seek.Seek(evaltest.At(701).UnixMilli()))
			require.Equal(t, chunkenc.ValNone, seek.Next())
		}
	}
}

// copyToTSDB writes every sample of q into a real Prometheus TSDB.
func copyToTSDB(t testing.TB, q storage.Queryable, mint, maxt time.Time) storage.Queryable {
	t.Helper()
	db := teststorage.New(t)
	app := db.Appender(context.Background())
	for _, s := range expand(t, q, mint, maxt, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")) {
		for _, p := range s.Floats {
			_, err := app.Append(0, s.Metric, p.T, p.F)
			require.NoError(t, err)
		}
		for _, p := range s.Histograms {
			_, err := app.AppendHistogram(0, s.Metric, p.T, nil, p.H)
			require.NoError(t, err)
		}
	}
	require.NoError(t, app.Commit())
	return db
}

var queries = []string{
	`traces_span_metrics_calls_total`,
	`rate(traces_span_metrics_calls_total[1m])`,
	`increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m])`,
	`sum by (service_name) (rate(traces_span_metrics_calls_total[2m]))`,
	`sum(rate(calls_total{service_name=~"c.*"}[1m])) / sum(rate(calls_total[1m]))`,
	`histogram_quantile(0.95, sum by (le, service_name) (rate(traces_span_metrics_duration_milliseconds_bucket[1m])))`,
	`histogram_quantile(0.9, sum by (le) (rate(traces_spanmetrics_latency_bucket{service="cart"}[5m])))`,
	`histogram_quantile(0.9, sum(rate(traces_spanmetrics_latency[1m])))`,
	`histogram_quantile(0.5, rate(traces_spanmetrics_latency{service="payment"}[2m]))`,
	`histogram_count(increase(traces_spanmetrics_latency[1m]))`,
	`histogram_sum(rate(traces_service_graph_request_client_seconds[1m]))`,
	`histogram_fraction(0, 0.1, rate(traces_service_graph_request_server_seconds[3m]))`,
	`rate(traces_spanmetrics_latency_sum[1m]) / rate(traces_spanmetrics_latency_count[1m])`,
	`sum by (client, server) (rate(traces_service_graph_request_total[5m]))`,
	`group by (client, connection_type, server) (traces_service_graph_request_failed_total)`,
	`traces_service_graph_request_total{connection_type=""}`,
	`topk(2, sum(rate(traces_spanmetrics_calls_total{span_kind="SPAN_KIND_SERVER"}[1m])) by (span_name))`,
	`irate(traces_spanmetrics_calls_total[1m])`,
	`resets(traces_span_metrics_calls_total[5m])`,
	`changes(traces_span_metrics_calls_total[5m])`,
	`delta(traces_spanmetrics_size_total[2m])`,
	`traces_span_metrics_calls_total offset 1m`,
	`rate(traces_span_metrics_calls_total[1m] offset 30s)`,
	`max_over_time(rate(traces_span_metrics_calls_total[1m])[3m:20s])`,
	`absent(traces_span_metrics_calls_total{service_name="nobody"})`,
	`count_over_time(traces_span_metrics_duration_seconds_count[1m])`,
	`last_over_time(traces_span_metrics_duration_seconds_bucket{le="0.1"}[30s])`,
	`{service_name="cart", __name__=~".*calls_total"}`,
	`traces_span_metrics_calls_total @ 1700000300`,
	`count({__name__=~".+"})`,
	`sum by (__name__) ({__name__=~".+_total"})`,
	`deriv(traces_spanmetrics_latency_count[1m])`,
	`increase(traces_service_graph_request_server_seconds_count{client!="web"}[1m]) > 3`,
}

func TestQueriesAgreeWithTSDB(t *testing.T) {
	q := &Queryable{Reader: shop(2)}
	db := copyToTSDB(t, q, evaltest.At(-100), evaltest.At(900))
	eng := NewEngine(EngineConfig{}, nil, nil)
	ctx := context.Background()
	for _, text := range queries {
		said := false
		for _, s := range []float64{0, 7, 60, 133, 299.5, 320, 500, 601, 899} {
			got, err := eng.NewInstantQuery(ctx, q, nil, text, evaltest.At(s))
			require.NoError(t, err)
			want, err := eng.NewInstantQuery(ctx, db, nil, text, evaltest.At(s))
			require.NoError(t, err)
			res := got.Exec(ctx)
			same(t, fmt.Sprintf("%s at %v", text, s), want.Exec(ctx), res)
			said = said || res.Value.String() != ""
		}
		require.True(t, said, "%s never has a result", text)
		for _, step := range []time.Duration{10 * time.Second, 47 * time.Second} {
			got, err := eng.NewRangeQuery(ctx, q, nil, text, evaltest.At(-20), evaltest.At(850), step)
			require.NoError(t, err)
			want, err := eng.NewRangeQuery(ctx, db, nil, text, evaltest.At(-20), evaltest.At(850), step)
			require.NoError(t, err)
			same(t, fmt.Sprintf("%s every %v", text, step), want.Exec(ctx), got.Exec(ctx))
		}
	}
}

func same(t *testing.T, what string, want, got *promql.Result) {
	t.Helper()
	require.NoError(t, want.Err, what)
	require.NoError(t, got.Err, what)
	if v, ok := want.Value.(promql.Vector); ok {
		order := func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) }
		slices.SortFunc(v, order)
		slices.SortFunc(got.Value.(promql.Vector), order)
	}
	require.Equal(t, want.Value.String(), got.Value.String(), what) // text in which floats are exact
}

func TestLabels(t *testing.T) {
	q, err := (&Queryable{Reader: shop(3)}).Querier(evaltest.At(0).UnixMilli(), evaltest.At(700).UnixMilli())
	require.NoError(t, err)
	ctx := context.Background()
	values := func(name string, ms ...*labels.Matcher) []string {
		v, _, err := q.LabelValues(ctx, name, nil, ms...)
		require.NoError(t, err)
		return v
	}
	require.Equal(t, []string{"cart", "checkout", "payment"}, values("service_name"))
	require.Equal(t, []string{"cart"}, values("server", eq("client", "web"), eq("server", "cart")))
	require.Equal(t, []string{"database"}, values("connection_type"))
	require.Len(t, values("le", eq("__name__", "duration_milliseconds_bucket")), 17)
	require.Contains(t, values("le", eq("__name__", "duration_milliseconds_bucket")), "15000")
	require.Equal(t, []string{"traces_spanmetrics_latency_bucket"}, values("__name__", eq("le", "0.002"), eq("service", "cart")))
	require.Len(t, values("__name__"), len(slices.DeleteFunc(slices.Clone(metrics), func(m metric) bool { return m.table != nil })))
	require.Empty(t, values("client", eq("connection_type", "unpaired:no_parent")))
	require.Equal(t, []string{"no_parent"}, values("reason"))
	names, _, err := q.LabelNames(ctx, nil, eq("__name__", "traces_service_graph_request_total"))
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "client", "connection_type", "server"}, names)
	names, _, err = q.LabelNames(ctx, &storage.LabelHints{Limit: 2}, eq("service", "cart"))
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "le"}, names)
}

func TestExemplars(t *testing.T) {
	r := &evaltest.Reader{}
	k := model.REDKey{Service: "cart", Operation: "GET", Kind: model.KindServer}
	r.Span(k, evaltest.Observation{At: evaltest.At(3), Duration: 30 * time.Millisecond, TraceID: 0xab},
		evaltest.Observation{At: evaltest.At(5), Duration: 3 * time.Millisecond, TraceID: 0xcd})
	eq1, err := (&Queryable{Reader: r}).ExemplarQuerier(context.Background())
	require.NoError(t, err)
	res, err := eq1.Select(evaltest.At(0).UnixMilli(), evaltest.At(60).UnixMilli(),
		[]*labels.Matcher{eq("__name__", "duration_milliseconds_bucket")})
	require.NoError(t, err)
	require.Len(t, res, 2)
	require.Equal(t, "4", res[0].SeriesLabels.Get("le"))
	require.Equal(t, "50", res[1].SeriesLabels.Get("le"))
	e := res[1].Exemplars[0]
	require.Equal(t, 30.0, e.Value)
	require.Equal(t, "ab000000000000000000000000000000", e.Labels.Get("trace_id"))
	require.Equal(t, evaltest.At(3).UnixMilli(), e.Ts)
}

func TestLimitAndHints(t *testing.T) {
	q, err := (&Queryable{Reader: shop(4)}).Querier(0, evaltest.At(900).UnixMilli())
	require.NoError(t, err)
	set := q.Select(context.Background(), true,
		&storage.SelectHints{Start: evaltest.At(60).UnixMilli(), End: evaltest.At(90).UnixMilli(), Limit: 2}, eq("__name__", "calls_total"))
	n := 0
	for set.Next() {
		n++
		it := set.At().Iterator(nil)
		require.NotEqual(t, chunkenc.ValNone, it.Next())
		require.GreaterOrEqual(t, it.AtT(), evaltest.At(60).UnixMilli())
	}
	require.Equal(t, 2, n)
}

func TestMetadataHasNoDoubles(t *testing.T) {
	md := MetricMetadata()
	for i := 1; i < len(md); i++ {
		require.Less(t, md[i-1].Name, md[i].Name)
	}
}

func TestChunksHoldTheSamples(t *testing.T) {
	q := &Queryable{Reader: shop(5)}
	cq, err := q.ChunkQuerier(evaltest.At(0).UnixMilli(), evaltest.At(700).UnixMilli())
	require.NoError(t, err)
	set := storage.NewSeriesSetFromChunkSeriesSet(cq.Select(context.Background(), true, nil,
		eq("__name__", "traces_spanmetrics_calls_total")))
	want := expand(t, q, evaltest.At(0), evaltest.At(700), eq("__name__", "traces_spanmetrics_calls_total"))
	for _, w := range want {
		require.True(t, set.Next())
		it := set.At().Iterator(nil)
		for _, p := range w.Floats {
			require.Equal(t, chunkenc.ValFloat, it.Next())
			ts, f := it.At()
			require.Equal(t, p, promql.FPoint{T: ts, F: f})
		}
	}
}
