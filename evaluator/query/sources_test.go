package query

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views/metricstest"
)

// TestSourcesAreOne: views, samples and an older Prometheus answer one query; an application may name metrics as the views do.
func TestSourcesAreOne(t *testing.T) {
	r := &evaltest.Reader{}
	r.Span(evaltest.Failing, evaltest.Observation{At: evaltest.At(100), Duration: time.Millisecond, TraceID: 1})
	f := evaltest.NewMetricsFeed(t, storage.NewMem(storage.MemOptions{}))
	for i := range 10 {
		f.Commit(evaltest.At(float64(100+i*10)), func(ms pmetric.MetricSlice, ts pcommon.Timestamp) {
			metricstest.Gauge(ms, "depth", ts, float64(i))
			metricstest.Sum(ms, "traces_span_metrics_calls", pmetric.AggregationTemporalityCumulative, ts, ts).SetIntValue(1000)
			h := metricstest.Histogram(ms, "latency", pmetric.AggregationTemporalityCumulative, ts, ts)
			h.ExplicitBounds().FromRaw([]float64{1})
			h.BucketCounts().FromRaw([]uint64{uint64(i), 0})
			h.SetCount(uint64(i))
			e := h.Exemplars().AppendEmpty()
			e.SetTimestamp(ts)
			e.SetDoubleValue(0.5)
			e.SetTraceID(pcommon.TraceID{9})
		})
	}
	asked := 0
	prom := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/api/v1/label") {
			_, err := w.Write([]byte(`{"status":"success","data":["cart","gone"]}`))
			require.NoError(t, err)
			return
		}
		if strings.HasSuffix(req.URL.Path, "/query_exemplars") {
			_, err := w.Write([]byte(`{"status":"success","data":[]}`))
			require.NoError(t, err)
			return
		}
		asked++
		q, err := remote.DecodeReadRequest(req)
		require.NoError(t, err)
		require.Less(t, q.Queries[0].EndTimestampMs, evaltest.At(100).UnixMilli(), "only what is older is asked for")
		out := &prompb.ReadResponse{Results: []*prompb.QueryResult{{Timeseries: []*prompb.TimeSeries{{
			Labels: []prompb.Label{{Name: labels.MetricName, Value: "depth_ratio"}, {Name: "instance", Value: "cart-0"},
				{Name: "job", Value: "shop/cart"}, {Name: "service_name", Value: "cart"}},
			Samples: []prompb.Sample{{Timestamp: evaltest.At(50).UnixMilli(), Value: 50},
				{Timestamp: evaltest.At(90).UnixMilli(), Value: 90}},
		}}}}}
		if !strings.Contains(q.Queries[0].String(), "depth_ratio") {
			out.Results[0].Timeseries = nil
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Header().Set("Content-Encoding", "snappy")
		require.NoError(t, remote.EncodeReadResponse(out, w))
	}))
	older, err := raw.OpenPrometheus(prom.URL, raw.Options{Metrics: raw.NewMetrics(prometheus.NewRegistry(), nil)})
	require.NoError(t, err)
	s := &Sources{Views: &Queryable{Reader: r}, Samples: f.Samples, Older: older}
	eng := NewEngine(EngineConfig{}, nil, nil)
	query := func(text string, when time.Time) (string, []error) {
		t.Helper()
		q, err := eng.NewInstantQuery(context.Background(), s, nil, text, when)
		require.NoError(t, err)
		res := q.Exec(context.Background())
		require.NoError(t, res.Err)
		return res.String(), res.Warnings.AsErrors()
	}
	got, _ := query(`depth_ratio`, evaltest.At(195))
	require.Contains(t, got, "=> 9 @")
	got, _ = query(`sum(traces_span_metrics_calls_total)`, evaltest.At(110))
	require.Contains(t, got, "=> 1001 @", "the 1000 that an application exported under the same name are shown too")
	got, _ = query(`sum(traces_span_metrics_calls_total{job="shop/cart"})`, evaltest.At(110))
	require.Contains(t, got, "=> 1000 @")
	got, _ = query(`sum(traces_span_metrics_calls_total{job=""})`, evaltest.At(110))
	require.Contains(t, got, "=> 1 @")
	got, _ = query(`count({__name__=~".+"}) by (__name__)`, evaltest.At(195))
	require.Contains(t, got, `{__name__="depth_ratio"}`)
	require.Contains(t, got, `{__name__="traces_spanmetrics_calls_total"}`)
	got, _ = query(`sum(traces_span_metrics_calls_total{job=""}) + on() sum(latency_seconds_bucket{le="1.0"} or latency_seconds_bucket{le="1"})`, evaltest.At(195))
	require.Contains(t, got, "=> 10 @")
	asked = 0
	got, _ = query(`sum_over_time(depth_ratio[2m])`, evaltest.At(160))
	require.Contains(t, got, "=> 161 @", "50 + 90 of Prometheus, 0 to 6 of the samples")
	require.Equal(t, 1, asked)
	got, _ = query(`sum_over_time(depth_ratio[30s])`, evaltest.At(180))
	require.Contains(t, got, "=> 21 @")
	require.Equal(t, 1, asked, "nothing old was needed")

	q, err := s.Querier(0, evaltest.At(300).UnixMilli())
	require.NoError(t, err)
	defer q.Close()
	names, _, err := q.LabelValues(context.Background(), labels.MetricName, nil)
	require.NoError(t, err)
	require.Subset(t, names, []string{"depth_ratio", "target_info", "traces_span_metrics_calls_total"})
	services, warnings, err := q.LabelValues(context.Background(), "service_name", nil)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, []string{"cart", "gone"}, services, "Prometheus knows of one that is gone")
	eq, err := s.ExemplarQuerier(context.Background())
	require.NoError(t, err)
	found, err := eq.Select(0, evaltest.At(300).UnixMilli(),
		[]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "latency_seconds_bucket")})
	require.NoError(t, err)
	require.Len(t, found, 1)

	prom.Close()
	got, warned := query(`sum_over_time(depth_ratio[2m])`, evaltest.At(160))
	require.Contains(t, got, "=> 21 @")
	require.NotEmpty(t, warned, "a Prometheus that does not answer is a warning")
	require.NotErrorIs(t, errors.Join(warned...), context.Canceled)
}

