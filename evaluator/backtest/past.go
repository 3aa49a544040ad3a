package backtest

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	promstorage "github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/evaluator/query"
)

// pastQueries answers the instant queries of a backtest from range queries over many of its moments: a range reads each series
// once, where instant queries would read it at every moment. Both give the same values, since the steps of a range query are
// evaluated one by one. What reads series that the rules themselves write, or the range's own ends, is asked moment by moment.
type pastQueries struct {
	engine    promql.QueryEngine
	queryable promstorage.Queryable
	recorded  map[string]bool // names of series that the rules write
	step      time.Duration
	end       time.Time
	ahead     map[string]*ahead // by query
}

// aheadSteps is how many moments one range query answers.
const aheadSteps = 512

// ahead is the answer of a range query.
type ahead struct {
	alone    bool // has to be asked moment by moment
	from, to time.Time
	matrix   promql.Matrix
	next     []int // per series, the first point that may be at or after the moment asked last
}

// wrap is a Config.Query.
func (p *pastQueries) wrap(instant rules.QueryFunc) rules.QueryFunc {
	return func(ctx context.Context, q string, ts time.Time) (promql.Vector, error) {
		a := p.ahead[q]
		if a == nil {
			a = &ahead{alone: !p.fixed(q)}
			p.ahead[q] = a
		}
		if a.alone {
			return instant(ctx, q, ts)
		}
		if ts.Before(a.from) || ts.After(a.to) || ts.Sub(a.from)%p.step != 0 {
			if err := p.fetch(ctx, q, ts, a); err != nil {
				return nil, err
			}
		}
		return a.at(ts), nil
	}
}

// fixed reports whether the rules' own evaluation does not change what q answers for a moment.
func (p *pastQueries) fixed(q string) bool {
	expr, err := query.NewParser().ParseExpr(q)
	if err != nil || expr.Type() != parser.ValueTypeVector {
		return false
	}
	fixed := true
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			fixed = fixed && n.StartOrEnd == 0 && !readsAny(n, p.recorded)
		case *parser.SubqueryExpr:
			fixed = fixed && n.StartOrEnd == 0
		}
		return nil
	})
	return fixed
}

func (p *pastQueries) fetch(ctx context.Context, q string, ts time.Time, a *ahead) error {
	to := ts.Add((aheadSteps - 1) * p.step)
	if to.After(p.end) {
		to = ts.Add(max(0, p.end.Sub(ts)) / p.step * p.step)
	}
	query, err := p.engine.NewRangeQuery(ctx, p.queryable, nil, q, ts, to, p.step)
	if err != nil {
		return err
	}
	defer query.Close()
	res := query.Exec(ctx)
	if res.Err != nil {
		return res.Err
	}
	m, err := res.Matrix()
	if err != nil {
		return fmt.Errorf("evaluator: %s: %w", q, err)
	}
	a.from, a.to, a.next = ts, to, make([]int, len(m))
	a.matrix = make(promql.Matrix, len(m)) // the query's own memory is used again
	for i, s := range m {
		a.matrix[i] = promql.Series{Metric: s.Metric, Floats: append([]promql.FPoint{}, s.Floats...), DropName: s.DropName}
		for _, h := range s.Histograms {
			a.matrix[i].Histograms = append(a.matrix[i].Histograms, promql.HPoint{T: h.T, H: h.H.Copy()})
		}
	}
	return nil
}

// at is the vector of one moment; moments come in order, but a group with an offset of its own may go back.
func (a *ahead) at(ts time.Time) promql.Vector {
	t := ts.UnixMilli()
	out := promql.Vector{}
	for i := range a.matrix {
		s := &a.matrix[i]
		k := a.next[i]
		if k > 0 && s.Floats != nil && k <= len(s.Floats) && s.Floats[k-1].T >= t {
			k = 0
		}
		for k < len(s.Floats) && s.Floats[k].T < t {
			k++
		}
		a.next[i] = k
		if k < len(s.Floats) && s.Floats[k].T == t {
			out = append(out, promql.Sample{T: t, F: s.Floats[k].F, Metric: s.Metric, DropName: s.DropName})
			continue
		}
		for _, h := range s.Histograms {
			if h.T == t {
				out = append(out, promql.Sample{T: t, H: h.H.Copy(), Metric: s.Metric, DropName: s.DropName})
				break
			}
		}
	}
	return out
}
