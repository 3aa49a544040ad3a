package backtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	promstorage "github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// A Spec says which rules to evaluate over which past. The simple version: an Evaluator of its own, with state in memory, is
// moved from moment to moment of the past by the code that moves the live one, and its transitions are what would have been.
//
// The moments are ends of buckets, because that is what the views keep of the past; the live evaluator also looks between them, so
// the two agree within one bucket.
type Spec struct {
	Sources []rules.Source
	// Start and End are event times, both inclusive. What was active at Start is found by beginning earlier, by the longest `for`,
	// `keep_firing_for` and window over recorded series of the rules.
	Start, End time.Time
	Step       time.Duration // between moments; 0: the width of the buckets kept of Start

	Reader    views.Reader
	Queryable promstorage.SampleAndChunkQueryable // nil: a Queryable over Reader
	Engine    promql.QueryEngine                  // nil: NewEngine with defaults

	ExternalURL    *url.URL
	ExternalLabels labels.Labels
	// Progress is called now and then with the moment reached; nil: not.
	Progress func(at time.Time)
}

// Bounds of one backtest. Results beyond them are refused, not cut: a cut result would look like a calm past.
const (
	MaxSteps       = 50_000
	MaxTransitions = 100_000
)

// ErrInvalid is wrapped by errors that say what is wrong with a Backtest.
var ErrInvalid = errors.New("such a backtest cannot be")

// Result is what rules would have done.
type Result struct {
	Start, End  time.Time
	Step        time.Duration
	Evaluations int // moments at which each rule was evaluated
	Series      []Series
	// Rules are all rules of the backtest, those that never became active too.
	Rules []rules.Info
	// Transitions are those of all alerts in order of time; at Start stands what was active then.
	Transitions []alert.Transition
}

// Series is one alert of one rule: one label set.
type Series struct {
	RuleID      string
	Labels      labels.Labels
	Transitions []alert.Transition
	Summary     Summary
}

// Summary adds up how an alert, or all alerts of a rule, behaved.
type Summary struct {
	Fired   int           // times it began to fire
	Firing  time.Duration // in total
	Longest time.Duration // without a break
	Pending time.Duration // in total
	// Flaps counts how often it fired again less than FlapWindow after it had resolved.
	Flaps int
}

// FlapWindow is the time within which firing again counts as a flap.
const FlapWindow = 10 * time.Minute

// Run evaluates. Its errors wrap ErrBacktest where the question is wrong.
func (b Spec) Run(ctx context.Context) (*Result, error) {
	fr := b.Reader.Frontier()
	if known := later(fr.Head, fr.Complete); !known.IsZero() && b.End.After(known) {
		b.End = known
	}
	if b.Step == 0 {
		b.Step = fr.WidthAt(b.Start)
	}
	b.Step = max(b.Step, model.BucketSeconds*time.Second)
	b.setDefaults()
	t, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	return t.run(ctx)
}

func (b *Spec) setDefaults() {
	b.Engine = orEngine(b.Engine)
	if b.Queryable == nil {
		b.Queryable = &query.Queryable{Reader: b.Reader}
	}
}

// trial is a Backtest while it runs.
type trial struct {
	Spec
	e    *rules.Evaluator
	past *pastQueries
	from time.Time // first moment evaluated
	out  Result
}

func (b Spec) open(ctx context.Context) (*trial, error) {
	begin := ceilTo(b.Start, b.Step)
	if b.End.Before(begin) {
		return nil, fmt.Errorf("%w: the views hold no whole step between start and end", ErrInvalid)
	}
	t := &trial{Spec: b}
	t.from = begin.Add(-(stateWarmUp(b.Sources)/b.Step + 2) * b.Step)
	if n := int64(b.End.Sub(t.from)/b.Step) + 1; n > MaxSteps {
		return nil, fmt.Errorf("%w: %d evaluations of each rule are more than %d; take a longer step or a shorter range", ErrInvalid, n,
			MaxSteps)
	}
	past := &pastQueries{engine: b.Engine, queryable: b.Queryable, step: b.Step, end: b.End, ahead: map[string]*ahead{}}
	past.recorded = rules.RecordedNames(query.NewParser(), b.Sources)
	if err := t.load(ctx, rules.Config{Query: past.wrap}); err != nil {
		return nil, err
	}
	t.past = past
	return t, nil
}

// load makes the evaluator.
func (t *trial) load(ctx context.Context, c rules.Config) (err error) {
	c.Reader, c.KV, c.Queryable, c.Engine = t.Reader, storage.NewMem(storage.MemOptions{}), t.Queryable, t.Engine
	c.ExternalURL, c.ExternalLabels, c.RuleRetention, c.Logger = t.ExternalURL, t.ExternalLabels, max(6*time.Hour, t.End.Sub(t.from)),
		slog.New(slog.DiscardHandler)
	c.MaxHistory = 2 * MaxTransitions // of one moment; more than the bound is refused after it
	if t.e, err = rules.New(c); err != nil {
		return err
	}
	if err := t.e.Load(ctx, t.Sources, t.from); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	t.out = Result{Start: t.Start, End: t.End, Step: t.Step}
	return nil
}

