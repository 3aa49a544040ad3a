package alerting

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/books"
)

// Service level objectives.

// SLOs answers for the objectives that users make.
type SLOs struct {
	*answer.Moments
	Evaluator Evaluator
	Book      *books.SLOBook // nil: users cannot make objectives
	Engine    promql.QueryEngine
	Queryable promstorage.Queryable
	// Older says that another Prometheus answers for the time before the views, so that windows are covered.
	Older bool
}

func (s *SLOs) sloBook() (*books.SLOBook, error) {
	if s.Book == nil {
		return nil, answer.Advise(answer.Problemf(answer.ErrUnavailable, "", "this installation keeps no objectives"), answer.RulesAdvice)
	}
	return s.Book, nil
}

func sloOf(in *rest.SLOInput) (o books.SLO, err error) {
	window, err := ruleDuration("window", &in.Window)
	if err != nil {
		return o, err
	}
	return books.SLO{Name: in.Name, Description: answer.Value(in.Description), Objective: in.Objective, Window: model.Duration(window),
		Service: answer.Value(in.Service), Operation: answer.Value(in.Operation), LatencyMs: answer.Value(in.LatencyMs),
		Good:  answer.Value(in.Good),
		Total: answer.Value(in.Total), Labels: answer.Value(in.Labels)}, nil
}

func (s *SLOs) sloAnswer(o *books.SLO, st sloStatus) rest.SLO {
	out := rest.SLO{Id: o.ID, Name: o.Name, Objective: o.Objective, Window: o.Window.String(), Description: answer.TextOrNil(o.Description),
		Service: answer.TextOrNil(o.Service), Operation: answer.TextOrNil(o.Operation), Good: answer.TextOrNil(o.Good),
		Total:  answer.TextOrNil(o.Total),
		Status: rest.SLOStatus{Alerts: []string{}}}
	if o.LatencyMs != 0 {
		out.LatencyMs = &o.LatencyMs
	}
	if len(o.Labels) > 0 {
		l := rest.Labels(o.Labels)
		out.Labels = &l
	}
	set := func(to **float64, name string) {
		if v, ok := st.values[name+"\xff"+o.Name]; ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
			*to = &v
		}
	}
	set(&out.Status.ErrorRatio, books.SLOErrorRatio+o.Window.String())
	set(&out.Status.BudgetRemaining, books.SLOBudgetRemaining)
	if st.known > 0 {
		covered := min(1, float64(st.known)/float64(o.Window))
		if s.Older {
			covered = 1
		}
		out.Status.WindowCovered = &covered
		if left := out.Status.BudgetRemaining; left != nil {
			// The series is of what was seen; the budget is that of the whole window.
			*left = 1 - (1-*left)*covered
		}
	}
	set(&out.Status.BurnRate, books.SLOBurnRate)
	out.Status.Alerts = append(out.Status.Alerts, st.firing[o.Name]...)
	return out
}

// sloStatus is what the series and alerts of all objectives say.
type sloStatus struct {
	values map[string]float64 // by series and objective
	firing map[string][]string
	known  time.Duration // of which there is data
}

func (s *SLOs) sloStatus(ctx context.Context, m answer.Moment) (sloStatus, error) {
	now := m.Known()
	out := sloStatus{values: map[string]float64{}, firing: map[string][]string{}}
	if since := m.Frontier.Since; !since.IsZero() && !now.IsZero() {
		out.known = now.Sub(since)
	}
	q, err := s.Engine.NewInstantQuery(ctx, s.Queryable, nil, `{__name__=~"slo:.+"}`, now)
	if err != nil {
		return out, err
	}
	defer q.Close()
	res := q.Exec(ctx)
	v, err := res.Vector()
	if err != nil {
		return out, err
	}
	for _, x := range v {
		out.values[x.Metric.Get(labels.MetricName)+"\xff"+x.Metric.Get("slo")] = x.F
	}
	for _, a := range s.Evaluator.Active() {
		if name := a.Labels.Get("slo"); name != "" && a.State == alert.StateFiring {
			out.firing[name] = append(out.firing[name], a.Labels.Get("severity"))
		}
	}
	return out, nil
}

