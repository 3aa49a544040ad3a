package older

import (
	"context"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
)

// CountedTraces says of which traces a count is.
type CountedTraces struct {
	// WholeFrom is from when on every trace that matches was counted.
	WholeFrom time.Time
	Provenance
}

// Count calls fn for every trace of the views that t selects, in no order, for no longer than a search may take. Summaries decide where they
// can; the store of older traces is not asked.
func (s *Traces) Count(ctx context.Context, m answer.Moment, t TraceSearch, fn func(start, end time.Time, failed bool)) (out CountedTraces, err error) {
	match := newSpanMatch(&t)
	q := t.TraceQuery
	q.Find, q.Each, q.Tokens, q.Proceed, q.Visit = match.find, !match.summaries(t.Status), match.tokens, s.Proceed(ctx), fn
	res, err := m.Views.SearchTraces(q)
	if err == nil {
		err = ctx.Err() // the request has ended
	}
	if err != nil {
		return out, err
	}
	out.searched(s, &res)
	out.sources, out.WholeFrom = []string{answer.SourceView}, q.From
	later := func(t time.Time) {
		if t.After(out.WholeFrom) {
			out.WholeFrom = t
		}
	}
	if kept := m.KeptTraces(q.To); q.From.Before(kept) {
		later(kept)
	}
	if res.Ended && res.SearchedTo.IsZero() {
		res.SearchedTo = q.To
	}
	later(res.SearchedTo)
	later(res.SpansSince)
	return out, nil
}
