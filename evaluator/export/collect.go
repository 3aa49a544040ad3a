package export

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

// Bucket is the width of the finest buckets: at their ends the views have samples.
const Bucket = model.BucketSeconds * time.Second

// A sample is one value of one series.
type sample struct {
	l     labels.Labels
	t, st int64 // Unix milliseconds; st is when the counter began, 0: it is no counter
	v     float64
	h     *histogram.FloatHistogram
}

// A set is all samples of one timestamp, ordered by selector.
type set struct {
	t       int64
	samples []sample
}

const (
	ruleTimeout    = 30 * time.Second
	ruleRetention  = 6 * time.Hour
	maxRuleSeries  = 100_000
	maxRuleSamples = 10_000
	// setsAtOnce and samplesAtOnce bound what is computed of one version of the views, after a pause.
	setsAtOnce    = 20
	samplesAtOnce = 200_000
)

// collector computes sets.
type collector struct {
	match    Match
	add      labels.Labels
	reader   views.Reader
	groups   func() []*promrules.Group
	metrics  func() model.Frontier // of samples of OTLP metrics; nil: there are none
	engine   promql.QueryEngine
	recorded *rules.SeriesStore
	failed   func(rule string, err error)
	size     int // samples of the newest set
}

func newCollector(c *Config, failed func(string, error)) *collector {
	return &collector{match: c.Match, add: c.Labels, reader: c.Reader, groups: c.Rules, metrics: c.Metrics, failed: failed,
		engine:   query.NewEngine(query.EngineConfig{Timeout: ruleTimeout}, slog.New(slog.DiscardHandler), nil),
		recorded: rules.NewSeriesStore(ruleRetention, maxRuleSeries, maxRuleSamples)}
}

// A recording is a rule whose series are sent.
type recording struct {
	*promrules.RecordingRule
	offset time.Duration
	limit  int
	send   bool // else it is evaluated for those that read it
}

// recordings are the recording rules of which something may be sent, and those whose series they read, in the order of their groups.
// samples says whether one reads OTLP metrics.
func (c *collector) recordings() (list []recording, samples bool) {
	written := map[string]bool{}
	send := false
	for _, g := range c.groups() {
		for _, r := range g.Rules() {
			if rr, ok := r.(*promrules.RecordingRule); ok {
				x := recording{promrules.NewRecordingRule(rr.Name(), rr.Query(), rr.Labels()), g.QueryOffset(), g.Limit(), c.match.name(rr.Name())}
				list, written[rr.Name()], send = append(list, x), true, send || x.send
			}
		}
	}
	if !send {
		return nil, false
	}
	for _, r := range list {
		for _, ms := range parser.ExtractSelectors(r.Query()) {
			name := nameOf(ms)
			samples = samples || !written[name] && !query.IsView(name)
		}
	}
	return list, samples
}

