package samples_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
	"github.com/gaurav/watchingcat/views/metricstest"
	"github.com/gaurav/watchingcat/views/model"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

var metricsSeeds = seeds.Flags("metrics", 200)

// held is what a TSDB holds: the first value of each series and time.
type held map[string]map[int64]string

func (h held) put(s samples.Sample) (conflict bool) {
	name := s.Labels.String()
	if h[name] == nil {
		h[name] = map[int64]string{}
	}
	v := valueOf(s)
	if old, ok := h[name][s.T]; ok {
		return old != v
	}
	h[name][s.T] = v
	return false
}

func valueOf(s samples.Sample) string {
	fh := s.FH
	if s.H != nil {
		fh = s.H.ToFloat(nil)
	}
	if fh == nil {
		return fmt.Sprint(s.V, math.Float64bits(s.V))
	}
	fh = fh.Copy().Compact(0)
	fh.CounterResetHint = histogram.UnknownCounterReset
	return fh.String() + fmt.Sprint(fh.Schema, fh.Sum)
}

func (h held) dump() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		fmt.Fprintln(&b, name)
		for _, t := range slices.Sorted(maps.Keys(h[name])) {
			fmt.Fprintf(&b, "  %d %s\n", t, h[name][t])
		}
	}
	return b.String()
}

// oracle is Prometheus' own OTLP endpoint over the same model of a TSDB.
type oracle struct {
	h       http.Handler
	held    held
	samples int
}

func newOracle() *oracle {
	o := &oracle{held: held{}}
	cfg := config.DefaultConfig
	cfg.OTLPConfig.PromoteResourceAttributes = []string{"service.name"}
	o.h = remote.NewOTLPWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), o, func() config.Config { return cfg },
		remote.OTLPOptions{ConvertDelta: true})
	return o
}

func (o *oracle) AppenderV2(context.Context) promstorage.AppenderV2 { return oracleAppender{o} }

type oracleAppender struct{ o *oracle }

func (oracleAppender) Commit() error   { return nil }
func (oracleAppender) Rollback() error { return nil }
func (a oracleAppender) Append(_ promstorage.SeriesRef, l labels.Labels, st, t int64, v float64, h *histogram.Histogram,
	fh *histogram.FloatHistogram, _ promstorage.AOptions) (promstorage.SeriesRef, error) {
	a.o.held.put(samples.Sample{Labels: l, Start: st, T: t, V: v, H: h, FH: fh})
	a.o.samples++
	return 0, nil
}

func (o *oracle) record(t *testing.T, b []byte) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(b))
	r.Header.Set("Content-Type", "application/x-protobuf")
	w := httptest.NewRecorder()
	o.h.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
}

func unmarshal(t testing.TB, b []byte) pmetric.Metrics {
	t.Helper()
	var u pmetric.ProtoUnmarshaler
	md, err := u.UnmarshalMetrics(b)
	require.NoError(t, err)
	return md
}

// TestConvertsAsPrometheus holds captured records to what Prometheus' OTLP endpoint makes of them.
func TestConvertsAsPrometheus(t *testing.T) {
	records, err := metricstest.Captured()
	require.NoError(t, err)
	o, got := newOracle(), held{}
	n := 0
	for _, r := range records {
		o.record(t, r.Value)
		c := viewsamples.ConvertMetrics(unmarshal(t, r.Value), r.TimestampMS, 6*time.Hour)
		require.Empty(t, c.Dropped)
		require.Empty(t, c.Deltas)
		for _, s := range c.Samples {
			got.put(s)
		}
		n += len(c.Samples)
	}
	require.Equal(t, o.samples, n)
	require.Equal(t, o.held.dump(), got.dump())
	require.Greater(t, len(got), 100)
}

