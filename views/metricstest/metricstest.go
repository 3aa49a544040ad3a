// Package metricstest has OTLP metric records for tests: captured ones, as a collector's kafkaexporter wrote them, and generated
// ones, the same for the same seed.
package metricstest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Record is a Kafka record of the metrics topic.
type Record struct {
	TimestampMS int64  `json:"timestamp_ms"`
	Value       []byte `json:"value"`
}

//go:embed captured.jsonl.gz
var capturedFile []byte

// Captured returns records of a collector and of telemetrygen: gauges, cumulative sums, explicit and exponential histograms.
func Captured() ([]Record, error) {
	z, err := gzip.NewReader(bytes.NewReader(capturedFile))
	if err != nil {
		return nil, fmt.Errorf("captured records: %w", err)
	}
	var list []Record
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("captured records: %w", err)
		}
		list = append(list, r)
	}
	return list, lines.Err()
}

// Begin is the event time at which generated records begin.
const Begin = 1_700_000_000_000

// Partitions is how many partitions Topic deals records out to.
const Partitions = 3

// Topic makes n records in order of event time from Begin on, a second apart, and deals them out to partitions, as collectors do: also the
// deltas of one series. Some are sent twice.
func Topic(r *rand.Rand, n int) (map[int32][]Record, error) { return TopicFrom(Begin, r, n) }

// TopicFrom makes such records from another event time on, Unix milliseconds.
func TopicFrom(begin int64, r *rand.Rand, n int) (map[int32][]Record, error) {
	topic := map[int32][]Record{}
	g := &generator{r: r, begin: begin}
	for i := range int64(n) {
		at := begin + i*1000
		b, err := g.record(at)
		if err != nil {
			return nil, err
		}
		rec := Record{TimestampMS: at + 300, Value: b}
		p := int32(r.IntN(Partitions))
		topic[p] = append(topic[p], rec)
		if r.IntN(8) == 0 {
			q := int32(r.IntN(Partitions))
			topic[q] = append(topic[q], rec)
		}
	}
	return topic, nil
}

// generator makes requests whose cumulative values go on from one to the next.
type generator struct {
	r     *rand.Rand
	begin int64 // Unix milliseconds
	total float64
	hist  [4]uint64
	count uint64
}

var marshaler pmetric.ProtoMarshaler

func (g *generator) record(at int64) ([]byte, error) {
	md := pmetric.NewMetrics()
	ms := Resource(md, "cart", "cart-0")
	ts, start := pcommon.Timestamp(at)*1e6, pcommon.Timestamp(g.begin)*1e6
	for _, kind := range g.r.Perm(7)[:1+g.r.IntN(4)] {
		switch kind {
		case 0:
			Gauge(ms, "queue.depth", ts, float64(g.r.IntN(100)))
		case 1:
			g.total += float64(g.r.IntN(10))
			d := Sum(ms, "requests", pmetric.AggregationTemporalityCumulative, start, ts)
			d.SetDoubleValue(g.total)
		case 2:
			d := Sum(ms, "errors", pmetric.AggregationTemporalityDelta, ts-1e9, ts)
			d.SetIntValue(int64(g.r.IntN(10)))
			d.Attributes().PutStr("http.route", []string{"/a", "/b"}[g.r.IntN(2)])
		case 3:
			d := Histogram(ms, "latency", pmetric.AggregationTemporalityDelta, ts-1e9, ts)
			g.explicit(d, &[4]uint64{}, new(uint64))
		case 4:
			d := Histogram(ms, "size", pmetric.AggregationTemporalityCumulative, start, ts)
			g.explicit(d, &g.hist, &g.count)
		case 5:
			d := Exponential(ms, "wait", pmetric.AggregationTemporalityDelta, ts-1e9, ts)
			d.SetScale(int32(g.r.IntN(3)))
			n := uint64(0)
			for range 1 + g.r.IntN(5) {
				c := uint64(g.r.IntN(4))
				d.Positive().BucketCounts().Append(c)
				n += c
			}
			d.Positive().SetOffset(int32(g.r.IntN(6) - 3))
			d.SetZeroCount(uint64(g.r.IntN(2)))
			d.SetCount(n + d.ZeroCount())
			d.SetSum(float64(n) * 1.5)
		case 6:
			Summary(ms, "pause", ts, float64(g.r.IntN(50)))
		}
	}
	b, err := marshaler.MarshalMetrics(md)
	if err != nil {
		return nil, fmt.Errorf("encode metrics: %w", err)
	}
	return b, nil
}

