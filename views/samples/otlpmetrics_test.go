package samples_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views/metricstest"
	viewmodel "github.com/gaurav/watchingcat/views/model"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

const begin = pcommon.Timestamp(metricstest.Begin) * 1e6

// points of a metric, and what is in and what comes out.
func accounted(t testing.TB, c *viewsamples.Converted) {
	t.Helper()
	in, out := c.Points, 0
	for _, list := range [][]samples.Sample{c.Samples, c.Deltas} {
		for point := range samples.PointsOf(list) {
			if !point[0].NoPoint {
				out++
			}
		}
	}
	for _, n := range c.Dropped {
		out += n
	}
	require.Equal(t, in, out, "points in are points out, and those dropped: %v", c.Dropped)
}

func gaugeOf(ms pmetric.MetricSlice, name string, attributes ...string) {
	m := ms.AppendEmpty()
	m.SetName(name)
	d := m.SetEmptyGauge().DataPoints()
	for _, k := range attributes {
		p := d.AppendEmpty()
		p.SetTimestamp(begin)
		p.SetDoubleValue(1)
		p.Attributes().PutStr(k, "v")
	}
}

// TestEachPointIsOnItsOwn: an attribute that no label can be made of costs its own point.
func TestEachPointIsOnItsOwn(t *testing.T) {
	md := pmetric.NewMetrics()
	ms := metricstest.Resource(md, "cart", "cart-0")
	gaugeOf(ms, "depth", "before", "ключ", "after", "then")
	gaugeOf(ms, "ключ", "a", "b")
	gaugeOf(ms, "other", "", "___", "a")
	md.ResourceMetrics().At(0).Resource().Attributes().PutStr("хост", "a")
	c := viewsamples.ConvertMetrics(md, metricstest.Begin, time.Hour)
	accounted(t, &c)
	require.Equal(t, 9, c.Points)
	require.Equal(t, map[string]int{viewsamples.DropInvalid: 5}, c.Dropped)
	var names []string
	for _, s := range c.Samples {
		names = append(names, s.Labels.Get(labels.MetricName))
	}
	require.Equal(t, []string{"depth", "depth", "depth", "other", "target_info"}, names, "the resource's other attributes are shown")
}

// TestLabelNamesAsPrometheus: names with underscores are those of Prometheus' defaults, under each of its strategies.
func TestLabelNamesAsPrometheus(t *testing.T) {
	for strategy, want := range map[string]string{
		"":                                  `{__b="v", __name__="depth_bytes"} {c__d="v", __name__="depth_bytes"} {e__f="v", __name__="depth_bytes"} {key_g_="v", __name__="depth_bytes"} {key_a="v", __name__="depth_bytes"}`,
		"UnderscoreEscapingWithoutSuffixes": `{__b="v", __name__="depth"} {c__d="v", __name__="depth"} {e__f="v", __name__="depth"} {key_g_="v", __name__="depth"} {key_a="v", __name__="depth"}`,
		"NoUTF8EscapingWithSuffixes":        `{__b="v", __name__="depth_bytes"} {"c..d"="v", __name__="depth_bytes"} {e__f="v", __name__="depth_bytes"} {"[g]"="v", __name__="depth_bytes"} {_a="v", __name__="depth_bytes"}`,
		"NoTranslation":                     `{__b="v", __name__="depth"} {"c..d"="v", __name__="depth"} {e__f="v", __name__="depth"} {"[g]"="v", __name__="depth"} {_a="v", __name__="depth"}`,
	} {
		m, err := viewsamples.OpenMetrics(storage.NewMem(storage.MemOptions{}),
			viewsamples.MetricsConfig{Translation: viewsamples.Translation{Strategy: strategy, Promote: []string{"host.name"}}})
		require.NoError(t, err)
		md := pmetric.NewMetrics()
		ms := metricstest.Resource(md, "cart", "cart-0")
		gaugeOf(ms, "depth", "__b", "c..d", "e__f", "[g]", "_a")
		ms.At(0).SetUnit("By")
		m.Apply("otlp_metrics", 0, viewmodel.Record{Timestamp: metricstest.Begin}, md)
		var got []string
		for _, s := range m.Collect(nil).Samples {
			if s.NoPoint {
				continue
			}
			host := slices.DeleteFunc([]string{s.Labels.Get("host_name"), s.Labels.Get("host.name")},
				func(v string) bool { return v == "" })
			require.Equal(t, []string{"node-1"}, host, "promoted")
			b := labels.NewBuilder(s.Labels)
			b.Del("job", "instance", "service_name", "service.name", "host_name", "host.name", "__name__")
			l := strings.TrimSuffix(b.Labels().String(), "}") + `, __name__="` + s.Labels.Get("__name__") + `"}`
			got = append(got, l)
		}
		wanted := strings.Split(want, "} ")
		for i := range wanted {
			wanted[i] = strings.TrimSuffix(wanted[i], "}") + "}"
		}
		require.Equal(t, wanted, got, "strategy %q", strategy)
	}
	_, err := viewsamples.OpenMetrics(storage.NewMem(storage.MemOptions{}),
		viewsamples.MetricsConfig{Translation: viewsamples.Translation{Strategy: "Other"}})
	require.ErrorContains(t, err, "NoTranslation")
	require.Error(t, viewsamples.Translation{Promote: []string{"ключ"}}.Check())
}