// TestDeltasAsCollector holds generated records, deltas among them, to Prometheus with the collector's deltatocumulative processor.
func TestDeltasAsCollector(t *testing.T) {
	for seed := range uint64(20) {
		topic, err := metricstest.Topic(rand.New(rand.NewPCG(seed, 3)), 150)
		require.NoError(t, err)
		var all []metricstest.Record // in order of event time, each once
		for _, list := range topic {
			all = append(all, list...)
		}
		slices.SortStableFunc(all, func(a, b metricstest.Record) int { return int(a.TimestampMS - b.TimestampMS) })
		all = slices.CompactFunc(all, func(a, b metricstest.Record) bool { return bytes.Equal(a.Value, b.Value) })
		o := newOracle()
		s := newMetricsSim(t, storage.NewMem(storage.MemOptions{}), map[int32][]metricstest.Record{0: all}, held{})
		for i, r := range all {
			o.record(t, r.Value)
			s.apply(0, int64(i))
			if i%7 == 0 {
				s.checkpoint(nil, "")
			}
		}
		s.finish()
		require.Equal(t, o.held.dump(), s.tsdb.dump(), "seed %d", seed)
	}
}

// metricsSim is the way of records into a TSDB that keeps everything Append returned for.
type metricsSim struct {
	t     *testing.T
	kv    *storage.Mem
	m     *viewsamples.Metrics
	topic map[int32][]metricstest.Record
	next  map[int32]int64
	tsdb  held
	bad   string // a value that was another before
}

func newMetricsSim(t *testing.T, kv *storage.Mem, topic map[int32][]metricstest.Record, tsdb held) *metricsSim {
	t.Helper()
	m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{Version: 1})
	require.NoError(t, err)
	s := &metricsSim{t: t, kv: kv, m: m, topic: topic, next: map[int32]int64{}, tsdb: tsdb}
	ps, err := m.Positions()
	require.NoError(t, err)
	for _, p := range ps {
		s.next[p.Partition] = p.Offset
	}
	return s
}

func (s *metricsSim) apply(p int32, o int64) {
	r := s.topic[p][o]
	s.m.Apply("otlp_metrics", p, model.Record{Offset: o, Timestamp: r.TimestampMS, Value: r.Value}, unmarshal(s.t, r.Value))
}

// marks makes every partition known; at is the watermark of all, zero for what was read.
func (s *metricsSim) marks(at time.Time) []model.Mark {
	var out []model.Mark
	for p := range s.topic {
		out = append(out, model.Mark{Topic: "otlp_metrics", Partition: p, Watermark: at})
	}
	return out
}

var errCrash = fmt.Errorf("crash")

// checkpoint crashes where stop says, if it does.
func (s *metricsSim) checkpoint(stop func(step string) bool, bug string) error {
	crash := func(step string) bool { return stop != nil && stop(step) }
	c := s.m.Collect(s.marks(time.Time{}))
	if c == nil {
		return nil
	}
	return s.write(c, crash, bug)
}

func (s *metricsSim) write(c *viewsamples.MetricsCheckpoint, crash func(string) bool, bug string) error {
	commit := func(list ...storage.Commit) {
		for _, part := range list {
			require.NoError(s.t, s.kv.Commit(part))
		}
	}
	switch bug {
	case "positions first":
		commit(append(c.Before, c.Commit)...)
		s.kv.Sync()
		if crash("samples") {
			return errCrash
		}
	case "positions alone":
		alone := storage.Commit{Version: c.Commit.Version, Shard: c.Commit.Shard, Positions: c.Commit.Positions}
		commit(alone)
		s.kv.Sync()
	}
	for _, p := range c.Samples {
		if s.tsdb.put(p) && s.bad == "" {
			s.bad = fmt.Sprintf("%v at %d was %s and is %s", p.Labels, p.T, s.tsdb[p.Labels.String()][p.T], valueOf(p))
		}
	}
	if crash("commit") {
		return errCrash
	}
	if bug != "positions first" {
		for _, part := range c.Before {
			commit(part)
			if crash("before") {
				return errCrash
			}
		}
		commit(c.Commit)
	}
	s.m.Install(c, samples.Appended{Samples: len(c.Samples)})
	return nil
}

// finish reads on to the end, and lets nothing wait.
func (s *metricsSim) finish() {
	for p := range s.topic {
		for ; s.next[p] < int64(len(s.topic[p])); s.next[p]++ {
			s.apply(p, s.next[p])
		}
	}
	for {
		c := s.m.Collect(s.marks(time.UnixMilli(metricstest.Begin).Add(time.Hour)))
		if c == nil {
			return
		}
		require.NoError(s.t, s.write(c, func(string) bool { return false }, ""))
		if s.m.Counters().HeldDeltas == 0 {
			return
		}
	}
}

