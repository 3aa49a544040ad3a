package query

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/storage/raw/rawtest"
	"github.com/gaurav/watchingcat/views/model"
)

// connectorLabels are those of the series of a view as a collector's connector exports them.
func connectorLabels(name string, job bool, more ...string) labels.Labels {
	b := labels.NewBuilder(labels.FromStrings(append([]string{labels.MetricName, name}, more...)...))
	if job {
		b.Set("job", "collector").Set("instance", "collector:8889")
	}
	return b.Labels()
}

// spliced is a Prometheus with what connectors counted until 1200 s, and views that begin at 600 s: one call a second in both.
type spliced struct {
	t    *testing.T
	prom *rawtest.Prometheus
	s    *Sources
	eng  promql.QueryEngine
}

var red = []string{"service_name", "cart", "span_name", "get", "span_kind", "SPAN_KIND_SERVER", "status_code", "STATUS_CODE_UNSET"}

// newSpliced makes them; counted is what the connectors had counted at 0, base what the views had before the oldest bucket that they keep.
func newSpliced(t *testing.T, job bool, counted float64, base uint64) *spliced {
	r := &evaltest.Reader{}
	key := model.REDKey{Service: "cart", Operation: "get", Kind: model.KindServer, Status: model.StatusUnset}
	edge := model.EdgeKey{Client: "web", Server: "cart"}
	for i := range 600 {
		o := evaltest.Observation{At: evaltest.At(float64(600+i) + 0.5), Duration: 3 * time.Millisecond, TraceID: 1}
		r.Span(key, o)
		r.Call(edge, false, o)
	}
	r.Commit(evaltest.At(1200))
	s := &spliced{t: t, prom: rawtest.NewPrometheus(t), eng: NewEngine(EngineConfig{}, nil, nil)}
	for sec := 0; sec <= 1200; sec += 15 {
		n := counted + float64(sec)
		add := func(name string, v float64, more ...string) {
			s.prom.Append(connectorLabels(name, job, more...), evaltest.At(float64(sec)), v)
		}
		for _, name := range []string{"traces_span_metrics_calls_total", "calls_total", "duration_milliseconds_count",
			"traces_span_metrics_duration_milliseconds_count"} {
			add(name, n, red...)
		}
		for _, name := range []string{"traces_span_metrics_duration_milliseconds", "duration_milliseconds"} {
			for le, of := range map[string]float64{"2": 0, "4": n, "6": n, "+Inf": n} {
				add(name+"_bucket", of, append([]string{"le", le}, red...)...)
			}
			add(name+"_sum", 3*n, red...)
		}
		add("traces_service_graph_request_total", n, "client", "web", "server", "cart")
	}
	older, err := raw.OpenPrometheus(s.prom.URL, raw.Options{Metrics: raw.NewMetrics(prometheus.NewRegistry(), nil)})
	require.NoError(t, err)
	s.s = &Sources{Views: &Queryable{Reader: based{r, base}}, Older: older}
	return s
}

// based has counted more before its oldest bucket.
type based struct {
	*evaltest.Reader
	base uint64
}

func (b based) SelectRED(from, to time.Time, match func(uint32, model.REDKey) bool) ([]model.REDTimeline, error) {
	list, err := b.Reader.SelectRED(from, to, match)
	for i := range list {
		if b.base > 0 {
			list[i].First = 0
		}
		list[i].Base.Calls += b.base
		list[i].Base.Hist.Add(uint64(3*time.Millisecond), b.base)
	}
	return list, err
}