// ListSLOs implements rest.StrictServerInterface.
func (s *SLOs) ListSLOs(ctx context.Context, _ rest.ListSLOsRequestObject) (rest.ListSLOsResponseObject, error) {
	m := s.Moment(ctx)
	out := rest.ListSLOs200JSONResponse{Slos: []rest.SLO{}, Meta: s.Meta(m, answer.Range{})}
	if s.Book == nil {
		return out, nil
	}
	list, err := s.Book.List()
	if err != nil {
		return nil, err
	}
	st, err := s.sloStatus(ctx, m)
	if err != nil {
		return nil, err
	}
	for i := range list {
		out.Slos = append(out.Slos, s.sloAnswer(&list[i], st))
	}
	return out, nil
}

// slo is an objective as it stands, and the tag of what was written.
func (s *SLOs) slo(ctx context.Context, id string) (out rest.SLO, tag *string, err error) {
	b, err := s.sloBook()
	if err != nil {
		return out, nil, err
	}
	o, err := b.Get(id)
	if err != nil {
		return out, nil, answer.Edited(err)
	}
	if tag, err = answer.ETag(o.Tag()); err != nil {
		return out, nil, err
	}
	st, err := s.sloStatus(ctx, s.Moment(ctx))
	return s.sloAnswer(o, st), tag, err
}

// GetSLO implements rest.StrictServerInterface.
func (s *SLOs) GetSLO(ctx context.Context, q rest.GetSLORequestObject) (rest.GetSLOResponseObject, error) {
	o, tag, err := s.slo(ctx, q.Id)
	return rest.GetSLO200JSONResponse{Body: o, Headers: rest.GetSLO200ResponseHeaders{ETag: tag}}, err
}

// CreateSLO implements rest.StrictServerInterface.
func (s *SLOs) CreateSLO(ctx context.Context, q rest.CreateSLORequestObject) (rest.CreateSLOResponseObject, error) {
	b, err := s.sloBook()
	if err != nil {
		return nil, err
	}
	o, err := sloOf(q.Body)
	if err != nil {
		return nil, err
	}
	id, err := b.Create(ctx, caller.Name(ctx), o, s.Now())
	if err != nil {
		return nil, answer.Edited(err)
	}
	answer, _, err := s.slo(ctx, id)
	return rest.CreateSLO201JSONResponse(answer), err
}

// UpdateSLO implements rest.StrictServerInterface.
func (s *SLOs) UpdateSLO(ctx context.Context, q rest.UpdateSLORequestObject) (rest.UpdateSLOResponseObject, error) {
	b, err := s.sloBook()
	if err != nil {
		return nil, err
	}
	o, err := sloOf(q.Body)
	if err != nil {
		return nil, err
	}
	if err := b.Update(ctx, caller.Name(ctx), q.Id, o, answer.IfMatch(q.Params.IfMatch), s.Now()); err != nil {
		return nil, answer.Edited(err)
	}
	answer, tag, err := s.slo(ctx, q.Id)
	return rest.UpdateSLO200JSONResponse{Body: answer, Headers: rest.UpdateSLO200ResponseHeaders{ETag: tag}}, err
}

// DeleteSLO implements rest.StrictServerInterface.
func (s *SLOs) DeleteSLO(ctx context.Context, q rest.DeleteSLORequestObject) (rest.DeleteSLOResponseObject, error) {
	b, err := s.sloBook()
	if err != nil {
		return nil, err
	}
	return rest.DeleteSLO204Response{}, answer.Edited(b.Delete(ctx, caller.Name(ctx), q.Id, answer.IfMatch(q.Params.IfMatch), s.Now()))
}
