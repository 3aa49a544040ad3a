package alerting

import (
	"context"
	"errors"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/evidence"
)

// explainRange is the range without a start.
const explainRange = 5 * time.Minute

// Explanations answers why services are worse than before, whether or not an alert fires.
type Explanations struct {
	*answer.Moments
	Evaluator Evaluator
}

// ExplainService implements rest.StrictServerInterface.
func (s *Explanations) ExplainService(ctx context.Context, q rest.ExplainServiceRequestObject) (rest.ExplainServiceResponseObject, error) {
	m, p := s.Moment(ctx), q.Params
	r, err := m.RangeOf(p.Start, p.End, explainRange)
	if err != nil {
		return nil, err
	}
	x := evidence.Question{From: r.Start, At: r.End}
	if p.Service != nil {
		x.Service = *p.Service
		if _, ok, err := m.Views.Operations(x.Service, r.Start, r.End); err != nil {
			return nil, err
		} else if !ok {
			return nil, answer.Advise(answer.Problemf(answer.ErrNotFound, "no_such_service", "the views hold no service %q", x.Service),
				"GET /api/v1/services lists the services.")
		}
	}
	before, err := answer.ParseBaseline(p.CompareStart, p.CompareEnd, r)
	if err != nil {
		return nil, err
	}
	if before != nil {
		x.Baseline, x.BaselineEnd = before.Start, before.End
	}
	v := s.Evaluator.ExplainService(ctx, m.Views, x)
	if v == nil {
		return nil, errors.New("gathering the evidence failed; the log has the reason")
	}
	return rest.ExplainService200JSONResponse{Data: *v, Meta: s.Meta(m, r)}, nil
}