func (s *spliced) matrix(query string, from, to, step float64) (map[int64][]float64, []string, []string) {
	s.t.Helper()
	ctx, answered := raw.WithAnswered(context.Background())
	q, err := s.eng.NewRangeQuery(ctx, s.s, nil, query, evaltest.At(from), evaltest.At(to), time.Duration(step*1e9))
	require.NoError(s.t, err)
	defer q.Close()
	res := q.Exec(ctx)
	require.NoError(s.t, res.Err)
	m, err := res.Matrix()
	require.NoError(s.t, err)
	out := map[int64][]float64{}
	for _, series := range m {
		for _, p := range series.Floats {
			sec := (p.T - evaltest.At(0).UnixMilli()) / 1000
			out[sec] = append(out[sec], p.F)
		}
	}
	warnings, _ := res.Warnings.AsStrings(query, 0, 0)
	return out, answered.Names(), warnings
}

// TestConnectorsAnswerForTheTimeBefore: what the connectors of a collector counted goes on in the views, whatever the labels of its series
// and whatever either had counted before: each instant is answered by one of the two, and no increase is invented where they meet.
func TestConnectorsAnswerForTheTimeBefore(t *testing.T) {
	for name, c := range map[string]struct {
		job     bool
		counted float64
		base    uint64
	}{
		"job": {true, 1e6, 0}, "same labels": {false, 1e6, 0}, "same labels, less counted": {false, 0, 1e7},
		"same labels, more counted": {false, 1e9, 5e6}, "job, old views": {true, 7, 1e7},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpliced(t, c.job, c.counted, c.base)
			for _, query := range []string{
				`sum(rate(traces_span_metrics_calls_total[1m]))`, `sum by (service_name) (rate(calls_total{service_name="cart"}[5m]))`,
				`sum(increase(duration_milliseconds_count[2m])) / 120`,
				`sum(rate(traces_span_metrics_duration_milliseconds_bucket{le="+Inf"}[3m]))`,
				`sum(rate(traces_service_graph_request_total{client="web"}[1m]))`, `sum(irate({__name__="calls_total"}[5m]))`,
				`sum(rate({__name__=~"calls_tot.*"}[1m]))`,
			} {
				got, answered, warnings := s.matrix(query, 330, 1170, 10)
				require.Empty(t, warnings, query)
				require.Equal(t, []string{"prometheus"}, answered, query)
				for sec := int64(330); sec <= 1170; sec += 10 {
					require.Len(t, got[sec], 1, "%s at %d", query, sec)
					low, high := 0.7, 1.3 // a window that both have a part of is extrapolated twice
					if sec < 600 || sec > 910 {
						low, high = 0.98, 1.02
					}
					if sec == 600 && !c.job && query[:9] == "sum(irate" {
						low = 0 // the counter begins anew at this very instant
					}
					require.True(t, got[sec][0] >= low && got[sec][0] <= high, "%s at %d: %v", query, sec, got[sec])
				}
			}
			// Instants: the store's value before, the views' from there, never both.
			got, _, _ := s.matrix(`sum(traces_span_metrics_calls_total)`, 0, 1170, 10)
			for sec := int64(0); sec <= 1170; sec += 10 {
				want := c.counted + float64(sec-sec%15)
				if sec >= 600 {
					want = float64(c.base) + float64(sec-600)
				}
				require.Equal(t, []float64{want}, got[sec], "at %d", sec)
			}
			got, _, _ = s.matrix(`histogram_quantile(0.5, sum by (le) (rate(traces_span_metrics_duration_milliseconds_bucket[5m])))`, 330,
				1170, 10)
			for sec, v := range got {
				require.InDelta(t, 3, v[0], 0.01, "at %d", sec)
			}
			// An instant of long ago, and one of now: for the latter nothing old is read.
			s.prom.Requests()
			got, answered, _ := s.matrix(`sum(traces_span_metrics_calls_total)`, 300, 300, 10)
			require.Equal(t, map[int64][]float64{300: {c.counted + 300}}, got)
			require.Equal(t, []string{"prometheus"}, answered)
			require.NotEmpty(t, s.prom.Requests())
			_, answered, _ = s.matrix(`sum(traces_span_metrics_calls_total) + sum(rate(calls_total[5m]))`, 900, 1170, 10)
			require.Empty(t, answered)
			_, answered, _ = s.matrix(`sum(traces_span_metrics_calls_total)`, 610, 1170, 10)
			require.Empty(t, answered, "an instant looks back at no older sample")
			require.Empty(t, s.prom.Requests())
		})
	}
}