// TestMetricText: what is not UTF-8 is replaced once, and takes no other point with it; of attributes of one key the first counts.
func TestMetricText(t *testing.T) {
	md := pmetric.NewMetrics()
	ms := metricstest.Resource(md, "cart\xff\xfe", "cart-0")
	gaugeOf(ms, "depth", "before", "k\xff\xfek", "after")
	d := ms.At(0).Gauge().DataPoints().At(2)
	d.Attributes().PutStr("after", "a\xff\xfeb")
	d.Attributes().PutEmptyMap("map").PutDouble("ratio", math.NaN())
	c := viewsamples.ConvertMetrics(md, metricstest.Begin, time.Hour)
	accounted(t, &c)
	require.Empty(t, c.Dropped)
	require.Len(t, c.Samples, 4)
	for _, s := range c.Samples {
		require.Equal(t, "shop/cart�", s.Labels.Get("job"))
	}
	require.Equal(t, "a�b", c.Samples[2].Labels.Get("after"))
	require.Equal(t, `{"ratio":"NaN"}`, c.Samples[2].Labels.Get("map"))
}

// deltasOf applies records of sums with delta temporality and returns the samples by name, as one TSDB would hold them.
func deltasOf(t *testing.T, m *viewsamples.Metrics, kv storage.KV) (out map[string][]float64, counters viewsamples.MetricCounters) {
	t.Helper()
	out = map[string][]float64{}
	far := time.UnixMilli(metricstest.Begin).Add(24 * time.Hour)
	for range 10 {
		c := m.Collect([]viewmodel.Mark{{Topic: "otlp_metrics", Partition: 0, Watermark: far},
			{Topic: "otlp_metrics", Partition: 1, Watermark: far}})
		if c == nil {
			break
		}
		took := samples.Appended{}
		for point := range samples.PointsOf(c.Samples) {
			if point[0].NoPoint {
				continue
			}
			took.Samples += len(point)
			took.Points++
			for _, s := range point {
				name := s.Labels.Get("__name__") + s.Labels.Get("instance")
				out[name] = append(out[name], s.V)
			}
		}
		require.NoError(t, kv.Commit(c.Commit))
		m.Install(c, took)
	}
	return out, m.Counters()
}

// TestIncrementsOfOneMillisecond are added up, whatever record they come in.
func TestIncrementsOfOneMillisecond(t *testing.T) {
	kv := storage.NewMem(storage.MemOptions{})
	m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{})
	require.NoError(t, err)
	for i, at := range []pcommon.Timestamp{begin, begin + 1000, begin + 1e9} { // the first two are in one record
		md := pmetric.NewMetrics()
		ms := metricstest.Resource(md, "cart", "cart-0")
		if i == 0 {
			metricstest.Sum(ms, "hits", pmetric.AggregationTemporalityDelta, begin-1e9, begin).SetIntValue(10)
			h := metricstest.Histogram(ms, "size", pmetric.AggregationTemporalityDelta, begin-1e9, begin)
			h.SetCount(2)
			h.SetSum(3)
		}
		metricstest.Sum(ms, "hits", pmetric.AggregationTemporalityDelta, at-1e9, at+42_000).SetIntValue(5)
		h := metricstest.Histogram(ms, "size", pmetric.AggregationTemporalityDelta, at-1e9, at+42_000)
		h.SetCount(1)
		h.SetSum(1)
		m.Apply("otlp_metrics", 0, viewmodel.Record{Offset: int64(i), Timestamp: metricstest.Begin + 1000, Value: []byte{byte(i)}}, md)
	}
	got, counters := deltasOf(t, m, kv)
	require.Equal(t, []float64{20, 25}, got["hits_totalcart-0"])
	require.Equal(t, []float64{5, 6}, got["size_seconds_sumcart-0"])
	require.Equal(t, uint64(8), counters.Points)
	require.Equal(t, uint64(8), counters.Kept)
	require.Empty(t, counters.Dropped)
}

