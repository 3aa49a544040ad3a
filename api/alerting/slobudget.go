package alerting

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/books"
)

// budgetPoints is how many points the course of a budget has.
const budgetPoints = 120

// stepBuckets is how many buckets a step has at least.
const stepBuckets = 4

// burnWindows are the windows whose burn rates are shown.
var burnWindows = []time.Duration{5 * time.Minute, time.Hour, 6 * time.Hour}

// GetSLOBudget implements rest.StrictServerInterface.
func (s *SLOs) GetSLOBudget(ctx context.Context, q rest.GetSLOBudgetRequestObject) (rest.GetSLOBudgetResponseObject, error) {
	b, err := s.sloBook()
	if err != nil {
		return nil, err
	}
	o, err := b.Get(q.Id)
	if err != nil {
		return nil, answer.Edited(err)
	}
	m := s.Moment(ctx)
	end := m.Known()
	window := time.Duration(o.Window)
	start := end.Add(-window)
	out := rest.GetSLOBudget200JSONResponse{Start: start.UTC(), End: end.UTC(), Points: []rest.SLOBudgetPoint{}, BurnRates: []rest.SLOBurnRate{},
		Meta: s.Meta(m, answer.Range{})}
	from := start
	if !s.Older {
		from = answer.Later(start, m.Frontier.Since)
	}
	out.DataSince = answer.TimeOrNil(from)
	if m.Frontier.Since.IsZero() || !from.Before(end) {
		out.DataSince = nil
		return out, nil
	}
	if out.Points, out.StepS, err = s.budgetPoints(ctx, o, from, end, max(answer.Bucket, m.Frontier.WidthAt(from))); err != nil {
		return nil, err
	}
	for _, w := range burnWindows {
		if w > window {
			continue
		}
		rate := rest.SLOBurnRate{Window: model.Duration(w).String()}
		v, err := s.sloVector(ctx, o.ErrorRatio(rate.Window), end)
		if err != nil {
			return nil, err
		}
		if len(v) > 0 && !math.IsNaN(v[0].F) {
			burn := v[0].F / o.Budget()
			rate.Rate = &burn
		}
		out.BurnRates = append(out.BurnRates, rate)
	}
	return out, nil
}

// budgetPoints is what was left of the budget of the whole window, at the end of each step from when on there is data. The budget allows a share
// of all events of the window, of which those to come or not known are taken to be as many as those that are.
func (s *SLOs) budgetPoints(ctx context.Context, o *books.SLO, from, end time.Time, width time.Duration) ([]rest.SLOBudgetPoint, int64, error) {
	// A step has several buckets: a rate needs two samples, and samples are at the ends of buckets.
	step := max(stepBuckets*width, (end.Sub(from)/budgetPoints).Truncate(answer.Bucket)+answer.Bucket)
	out := []rest.SLOBudgetPoint{}
	over := model.Duration(step).String()
	bad, err := s.sloRange(ctx, o.ErrorRatio(over), from.Add(step), end, step)
	if err != nil {
		return nil, 0, err
	}
	all, err := s.sloRange(ctx, o.Events(over), from.Add(step), end, step)
	if err != nil {
		return nil, 0, err
	}
	total := 0.0
	for _, n := range all {
		total += n
	}
	covered := min(1, float64(end.Sub(from))/float64(o.Window))
	allowed := o.Budget() * total / covered
	spent := 0.0
	for at := from.Add(step); !at.After(end); at = at.Add(step) {
		n, ratio := all[at.UnixMilli()], bad[at.UnixMilli()]
		if spent += n * ratio; allowed <= 0 {
			continue
		}
		out = append(out, rest.SLOBudgetPoint{Time: at.UTC(), BudgetRemaining: 1 - spent/allowed, ErrorRatio: ratio})
	}
	return out, int64(step / time.Second), nil
}

// sloVector is an expression at one time.
func (s *SLOs) sloVector(ctx context.Context, expr string, at time.Time) (promql.Vector, error) {
	q, err := s.Engine.NewInstantQuery(ctx, s.Queryable, nil, expr, at)
	if err != nil {
		return nil, answer.QueryError(err)
	}
	defer q.Close()
	v, err := q.Exec(ctx).Vector()
	return v, answer.QueryError(err)
}

// sloRange is an expression of one series over time, by Unix milliseconds; what is no number is left out.
func (s *SLOs) sloRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (map[int64]float64, error) {
	q, err := s.Engine.NewRangeQuery(ctx, s.Queryable, nil, expr, from, to, step)
	if err != nil {
		return nil, answer.QueryError(err)
	}
	defer q.Close()
	res, err := q.Exec(ctx).Matrix()
	if err != nil {
		return nil, answer.QueryError(err)
	}
	out := map[int64]float64{}
	for _, series := range res[:min(1, len(res))] {
		for _, p := range series.Floats {
			if !math.IsNaN(p.F) && !math.IsInf(p.F, 0) {
				out[p.T] = p.F
			}
		}
	}
	return out, nil
}
