package views

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/storage"
)

// Converted is what one OTLP record of metrics says in Prometheus' terms.
type Converted struct {
	Samples []storage.Sample
	// Deltas are increments, not running values: of sums and histograms with delta temporality.
	Deltas   []storage.Sample
	Families []Family
	Points   int            // data points in the record
	Newest   int64          // newest point taken, Unix milliseconds; 0: none
	Dropped  map[string]int // points left out, by reason
}

// Family describes a metric under its Prometheus name.
type Family struct {
	Name string
	Type model.MetricType
	Unit string
	Help string
}

// Reasons why points are dropped before they become samples.
const (
	DropNoTime      = "no_time"      // the point has no timestamp
	DropFuture      = "future"       // it is later than its record by more than the tolerance
	DropTooOld      = "too_old"      // it is older than its record by more than the retention
	DropInvalid     = "invalid"      // it breaks the rules of OTLP, or Prometheus has no form for it
	DropOutOfOrder  = "out_of_order" // a delta that is not after the last of its series
	DropDeltaSeries = "delta_limit"  // a delta of one series too many
)

// metricFuture is how far a point may be ahead of its record, as far as Prometheus lets one be ahead of the clock.
const metricFuture = 10 * time.Minute

// otlpSettings are the defaults of Prometheus' OTLP endpoint, and service.name as a label, so that metrics join with span metrics.
var otlpSettings = prometheusremotewrite.Settings{
	AddMetricSuffixes:         true,
	PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(config.OTLPConfig{PromoteResourceAttributes: []string{"service.name"}}),
}

// ConvertMetrics turns the points of an OTLP record into samples through Prometheus' own translation, so that names, labels and
// values are those of Prometheus' OTLP endpoint. It depends on its arguments alone; md is used up. recordMS is the record's
// timestamp (0: unknown): points much later or older than it are dropped, because one such point would decide for all others
// what is recent.
func ConvertMetrics(md pmetric.Metrics, recordMS int64, retention time.Duration) Converted {
	c := Converted{Dropped: map[string]int{}}
	p := pruner{c: &c, latest: math.MaxUint64}
	known := recordMS > 0 && recordMS < math.MaxInt64/2_000_000 // what nanoseconds can say
	if known {
		p.latest = pcommon.Timestamp(recordMS+metricFuture.Milliseconds()) * 1e6
		p.oldest = pcommon.Timestamp(max(0, recordMS-retention.Milliseconds())) * 1e6
	}
	deltas := p.prune(md)
	if !known && c.Newest > retention.Milliseconds() { // the newest point stands for the record
		p.latest, p.oldest = math.MaxUint64, pcommon.Timestamp(c.Newest-retention.Milliseconds())*1e6
		points := c.Points
		p.prune(md)
		p.prune(deltas)
		c.Points = points
	}
	c.Samples = c.translate(md)
	if deltas.ResourceMetrics().Len() > 0 {
		for _, s := range c.translate(deltas) {
			if s.Labels.Get(model.MetricNameLabel) == targetInfo {
				c.Samples = append(c.Samples, s)
			} else {
				c.Deltas = append(c.Deltas, s)
			}
		}
	}
	return c
}

const targetInfo = "target_info"

func (c *Converted) translate(md pmetric.Metrics) []storage.Sample {
	r := &recorder{c: c}
	// What the translation cannot do was taken out before, so an error is about labels that cannot be made.
	if _, err := prometheusremotewrite.NewPrometheusConverter(r).FromMetrics(context.Background(), md, otlpSettings); err != nil {
		n := 1
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			n = len(joined.Unwrap())
		}
		c.Dropped[DropInvalid] += n
	}
	return r.samples
}

// recorder keeps what the translation would append to a TSDB.
type recorder struct {
	c       *Converted
	samples []storage.Sample
	family  string
}

func (r *recorder) Append(_ promstorage.SeriesRef, l labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o promstorage.AOptions) (promstorage.SeriesRef, error) {
	if o.MetricFamilyName != r.family {
		r.family = o.MetricFamilyName
		r.c.Families = append(r.c.Families, Family{o.MetricFamilyName, o.Metadata.Type, o.Metadata.Unit, o.Metadata.Help})
	}
	r.samples = append(r.samples, storage.Sample{Labels: l, Start: st, T: t, V: v, H: h, FH: fh, Exemplars: slices.Clone(o.Exemplars)})
	return 0, nil
}

func (*recorder) Commit() error   { return nil }
func (*recorder) Rollback() error { return nil }

// pruner takes out what is not to be translated.
type pruner struct {
	c              *Converted
	oldest, latest pcommon.Timestamp
}

// prune drops points that cannot be kept and moves metrics with delta temporality to the returned Metrics, as cumulative ones.
func (p *pruner) prune(md pmetric.Metrics) pmetric.Metrics {
	deltas := pmetric.NewMetrics()
	for _, rm := range md.ResourceMetrics().All() {
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
	temporality := pmetric.AggregationTemporalityCumulative
	var left int
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		left = p.numbers(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		s := m.Sum()
		temporality, left = s.AggregationTemporality(), p.numbers(s.DataPoints())
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case pmetric.MetricTypeHistogram:
		h := m.Histogram()
		h.DataPoints().RemoveIf(func(d pmetric.HistogramDataPoint) bool {
			valueless(d.Exemplars())
			b, c := d.ExplicitBounds().Len(), d.BucketCounts().Len()
			return p.drop(d.Timestamp(), c > 0 && c != b+1)
		})
		temporality, left = h.AggregationTemporality(), h.DataPoints().Len()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case pmetric.MetricTypeExponentialHistogram:
		h := m.ExponentialHistogram()
		h.DataPoints().RemoveIf(func(d pmetric.ExponentialHistogramDataPoint) bool {
			valueless(d.Exemplars())
			return p.drop(d.Timestamp(), d.Scale() < histogram.ExponentialSchemaMin)
		})
		temporality, left = h.AggregationTemporality(), h.DataPoints().Len()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case pmetric.MetricTypeSummary:
		d := m.Summary().DataPoints()
		d.RemoveIf(func(d pmetric.SummaryDataPoint) bool { return p.drop(d.Timestamp(), false) })
		left = d.Len()
	default:
		p.c.Points++
		p.c.Dropped[DropInvalid]++
		return false, false
	}
	if m.Name() == "" || temporality == pmetric.AggregationTemporalityUnspecified {
		p.c.Dropped[DropInvalid] += left
		return false, false
	}
	return left > 0, temporality == pmetric.AggregationTemporalityDelta
}

func (p *pruner) numbers(d pmetric.NumberDataPointSlice) (left int) {
	d.RemoveIf(func(d pmetric.NumberDataPoint) bool {
		valueless(d.Exemplars())
		return p.drop(d.Timestamp(), d.ValueType() == pmetric.NumberDataPointValueTypeEmpty && !d.Flags().NoRecordedValue())
	})
	return d.Len()
}

// valueless takes out exemplars without a value, for which the translation would give up the whole metric.
func valueless(e pmetric.ExemplarSlice) {
	if e.Len() > 0 {
		e.RemoveIf(func(e pmetric.Exemplar) bool { return e.ValueType() == pmetric.ExemplarValueTypeEmpty })
	}
}

// drop counts a point and reports whether it is to be left out.
func (p *pruner) drop(at pcommon.Timestamp, invalid bool) bool {
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
		return false
	}
	p.c.Dropped[reason]++
	return true
}