// ceilTo is t rounded up to whole steps since the epoch: ends of buckets.
func ceilTo(t time.Time, step time.Duration) time.Time {
	if r := t.Truncate(step); r.Before(t) {
		return r.Add(step)
	}
	return t
}

func (t *trial) run(ctx context.Context) (*Result, error) {
	begun := false
	for ts := t.from; !ts.After(t.End); ts = ts.Add(t.Step) {
		if !begun && !ts.Before(t.Start) {
			begun = true
			t.inherit()
		}
		if err := t.e.EvaluateAll(ctx, ts); err != nil {
			return nil, err
		}
		if err := t.note(ctx, ts, begun, t.e.TakeHistory()); err != nil {
			return nil, err
		}
		if t.Progress != nil {
			t.Progress(ts)
		}
	}
	return t.result(), nil
}

// note adds what changed at a moment.
func (t *trial) note(ctx context.Context, at time.Time, begun bool, changed []alert.Transition) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.e.Failed(); err != nil {
		return fmt.Errorf("%w: at %s: %w", ErrInvalid, at.UTC().Format(time.RFC3339), err)
	}
	if !begun {
		return nil
	}
	t.out.Evaluations++
	t.out.Transitions = append(t.out.Transitions, changed...)
	if len(t.out.Transitions) > MaxTransitions {
		return fmt.Errorf("%w: more than %d changes of alerts; take a shorter range or a calmer rule", ErrInvalid, MaxTransitions)
	}
	return nil
}

func (t *trial) result() *Result {
	slices.SortStableFunc(t.out.Transitions, func(a, b alert.Transition) int { return a.Time.Compare(b.Time) })
	t.out.Series = seriesOf(t.out.Transitions, t.End)
	t.out.Rules = t.e.Rules()
	return &t.out
}

// inherit adds what was active when the range begins, as transitions at its start.
func (t *trial) inherit() {
	for _, a := range t.e.Active() {
		t.out.Transitions = append(t.out.Transitions,
			alert.Transition{Time: t.Start, RuleID: a.RuleID, Labels: a.Labels, Annotations: a.Annotations, To: a.State, Value: a.Value})
	}
}

// seriesOf sorts transitions by alert, ordered by rule and labels.
func seriesOf(ts []alert.Transition, end time.Time) []Series {
	out := []Series{}
	index := map[string]int{}
	for _, t := range ts {
		key := t.RuleID + t.Labels.String()
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, Series{RuleID: t.RuleID, Labels: t.Labels})
		}
		out[i].Transitions = append(out[i].Transitions, t)
	}
	for i := range out {
		out[i].Summary = summarize(out[i].Transitions, end)
	}
	slices.SortFunc(out, func(a, b Series) int {
		return cmp.Or(cmp.Compare(a.RuleID, b.RuleID), labels.Compare(a.Labels, b.Labels))
	})
	return out
}

// summarize adds up one alert's transitions; what still lasts ends at end.
func summarize(ts []alert.Transition, end time.Time) (s Summary) {
	var resolved time.Time
	for i, t := range ts {
		until := end
		if i+1 < len(ts) {
			until = ts[i+1].Time
		}
		switch t.To {
		case alert.StateFiring:
			s.Fired++
			s.Firing += until.Sub(t.Time)
			s.Longest = max(s.Longest, until.Sub(t.Time))
			if !resolved.IsZero() && t.Time.Sub(resolved) < FlapWindow {
				s.Flaps++
			}
		case alert.StatePending:
			s.Pending += until.Sub(t.Time)
		case alert.StateResolved:
			resolved = t.Time
		}
	}
	return s
}

// Add adds up two summaries of different alerts.
func (s Summary) Add(o Summary) Summary {
	return Summary{s.Fired + o.Fired, s.Firing + o.Firing, max(s.Longest, o.Longest), s.Pending + o.Pending, s.Flaps + o.Flaps}
}

// stateWarmUp is how long before its first moment rules have to be evaluated so that they are in the state they would have been in.
func stateWarmUp(sources []rules.Source) time.Duration {
	var longest time.Duration
	recorded := map[string]bool{"ALERTS": true, "ALERTS_FOR_STATE": true}
	for r := range rules.AllRules(sources) {
		if r.Record != "" {
			recorded[r.Record] = true
		}
	}
	for r := range rules.AllRules(sources) {
		longest = max(longest, time.Duration(r.For)+time.Duration(r.KeepFiringFor))
		expr, err := query.NewParser().ParseExpr(r.Expr)
		if err != nil {
			continue // Load returns the error
		}
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			if m, ok := n.(*parser.MatrixSelector); ok && readsAny(m.VectorSelector.(*parser.VectorSelector), recorded) {
				longest = max(longest, m.Range)
			}
			return nil
		})
	}
	return min(longest, 30*24*time.Hour)
}

func readsAny(v *parser.VectorSelector, names map[string]bool) bool {
	for _, m := range v.LabelMatchers {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			_, ok := names[m.Value]
			return ok
		}
	}
	return true // it may
}

// orEngine is e, or an engine with the defaults.
func orEngine(e promql.QueryEngine) promql.QueryEngine {
	if e == nil {
		return query.NewEngine(query.EngineConfig{}, slog.New(slog.DiscardHandler), nil)
	}
	return e
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
