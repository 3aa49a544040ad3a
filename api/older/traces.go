package older

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/spans"
)

// Traces are searched by the starts of their spans: in the views from views.Kept on, before that in the store of raw traces. Both are
// asked with the same place in the order, and what they find is put into one order; a trace that both know is the views'.

// TraceSearch is what every API that finds traces asks for. Conditions are on a trace or on a span, as in views.TraceQuery; these
// are on the span.
type TraceSearch struct {
	views.TraceQuery
	MinSpan, MaxSpan time.Duration // how long the span took
	SpanStatus       *ptrace.StatusCode
	NoSpan           bool              // no span can fulfil it
	Attributes       map[string]string // equal as text
	Conditions       []attr.Condition  // other conditions on attributes
}

// Traces finds traces in the views and in the store of raw traces.
type Traces struct {
	*answer.Moments
	Store      TraceStore // nil: what is older than the views is not found
	Budget     *Budget
	SearchTime time.Duration // that one search may take
}

// FoundTraces is a page of traces.
type FoundTraces struct {
	List []views.TraceSummary
	More bool
	data map[[16]byte]ptrace.Traces // spans of those that the store sent whole
	room answerRoom                 // what the spans of the others take
	cut  bool                       // not all of their spans are in the answer
	Provenance
}

const (
	rawRequests = 16  // to the store for one search
	tracesAsked = 100 // that it is asked for at once, at least
	maxRawDepth = 1000
	// startSlack is how long after the start of its trace a span is still found on a further page from the store.
	startSlack = time.Minute
)

// Search finds traces in the views and in the store.
func (s *Traces) Search(ctx context.Context, m answer.Moment, t TraceSearch) (FoundTraces, error) {
	var out FoundTraces
	match := newSpanMatch(&t)
	q := t.TraceQuery
	q.Find, q.Each, q.Tokens, q.Proceed = match.find, !match.summaries(t.Status), match.tokens, s.Proceed(ctx)
	res, err := m.Views.SearchTraces(q)
	if err == nil {
		err = ctx.Err() // the request has ended
	}
	if err != nil {
		return out, err
	}
	out.searched(s, &res)
	out.List, out.More, out.covered = res.Traces, res.More, s.Store != nil
	kept := m.KeptTraces(q.To)
	if q.To.After(kept) || s.Store == nil {
		out.sources = []string{answer.SourceView}
	}
	// A full page of newer traces needs no older ones.
	full := res.More && len(res.Traces) > 0 && !q.Slowest && !res.Traces[len(res.Traces)-1].Start.Before(kept.Add(startSlack))
	if s.Store == nil || !q.From.Before(kept) || full {
		return out, nil
	}
	t.To = answer.Earlier(q.To, kept)
	older, err := s.searchStore(ctx, m, kept, t)
	if err != nil {
		if ctx.Err() != nil {
			return out, err
		}
		out.fail(err, fmt.Sprintf("traces from before %s are missing", kept.UTC().Format(time.RFC3339)))
		out.sources = []string{answer.SourceView}
		return out, nil
	}
	out.Warnings = append(out.Warnings, older.Warnings...)
	out.answered(s.Store.Name(), q.From)
	out.merge(&older, &q)
	return out, nil
}

// searched notes what a search of the views did not look at.
func (p *Provenance) searched(s *Traces, res *views.TraceResult) {
	if res.Ended {
		p.warn(s.searchEnded(res.SearchedTo))
	}
	if !res.SpansSince.IsZero() {
		p.warn(spansNotKept(res.SpansSince) + ": traces may be missing")
	}
	if res.Sifted {
		p.warn("only slow and failed traces and a sample of the others keep their spans: of the rest, attributes and durations of spans are not known")
	}
}

func spansNotKept(before time.Time) string {
	return fmt.Sprintf("attributes, durations and times of spans from before %s are not kept", before.UTC().Format(time.RFC3339))
}

// Proceed ends a search after SearchTime, or when its request has ended.
func (s *Traces) Proceed(ctx context.Context) func() bool {
	return inTime(ctx, s.SearchTime)
}

// inTime reports whether a request still runs, and has not for longer than most.
func inTime(ctx context.Context, most time.Duration) func() bool {
	begun := time.Now()
	return func() bool { return ctx.Err() == nil && time.Since(begun) < most }
}

func (s *Traces) searchEnded(to time.Time) string {
	if to.IsZero() {
		return fmt.Sprintf("the search ended after %v: give a shorter range, a service or an operation", s.SearchTime)
	}
	return fmt.Sprintf("the search ended after %v, with the spans from %s on: set end to that to search on, or give a shorter range, a service or an operation", s.SearchTime, to.UTC().Format(time.RFC3339Nano))
}

// CompareTraces orders traces as a query wants them.
func CompareTraces(a, b *views.TraceSummary, slowest bool) int {
	by := b.Start.Compare(a.Start)
	if slowest {
		by = cmp.Compare(b.Duration(), a.Duration())
	}
	return cmp.Or(by, bytes.Compare(b.ID[:], a.ID[:]))
}