func TestAStoreWithoutConnectorsIsAWarning(t *testing.T) {
	s := newSpliced(t, true, 0, 0)
	got, answered, warnings := s.matrix(`sum(rate(traces_spanmetrics_calls_total{service="cart"}[1m]))`, 330, 1170, 10)
	require.Empty(t, got[400])
	require.NotEmpty(t, got[1000])
	require.Equal(t, []string{"prometheus"}, answered)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], `prometheus has no series of traces_spanmetrics_calls_total{service="cart"} for the time before the views begin (`+evaltest.At(600).UTC().Format(time.RFC3339)+`)`)
	_, _, warnings = s.matrix(`sum(rate(traces_spanmetrics_calls_total[1m]))`, 700, 1170, 10)
	require.Empty(t, warnings)
}

// TestNamesAndValuesOfBoth: without match[], names and values of labels come from views and store together, and the store accepts the
// requests.
func TestNamesAndValuesOfBoth(t *testing.T) {
	s := newSpliced(t, true, 0, 0)
	s.prom.Append(labels.FromStrings("__name__", "depth", "queue", "q1"), evaltest.At(100), 1)
	for _, ms := range [][]*labels.Matcher{nil, {labels.MustNewMatcher(labels.MatchRegexp, "queue", ".*")},
		{labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "up")}} {
		q, err := s.s.Querier(evaltest.At(0).UnixMilli(), evaltest.At(1200).UnixMilli())
		require.NoError(t, err)
		names, warnings, err := q.LabelNames(context.Background(), nil, ms...)
		require.NoError(t, err)
		require.Empty(t, warnings)
		require.Subset(t, names, []string{"__name__", "client", "instance", "job", "le", "queue", "service_name"})
		values, warnings, err := q.LabelValues(context.Background(), "__name__", nil, ms...)
		require.NoError(t, err)
		require.Empty(t, warnings)
		require.Subset(t, values, []string{"calls_total", "depth", "traces_spanmetrics_calls_total"})
		require.NoError(t, q.Close())
	}
	for _, r := range s.prom.Requests() {
		require.Equal(t, 200, r.Status, "%v", r)
	}
	// Before the views begin there are the store's names and values only.
	before, err := s.s.Querier(evaltest.At(0).UnixMilli(), evaltest.At(300).UnixMilli())
	require.NoError(t, err)
	values, _, err := before.LabelValues(context.Background(), "__name__", nil)
	require.NoError(t, err)
	require.Contains(t, values, "depth")
	require.NotContains(t, values, "traces_spanmetrics_latency_bucket")
	names, _, err := before.LabelNames(context.Background(), nil)
	require.NoError(t, err)
	require.Contains(t, names, "queue")
	require.NotContains(t, names, "reason")
	require.NoError(t, before.Close())
	q, err := s.s.Querier(evaltest.At(0).UnixMilli(), evaltest.At(1200).UnixMilli())
	require.NoError(t, err)
	found := []string{}
	for set := q.Select(context.Background(), true,
		&storage.SelectHints{Start: evaltest.At(0).UnixMilli(), End: evaltest.At(1200).UnixMilli(), Func: "series"},
		labels.MustNewMatcher(labels.MatchRegexp, "__name__", "depth|calls_total")); set.Next(); {
		found = append(found, set.At().Labels().Get("__name__")+" "+set.At().Labels().Get("job"))
	}
	require.ElementsMatch(t, []string{"calls_total ", "calls_total collector", "depth "}, found)
	require.NoError(t, q.Close())
}

