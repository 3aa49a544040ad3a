package samples

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/storage/samples"
)

// Converted is what one OTLP record of metrics says in Prometheus' terms.
type Converted struct {
	Samples []samples.Sample
	// Deltas are increments, not running values: of sums and histograms with delta temporality.
	Deltas   []samples.Sample
	Families []Family
	Points   int            // data points in the record; each is in Samples or Deltas, or once in Dropped
	Newest   int64          // newest point taken, Unix milliseconds; 0: none
	Dropped  map[string]int // points left out, by reason
	// Unique says that the record holds something by which it differs from others that say the same: an id, or a time finer than a second.
	Unique bool
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
	DropOutOfOrder  = "out_of_order" // a delta that is before the last of its series
	DropDeltaSeries = "delta_limit"  // a delta of one series too many
)

// metricFuture is how far a point may be ahead of its record, as far as Prometheus lets one be ahead of the clock.
const metricFuture = 10 * time.Minute

// maxPointBuckets is how many buckets or bounds a point may have; SDKs make at most some hundred.
const maxPointBuckets = 10_000

// Translation says how OTLP names become Prometheus' names. The zero value is what Prometheus' OTLP endpoint does by default, and
// service.name as a label, so that metrics join with span metrics.
type Translation struct {
	// Strategy is one of Prometheus' translation strategies ("": UnderscoreEscapingWithSuffixes).
	Strategy string
	// Promote are resource attributes that become labels, beside service.name.
	Promote []string
	// KeepIdentifying makes service.name, service.namespace and service.instance.id labels of target_info.
	KeepIdentifying bool
}

// Strategies are the names of the translation strategies, the default first.
func Strategies() []string {
	return []string{string(otlptranslator.UnderscoreEscapingWithSuffixes), string(otlptranslator.UnderscoreEscapingWithoutSuffixes),
		string(otlptranslator.NoUTF8EscapingWithSuffixes), string(otlptranslator.NoTranslation)}
}

// Check reports settings that no metric could be translated by.
func (t Translation) Check() error {
	_, err := t.translator()
	return err
}

func (t Translation) translator() (*translator, error) {
	strategy := otlptranslator.TranslationStrategyOption(cmp.Or(t.Strategy, Strategies()[0]))
	if !slices.Contains(Strategies(), string(strategy)) {
		return nil, fmt.Errorf("views: unknown translation strategy %q: use one of %s", t.Strategy, strings.Join(Strategies(), ", "))
	}
	c := config.DefaultOTLPConfig
	c.PromoteResourceAttributes = append([]string{"service.name"}, t.Promote...)
	x := &translator{settings: prometheusremotewrite.Settings{
		AddMetricSuffixes: strategy.ShouldAddSuffixes(), AllowUTF8: !strategy.ShouldEscape(),
		PromoteResourceAttributes:            prometheusremotewrite.NewPromoteResourceAttributes(c),
		KeepIdentifyingResourceAttributes:    t.KeepIdentifying,
		LabelNameUnderscoreSanitization:      c.LabelNameUnderscoreSanitization,
		LabelNamePreserveMultipleUnderscores: c.LabelNamePreserveMultipleUnderscores,
	}}
	labels := x.labelNamer()
	for _, name := range t.Promote {
		if _, err := labels.Build(name); err != nil {
			return nil, fmt.Errorf("views: resource attribute %q cannot be a label: %w", name, err)
		}
	}
	return x, nil
}

// translator converts records by one Translation.
type translator struct {
	settings prometheusremotewrite.Settings
}

func (x *translator) labelNamer() otlptranslator.LabelNamer {
	return otlptranslator.LabelNamer{UTF8Allowed: x.settings.AllowUTF8, PreserveMultipleUnderscores: x.settings.LabelNamePreserveMultipleUnderscores,
		UnderscoreLabelSanitization: x.settings.LabelNameUnderscoreSanitization} //nolint:staticcheck // Prometheus' default
}

// ConvertMetrics converts by the default Translation.
func ConvertMetrics(md pmetric.Metrics, recordMS int64, retention time.Duration) Converted {
	x, err := Translation{}.translator()
	if err != nil {
		panic(err) // the default is one of the strategies
	}
	return x.convert(md, recordMS, retention)
}

