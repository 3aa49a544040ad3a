package samples

import (
	"math"
	"unicode/utf8"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/storage/attr"
)

// maxPointBuckets is how many buckets or bounds a point may have; SDKs make at most some hundred.
const maxPointBuckets = 10_000

// pruner takes out what is not to be translated, and makes the rest translatable.
type pruner struct {
	c              *Converted
	oldest, latest pcommon.Timestamp
	labels         otlptranslator.LabelNamer
	metrics        otlptranslator.MetricNamer
	named          map[string]bool // attributes that labels can be made of
	keys           map[string]bool // of the attributes that are looked at
}

// maxNamed bounds the names that a pruner remembers.
const maxNamed = 10_000

// canBeLabel reports whether a label can be made of an attribute.
func (p *pruner) canBeLabel(key string) bool {
	ok, known := p.named[key]
	if !known {
		_, err := p.labels.Build(key)
		if ok = err == nil; len(p.named) < maxNamed {
			p.named[key] = ok
		}
	}
	return ok
}

// attributes makes attributes valid text, each key once, and reports whether labels can be made of all.
func (p *pruner) attributes(m pcommon.Map) bool {
	ok, rebuild := true, false
	keys := p.keys
	if m.Len() > 64 { // p.keys stays small: a map that has grown takes long to clear each time
		keys = make(map[string]bool, m.Len())
	}
	clear(keys)
	for k, v := range m.All() {
		ok = ok && p.canBeLabel(k)
		switch v.Type() {
		case pcommon.ValueTypeStr:
			if !utf8.ValidString(v.Str()) {
				v.SetStr(attr.ValidUTF8(v.Str()))
			}
		case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
			v.SetStr(attr.Text(v))
		}
		keys[k] = true
		rebuild = rebuild || !utf8.ValidString(k)
	}
	rebuild = rebuild || len(keys) < m.Len() // a key comes again
	if rebuild {
		valid := pcommon.NewMap()
		for k, v := range m.All() {
			k = attr.ValidUTF8(k)
			if _, again := valid.Get(k); !again {
				v.CopyTo(valid.PutEmpty(k))
			}
		}
		valid.MoveTo(m)
	}
	return ok
}

// resource leaves out attributes that no label can be made of, so that the others are in target_info.
func (p *pruner) resource(m pcommon.Map) {
	if !p.attributes(m) {
		m.RemoveIf(func(k string, _ pcommon.Value) bool { return !p.canBeLabel(k) })
	}
	if _, ok := m.Get("service.instance.id"); ok {
		p.c.Unique = true
	}
}

// exemplars takes out those without a value, for which the translation would give up the whole metric.
func (p *pruner) exemplars(list pmetric.ExemplarSlice) {
	if list.Len() == 0 {
		return
	}
	list.RemoveIf(func(e pmetric.Exemplar) bool {
		p.attributes(e.FilteredAttributes())
		p.c.Unique = p.c.Unique || !e.TraceID().IsEmpty()
		return e.ValueType() == pmetric.ExemplarValueTypeEmpty
	})
}

// prune drops points that cannot be kept and moves metrics with delta temporality to the returned Metrics, as cumulative ones.
func (p *pruner) prune(md pmetric.Metrics) pmetric.Metrics {
	deltas := pmetric.NewMetrics()
	for _, rm := range md.ResourceMetrics().All() {
		p.resource(rm.Resource().Attributes())
		var drm pmetric.ResourceMetrics
		for _, sm := range rm.ScopeMetrics().All() {
			var to pmetric.MetricSlice
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
				keep, delta := p.metric(m)
				if !keep || !delta {
					return !keep
				}
				if drm == (pmetric.ResourceMetrics{}) {
					drm = deltas.ResourceMetrics().AppendEmpty()
					rm.Resource().CopyTo(drm.Resource())
				}
				if to == (pmetric.MetricSlice{}) {
					dsm := drm.ScopeMetrics().AppendEmpty()
					sm.Scope().CopyTo(dsm.Scope())
					to = dsm.Metrics()
				}
				m.MoveTo(to.AppendEmpty())
				return true
			})
		}
	}
	return deltas
}

