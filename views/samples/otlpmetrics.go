package samples

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

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
	return otlptranslator.LabelNamer{UTF8Allowed: x.settings.AllowUTF8,
		PreserveMultipleUnderscores: x.settings.LabelNamePreserveMultipleUnderscores,
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
		// What the translation cannot do was taken out before. Should it fail for anything else, the points that it did not make are
		// counted.
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

func (r *recorder) Append(_ promstorage.SeriesRef, l labels.Labels, st, t int64, v float64, h *histogram.Histogram,
	fh *histogram.FloatHistogram, o promstorage.AOptions) (promstorage.SeriesRef, error) {
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