// TestMetricsSimulation reads records from several partitions in random order with random checkpoints and crashes, anywhere in a
// checkpoint, that also lose commits which were not synced. What the TSDB holds in the end must be what one run without any of
// it gives, and no sample may ever have had another value.
func TestMetricsSimulation(t *testing.T) { metricsSeeds.Run(t, simulateMetrics) }

// TestMetricsSimulationFindsPlantedBugs commits positions before the samples are safe, and apart from the running values.
func TestMetricsSimulationFindsPlantedBugs(t *testing.T) {
	seeds.Find(t, 50, simulateMetrics, "positions first", "positions alone")
}

func simulateMetrics(t *testing.T, n uint64, bug string) string {
	t.Helper()
	r := rand.New(rand.NewPCG(n, 4))
	topic, err := metricstest.Topic(r, 60)
	require.NoError(t, err)
	plain := newMetricsSim(t, storage.NewMem(storage.MemOptions{}), topic, held{})
	plain.finish()
	kv := storage.NewMem(storage.MemOptions{SyncEvery: -1})
	s := newMetricsSim(t, kv, topic, held{})
	for range 400 {
		crashed := false
		switch k := r.IntN(20); {
		case k < 12:
			p := int32(r.IntN(metricstest.Partitions))
			if s.next[p] < int64(len(topic[p])) {
				s.apply(p, s.next[p])
				s.next[p]++
			}
		case k < 17:
			crashed = s.checkpoint(func(string) bool { return r.IntN(8) == 0 }, bug) != nil
		case k < 19:
			kv.Sync()
		default:
			crashed = true
		}
		if crashed {
			kv = kv.Crash(func(n int) int { return r.IntN(n + 1) })
			bad := s.bad
			s = newMetricsSim(t, kv, topic, s.tsdb)
			s.bad = bad
		}
	}
	s.finish()
	if s.bad != "" {
		return s.bad
	}
	return seeds.Diff(s.tsdb.dump(), plain.tsdb.dump())
}

// TestDroppedPoints: what cannot be kept is counted by its reason and takes nothing else with it.
func TestDroppedPoints(t *testing.T) {
	at := pcommon.Timestamp(metricstest.Begin) * 1e6
	md := pmetric.NewMetrics()
	ms := metricstest.Resource(md, "cart", "cart-0")
	metricstest.Gauge(ms, "fine", at, 1)
	metricstest.Gauge(ms, "timeless", 0, 1)
	metricstest.Gauge(ms, "tomorrow", at+pcommon.Timestamp(24*time.Hour), 1)
	metricstest.Gauge(ms, "yesterday", at-pcommon.Timestamp(24*time.Hour), 1)
	ms.AppendEmpty().SetName("nothing")
	metricstest.Sum(ms, "unspecified", pmetric.AggregationTemporalityUnspecified, at, at).SetIntValue(1)
	metricstest.Exponential(ms, "coarse", pmetric.AggregationTemporalityCumulative, at, at).SetScale(-11)
	h := metricstest.Histogram(ms, "torn", pmetric.AggregationTemporalityCumulative, at, at)
	h.BucketCounts().FromRaw([]uint64{1, 2})
	h.ExplicitBounds().FromRaw([]float64{1, 2, 3})
	gone := metricstest.Sum(ms, "gone", pmetric.AggregationTemporalityCumulative, at, at)
	gone.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	c := viewsamples.ConvertMetrics(md, metricstest.Begin, 6*time.Hour)
	require.Equal(t, map[string]int{viewsamples.DropNoTime: 1, viewsamples.DropFuture: 1, viewsamples.DropTooOld: 1,
		viewsamples.DropInvalid: 4}, c.Dropped)
	require.Equal(t, 9, c.Points)
	var names []string
	for _, s := range c.Samples {
		names = append(names, s.Labels.Get(labels.MetricName))
		if s.Labels.Get(labels.MetricName) == "gone_total" {
			require.Equal(t, uint64(0x7ff0000000000002), math.Float64bits(s.V), "a stale marker")
		}
	}
	require.Equal(t, []string{"fine_ratio", "gone_total", "target_info"}, names)
	require.Equal(t, `{__name__="fine_ratio", instance="cart-0", job="shop/cart", service_name="cart"}`, c.Samples[0].Labels.String())
	require.Equal(t, []viewsamples.Family{
		{Name: "fine_ratio", Type: "gauge", Unit: "", Help: "The fine."},
		{Name: "gone_total", Type: "counter", Unit: "", Help: "The gone."},
		{Name: "target_info", Type: "gauge", Unit: "", Help: "Target metadata"},
	}, c.Families)
}