func (g *generator) explicit(d pmetric.HistogramDataPoint, counts *[4]uint64, total *uint64) {
	d.ExplicitBounds().FromRaw([]float64{0.1, 1, 10})
	for i := range counts {
		n := uint64(g.r.IntN(5))
		counts[i] += n
		*total += n
	}
	d.BucketCounts().FromRaw(counts[:])
	d.SetCount(*total)
	d.SetSum(float64(*total) * 0.5)
	e := d.Exemplars().AppendEmpty()
	e.SetTimestamp(d.Timestamp())
	e.SetDoubleValue(0.5)
	e.SetTraceID(pcommon.TraceID{1, 2, 3})
}

// Resource adds a resource with a service's name and returns its metrics.
func Resource(md pmetric.Metrics, service, instance string) pmetric.MetricSlice {
	rm := md.ResourceMetrics().AppendEmpty()
	a := rm.Resource().Attributes()
	a.PutStr("service.name", service)
	a.PutStr("service.namespace", "shop")
	a.PutStr("service.instance.id", instance)
	a.PutStr("host.name", "node-1")
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("test")
	return sm.Metrics()
}

func metric(ms pmetric.MetricSlice, name, unit string) pmetric.Metric {
	m := ms.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	m.SetDescription("The " + name + ".")
	return m
}

// Gauge adds a gauge with one point.
func Gauge(ms pmetric.MetricSlice, name string, at pcommon.Timestamp, v float64) {
	d := metric(ms, name, "1").SetEmptyGauge().DataPoints().AppendEmpty()
	d.SetTimestamp(at)
	d.SetDoubleValue(v)
}

// Sum adds a monotonic sum with one point.
func Sum(ms pmetric.MetricSlice, name string, t pmetric.AggregationTemporality, start, at pcommon.Timestamp) pmetric.NumberDataPoint {
	s := metric(ms, name, "").SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(t)
	d := s.DataPoints().AppendEmpty()
	d.SetStartTimestamp(start)
	d.SetTimestamp(at)
	return d
}

// Histogram adds an explicit histogram with one point.
func Histogram(ms pmetric.MetricSlice, name string, t pmetric.AggregationTemporality, start,
	at pcommon.Timestamp) pmetric.HistogramDataPoint {
	h := metric(ms, name, "s").SetEmptyHistogram()
	h.SetAggregationTemporality(t)
	d := h.DataPoints().AppendEmpty()
	d.SetStartTimestamp(start)
	d.SetTimestamp(at)
	return d
}

// Exponential adds an exponential histogram with one point.
func Exponential(ms pmetric.MetricSlice, name string, t pmetric.AggregationTemporality, start,
	at pcommon.Timestamp) pmetric.ExponentialHistogramDataPoint {
	h := metric(ms, name, "ms").SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(t)
	d := h.DataPoints().AppendEmpty()
	d.SetStartTimestamp(start)
	d.SetTimestamp(at)
	return d
}

// Summary adds a summary with one point and one quantile.
func Summary(ms pmetric.MetricSlice, name string, at pcommon.Timestamp, v float64) {
	d := metric(ms, name, "By").SetEmptySummary().DataPoints().AppendEmpty()
	d.SetTimestamp(at)
	d.SetCount(10)
	d.SetSum(v)
	q := d.QuantileValues().AppendEmpty()
	q.SetQuantile(0.5)
	q.SetValue(v / 10)
}
