package rules

import (
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"

	"github.com/gaurav/watchingcat/evaluator/query"
)

// A reach is how far an alert's condition is from holding, in calls.
//
// The simple version: what compares an increase with a limit cannot hold before enough calls were added, whatever else happens and however
// much time passes, because a window only loses calls as it moves on. Commits say how many were added to each series, so a rule that is
// far from its limit costs a subtraction a commit, not an evaluation. It is evaluated when it may hold, and at its interval as ever.
//
// It is a bound, never an answer: PromQL alone says whether a condition holds.
type reach struct {
	selector string // text of the selector whose calls count
	window   time.Duration
	// limit is the number of calls within the window up to which the condition cannot hold.
	limit float64
	// left is how many may be added; at zero the rule is evaluated whenever something that it selects changes.
	left float64
}

// extrapolation is by how much increase() and rate() may exceed what was counted between the samples in their window: to either side they
// add at most 1.1 mean distances between samples, and there are at least two (extrapolatedRate in Prometheus' promql/functions.go).
const extrapolation = 1 + 2*1.1

// reachOf is the reach of a condition that Classify puts at the head, nil where there is none.
func reachOf(e parser.Expr) *reach {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return reachOf(e.Expr)
	case *parser.StepInvariantExpr:
		return reachOf(e.Expr)
	case *parser.BinaryExpr:
		switch e.Op {
		case parser.LAND: // holds only where both sides do
			if r := reachOf(e.LHS); r != nil {
				return r
			}
			return reachOf(e.RHS)
		case parser.GTR, parser.GTE:
			if c, ok := number(e.RHS); ok && !e.ReturnBool {
				return exceeding(e.LHS, c)
			}
		case parser.LSS, parser.LTE:
			if c, ok := number(e.LHS); ok && !e.ReturnBool {
				return exceeding(e.RHS, c)
			}
		}
	}
	return nil
}

// exceeding is the reach of e > c.
func exceeding(e parser.Expr, c float64) *reach {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return exceeding(e.Expr, c)
	case *parser.StepInvariantExpr:
		return exceeding(e.Expr, c)
	case *parser.AggregateExpr:
		if e.Op == parser.SUM || e.Op == parser.MAX {
			return exceeding(e.Expr, c)
		}
	case *parser.Call:
		if e.Func.Name != "increase" && e.Func.Name != "rate" || len(e.Args) != 1 {
			return nil
		}
		if m, ok := e.Args[0].(*parser.MatrixSelector); ok {
			return counting(m, e.Func.Name == "rate", c)
		}
	case *parser.BinaryExpr:
		l, left := number(e.LHS)
		r, right := number(e.RHS)
		switch {
		case e.Op == parser.MUL && right && r > 0:
			return exceeding(e.LHS, c/r)
		case e.Op == parser.MUL && left && l > 0:
			return exceeding(e.RHS, c/l)
		case e.Op == parser.DIV && right && r > 0:
			return exceeding(e.LHS, c*r)
		case e.Op == parser.DIV && !left && !right && c >= 0:
			// a ratio is above zero only where its dividend is
			if x := exceeding(e.LHS, 0); x != nil {
				x.limit = 1. / 2
				return x
			}
		}
	}
	return nil
}

func counting(m *parser.MatrixSelector, rate bool, c float64) *reach {
	v := m.VectorSelector.(*parser.VectorSelector)
	if v.OriginalOffset != 0 || v.Timestamp != nil || v.StartOrEnd != 0 || v.Anchored || v.Smoothed || m.Range <= 0 {
		return nil
	}
	s := query.NewSelector(v.LabelMatchers)
	if !s.CountsCalls() {
		return nil
	}
	if rate {
		c *= m.Range.Seconds()
	}
	return &reach{selector: s.Text(), window: m.Range, limit: c / extrapolation}
}

// number is the value of a number that stands in an expression.
func number(e parser.Expr) (float64, bool) {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return number(e.Expr)
	case *parser.StepInvariantExpr:
		return number(e.Expr)
	case *parser.NumberLiteral:
		return e.Val, true
	}
	return 0, false
}

// within reports whether the condition may hold after calls were added to a series of the selector s; 0 calls: it is not known how many.
func (r *reach) within(s *ruleSelector, calls uint64) bool {
	if r == nil {
		return true
	}
	if r.left > 0 && s.counts {
		r.left -= float64(calls)
		if calls == 0 {
			r.left = 0
		}
	}
	return r.left <= 0
}

// lose makes the rule be evaluated with the next change.
func (r *reach) lose() {
	if r != nil {
		r.left = 0
	}
}

// measure says, after a pass was evaluated at ts, how far its rules are from holding. One that has alerts is evaluated with every change.
func (e *Evaluator) measure(g *group, p *pass, ts time.Time) {
	for _, i := range p.rules {
		r := g.reaches[i]
		if r == nil {
			continue
		}
		r.left = 0
		rule := g.Rules()[i].(*rules.AlertingRule)
		if rule.ActiveAlertsCount() > 0 || rule.LastError() != nil {
			continue
		}
		if calls, ok := e.recent.Counted(r.selector, ts.Add(-r.window)); ok {
			r.left = r.limit - float64(calls)
		}
	}
}