// TestRecordAheadMovesNoHead: a producer whose clock is ahead dates its records and points so. Its points are dropped and counted, and what
// others sent goes on: nothing is later than the receiver's clock.
func TestRecordAheadMovesNoHead(t *testing.T) {
	for _, ahead := range []int64{50 * 60_000, 24 * 3600_000} {
		kv := storage.NewMem(storage.MemOptions{})
		m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{})
		require.NoError(t, err)
		last := map[string]float64{}
		for i := range int64(10) {
			now := metricstest.Begin + i*1000
			name, dated := "good", now
			if i == 4 {
				name, dated = "ahead", now+ahead
			}
			md, at := pmetric.NewMetrics(), pcommon.Timestamp(dated)*1e6
			metricstest.Sum(metricstest.Resource(md, "cart", name), "hits", pmetric.AggregationTemporalityDelta, at-1e9, at).SetIntValue(1)
			m.Apply("otlp_metrics", 0, viewmodel.Record{Offset: i, Timestamp: dated, Received: now + 100, Value: []byte{byte(i)}}, md)
			c := m.Collect([]viewmodel.Mark{{Topic: "otlp_metrics"}})
			require.NoError(t, kv.Commit(c.Commit))
			for _, s := range c.Samples {
				if !s.NoPoint {
					last[s.Labels.Get("instance")] = s.V
				}
			}
			m.Install(c, samples.Appended{Points: len(c.Samples), Samples: len(c.Samples)})
			require.LessOrEqual(t, m.Frontier().Head.UnixMilli(), now+100)
		}
		require.Equal(t, map[string]float64{"good": 9}, last)
		require.Equal(t, map[string]uint64{viewsamples.DropFuture: 1}, m.Counters().Dropped)
	}
}

// TestClockAheadDelaysNoOther: what a host with a clock ahead sends in the record of others makes their increments neither late nor lost.
func TestClockAheadDelaysNoOther(t *testing.T) {
	for _, ahead := range []pcommon.Timestamp{2e9, 300e9, 540e9} {
		kv := storage.NewMem(storage.MemOptions{})
		m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{})
		require.NoError(t, err)
		for i := range int64(6) {
			md := pmetric.NewMetrics()
			at := begin + pcommon.Timestamp(i)*1e9
			metricstest.Sum(metricstest.Resource(md, "cart", "good"), "hits", pmetric.AggregationTemporalityDelta, at-1e9,
				at).SetIntValue(1)
			if i%2 == 0 {
				metricstest.Sum(metricstest.Resource(md, "cart", "ahead"), "hits", pmetric.AggregationTemporalityDelta, at+ahead-1e9,
					at+ahead).SetIntValue(1)
			}
			p := int32(i % 2)
			m.Apply("otlp_metrics", p, viewmodel.Record{Offset: i / 2, Timestamp: metricstest.Begin + i*1000 + 100, Value: []byte{byte(i)}},
				md)
			if i%3 == 0 {
				c := m.Collect([]viewmodel.Mark{{Topic: "otlp_metrics", Partition: 0}, {Topic: "otlp_metrics", Partition: 1}})
				require.NoError(t, kv.Commit(c.Commit))
				took := samples.Appended{}
				for _, s := range c.Samples {
					if s.NoPoint {
						continue
					}
					require.LessOrEqual(t, s.T, metricstest.Begin+i*1000+100, "what is ahead waits")
					took.Points, took.Samples = took.Points+1, took.Samples+1
				}
				m.Install(c, took)
				require.LessOrEqual(t, m.Frontier().Head.UnixMilli(), metricstest.Begin+i*1000+100)
			}
		}
		got, counters := deltasOf(t, m, kv)
		require.Equal(t, 6.0, got["hits_totalgood"][len(got["hits_totalgood"])-1])
		require.Equal(t, 3.0, got["hits_totalahead"][len(got["hits_totalahead"])-1])
		require.Empty(t, counters.Dropped)
	}
}

