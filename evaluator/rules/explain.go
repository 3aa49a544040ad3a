package rules

import (
	"context"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evidence"
	"github.com/gaurav/watchingcat/views"
)

// evidenceBudget is how much time of an evaluation goes into evidence; alerts beyond it are notified without.
const evidenceBudget = 300 * time.Millisecond

func (e *Evaluator) gatherer() *evidence.Gatherer {
	return &evidence.Gatherer{Reader: e.cfg.Reader, Query: e.query, Transitions: func(f func([]alert.Transition)) {
		e.stateMu.RLock()
		defer e.stateMu.RUnlock()
		f(e.history.List)
	}}
}

func (r *alertRule) condition() evidence.Condition {
	return evidence.Condition{RuleID: r.id, Expr: r.Query(), Selects: r.selects, Calls: r.calls}
}

// Explain gathers evidence for an alert as of now: for one that is pending, whose evidence is not fixed yet. It returns nil for an
// alert whose rule is gone.
func (e *Evaluator) Explain(ctx context.Context, a *alert.Alert) *alert.Evidence {
	r := e.ruleOf(a.RuleID)
	if r == nil {
		return nil
	}
	return e.safely(e.gatherer().Inquire(ctx), r, &alert.Record{Alert: *a, Input: a.Labels}, e.cfg.Reader.Frontier().Head)
}

// ExplainService gathers evidence about a service for a time that no alert asks about, as r shows it. It returns nil where gathering panics.
func (e *Evaluator) ExplainService(ctx context.Context, r views.Reader, x evidence.Question) *alert.Evidence {
	g := e.gatherer()
	g.Reader = r
	return e.caught("explain", func() *alert.Evidence { return g.Inquire(ctx).Explain(x) })
}

func (e *Evaluator) ruleOf(id string) *alertRule {
	for _, g := range *e.groups.Load() {
		for _, r := range g.alerting {
			if r.id == id {
				return r
			}
		}
	}
	return nil
}

// explain gathers evidence for an alert that begins to fire, within the time that one evaluation may spend on it.
func (e *Evaluator) explain(r *alertRule, n *alert.Record, at time.Time) *alert.Evidence {
	if e.cfg.Evidence == nil || e.explained > evidenceBudget {
		return nil
	}
	began := e.cfg.Evidence()
	if e.inquiry == nil {
		e.inquiry = e.gatherer().Inquire(context.Background())
	}
	out := e.safely(e.inquiry, r, n, at)
	took := e.cfg.Evidence().Sub(began)
	e.explained += took
	e.metrics.evidence.Observe(took.Seconds())
	return out
}

// safely makes a panic an alert without evidence.
func (e *Evaluator) safely(q *evidence.Inquiry, r *alertRule, a *alert.Record, ts time.Time) *alert.Evidence {
	return e.caught(r.Name(), func() *alert.Evidence { return q.Gather(r.condition(), a, ts) })
}

// caught makes a panic of what gathers the evidence of a rule's alert none.
func (e *Evaluator) caught(rule string, gather func() *alert.Evidence) (v *alert.Evidence) {
	err := Caught("gathering evidence", func() error {
		v = gather()
		return nil
	})
	if err != nil {
		e.metrics.panics.Inc()
		e.cfg.Logger.Error("gathering evidence failed, the alert has none", "rule", rule, "err", err)
		return nil
	}
	return v
}