// TestDeltaLimits: above the limits deltas are dropped or wait no longer, and are counted.
func TestDeltaLimits(t *testing.T) {
	kv := storage.NewMem(storage.MemOptions{})
	m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{DeltaSeries: 2, HeldDeltas: 3})
	require.NoError(t, err)
	md := pmetric.NewMetrics()
	at := pcommon.Timestamp(metricstest.Begin) * 1e6
	ms := metricstest.Resource(md, "cart", "cart-0")
	for i := range 4 {
		d := metricstest.Sum(ms, "hits", pmetric.AggregationTemporalityDelta, at-1e9, at)
		d.SetIntValue(1)
		d.Attributes().PutInt("n", int64(i))
	}
	m.Apply("otlp_metrics", 0, model.Record{Timestamp: metricstest.Begin}, md)
	// Partition 1 has not been read, so they should wait.
	c := m.Collect([]model.Mark{{Topic: "otlp_metrics", Partition: 1}})
	require.NoError(t, kv.Commit(c.Commit))
	m.Install(c, samples.Appended{})
	got := m.Counters()
	require.Equal(t, uint64(4), got.Early)
	require.Equal(t, map[string]uint64{viewsamples.DropDeltaSeries: 2}, got.Dropped)
	require.Equal(t, 2, got.DeltaSeries)
}

// TestSilentDeltaSeries: a series that was silent for the retention begins anew, and is forgotten meanwhile.
func TestSilentDeltaSeries(t *testing.T) {
	kv := storage.NewMem(storage.MemOptions{})
	s := &metricsSim{t: t, kv: kv, topic: map[int32][]metricstest.Record{}, tsdb: held{}}
	var err error
	s.m, err = viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{})
	require.NoError(t, err)
	for i, minute := range []int64{0, 1, 300, 1200} {
		ms := metricstest.Begin + minute*60_000
		md := pmetric.NewMetrics()
		at := pcommon.Timestamp(ms) * 1e6
		metricstest.Sum(metricstest.Resource(md, "cart", "cart-0"), "hits", pmetric.AggregationTemporalityDelta, at-1e9, at).SetIntValue(1)
		s.m.Apply("otlp_metrics", 0, model.Record{Offset: int64(i), Timestamp: ms, Value: []byte{byte(i)}}, md)
		require.NoError(t, s.checkpoint(nil, ""))
	}
	var values []string
	for name, list := range s.tsdb {
		if strings.Contains(name, "hits_total") {
			for _, at := range slices.Sorted(maps.Keys(list)) {
				values = append(values, strings.Fields(list[at])[0])
			}
		}
	}
	require.Equal(t, []string{"1", "2", "3", "1"}, values)
	far := time.UnixMilli(metricstest.Begin).Add(100 * time.Hour)
	c := s.m.Collect([]model.Mark{{Topic: "otlp_metrics", Watermark: far}})
	require.NoError(t, s.write(c, func(string) bool { return false }, ""))
	require.Zero(t, s.m.Counters().DeltaSeries)
	n := 0
	require.NoError(t, kv.Scan(storage.Key(0, viewsamples.MetricsShard, storage.TableDelta),
		storage.PrefixEnd(storage.Key(0, viewsamples.MetricsShard, storage.TableDelta)), func(_, _ []byte) error { n++; return nil }))
	require.Zero(t, n, "nothing is left of it")
}

func BenchmarkConvertMetrics(b *testing.B) {
	records, err := metricstest.Captured()
	require.NoError(b, err)
	points, stored := 0, 0
	for b.Loop() {
		for _, r := range records {
			c := viewsamples.ConvertMetrics(unmarshal(b, r.Value), r.TimestampMS, 6*time.Hour)
			points += c.Points
			stored += len(c.Samples)
		}
	}
	b.ReportMetric(float64(points)/b.Elapsed().Seconds(), "points/s")
	b.ReportMetric(float64(stored)/b.Elapsed().Seconds(), "samples/s")
}
