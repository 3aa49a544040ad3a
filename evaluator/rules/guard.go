package rules

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"

	"github.com/gaurav/watchingcat/evaluator/expand"
)

// guard stands between Prometheus' rules and their queries: it refuses what is beyond a bound, and knows which rule runs.
type guard struct {
	rules []rules.Rule // that are evaluated, in order
	begun int
	// ctx is that of the rule that runs: Prometheus gives each evaluation of a rule one of its own, also for the queries of its templates.
	ctx    context.Context
	until  context.Context //nolint:containedctx // ends what the templates of the rule that runs may query
	cancel context.CancelFunc
	asked  map[string]answer // by the rule's templates
}

type answer struct {
	v   promql.Vector
	err error
}

func (g *guard) begin(list []rules.Rule) {
	g.end()
	*g = guard{rules: list}
}

func (g *guard) end() {
	if g.cancel != nil {
		g.cancel()
	}
	*g = guard{}
}

// current is the rule that runs, nil before the first.
func (g *guard) current() rules.Rule {
	if g.begun == 0 || g.begun > len(g.rules) {
		return nil
	}
	return g.rules[g.begun-1]
}

// guarded is how the rules of this evaluator query. It remembers the results of conditions during an evaluation, so that an alert's input
// can be stored with it; the elements are copied because recording rules rename them in place.
func (e *Evaluator) guarded(query rules.QueryFunc) rules.QueryFunc {
	return func(ctx context.Context, q string, t time.Time) (promql.Vector, error) {
		g := &e.guard
		if ctx == g.ctx {
			return g.again(query, q, t)
		}
		if g.cancel != nil {
			g.cancel()
		}
		g.ctx, g.begun, g.asked = ctx, g.begun+1, map[string]answer{}
		g.until, g.cancel = context.WithTimeout(ctx, expand.MaxQueryTime)
		v, err := query(ctx, q, t)
		if err == nil {
			err = checkSeries(v)
		}
		if err != nil {
			return nil, err
		}
		e.captured[q] = slices.Clone(v)
		if r, ok := g.current().(*rules.AlertingRule); ok {
			err = e.templates().Check(ctx, r, v, t.Add(e.offset),
				func(_ context.Context, q string, t time.Time) (promql.Vector, error) { return g.again(query, q, t) })
		}
		return v, err
	}
}

// again is a query of a template. A rule's templates are expanded twice, and both expansions must see the same.
func (g *guard) again(query rules.QueryFunc, q string, t time.Time) (promql.Vector, error) {
	key := strconv.FormatInt(t.UnixMilli(), 10) + q
	a, ok := g.asked[key]
	if !ok {
		v, err := query(g.until, q, t)
		a = answer{v, err}
		g.asked[key] = a
	}
	return slices.Clone(a.v), a.err
}

// evaluate evaluates some rules of a group. A panic is one rule that failed: those after it are evaluated all the same.
func (e *Evaluator) evaluate(ctx context.Context, g *group, indexes []int, ts time.Time) {
	all := g.Rules()
	for len(indexes) > 0 {
		list := make([]rules.Rule, len(indexes))
		for i, n := range indexes {
			list[i] = all[n]
		}
		e.guard.begin(list)
		g.subset.rules = indexes
		err := Caught("evaluating the rule", func() error {
			rules.DefaultEvalIterationFunc(ctx, g.Group, ts)
			return nil
		})
		done := max(1, e.guard.begun)
		r := e.guard.current()
		e.guard.end()
		if err == nil {
			return
		}
		if r == nil {
			r = list[0]
		}
		r.SetHealth(rules.HealthBad)
		r.SetLastError(err)
		e.metrics.panics.Inc()
		if m := e.options.Metrics; m != nil {
			m.EvalFailures.WithLabelValues(g.key).Inc()
		}
		e.ruleLogger.Error("evaluating a rule panicked", "rule", r.Name(), "group", g.key, "err", err)
		indexes = indexes[min(done, len(indexes)):]
	}
}

// templates expand the labels and annotations of alerts within bounds.
func (e *Evaluator) templates() expand.Alerts {
	return expand.Alerts{ExternalURL: e.cfg.ExternalURL, ExternalLabels: e.cfg.ExternalLabels}
}

// errPanicked is wrapped by what a panic became.
var errPanicked = errors.New("panicked")

// Caught runs f. A panic becomes an error that wraps errPanicked and ends with the stack.
func Caught(what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s %w: %v: report this as a bug\n%s", what, errPanicked, v, debug.Stack())
		}
	}()
	return f()
}