// merge puts older traces in their places and keeps the page.
func (f *FoundTraces) merge(older *FoundTraces, q *views.TraceQuery) {
	have := map[[16]byte]bool{}
	for i := range f.List {
		have[f.List[i].ID] = true
	}
	f.More, f.data = f.More || older.More, older.data
	for i := range older.List {
		if id := older.List[i].ID; have[id] {
			delete(f.data, id)
		} else {
			f.List = append(f.List, older.List[i])
		}
	}
	slices.SortStableFunc(f.List, func(a, b views.TraceSummary) int { return CompareTraces(&a, &b, q.Slowest) })
	if limit := max(1, q.Limit); len(f.List) > limit {
		f.List, f.More = f.List[:limit], true
	}
}

// searchStore finds at least a page of what t selects in the store, if there is as much. What a store leaves out when there is more than
// it was asked for is its own choice (some keep the newest, some those that came last), and stores do not take every filter. So the
// range is cut into windows, newest first, none of which holds more than is asked for. A trace with a span in a window may have begun
// before it: a page is full when as many have begun within the windows.
//
// Stores know durations of spans only. A longest duration of a trace is one of its spans too; a least one is not, and is looked at in
// what the store sends.
func (s *Traces) searchStore(ctx context.Context, m answer.Moment, kept time.Time, t TraceSearch) (out FoundTraces, err error) {
	q, limit, name := t.TraceQuery, max(1, t.Limit), s.Store.Name()
	rq := raw.TraceQuery{From: q.From, To: q.To, Service: q.Service, Operation: q.Operation, MinDuration: t.MinSpan,
		MaxDuration: shorter(t.MaxSpan, q.MaxDuration), Attributes: t.Attributes, Limit: min(max(limit+1, tracesAsked), maxRawDepth)}
	if q.Slowest {
		rq.Limit = maxRawDepth
	} else if q.After != nil {
		rq.To = answer.Earlier(rq.To, q.After.Start.Add(startSlack))
	}
	match, seen := newSpanMatch(&t), map[[16]byte]bool{}
	out.data = map[[16]byte]ptrace.Traces{}
	for range rawRequests {
		list, full, err := s.Store.Search(ctx, rq)
		if err != nil {
			return out, err
		}
		if full && !q.Slowest && rq.To.Sub(rq.From) > time.Microsecond {
			rq.From = narrower(rq, list)
			continue
		}
		for i := range list {
			sum := summaryOf(&list[i])
			if !sum.End.Before(kept) { // the views may know a part of it, which has its own place in their order
				known, _, ok, err := m.Views.EachTraceBlock(sum.ID, func(views.TraceSummary, []byte) bool { return false })
				if err != nil {
					return out, err
				}
				if ok {
					sum = known
				}
			}
			if seen[sum.ID] || !acceptsTrace(&q, &list[i], match) || q.After != nil && CompareTraces(q.After, &sum, q.Slowest) >= 0 {
				continue
			}
			seen[sum.ID] = true
			out.List = append(out.List, sum)
			if list[i].HasData {
				out.data[sum.ID] = list[i].Data
			}
		}
		begun := 0
		for i := range out.List {
			if !out.List[i].Start.Before(rq.From) {
				begun++
			}
		}
		out.More = begun > limit
		switch {
		case full && q.Slowest:
			out.warn(fmt.Sprintf("the slowest of %d traces that %s gave of the range: give a shorter range for others", len(list), name))
			return out, nil
		case out.More:
			return out, nil
		case full:
			out.warn(fmt.Sprintf("%s has more traces at %s than can be shown", name, rq.From.UTC().Format(time.RFC3339Nano)))
		}
		if !rq.From.After(q.From) {
			out.More = len(out.List) > limit
			return out, nil
		}
		width := rq.To.Sub(rq.From)
		rq.To, rq.From = rq.From, answer.Later(q.From, rq.From.Add(-2*width))
	}
	out.More = len(out.List) > 0
	out.warn(fmt.Sprintf("%s was searched back to %s: give a shorter range or fewer conditions for what is older", name,
		rq.To.UTC().Format(time.RFC3339Nano)))
	return out, nil
}

// shorter is the shorter of two durations of which 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// narrower is where a window begins that holds fewer traces than one that gave a full list.
func narrower(rq raw.TraceQuery, list []raw.Trace) time.Time {
	mid := list[len(list)/2].Start // a store that gave the newest will now give half of them, one that gave any about half of all
	if !mid.After(rq.From) || !mid.Before(rq.To) {
		mid = rq.From.Add(rq.To.Sub(rq.From) / 2)
	}
	return mid
}