// TestSameLabelsAreTheViews: an exported series whose labels are those of a series of the views is never shown beside it or mixed with it.
func TestSameLabelsAreTheViews(t *testing.T) {
	r := &evaltest.Reader{}
	r.Span(evaltest.Failing, evaltest.Observation{At: evaltest.At(100), Duration: time.Millisecond, TraceID: 1})
	f := evaltest.NewMetricsFeed(t, storage.NewMem(storage.MemOptions{}))
	s := &Sources{Views: &Queryable{Reader: r}, Samples: f.Samples}
	q, err := s.Querier(0, evaltest.At(300).UnixMilli())
	require.NoError(t, err)
	name := labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "calls_total")
	set := q.Select(context.Background(), true, nil, name)
	require.True(t, set.Next())
	same := set.At().Labels()
	require.NoError(t, q.Close())
	other := labels.NewBuilder(same).Set("job", "application").Labels()
	_, err = f.Samples.Append(context.Background(),
		[]samples.Sample{{Labels: same, T: evaltest.At(105).UnixMilli(), V: 1000},
			{Labels: other, T: evaltest.At(105).UnixMilli(), V: 500}})
	require.NoError(t, err)
	q, err = s.Querier(0, evaltest.At(300).UnixMilli())
	require.NoError(t, err)
	defer q.Close()
	found := map[string]float64{}
	for set := q.Select(context.Background(), true, nil, name); set.Next(); {
		l := set.At().Labels().String()
		require.NotContains(t, found, l)
		for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
			_, v := it.At()
			found[l] = max(found[l], v)
		}
	}
	require.Equal(t, map[string]float64{same.String(): 1, other.String(): 500}, found)
	cq, err := s.ChunkQuerier(0, evaltest.At(300).UnixMilli())
	require.NoError(t, err)
	defer cq.Close()
	n := 0
	for set := cq.Select(context.Background(), true, nil, name); set.Next(); n++ {
		for it := set.At().Iterator(nil); it.Next(); {
			for c := it.At().Chunk.Iterator(nil); c.Next() != chunkenc.ValNone; {
				_, v := c.At()
				require.NotEqual(t, 1000.0, v)
			}
		}
	}
	require.Equal(t, 2, n)
}
