package telemetry

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/drain"
)

// GetException implements rest.StrictServerInterface.
func (s *Services) GetException(ctx context.Context, in rest.GetExceptionRequestObject) (rest.GetExceptionResponseObject, error) {
	m, p := s.Moment(ctx), in.Params
	r, err := m.RangeOf(p.Start, p.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	step, err := m.StepOf(r, p.Step)
	if err != nil {
		return nil, err
	}
	q := &exceptionRange{Range: r, id: in.Id, checks: maxChecks}
	groups, err := s.exceptions(m, q)
	if err != nil {
		return nil, err
	}
	if len(groups) == 0 {
		return nil, answer.Advise(answer.Problemf(answer.ErrNotFound, "", "no exception with the ID %q occurred in the time range", in.Id),
			"Ask for a longer range.")
	}
	g := groups[0]
	if err := exceptionPoints(m, q, groups, int64(step/time.Second)); err != nil {
		return nil, err
	}
	out := rest.GetException200JSONResponse{Exception: g.Exception, StepS: int64(step / time.Second), Places: []rest.ExceptionPlace{},
		Meta: s.Meta(m, r)}
	for _, row := range g.rows[:min(len(g.rows), maxPlaces)] {
		out.Places = append(out.Places, rest.ExceptionPlace{Service: row.Labels[0], Dimensions: answer.Dims(row.Dims()),
			Operation: row.Labels[1], Source: rest.ExceptionPlaceSource(row.Labels[4]), Count: int64(row.Calls),
			FirstSeen: answer.TimeOrNil(row.FirstSeen), LastSeen: answer.TimeOrNil(row.LastSeen)})
	}
	if len(g.rows) > maxPlaces {
		answer.Warn(&out.Meta, "the %d most frequent of %d places are listed", maxPlaces, len(g.rows))
	}
	example, err := g.example(m, r)
	if example != nil {
		out.Example = exampleOf(example)
	}
	return out, err
}

// maxPlaces bounds the services and operations of one exception that are listed.
const maxPlaces = 200

// examples is how many of the newest occurrences are looked at for one with a stack trace.
const examples = 5

// example is a recent occurrence, if one is still kept: rather one with a stack trace.
func (g *exceptionGroup) example(m answer.Moment, r answer.Range) (best *older.Exception, err error) {
	newest := slices.Clone(g.rows)
	slices.SortStableFunc(newest, func(a, b *cells.TallyRow) int { return cmp.Compare(b.Latest.End, a.Latest.End) })
	for _, row := range newest[:min(len(newest), examples)] {
		var e *older.Exception
		if row.Labels[4] == string(rest.ExceptionSourceSourceLog) {
			e, err = older.LogException(m, views.LogQuery{Service: row.Labels[0], TraceID: row.Latest.TraceID, From: r.Start, To: r.End}, g.Type)
		} else {
			e, _, err = older.SpanException(m, row.Latest, g.Type)
		}
		if err != nil {
			return nil, err
		}
		if e == nil || string(drain.MessagePattern([]byte(e.Message))) != g.Message {
			continue
		}
		if best == nil || best.Stack == "" && e.Stack != "" {
			best = e
		}
	}
	return best, nil
}

// maxStack bounds a stack trace in an answer, in bytes.
const maxStack = 64 << 10

func exampleOf(e *older.Exception) *rest.ExceptionExample {
	out := &rest.ExceptionExample{Source: rest.ExceptionExampleSourceSpan, Time: e.Time.UTC(), Service: e.Service, Operation: e.Operation,
		Version: e.Version, Message: e.Message, Stacktrace: answer.ValidText(e.Stack[:min(len(e.Stack), maxStack)]),
		TraceId: answer.HexOrEmpty(e.TraceID[:]), SpanId: answer.HexOrEmpty(e.SpanID[:])}
	if e.OfLog {
		out.Source = rest.ExceptionExampleSourceLog
	}
	return out
}
