package backtest

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
)

// A Variation asks what rules would have done with another threshold or other times. nil leaves things as they are.
type Variation struct {
	Threshold          *float64
	For, KeepFiringFor *time.Duration
}

// Apply returns the sources with every alert changed. A threshold takes the place of the number that the condition as a whole
// compares with; a condition that has none is an error.
func (v Variation) Apply(sources []rules.Source) ([]rules.Source, error) {
	out := make([]rules.Source, len(sources))
	for i, s := range sources {
		out[i] = s
		out[i].Groups = make([]rulefmt.RuleGroup, len(s.Groups))
		for k, g := range s.Groups {
			rules := make([]rulefmt.Rule, len(g.Rules))
			for n, r := range g.Rules {
				if r.Alert != "" {
					if err := v.apply(&r); err != nil {
						return nil, err
					}
				}
				rules[n] = r
			}
			g.Rules = rules
			out[i].Groups[k] = g
		}
	}
	return out, nil
}

func (v Variation) apply(r *rulefmt.Rule) error {
	if v.For != nil {
		r.For = model.Duration(*v.For)
	}
	if v.KeepFiringFor != nil {
		r.KeepFiringFor = model.Duration(*v.KeepFiringFor)
	}
	if v.Threshold == nil {
		return nil
	}
	e, err := query.NewParser().ParseExpr(r.Expr)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInvalid, r.Alert, err)
	}
	n := thresholdOf(e)
	if n == nil {
		return fmt.Errorf("%w: the condition of %s does not compare with a number", ErrInvalid, r.Alert)
	}
	n.Val = *v.Threshold
	r.Expr = e.String()
	return nil
}

// thresholdOf returns the number that a condition as a whole compares with; nil: there is none.
func thresholdOf(e parser.Expr) *parser.NumberLiteral {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return thresholdOf(e.Expr)
	case *parser.BinaryExpr:
		if !e.Op.IsComparisonOperator() {
			return nil
		}
		for _, side := range []parser.Expr{e.RHS, e.LHS} {
			for {
				p, ok := side.(*parser.ParenExpr)
				if !ok {
					break
				}
				side = p.Expr
			}
			if n, ok := side.(*parser.NumberLiteral); ok {
				return n
			}
		}
	}
	return nil
}
