package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views/metricstest"
	"github.com/gaurav/watchingcat/views/model"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

// gauges is an export request of n gauges.
func gauges(t testing.TB, n int) []byte {
	t.Helper()
	md := pmetric.NewMetrics()
	ms := metricstest.Resource(md, "web", "web-0")
	for i := range n {
		metricstest.Gauge(ms, "gauge."+string(rune('a'+i)), metricstest.Begin*1e6, float64(i))
	}
	var m pmetric.ProtoMarshaler
	b, err := m.MarshalMetrics(md)
	require.NoError(t, err)
	return b
}

type metricIngestTest struct {
	*MetricIngest
	kv      *storage.Mem
	samples []samples.Sample
	fail    []error // of the next appends
	letters []string
	refuse  int
	reg     *prometheus.Registry
}

func (m *metricIngestTest) Append(_ context.Context, list []samples.Sample) (samples.Appended, error) {
	if len(m.fail) > 0 {
		err := m.fail[0]
		m.fail = m.fail[1:]
		return samples.Appended{}, err
	}
	m.samples = append(m.samples, list...)
	return samples.Appended{Samples: len(list), Dropped: map[string]int{samples.DropSeriesLimit: 1}}, nil
}

func newMetricIngestTest(t *testing.T) *metricIngestTest {
	t.Helper()
	it := &metricIngestTest{kv: storage.NewMem(storage.MemOptions{}), reg: prometheus.NewRegistry()}
	m, err := viewsamples.OpenMetrics(it.kv, viewsamples.MetricsConfig{})
	require.NoError(t, err)
	it.MetricIngest = NewMetricIngest(MetricConfig{Metrics: m, KV: it.kv, Samples: it, MaxPoints: 20, MaxRecord: 10_000,
		DeadLetter: func(_ context.Context, _ *kgo.Record, reason string) error {
			if it.refuse > 0 {
				it.refuse--
				return errors.New("no broker")
			}
			it.letters = append(it.letters, reason)
			return nil
		}})
	it.reg.MustRegister(MetricCollector{m.Counters})
	return it
}

// TestBadMetricsGoAlone: each kind of bad record is one dead letter, also when the batch comes again; its neighbours are exact.
func TestBadMetricsGoAlone(t *testing.T) {
	it := newMetricIngestTest(t)
	it.refuse = 1
	good := gauges(t, 3)
	values := [][]byte{good, []byte("no protobuf"), good[:len(good)-4], gauges(t, 19), make([]byte, 10_001), gauges(t, 2)}
	require.Error(t, it.Handle(metricBatch(values)), "a dead letter was not delivered, and the batch was taken")
	require.NoError(t, it.Handle(metricBatch(values)))
	require.NoError(t, it.Checkpoint(t.Context(), time.Now()))
	want := []string{"malformed", "malformed", "too many metric data points", "over the limit"}
	for i, w := range want {
		if i >= len(it.letters) || !strings.Contains(it.letters[i], w) {
			t.Fatalf("dead letters %q, want %q", it.letters, want)
		}
	}
	if len(it.samples) != 3+1+2+1 { // and a target_info each
		t.Errorf("%d samples", len(it.samples))
	}
	if ps, _ := it.c.Metrics.Positions(); len(ps) != 1 || ps[0].Offset != 6 {
		t.Errorf("positions %v", ps)
	}
	err := testutil.GatherAndCompare(it.reg, strings.NewReader(`
# HELP watchingcat_metric_points_total Metric data points applied and committed.
# TYPE watchingcat_metric_points_total counter
watchingcat_metric_points_total 5
# HELP watchingcat_metric_dead_letters_total Records of metrics moved to the dead-letter topic.
# TYPE watchingcat_metric_dead_letters_total counter
watchingcat_metric_dead_letters_total 4
# HELP watchingcat_metric_points_dropped_total Metric data points not kept, by reason.
# TYPE watchingcat_metric_points_dropped_total counter
watchingcat_metric_points_dropped_total{reason="series_limit"} 1
`), "watchingcat_metric_points_total", "watchingcat_metric_dead_letters_total", "watchingcat_metric_points_dropped_total")
	if err != nil {
		t.Error(err)
	}
}

func metricBatch(values [][]byte) *message.Message {
	m := batch(0, values...)
	b, _ := source.BatchFrom(m.Context())
	for _, r := range b.Records {
		r.Timestamp = time.UnixMilli(metricstest.Begin)
	}
	return m
}