// metric drops points and reports whether the metric is to be kept and whether it had delta temporality.
func (p *pruner) metric(m pmetric.Metric) (keep, delta bool) {
	if name := m.Name(); !utf8.ValidString(name) {
		m.SetName(attr.ValidUTF8(name))
	}
	m.SetUnit(attr.ValidUTF8(m.Unit()))
	m.SetDescription(attr.ValidUTF8(m.Description()))
	temporality := pmetric.AggregationTemporalityCumulative
	var left int
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		left = p.numbers(m.Gauge().DataPoints(), false)
	case pmetric.MetricTypeSum:
		s := m.Sum()
		temporality = s.AggregationTemporality()
		left = p.numbers(s.DataPoints(), temporality == pmetric.AggregationTemporalityDelta)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case pmetric.MetricTypeHistogram:
		h := m.Histogram()
		temporality = h.AggregationTemporality()
		delta := temporality == pmetric.AggregationTemporalityDelta
		h.DataPoints().RemoveIf(func(d pmetric.HistogramDataPoint) bool {
			p.exemplars(d.Exemplars())
			return p.drop(d.StartTimestamp(), d.Timestamp(),
				!p.attributes(d.Attributes()) || !validExplicit(d) || delta && !finite(d.Sum()))
		})
		left = h.DataPoints().Len()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case pmetric.MetricTypeExponentialHistogram:
		h := m.ExponentialHistogram()
		temporality = h.AggregationTemporality()
		delta := temporality == pmetric.AggregationTemporalityDelta
		h.DataPoints().RemoveIf(func(d pmetric.ExponentialHistogramDataPoint) bool {
			p.exemplars(d.Exemplars())
			return p.drop(d.StartTimestamp(), d.Timestamp(),
				!p.attributes(d.Attributes()) || !validExponential(d) || delta && !finite(d.Sum()))
		})
		left = h.DataPoints().Len()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case pmetric.MetricTypeSummary:
		d := m.Summary().DataPoints()
		d.RemoveIf(func(d pmetric.SummaryDataPoint) bool {
			return p.drop(d.StartTimestamp(), d.Timestamp(), !p.attributes(d.Attributes()))
		})
		left = d.Len()
	default:
		p.c.Points++
		p.c.Dropped[DropInvalid]++
		return false, false
	}
	if left > 0 && (temporality == pmetric.AggregationTemporalityUnspecified || !p.canBeMetric(m)) {
		p.c.Dropped[DropInvalid] += left
		return false, false
	}
	return left > 0, temporality == pmetric.AggregationTemporalityDelta
}

func (p *pruner) canBeMetric(m pmetric.Metric) bool {
	if m.Name() == "" {
		return false
	}
	_, err := p.metrics.Build(prometheusremotewrite.TranslatorMetricFromOtelMetric(m))
	return err == nil
}

func (p *pruner) numbers(d pmetric.NumberDataPointSlice, delta bool) (left int) {
	d.RemoveIf(func(d pmetric.NumberDataPoint) bool {
		p.exemplars(d.Exemplars())
		none := d.Flags().NoRecordedValue()
		return p.drop(d.StartTimestamp(), d.Timestamp(),
			!p.attributes(d.Attributes()) || d.ValueType() == pmetric.NumberDataPointValueTypeEmpty && !none ||
				delta && !none && !finite(d.DoubleValue()))
	})
	return d.Len()
}

// drop counts a point and reports whether it is to be left out.
func (p *pruner) drop(start, at pcommon.Timestamp, invalid bool) bool {
	p.c.Points++
	var reason string
	switch {
	case at == 0:
		reason = DropNoTime
	case at > p.latest || at > math.MaxInt64:
		reason = DropFuture
	case at < p.oldest:
		reason = DropTooOld
	case invalid:
		reason = DropInvalid
	default:
		p.c.Newest = max(p.c.Newest, int64(at/1e6))
		p.c.Unique = p.c.Unique || at%1e9 != 0 || start%1e9 != 0
		return false
	}
	p.c.Dropped[reason]++
	return true
}