func nameOf(ms []*labels.Matcher) string {
	for _, m := range ms {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// frontier is up to when everything that is sent is complete, and since when the views hold the finest buckets; zero: not known.
func (c *collector) frontier(fr model.Frontier, samples bool) (complete, since time.Time) {
	complete, since = fr.Complete, fr.Since
	if l := fr.Levels[0]; l.Width == Bucket && l.Since.After(since) {
		since = l.Since
	}
	if samples && c.metrics != nil {
		if m := c.metrics().Complete; !m.IsZero() && m.Before(complete) {
			complete = m
		}
	}
	return complete, since
}

// due computes the sets that follow the one at last and are complete, at most setsAtOnce. Times that the views no longer hold in full
// resolution are skipped. The first set of all, where last is 0, is the newest.
func (c *collector) due(ctx context.Context, last int64, interval, delay time.Duration) (sets []set, skipped int, err error) {
	r, release := live.Snapshot(c.reader)
	defer release()
	list, samples := c.recordings()
	complete, since := c.frontier(r.Frontier(), samples)
	if complete.IsZero() || since.IsZero() {
		return nil, 0, nil
	}
	step := interval.Milliseconds()
	to := floor(complete.Add(-delay).UnixMilli(), step)
	from := floor(last, step) + step
	if last == 0 {
		from = to
	}
	if first := floor(since.UnixMilli(), step) + step; from < first {
		if last > 0 {
			skipped = int((min(first, to+step) - from) / step)
		}
		from = max(from, first)
	}
	var ts []int64
	most := max(1, min(setsAtOnce, samplesAtOnce/max(1, c.size)))
	for t := from; t <= to && len(ts) < most; t += step {
		ts = append(ts, t)
	}
	if len(ts) == 0 {
		return nil, skipped, nil
	}
	sets, err = c.sets(ctx, r, ts, list)
	return sets, skipped, err
}

func floor(t, step int64) int64 { return t - ((t%step)+step)%step }

// sets computes the samples at the timestamps, which ascend.
func (c *collector) sets(ctx context.Context, r views.Reader, ts []int64, list []recording) ([]set, error) {
	out := make([]set, len(ts))
	for i, t := range ts {
		out[i].t = t
	}
	q, err := (&query.Queryable{Reader: r}).Querier(ts[0], ts[len(ts)-1])
	if err != nil {
		return nil, err
	}
	defer func() { _ = q.Close() }() // it frees views
	for i, ms := range c.match {
		found := q.Select(ctx, true, nil, ms...)
		for found.Next() {
			if s := found.At(); !c.match[:i].matches(s.Labels()) {
				c.take(s, out)
			}
		}
		if err := found.Err(); err != nil {
			return nil, fmt.Errorf("select series of the views: %w", err)
		}
	}
	for i := range out {
		c.record(ctx, r, &out[i], list)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.size = len(out[len(out)-1].samples)
	return out, nil
}

// take adds the samples of a series to the sets of their timestamps.
func (c *collector) take(s storage.Series, out []set) {
	l := c.labelled(s.Labels())
	it := s.Iterator(nil)
	for i := range out {
		kind := it.Seek(out[i].t)
		if kind == chunkenc.ValNone {
			return
		}
		if it.AtT() != out[i].t {
			continue
		}
		x := sample{l: l, t: out[i].t, st: it.AtST()}
		if kind == chunkenc.ValFloatHistogram {
			_, x.h = it.AtFloatHistogram(nil)
		} else {
			_, x.v = it.At()
		}
		if x.st >= x.t { // the zero that stands where the counter begins
			x.st = 0
		}
		out[i].samples = append(out[i].samples, x)
	}
}

// record evaluates recording rules at the set's timestamp. A rule sees what those before it wrote.
func (c *collector) record(ctx context.Context, r views.Reader, s *set, list []recording) {
	over := c.recorded.Over(&query.Sources{Views: &query.Queryable{Reader: r}})
	for _, rule := range list {
		v, err := rule.Eval(ctx, rule.offset, time.UnixMilli(s.t), promrules.EngineQueryFunc(c.engine, over), nil, rule.limit)
		if err != nil {
			if ctx.Err() == nil {
				c.failed(rule.Name(), err)
			}
			continue
		}
		for _, x := range v {
			if err := c.recorded.Append(x.Metric, s.t, x.F, x.H); err != nil {
				c.failed(rule.Name(), err)
				break
			}
			if rule.send && c.match.matches(x.Metric) {
				y := sample{l: c.labelled(x.Metric), t: s.t, v: x.F}
				if x.H != nil {
					y.h = x.H.Copy()
				}
				s.samples = append(s.samples, y)
			}
		}
	}
}

// labelled are the labels of a series as they are sent.
func (c *collector) labelled(l labels.Labels) labels.Labels {
	if c.add.IsEmpty() {
		return l
	}
	b := labels.NewBuilder(l)
	c.add.Range(func(x labels.Label) {
		if l.Get(x.Name) == "" {
			b.Set(x.Name, x.Value)
		}
	})
	return b.Labels()
}

// ended adds to a set a staleness marker for every series of the set before it that the set lacks, and returns the series of the set.
func ended(s *set, before map[string]labels.Labels) map[string]labels.Labels {
	now := make(map[string]labels.Labels, len(s.samples))
	for _, x := range s.samples {
		now[string(x.l.Bytes(nil))] = x.l
	}
	for key, l := range before {
		if _, ok := now[key]; !ok {
			s.samples = append(s.samples, sample{l: l, t: s.t, v: math.Float64frombits(value.StaleNaN)})
		}
	}
	return now
}

// Match is selectors of the series that are sent: a series that one of them selects.
type Match [][]*labels.Matcher

// ParseMatch reads selectors that are separated by commas.
func ParseMatch(text string) (Match, error) {
	var out Match
	for _, part := range splitSelectors(text) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		ms, err := query.NewParser().ParseMetricSelector(part)
		if err != nil {
			return nil, fmt.Errorf("%q is no PromQL selector: %w", part, err)
		}
		if all(ms, func(m *labels.Matcher) bool { return m.Matches("") }) {
			return nil, fmt.Errorf("%q selects every series: name at least one metric or label", part)
		}
		out = append(out, ms)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no selector: give at least one, as traces_span_metrics_calls_total")
	}
	return out, nil
}

// splitSelectors splits at the commas outside of braces and quotes.
func splitSelectors(text string) (list []string) {
	depth, quote, begin := 0, byte(0), 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == '\\' && quote != '`' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '{':
			depth++
		case c == '}':
			depth--
		case c == ',' && depth <= 0:
			list, begin = append(list, text[begin:i]), i+1
		}
	}
	return append(list, text[begin:])
}

func (m Match) matches(l labels.Labels) bool {
	for _, ms := range m {
		if all(ms, func(m *labels.Matcher) bool { return m.Matches(l.Get(m.Name)) }) {
			return true
		}
	}
	return false
}

// name reports whether series with a name may be selected.
func (m Match) name(name string) bool {
	for _, ms := range m {
		if all(ms, func(m *labels.Matcher) bool { return m.Name != labels.MetricName || m.Matches(name) }) {
			return true
		}
	}
	return false
}

func all(ms []*labels.Matcher, ok func(*labels.Matcher) bool) bool {
	for _, m := range ms {
		if !ok(m) {
			return false
		}
	}
	return true
}