func summaryOf(t *raw.Trace) views.TraceSummary {
	out := views.TraceSummary{ID: t.ID, RootService: t.RootService, RootOperation: t.RootOperation, Start: t.Start, End: t.End,
		Spans: t.Spans, Errors: t.Errors}
	for _, v := range t.Services {
		out.Services = append(out.Services, views.TraceService(v))
	}
	return out
}

// acceptsTrace decides as the views do, as far as the store's answer shows.
func acceptsTrace(q *views.TraceQuery, t *raw.Trace, match *spanMatch) bool {
	d := t.End.Sub(t.Start)
	if t.End.Before(q.From) || !t.Start.Before(q.To) || d < q.MinDuration || q.MaxDuration > 0 && d > q.MaxDuration {
		return false
	}
	if t.HasData {
		data := []ptrace.Traces{t.Data}
		return match.inTrace(data, t.ID) && (q.Status != "ok" || !match.failed().inTrace(data, t.ID))
	}
	of, failed := uint64(0), t.Errors // spans of the service, and those that failed
	for _, v := range t.Services {
		if q.Service == "" || v.Name == q.Service {
			of += v.Spans
		}
		if v.Name == q.Service {
			failed = v.Errors
		}
	}
	return of > 0 && (q.Status != "error" || failed > 0) && (q.Status != "ok" || failed == 0)
}

// A FoundTrace is all that is known of the spans of one trace.
type FoundTrace struct {
	id    [16]byte
	Data  []ptrace.Traces // perhaps with spans of others, and with the same span more than once
	spans int
	Range answer.Range // in which it was
	Provenance
}

// Find reads a trace from the views, and from the store what they do not hold.
func (s *Traces) Find(ctx context.Context, m answer.Moment, id [16]byte) (FoundTrace, error) {
	out := FoundTrace{id: id}
	data, sum, missing, ok, cut, err := s.Budget.spans(ctx, m.Views, id, &answerRoom{})
	if err != nil {
		return out, err
	}
	out.Data = data
	if out.count(); cut {
		out.warn(s.Budget.cutWarning(out.spans, sum))
	}
	if ok && out.spans > 0 {
		out.sources = []string{answer.SourceView}
	}
	out.Range = answer.Range{Start: sum.Start, End: sum.End}
	if ok && (missing == 0 || cut) && out.spans > 0 {
		return out, nil
	}
	var failure error
	if store := s.Store; store != nil {
		older, err := store.Trace(ctx, id)
		switch {
		case err == nil:
			out.Data = append(out.Data, older)
			out.count()
			out.answered(store.Name(), out.Range.Start)
			missing = 0
		case ctx.Err() != nil:
			return out, err
		case !errors.Is(err, raw.ErrNotFound):
			failure = err
			out.warn(unanswered(err, "it may hold more of this trace"))
		}
	}
	switch {
	case out.spans == 0 && errors.Is(failure, raw.ErrTooLarge):
		return out, answer.Advise(answer.Problemf(answer.ErrNotFound, "trace_too_large", "no trace %x is in the views; %v", id[:], failure),
			"Open the trace in the store, or raise the memory limit: an answer of a store may have a part of it.")
	case out.spans == 0 && failure != nil:
		return out, answer.Advise(answer.Problemf(answer.ErrNotFound, "trace_not_found", "no trace %x is in the views; %v", id[:], failure),
			"Try again when GET /api/v1/pipeline shows that the backend answers.")
	case out.spans == 0 && ok:
		return out, answer.Advise(answer.Problemf(answer.ErrNotFound, "trace_spans_not_kept", "the spans of trace %x are no longer kept",
			id[:]),
			"Its summary is in GET /api/v1/traces; keep spans longer with WATCHINGCAT_RETENTION_TRACES.")
	case out.spans == 0:
		return out, answer.Advise(answer.Problemf(answer.ErrNotFound, "trace_not_found", "no trace %x is known", id[:]),
			"GET /api/v1/traces lists traces; they are kept for the retention of traces.")
	case missing > 0:
		out.warn(fmt.Sprintf("of %d spans %d are still kept", sum.Spans, out.spans))
	}
	return out, nil
}

// count counts the spans, and finds when the trace was.
func (f *FoundTrace) count() {
	f.spans = 0
	EachSpan(f.Data, f.id, func(_ pcommon.Resource, _ ptrace.ScopeSpans, sp ptrace.Span) {
		start, end := sp.StartTimestamp().AsTime(), sp.EndTimestamp().AsTime()
		if f.spans == 0 || start.Before(f.Range.Start) {
			f.Range.Start = start
		}
		f.Range.End = answer.Later(f.Range.End, end)
		f.spans++
	})
}

// resourcesWith is b, OTLP records one after the other, without the resources in which an id does not stand. A block holds the spans of
// a quarter of a second, of which a trace is a few: most need not be decoded.
func resourcesWith(b []byte, id [16]byte) []byte {
	return spans.Resources(b, func(one []byte) bool { return bytes.Contains(one, id[:]) })
}