// convert turns the points of an OTLP record into samples through Prometheus' own translation, so that names, labels and
// values are those of Prometheus' OTLP endpoint. It depends on its arguments alone; md is used up. recordMS is the record's
// timestamp (0: unknown): points much later or older than it are dropped, because one such point would decide for all others
// what is recent. Each point stands for itself: one that cannot be translated takes no other with it.
func (x *translator) convert(md pmetric.Metrics, recordMS int64, retention time.Duration) Converted {
	c := Converted{Dropped: map[string]int{}}
	p := pruner{c: &c, latest: math.MaxUint64, labels: x.labelNamer(), named: map[string]bool{}, keys: map[string]bool{},
		metrics: otlptranslator.MetricNamer{WithMetricSuffixes: x.settings.AddMetricSuffixes, UTF8Allowed: x.settings.AllowUTF8}}
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
	r := &recorder{c: &c, seen: map[sampleAt]bool{}}
	c.Samples = r.translate(md, &x.settings)
	for _, s := range r.translate(deltas, &x.settings) {
		if s.NoPoint {
			c.Samples = append(c.Samples, s)
		} else {
			c.Deltas = append(c.Deltas, s)
		}
	}
	return c
}

// recorder keeps what the translation would append to a TSDB.
type recorder struct {
	c       *Converted
	samples []samples.Sample
	family  string
	// expect is how many samples each point of a resource makes; what comes after them is target_info.
	expect []int
	point  int // which one is being made
	made   int // samples of it
	seen   map[sampleAt]bool
}

// sampleAt is the place of a sample of target_info.
type sampleAt struct {
	labels uint64
	t      int64
}

// translate converts what was pruned, resource by resource.
func (r *recorder) translate(md pmetric.Metrics, settings *prometheusremotewrite.Settings) []samples.Sample {
	r.samples = nil
	converter := prometheusremotewrite.NewPrometheusConverter(r)
	for _, rm := range md.ResourceMetrics().All() {
		one := pmetric.NewMetrics()
		rm.MoveTo(one.ResourceMetrics().AppendEmpty())
		r.expect, r.point, r.made = samplesOf(one, r.expect[:0]), 0, 0
		if len(r.expect) == 0 {
			continue
		}
		// What the translation cannot do was taken out before. Should it fail for anything else, the points that it did not make are counted.
		if _, err := converter.FromMetrics(context.Background(), one, *settings); err != nil || r.point < len(r.expect) {
			r.samples = r.samples[:len(r.samples)-r.made]
			r.drop(DropInvalid, len(r.expect)-r.point)
		}
	}
	return r.samples
}

func (r *recorder) drop(reason string, n int) {
	if n > 0 {
		r.c.Dropped[reason] += n
	}
}

// samplesOf adds how many samples each point makes.
func samplesOf(md pmetric.Metrics, list []int) []int {
	ones := func(n int) {
		for range n {
			list = append(list, 1)
		}
	}
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeGauge:
					ones(m.Gauge().DataPoints().Len())
				case pmetric.MetricTypeSum:
					ones(m.Sum().DataPoints().Len())
				case pmetric.MetricTypeExponentialHistogram:
					ones(m.ExponentialHistogram().DataPoints().Len())
				case pmetric.MetricTypeHistogram:
					for _, d := range m.Histogram().DataPoints().All() {
						n := 2 // count and the bucket of all
						if d.HasSum() {
							n++
						}
						for i := range min(d.ExplicitBounds().Len(), d.BucketCounts().Len()) {
							if !math.IsInf(d.ExplicitBounds().At(i), 1) {
								n++
							}
						}
						list = append(list, n)
					}
				case pmetric.MetricTypeSummary:
					for _, d := range m.Summary().DataPoints().All() {
						list = append(list, 2+d.QuantileValues().Len())
					}
				}
			}
		}
	}
	return list
}

func (r *recorder) Append(_ promstorage.SeriesRef, l labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o promstorage.AOptions) (promstorage.SeriesRef, error) {
	if o.MetricFamilyName != r.family {
		r.family = o.MetricFamilyName
		r.c.Families = append(r.c.Families, Family{o.MetricFamilyName, o.Metadata.Type, o.Metadata.Unit, o.Metadata.Help})
	}
	s := samples.Sample{Labels: l, Start: st, T: t, V: v, H: h, FH: fh, Exemplars: slices.Clone(o.Exemplars)}
	if r.point == len(r.expect) {
		at := sampleAt{l.Hash(), t}
		if r.seen[at] {
			return 0, nil // several resources of a record have the same
		}
		r.seen[at], s.NoPoint = true, true
		r.samples = append(r.samples, s)
		return 0, nil
	}
	if r.made++; r.made < r.expect[r.point] {
		s.More = true
	} else {
		r.point, r.made = r.point+1, 0
	}
	r.samples = append(r.samples, s)
	return 0, nil
}

