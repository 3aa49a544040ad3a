package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views/metricstest"
	"github.com/gaurav/watchingcat/views/model"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

// metricsBench holds OTLP metrics beside the views.
type metricsBench struct {
	*viewsamples.Metrics
	*samples.Store
	kv     storage.KV
	offset int64
}

func newMetricsBench(t testing.TB) *bench {
	t.Helper()
	kv := storage.NewMem(storage.MemOptions{})
	m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{})
	require.NoError(t, err)
	mb := &metricsBench{Metrics: m, Store: samples.Open(t.TempDir(), samples.Options{}), kv: kv}
	t.Cleanup(func() { require.NoError(t, mb.Store.Close()) })
	require.NoError(t, mb.Wait(context.Background()))
	b := newBench(t, func(c *Config) {
		sources := &query.Sources{Views: &query.Queryable{Reader: c.Views}, Samples: mb.Store}
		c.Metrics, c.Queryable, c.Exemplars = mb, sources, sources
	})
	b.metrics = mb
	return b
}

// gauges commits lines of time, name and value.
func (b *bench) gauges(script string) {
	b.t.Helper()
	m := b.metrics
	for line := range strings.Lines(script) {
		f := strings.Fields(line)
		require.Len(b.t, f, 3, line)
		when, err := time.ParseDuration(f[0])
		require.NoError(b.t, err)
		md := pmetric.NewMetrics()
		v, err := strconv.ParseFloat(f[2], 64)
		require.NoError(b.t, err)
		metricstest.Gauge(metricstest.Resource(md, "cart", "cart-0"), f[1], pcommon.Timestamp(when), v)
		m.Apply("otlp_metrics", 0, model.Record{Offset: m.offset, Timestamp: when.Milliseconds()}, md)
		m.offset++
		c := m.Collect(nil)
		_, err = m.Append(context.Background(), c.Samples)
		require.NoError(b.t, err)
		require.NoError(b.t, m.kv.Commit(c.Commit))
		m.Install(c, samples.Appended{})
	}
}

// TestMetricsOverPrometheusAPI: what is known of OTLP metrics is there for Prometheus' clients too.
func TestMetricsOverPrometheusAPI(t *testing.T) {
	b := newMetricsBench(t)
	b.gauges("40s depth 2\n50s depth 3")
	w := b.get("/prometheus/api/v1/metadata?metric=depth_ratio")
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"status":"success","data":{"depth_ratio":[{"type":"gauge","help":"The depth.","unit":""}]}}`, w.Body.String())
	w = b.get("/prometheus/api/v1/query?query=depth_ratio&time=50")
	require.Contains(t, w.Body.String(), `[50,"3"]`)
	w = b.get("/prometheus/api/v1/label/__name__/values?start=0&end=60")
	require.Contains(t, w.Body.String(), `"target_info"`)
}

// TestDeadLettersOfMetrics count with those of spans and logs.
func TestDeadLettersOfMetrics(t *testing.T) {
	b := newMetricsBench(t)
	b.gauges("40s depth 2")
	b.metrics.Skip("otlp_metrics", 0, model.Record{Offset: b.metrics.offset})
	c := b.metrics.Collect(nil)
	require.NoError(t, b.metrics.kv.Commit(c.Commit))
	b.metrics.Install(c, samples.Appended{})
	require.Contains(t, b.get("/api/v1/pipeline").Body.String(), `"dead_letters":1`)
}

// TestMetricsNamedAsTheViews are listed and answered beside the views'.
func TestMetricsNamedAsTheViews(t *testing.T) {
	b := newMetricsBench(t)
	b.record("10s 40ms web server GET/cart id=t1/a")
	b.commit()
	md := pmetric.NewMetrics()
	ms := metricstest.Resource(md, "shop", "shop-0")
	for i, name := range []string{"calls", "exceptions", "logs.records", "traces_span_metrics_calls", "other"} {
		metricstest.Sum(ms, name, pmetric.AggregationTemporalityCumulative, 0, pcommon.Timestamp(50e9)).SetIntValue(int64(17 + i))
	}
	b.metrics.Apply("otlp_metrics", 0, model.Record{Timestamp: 50_000}, md)
	c := b.metrics.Collect(nil)
	took, err := b.metrics.Append(context.Background(), c.Samples)
	require.NoError(t, err)
	require.NoError(t, b.metrics.kv.Commit(c.Commit))
	b.metrics.Install(c, took)
	for i, name := range []string{"calls_total", "exceptions_total", "logs_records_total", "traces_span_metrics_calls_total",
		"other_total"} {
		w := b.get("/prometheus/api/v1/query?time=50&query=" + name + `%7Bjob="shop/shop"%7D`)
		require.Contains(t, w.Body.String(), fmt.Sprintf(`[50,"%d"]`, 17+i), name)
	}
	require.Contains(t, b.get(`/prometheus/api/v1/query?time=50&query=calls_total%7Bjob=""%7D`).Body.String(), `"service_name":"web"`)
	require.Contains(t, b.get("/prometheus/api/v1/query?time=50&query=count(calls_total)").Body.String(), `[50,"2"]`)
}
