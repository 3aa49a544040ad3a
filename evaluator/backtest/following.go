package backtest

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/views/model"
)

// Following is a Backtest over views that are being filled again from the topics. The simple version: it is the live evaluator, told of
// commits by its Reader's feed, with a clock that is handed to it. So with the commits and the clock of a live run it does what that did.
type Following struct {
	trial
	sub     *model.Subscription
	metrics *pastMetrics
	begun   bool
}

// Follow begins. Start and End are event times; what the Reader holds of before Start must reach back by WarmUp.
func (b Spec) Follow(ctx context.Context) (*Following, error) {
	f := &Following{trial: trial{Spec: b, from: b.Start}, metrics: &pastMetrics{}}
	f.setDefaults()
	if err := f.load(ctx, rules.Config{Unpaced: true, Metrics: f.metrics}); err != nil {
		return nil, err
	}
	f.sub = f.Reader.Feed().Subscribe()
	return f, nil
}

// Advance evaluates what a commit gives reason to, as of now.
func (f *Following) Advance(ctx context.Context, now time.Time) error {
	return rules.Caught("the backtest", func() error { return f.advance(ctx, now) })
}

func (f *Following) advance(ctx context.Context, now time.Time) error {
	c := f.sub.Take()
	c.Frontier = f.Reader.Frontier()
	f.metrics.fr = model.Frontier{Head: c.Frontier.Complete, Complete: c.Frontier.Complete}
	if !f.begun && !c.Frontier.Head.Before(f.Start) {
		f.begun = true
		f.inherit()
	}
	if err := f.e.Advance(ctx, c, now); err != nil {
		return err
	}
	var within []alert.Transition
	for _, t := range f.e.TakeHistory() {
		if !t.Time.Before(f.Start) && !t.Time.After(f.End) {
			within = append(within, t)
		}
	}
	return f.note(ctx, now, f.begun, within)
}

// Result is what the rules did until now.
func (f *Following) Result() *Result {
	f.sub.Close()
	return f.result()
}

// pastMetrics lets rules over OTLP metrics be evaluated as far as the views are: their samples are all there.
type pastMetrics struct {
	fr   model.Frontier
	feed model.Feed
}

func (m *pastMetrics) Frontier() model.Frontier { return m.fr }
func (m *pastMetrics) Feed() *model.Feed        { return &m.feed }

// WarmUp is how long before a moment the past has to be known, so that the rules are in the state they were in and their windows are full.
func WarmUp(sources []rules.Source) time.Duration {
	longest := 5 * time.Minute // the lookback
	for r := range rules.AllRules(sources) {
		expr, err := query.NewParser().ParseExpr(r.Expr)
		if err != nil {
			continue // Load returns the error
		}
		parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
			switch n := n.(type) {
			case *parser.MatrixSelector:
				longest = max(longest, n.Range+n.VectorSelector.(*parser.VectorSelector).OriginalOffset+around(path))
			case *parser.VectorSelector:
				longest = max(longest, 5*time.Minute+n.OriginalOffset+around(path))
			}
			return nil
		})
	}
	return longest + stateWarmUp(sources)
}

// around is how far the subqueries around a node look back.
func around(path []parser.Node) (d time.Duration) {
	for _, n := range path {
		if s, ok := n.(*parser.SubqueryExpr); ok {
			d += s.Range + s.OriginalOffset
		}
	}
	return d
}