func (*recorder) Commit() error   { return nil }
func (*recorder) Rollback() error { return nil }

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
			return p.drop(d.StartTimestamp(), d.Timestamp(), !p.attributes(d.Attributes()) || !validExplicit(d) || delta && !finite(d.Sum()))
		})
		left = h.DataPoints().Len()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case pmetric.MetricTypeExponentialHistogram:
		h := m.ExponentialHistogram()
		temporality = h.AggregationTemporality()
		delta := temporality == pmetric.AggregationTemporalityDelta
		h.DataPoints().RemoveIf(func(d pmetric.ExponentialHistogramDataPoint) bool {
			p.exemplars(d.Exemplars())
			return p.drop(d.StartTimestamp(), d.Timestamp(), !p.attributes(d.Attributes()) || !validExponential(d) || delta && !finite(d.Sum()))
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
		return p.drop(d.StartTimestamp(), d.Timestamp(), !p.attributes(d.Attributes()) || d.ValueType() == pmetric.NumberDataPointValueTypeEmpty && !none ||
			delta && !none && !finite(d.DoubleValue()))
	})
	return d.Len()
}

// finite reports whether a number can be added to a running value without spoiling it for ever.
func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// validExplicit checks an explicit histogram: a count for each bucket, bounds that rise, counts that can be added up.
func validExplicit(d pmetric.HistogramDataPoint) bool {
	bounds, counts := d.ExplicitBounds(), d.BucketCounts()
	if counts.Len() > 0 && counts.Len() != bounds.Len()+1 || bounds.Len() > maxPointBuckets {
		return false
	}
	for i := range bounds.Len() {
		if math.IsNaN(bounds.At(i)) || i > 0 && bounds.At(i) <= bounds.At(i-1) {
			return false
		}
	}
	_, ok := addUp(0, counts)
	return ok
}

// addUp adds counts to a sum; false when they are more than histograms can count.
func addUp(sum uint64, counts pcommon.UInt64Slice) (uint64, bool) {
	for i := range counts.Len() {
		n := counts.At(i)
		if n > math.MaxInt64-min(sum, math.MaxInt64) {
			return 0, false
		}
		sum += n
	}
	return sum, sum <= math.MaxInt64
}

// validExponential checks an exponential histogram: a scale that Prometheus has, buckets of numbers that a float64 can be, counts that add
// up to the count.
func validExponential(d pmetric.ExponentialHistogramDataPoint) bool {
	scale := d.Scale()
	if scale < histogram.ExponentialSchemaMin {
		return false
	}
	down := max(0, scale-histogram.ExponentialSchemaMax)
	sum, ok := addUp(d.ZeroCount(), d.Positive().BucketCounts())
	if sum, ok2 := addUp(sum, d.Negative().BucketCounts()); !ok || !ok2 || d.ZeroCount() > math.MaxInt64 || !d.Flags().NoRecordedValue() && !countFits(d, sum) {
		return false
	}
	for _, side := range []pmetric.ExponentialHistogramDataPointBuckets{d.Positive(), d.Negative()} {
		n, first := int64(side.BucketCounts().Len()), int64(side.Offset())
		switch {
		case n == 0:
		case n > maxPointBuckets, first+n > math.MaxInt32, !indexFits(scale-down, first>>down+1), !indexFits(scale-down, (first+n-1)>>down+1):
			return false
		}
	}
	return true
}

// countFits reports whether the counts of buckets agree with the count of all; NaN is in none.
func countFits(d pmetric.ExponentialHistogramDataPoint, sum uint64) bool {
	if math.IsNaN(d.Sum()) {
		return sum <= d.Count() && d.Count() <= math.MaxInt64
	}
	return sum == d.Count()
}

// indexFits reports whether a bucket's bounds are within what a float64 can be. Beyond that, adding histograms overflows.
func indexFits(schema int32, index int64) bool {
	const powers = 1100 // of two, from the least float64 to the largest, and a few more
	limit := int64(powers)
	if schema >= 0 {
		limit <<= schema
	} else {
		limit >>= -schema
	}
	return index >= -limit-2 && index <= limit+2
}

// boundedHistogram checks that the buckets of a histogram are those of numbers.
func boundedHistogram(h *histogram.FloatHistogram) error {
	if h.Schema < histogram.ExponentialSchemaMin || h.Schema > histogram.ExponentialSchemaMax {
		return fmt.Errorf("views: a histogram has the unknown schema %d", h.Schema)
	}
	for _, side := range []struct {
		spans   []histogram.Span
		buckets int
	}{{h.PositiveSpans, len(h.PositiveBuckets)}, {h.NegativeSpans, len(h.NegativeBuckets)}} {
		at, n := int64(0), int64(0)
		for i, s := range side.spans {
			at += int64(s.Offset)
			if i > 0 && s.Offset < 0 || !indexFits(h.Schema, at) {
				return fmt.Errorf("views: a bucket of a histogram begins at %d, which no number can be in", at)
			}
			at += int64(s.Length)
			n += int64(s.Length)
		}
		if !indexFits(h.Schema, at) || n != int64(side.buckets) {
			return fmt.Errorf("views: the spans of a histogram hold %d buckets up to %d, and there are %d", n, at, side.buckets)
		}
	}
	return nil
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