// TestAbsurdHistograms are dropped with a reason, and spoil nothing that comes after them.
func TestAbsurdHistograms(t *testing.T) {
	for name, spoil := range map[string]func(e pmetric.ExponentialHistogramDataPoint, h pmetric.HistogramDataPoint){
		"offset": func(e pmetric.ExponentialHistogramDataPoint, _ pmetric.HistogramDataPoint) {
			e.Positive().SetOffset(math.MaxInt32)
		},
		"least": func(e pmetric.ExponentialHistogramDataPoint, _ pmetric.HistogramDataPoint) {
			e.Positive().SetOffset(math.MinInt32)
		},
		"far": func(e pmetric.ExponentialHistogramDataPoint, _ pmetric.HistogramDataPoint) {
			e.Positive().SetOffset(1 << 24)
		},
		"scale": func(e pmetric.ExponentialHistogramDataPoint, _ pmetric.HistogramDataPoint) { e.SetScale(-300) },
		"count": func(e pmetric.ExponentialHistogramDataPoint, _ pmetric.HistogramDataPoint) { e.SetCount(99) },
		"huge": func(e pmetric.ExponentialHistogramDataPoint, _ pmetric.HistogramDataPoint) {
			e.SetZeroCount(math.MaxUint64)
		},
		"overflow": func(e pmetric.ExponentialHistogramDataPoint, _ pmetric.HistogramDataPoint) {
			e.Positive().BucketCounts().FromRaw([]uint64{math.MaxUint64, 2})
		},
		"many": func(e pmetric.ExponentialHistogramDataPoint, _ pmetric.HistogramDataPoint) {
			e.Positive().BucketCounts().FromRaw(make([]uint64, 20_000))
		},
		"NaN sum": func(e pmetric.ExponentialHistogramDataPoint, _ pmetric.HistogramDataPoint) { e.SetSum(math.NaN()) },
		"unsorted": func(_ pmetric.ExponentialHistogramDataPoint, h pmetric.HistogramDataPoint) {
			h.ExplicitBounds().FromRaw([]float64{2, 1})
		},
		"twice": func(_ pmetric.ExponentialHistogramDataPoint, h pmetric.HistogramDataPoint) {
			h.ExplicitBounds().FromRaw([]float64{1, 1})
		},
		"NaN": func(_ pmetric.ExponentialHistogramDataPoint, h pmetric.HistogramDataPoint) {
			h.ExplicitBounds().FromRaw([]float64{math.NaN(), 1})
		},
		"counts": func(_ pmetric.ExponentialHistogramDataPoint, h pmetric.HistogramDataPoint) {
			h.BucketCounts().FromRaw([]uint64{math.MaxUint64, 1, 1})
		},
		"infinite": func(_ pmetric.ExponentialHistogramDataPoint, h pmetric.HistogramDataPoint) { h.SetSum(math.Inf(1)) },
	} {
		kv := storage.NewMem(storage.MemOptions{})
		m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{})
		require.NoError(t, err)
		for i := range 3 {
			at := begin + pcommon.Timestamp(i)*1e9
			md := pmetric.NewMetrics()
			ms := metricstest.Resource(md, "cart", "cart-0")
			e := metricstest.Exponential(ms, "wait", pmetric.AggregationTemporalityDelta, at-1e9, at)
			e.Positive().BucketCounts().FromRaw([]uint64{1, 2})
			e.SetCount(3)
			h := metricstest.Histogram(ms, "size", pmetric.AggregationTemporalityDelta, at-1e9, at)
			h.ExplicitBounds().FromRaw([]float64{1, 2})
			h.BucketCounts().FromRaw([]uint64{1, 1, 1})
			h.SetCount(3)
			if i == 1 {
				spoil(e, h)
			}
			m.Apply("otlp_metrics", 0, viewmodel.Record{Offset: int64(i), Timestamp: metricstest.Begin + 5000, Value: []byte{byte(i)}}, md)
		}
		_, counters := deltasOf(t, m, kv)
		require.Equal(t, map[string]uint64{viewsamples.DropInvalid: 1}, counters.Dropped, name)
		require.Equal(t, uint64(5), counters.Kept, name)
	}
}