// TestChunksOfBoth: what reads chunks sees the same samples.
func TestChunksOfBoth(t *testing.T) {
	for _, job := range []bool{true, false} {
		s := newSpliced(t, job, 5000, 0)
		q, err := s.s.ChunkQuerier(evaltest.At(0).UnixMilli(), evaltest.At(1200).UnixMilli())
		require.NoError(t, err)
		var times []int64
		n := 0
		for set := q.Select(context.Background(), true, nil,
			labels.MustNewMatcher(labels.MatchEqual, "__name__", "calls_total")); set.Next(); n++ {
			for it := set.At().Iterator(nil); it.Next(); {
				for c := it.At().Chunk.Iterator(nil); c.Next() != chunkenc.ValNone; {
					at0, v := c.At()
					if sec := (at0 - evaltest.At(0).UnixMilli()) / 1000; !math.IsNaN(v) {
						require.Equal(t, sec < 600, v >= 5000, "%d %v", sec, v)
						times = append(times, sec)
					}
				}
			}
		}
		require.NoError(t, q.Close())
		require.Equal(t, map[bool]int{true: 2, false: 1}[job], n)
		slices.Sort(times)
		require.Len(t, slices.Compact(slices.Clone(times)), len(times), "no sample of both")
		require.Equal(t, int64(0), times[0])
		require.GreaterOrEqual(t, times[len(times)-1], int64(1170))
	}
}

// TestExemplarsOfBoth: exemplars come from the store for the time before the views, from the views since; a store that does not answer is a
// warning.
func TestExemplarsOfBoth(t *testing.T) {
	s := newSpliced(t, true, 0, 0)
	series := connectorLabels("traces_span_metrics_duration_milliseconds_bucket", true, append([]string{"le", "4"}, red...)...)
	for _, sec := range []int{300, 900} {
		s.prom.Exemplar(series, exemplar.Exemplar{Labels: labels.FromStrings("trace_id", fmt.Sprint("t", sec)), Value: 3,
			Ts: evaltest.At(float64(sec)).UnixMilli(), HasTs: true})
	}
	ctx, answered := raw.WithAnswered(t.Context())
	find := func(from, to float64, ms ...*labels.Matcher) (old, of []string) {
		t.Helper()
		q, err := s.s.ExemplarQuerier(ctx)
		require.NoError(t, err)
		list, err := q.Select(evaltest.At(from).UnixMilli(), evaltest.At(to).UnixMilli(), ms)
		require.NoError(t, err)
		for _, x := range list {
			for _, e := range x.Exemplars {
				if x.SeriesLabels.Get("job") != "" {
					old = append(old, e.Labels.Get("trace_id"))
				} else {
					of = append(of, e.Labels.Get("trace_id"))
				}
			}
		}
		return old, of
	}
	name := labels.MustNewMatcher(labels.MatchEqual, "__name__", "traces_span_metrics_duration_milliseconds_bucket")
	for _, ms := range [][]*labels.Matcher{{name}, {labels.MustNewMatcher(labels.MatchEqual, "service_name", "cart")}} {
		old, of := find(0, 1200, ms...)
		require.Equal(t, []string{"t300"}, old)
		require.NotEmpty(t, of)
	}
	require.Equal(t, []string{"prometheus"}, answered.Names())
	s.prom.Requests()
	old, of := find(700, 1200, name)
	require.Empty(t, old)
	require.NotEmpty(t, of)
	require.Empty(t, s.prom.Requests())
	for _, r := range s.prom.Requests() {
		require.Equal(t, 200, r.Status)
	}
	require.Empty(t, answered.Warnings())
	older, err := raw.OpenPrometheus("http://127.0.0.1:1",
		raw.Options{Metrics: raw.NewMetrics(prometheus.NewRegistry(), nil), Policy: raw.Policy{Retries: -1}})
	require.NoError(t, err)
	s.s.Older = older
	old, of = find(0, 1200, name)
	require.Empty(t, old)
	require.NotEmpty(t, of)
	require.Len(t, answered.Warnings(), 1)
	require.Contains(t, answered.Warnings()[0], "exemplars from before "+evaltest.At(600).UTC().Format(time.RFC3339)+" are missing")
}
