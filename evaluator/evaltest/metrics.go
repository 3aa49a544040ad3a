package evaltest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views/metricstest"
	"github.com/gaurav/watchingcat/views/model"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

// metricsFeed commits OTLP metrics into samples.
type metricsFeed struct {
	t       *testing.T
	kv      storage.KV
	M       *viewsamples.Metrics
	Samples *samples.Store
	offset  int64
}

// NewMetricsFeed opens samples in a folder of the test.
func NewMetricsFeed(t *testing.T, kv storage.KV) *metricsFeed {
	m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{})
	require.NoError(t, err)
	f := &metricsFeed{t: t, kv: kv, M: m, Samples: samples.Open(t.TempDir(), samples.Options{})}
	t.Cleanup(func() { require.NoError(t, f.Samples.Close()) })
	return f
}

// Commit stores what fill adds at a time.
func (f *metricsFeed) Commit(when time.Time, fill func(ms pmetric.MetricSlice, at pcommon.Timestamp)) {
	f.t.Helper()
	md := pmetric.NewMetrics()
	fill(metricstest.Resource(md, "cart", "cart-0"), pcommon.NewTimestampFromTime(when))
	f.M.Apply("otlp_metrics", 0, model.Record{Offset: f.offset, Timestamp: when.UnixMilli()}, md)
	f.offset++
	c := f.M.Collect(nil)
	_, err := f.Samples.Append(context.Background(), c.Samples)
	require.NoError(f.t, err)
	for _, part := range append(c.Before, c.Commit) {
		require.NoError(f.t, f.kv.Commit(part))
	}
	f.M.Install(c, samples.Appended{})
}

// Gauge commits one value of the gauge depth.
func (f *metricsFeed) Gauge(when time.Time, v float64) {
	f.t.Helper()
	f.Commit(when, func(ms pmetric.MetricSlice, at pcommon.Timestamp) { metricstest.Gauge(ms, "depth", at, v) })
}