// oddMetrics makes metrics of every kind, many of them wrong.
func oddMetrics(r *rand.Rand) pmetric.Metrics {
	md := pmetric.NewMetrics()
	text := func() string {
		return []string{"a", "b.c", "ключ", "", "__x", "k\xff", "le", "quantile", "service.name", "__name__", "job"}[r.IntN(11)]
	}
	number := func() float64 {
		return []float64{1, 2.5, math.NaN(), math.Inf(1), -3, math.MaxFloat64, 0}[r.IntN(7)]
	}
	attributes := func(m pcommon.Map) {
		for range r.IntN(3) {
			switch k := text(); r.IntN(4) {
			case 0:
				m.PutDouble(k, number())
			case 1:
				m.PutEmptyMap(k).PutDouble("x", number())
			default:
				m.PutStr(k, text())
			}
		}
	}
	times := func(set, start func(pcommon.Timestamp)) {
		set(begin + pcommon.Timestamp(r.IntN(3))*500_000)
		if r.IntN(8) == 0 {
			set([]pcommon.Timestamp{0, 1, math.MaxUint64, begin + 3600e9}[r.IntN(4)])
		}
		start(begin - pcommon.Timestamp(r.IntN(2))*1e9)
	}
	exemplars := func(list pmetric.ExemplarSlice) {
		for range r.IntN(2) {
			e := list.AppendEmpty()
			attributes(e.FilteredAttributes())
			if r.IntN(2) == 0 {
				e.SetDoubleValue(number())
			}
		}
	}
	counts := func(s pcommon.UInt64Slice) (n uint64) {
		for range r.IntN(5) {
			c := []uint64{0, 1, 2, 5, math.MaxUint64}[min(r.IntN(40), 4)%5]
			if r.IntN(10) > 0 {
				c %= 10
			}
			s.Append(c)
			n += c
		}
		return n
	}
	for range 1 + r.IntN(3) {
		rm := md.ResourceMetrics().AppendEmpty()
		attributes(rm.Resource().Attributes())
		ms := rm.ScopeMetrics().AppendEmpty().Metrics()
		for range r.IntN(6) {
			m := ms.AppendEmpty()
			m.SetName(text())
			temporality := pmetric.AggregationTemporality(r.IntN(3))
			n := r.IntN(4)
			switch r.IntN(6) {
			case 0:
				d := m.SetEmptyGauge().DataPoints()
				for range n {
					p := d.AppendEmpty()
					times(p.SetTimestamp, p.SetStartTimestamp)
					attributes(p.Attributes())
					p.SetDoubleValue(number())
				}
			case 1:
				s := m.SetEmptySum()
				s.SetAggregationTemporality(temporality)
				s.SetIsMonotonic(r.IntN(2) == 0)
				for range n {
					p := s.DataPoints().AppendEmpty()
					times(p.SetTimestamp, p.SetStartTimestamp)
					attributes(p.Attributes())
					exemplars(p.Exemplars())
					switch r.IntN(4) {
					case 0:
						p.SetIntValue(int64(r.IntN(5)))
					case 1:
						p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
					case 2:
					default:
						p.SetDoubleValue(number())
					}
				}
			case 2:
				h := m.SetEmptyHistogram()
				h.SetAggregationTemporality(temporality)
				for range n {
					p := h.DataPoints().AppendEmpty()
					times(p.SetTimestamp, p.SetStartTimestamp)
					attributes(p.Attributes())
					exemplars(p.Exemplars())
					p.SetCount(counts(p.BucketCounts()))
					for i := range p.BucketCounts().Len() - 1 {
						p.ExplicitBounds().Append([]float64{float64(i), float64(i), number()}[min(2, r.IntN(12))%3])
					}
					if r.IntN(2) == 0 {
						p.SetSum(number())
					}
				}
			case 3:
				h := m.SetEmptyExponentialHistogram()
				h.SetAggregationTemporality(temporality)
				for range n {
					p := h.DataPoints().AppendEmpty()
					times(p.SetTimestamp, p.SetStartTimestamp)
					attributes(p.Attributes())
					exemplars(p.Exemplars())
					p.SetScale(int32(r.IntN(30) - 12))
					p.SetZeroCount(uint64(r.IntN(3)))
					p.SetCount(counts(p.Positive().BucketCounts()) + counts(p.Negative().BucketCounts()) + p.ZeroCount())
					p.Positive().SetOffset(int32(r.IntN(100) - 50))
					if r.IntN(4) == 0 {
						p.Negative().SetOffset(int32(r.Uint32()))
						p.SetSum(number())
					}
				}
			case 4:
				d := m.SetEmptySummary().DataPoints()
				for range n {
					p := d.AppendEmpty()
					times(p.SetTimestamp, p.SetStartTimestamp)
					attributes(p.Attributes())
					for range r.IntN(3) {
						q := p.QuantileValues().AppendEmpty()
						q.SetQuantile(number())
						q.SetValue(number())
					}
				}
			}
		}
	}
	return md
}

