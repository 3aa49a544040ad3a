package evidence

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"

	"github.com/gaurav/watchingcat/evaluator/alert"
)

// Bounds of what is shown of an expression.
const (
	maxOperands      = 8
	maxOperandValues = 5
)

// operandsOf are the parts of an expression between its operators, outermost first: both sides of comparisons and arithmetic.
// Numbers stand in the expression already.
func operandsOf(e parser.Expr) []parser.Expr {
	var out []parser.Expr
	var walk func(e parser.Expr, whole bool)
	walk = func(e parser.Expr, whole bool) {
		switch e := e.(type) {
		case *parser.ParenExpr:
			walk(e.Expr, whole)
		case *parser.StepInvariantExpr:
			walk(e.Expr, whole)
		case *parser.NumberLiteral:
		case *parser.BinaryExpr:
			if !whole {
				out = append(out, e)
			}
			walk(e.LHS, false)
			walk(e.RHS, false)
		default:
			if t := e.Type(); t == parser.ValueTypeVector || t == parser.ValueTypeScalar {
				out = append(out, e)
			}
		}
	}
	walk(e, true)
	return out[:min(len(out), maxOperands)]
}

// operands evaluates the parts of an expression for the element that made an alert: those of a part's elements that agree with it in
// every label that both have.
func operands(ctx context.Context, query rules.QueryFunc, e parser.Expr, input labels.Labels, ts time.Time) ([]alert.Operand, error) {
	out := []alert.Operand{}
	for _, part := range operandsOf(e) {
		v, err := query(ctx, part.String(), ts)
		if err != nil {
			return out, err
		}
		o := alert.Operand{Expr: part.String(), Values: []alert.OperandSample{}}
		for _, s := range v {
			if len(o.Values) < maxOperandValues && s.H == nil && agree(s, input) {
				o.Values = append(o.Values, alert.OperandSample{Labels: s.Metric.Copy(), Value: alert.Number(s.F)})
			}
		}
		out = append(out, o)
	}
	return out, nil
}

func agree(s promql.Sample, input labels.Labels) bool {
	same := true
	s.Metric.Range(func(l labels.Label) {
		v := input.Get(l.Name)
		same = same && (v == "" || v == l.Value || l.Name == labels.MetricName)
	})
	return same
}