// TestSamplesBeforePositions: positions move only after the samples are safe, and a full disk is waited for.
func TestSamplesBeforePositions(t *testing.T) {
	it := newMetricIngestTest(t)
	require.NoError(t, it.Handle(metricBatch([][]byte{gauges(t, 1)})))
	it.fail = []error{storage.ErrDiskFull, storage.ErrDiskFull}
	if err := it.Checkpoint(t.Context(), time.Now()); err != nil || len(it.samples) != 2 {
		t.Fatalf("%d samples, %v", len(it.samples), err)
	}
	require.NoError(t, it.Handle(metricBatch([][]byte{gauges(t, 1), gauges(t, 2)})))
	it.fail = []error{errors.New("broken disk")}
	require.Error(t, it.Checkpoint(t.Context(), time.Now()), "samples were not written, and the checkpoint went on")
	if ps, _ := it.c.Metrics.Positions(); len(ps) != 1 || ps[0].Offset != 1 {
		t.Errorf("positions %v, want those of the first checkpoint", ps)
	}
}

// TestDecodeMetricsLimits: what is many on the wire is refused before it becomes objects.
func TestDecodeMetricsLimits(t *testing.T) {
	wrap := func(field byte, b []byte) []byte {
		out := []byte{field<<3 | 2}
		for n := len(b); ; n >>= 7 {
			if n < 0x80 {
				return append(append(out, byte(n)), b...)
			}
			out = append(out, byte(n)|0x80)
		}
	}
	repeat := func(field byte, n int) []byte { return []byte(strings.Repeat(string([]byte{field<<3 | 2, 0}), n)) }
	inMetric := func(b []byte) []byte { return wrap(1, wrap(2, wrap(2, b))) }
	for name, b := range map[string][]byte{
		"resources":  repeat(1, 30),
		"metrics":    wrap(1, wrap(2, repeat(2, 30))),
		"points":     inMetric(wrap(5, repeat(1, 30))),
		"attributes": inMetric(wrap(5, wrap(1, repeat(7, 500)))),
	} {
		if _, err := DecodeMetrics(b, 20); !errors.Is(err, ErrTooManyPoints) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := DecodeMetrics(b, 1000); err != nil {
			t.Errorf("%s within the limit: %v", name, err)
		}
	}
}

// FuzzDecodeMetrics: whatever the bytes, decoding and converting end with samples or an error, and never pass the limits.
func FuzzDecodeMetrics(f *testing.F) {
	records, err := metricstest.Captured()
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range records[3:6] {
		f.Add(r.Value, r.TimestampMS)
	}
	f.Add(gauges(f, 3), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, ts int64) {
		md, err := DecodeMetrics(b, 1000)
		if err != nil {
			return
		}
		if n := md.DataPointCount(); n > 1000 {
			t.Fatalf("%d points", n)
		}
		c := viewsamples.ConvertMetrics(md, ts, 6*time.Hour)
		dropped := 0
		for _, n := range c.Dropped {
			dropped += n
		}
		if c.Points > 1000 || dropped > 2*c.Points+1 {
			t.Fatalf("%d points, %v dropped", c.Points, c.Dropped)
		}
	})
}

// BenchmarkMetricIngest reads captured records into a TSDB on disk, checkpoints and syncs included. The samples are the same again
// and again, which is the slow path of the TSDB.
func BenchmarkMetricIngest(b *testing.B) {
	records, err := metricstest.Captured()
	if err != nil {
		b.Fatal(err)
	}
	db, err := storage.Open(b.TempDir(), storage.Options{Logger: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	stored := samples.Open(b.TempDir(), samples.Options{})
	defer stored.Close()
	m, err := viewsamples.OpenMetrics(db, viewsamples.MetricsConfig{})
	if err != nil {
		b.Fatal(err)
	}
	g := NewMetricIngest(MetricConfig{Metrics: m, KV: db, Samples: stored})
	offset := int64(0)
	for b.Loop() {
		for _, r := range records {
			rec := model.Record{Offset: offset, Timestamp: r.TimestampMS, Value: r.Value}
			if err := g.apply(&kgo.Record{Topic: pipelinetest.Topic, Value: r.Value}, rec); err != nil {
				b.Fatal(err)
			}
			offset++
		}
		if m.Pending() >= 50_000 {
			if err := g.Checkpoint(b.Context(), time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := g.Checkpoint(b.Context(), time.Now()); err != nil {
		b.Fatal(err)
	}
	c := m.Counters()
	b.ReportMetric(float64(c.Points)/b.Elapsed().Seconds(), "points/s")
	b.ReportMetric(float64(c.Samples)/b.Elapsed().Seconds(), "samples/s")
}