// TestPointsInArePointsOut: whatever is sent, each point is a sample, or waits, or is dropped and counted once.
func TestPointsInArePointsOut(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 5))
		kv := storage.NewMem(storage.MemOptions{})
		stored := samples.Open(t.TempDir(), samples.Options{MaxSeries: 40})
		m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{DeltaSeries: 20})
		require.NoError(t, err)
		for i := range int64(6) {
			md := oddMetrics(r)
			copied := pmetric.NewMetrics()
			md.CopyTo(copied)
			c := viewsamples.ConvertMetrics(copied, metricstest.Begin, time.Hour)
			accounted(t, &c)
			for _, s := range append(c.Samples, c.Deltas...) {
				s.Labels.Range(func(l labels.Label) {
					require.True(t, utf8.ValidString(l.Name) && utf8.ValidString(l.Value) && model.UTF8Validation.IsValidLabelName(l.Name),
						"%v", l)
				})
			}
			m.Apply("otlp_metrics", 0, viewmodel.Record{Offset: i, Timestamp: metricstest.Begin, Value: []byte{byte(i)}}, md)
		}
		far := []viewmodel.Mark{{Topic: "otlp_metrics", Watermark: time.UnixMilli(metricstest.Begin).Add(24 * time.Hour)}}
		for c := m.Collect(far); c != nil; c = m.Collect(far) {
			took, err := stored.Append(t.Context(), c.Samples)
			require.NoError(t, err)
			require.NoError(t, kv.Commit(c.Commit))
			m.Install(c, took)
		}
		got := m.Counters()
		out := got.Kept
		for _, n := range got.Dropped {
			out += n
		}
		require.Zero(t, got.HeldDeltas)
		require.Equal(t, got.Points, out, "seed %d: %+v", seed, got)
		require.NoError(t, stored.Close())
	}
}

// FuzzMetrics takes any OTLP bytes as metrics, twice: deltas are added to what they made.
func FuzzMetrics(f *testing.F) {
	var m pmetric.ProtoMarshaler
	for seed := range uint64(40) {
		b, err := m.MarshalMetrics(oddMetrics(rand.New(rand.NewPCG(seed, 6))))
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var u pmetric.ProtoUnmarshaler
		kv := storage.NewMem(storage.MemOptions{})
		m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{})
		require.NoError(t, err)
		for i := range int64(2) {
			md, err := u.UnmarshalMetrics(b)
			if err != nil {
				return
			}
			m.Apply("otlp_metrics", 0, viewmodel.Record{Offset: i, Timestamp: metricstest.Begin, Value: []byte{byte(i)}}, md)
		}
		c := m.Collect([]viewmodel.Mark{{Topic: "otlp_metrics", Watermark: time.UnixMilli(metricstest.Begin).Add(24 * time.Hour)}})
		took := samples.Appended{}
		for point := range samples.PointsOf(c.Samples) {
			if !point[0].NoPoint {
				took.Points++
			}
		}
		m.Install(c, took)
		got := m.Counters()
		out := got.Kept
		for _, n := range got.Dropped {
			out += n
		}
		if got.HeldDeltas == 0 {
			require.Equal(t, got.Points, out, "%+v", got)
		}
	})
}
