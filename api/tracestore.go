package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/views"
)

// Traces are searched by start: those from views.Kept on in the views, older ones in the store of raw traces. Both are asked with
// the same place in the order, and what they find is put into one order; a trace that both know is the views'.

// traceSearch is what every API that finds traces asks for.
type traceSearch struct {
	views.TraceQuery
	attributes map[string]string
}

// foundTraces is a page of traces.
type foundTraces struct {
	list []views.TraceSummary
	more bool
	data map[[16]byte]ptrace.Traces // spans of those that the store sent whole
	provenance
}

const (
	maxLookups  = 500 // traces whose spans are decoded for one search by attributes
	rawRequests = 16  // to the store for one search
	rawTraces   = 100 // that it is asked for at once, at least
	maxRawDepth = 1000
)

// searchTraces finds traces in the views and in the store.
func (s *Server) searchTraces(ctx context.Context, m moment, t traceSearch) (foundTraces, error) {
	var out foundTraces
	q := t.TraceQuery
	unread := 0
	if len(t.attributes) > 0 {
		q.Budget = maxLookups
		q.Match = func(sum *views.TraceSummary) (bool, error) {
			_, blocks, missing, _, err := m.views.Trace(sum.ID)
			if missing > 0 {
				unread++
			}
			if err != nil {
				return false, err
			}
			data, err := decodeSpans(blocks, sum.ID)
			return hasAttributes(data, sum.ID, t.attributes), err
		}
	}
	res, err := m.views.SearchTraces(q)
	if err != nil {
		return out, err
	}
	if res.Exhausted {
		out.warn(fmt.Sprintf("attributes were looked up in %d traces; there are more candidates: give a shorter range, a service or a duration", maxLookups))
	}
	if unread > 0 {
		out.warn(fmt.Sprintf("%d candidates are no longer kept with all their spans; their attributes are not known", unread))
	}
	out.list, out.more = res.Traces, res.More
	kept := m.keptTraces(q.To)
	if q.To.After(kept) || s.cfg.Stores.Traces == nil {
		out.sources = []string{sourceView}
	}
	// A full page of newer traces needs no older ones.
	full := res.More && len(res.Traces) > 0 && !q.Slowest && !res.Traces[len(res.Traces)-1].Start.Before(kept)
	if s.cfg.Stores.Traces == nil || !q.From.Before(kept) || full {
		return out, nil
	}
	q.To = earlier(q.To, kept)
	older, err := s.searchRaw(ctx, q, t.attributes)
	if err != nil {
		if ctx.Err() != nil {
			return out, err
		}
		out.warn(unanswered(err, fmt.Sprintf("traces from before %s are missing", kept.UTC().Format(time.RFC3339))))
		out.sources = []string{sourceView}
		return out, nil
	}
	out.warnings = append(out.warnings, older.warnings...)
	out.answered(s.cfg.Stores.Traces.Name(), q.From)
	out.merge(&older, &q)
	return out, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// keptTraces is from when on the views hold all traces; otherwise while they hold none.
func (m moment) keptTraces(otherwise time.Time) time.Time {
	if t := m.views.Kept().Traces; !t.IsZero() {
		return t
	}
	return otherwise
}

// compareTraces orders traces as a query wants them.
func compareTraces(a, b *views.TraceSummary, slowest bool) int {
	by := b.Start.Compare(a.Start)
	if slowest {
		by = cmp.Compare(b.Duration(), a.Duration())
	}
	return cmp.Or(by, bytes.Compare(b.ID[:], a.ID[:]))
}

// merge puts older traces in their places and keeps the page.
func (f *foundTraces) merge(older *foundTraces, q *views.TraceQuery) {
	have := map[[16]byte]bool{}
	for i := range f.list {
		have[f.list[i].ID] = true
	}
	f.more, f.data = f.more || older.more, older.data
	for i := range older.list {
		if id := older.list[i].ID; have[id] {
			delete(f.data, id)
		} else {
			f.list = append(f.list, older.list[i])
		}
	}
	slices.SortStableFunc(f.list, func(a, b views.TraceSummary) int { return compareTraces(&a, &b, q.Slowest) })
	if limit := max(1, q.Limit); len(f.list) > limit {
		f.list, f.more = f.list[:limit], true
	}
}

// searchRaw finds at least a page of what q selects in the store, if there is as much. What a store leaves out when there is more than
// it was asked for is its own choice (some keep the newest, some those that came last), and stores do not take every filter. So the
// range is cut into windows, newest first, none of which holds more than is asked for.
//
// Stores look at the starts of spans: with a service, a trace whose span of that service starts in a later window than the trace
// itself is not found.
func (s *Server) searchRaw(ctx context.Context, q views.TraceQuery, attributes map[string]string) (out foundTraces, err error) {
	limit, name := max(1, q.Limit), s.cfg.Stores.Traces.Name()
	rq := raw.TraceQuery{From: q.From, To: q.To, Service: q.Service, Operation: q.Operation, MinDuration: q.MinDuration, MaxDuration: q.MaxDuration,
		Attributes: attributes, Limit: min(max(limit+1, rawTraces), maxRawDepth)}
	if q.Slowest {
		rq.Limit = maxRawDepth
	} else if q.After != nil {
		rq.To = earlier(rq.To, q.After.Start.Add(time.Microsecond))
	}
	seen := map[[16]byte]bool{}
	out.data = map[[16]byte]ptrace.Traces{}
	for range rawRequests {
		list, full, err := s.cfg.Stores.Traces.Search(ctx, rq)
		if err != nil {
			return out, err
		}
		if full && !q.Slowest && rq.To.Sub(rq.From) > time.Microsecond {
			rq.From = narrower(rq, list)
			continue
		}
		for i := range list {
			sum := summaryOf(&list[i])
			if seen[sum.ID] || sum.Start.Before(rq.From) || !acceptsTrace(&q, &list[i], attributes) || q.After != nil && compareTraces(q.After, &sum, q.Slowest) >= 0 {
				continue
			}
			seen[sum.ID] = true
			out.list = append(out.list, sum)
			if list[i].HasData {
				out.data[sum.ID] = list[i].Data
			}
		}
		out.more = len(out.list) > limit
		switch {
		case full && q.Slowest:
			out.warn(fmt.Sprintf("the slowest of %d traces that %s gave of the range: give a shorter range for others", len(list), name))
			return out, nil
		case out.more:
			return out, nil
		case full:
			out.warn(fmt.Sprintf("%s has more traces at %s than can be shown", name, rq.From.UTC().Format(time.RFC3339Nano)))
		}
		if !rq.From.After(q.From) {
			return out, nil
		}
		width := rq.To.Sub(rq.From)
		rq.To, rq.From = rq.From, later(q.From, rq.From.Add(-2*width))
	}
	out.more = len(out.list) > 0
	out.warn(fmt.Sprintf("%s was searched back to %s: give a shorter range or fewer conditions for what is older", name, rq.To.UTC().Format(time.RFC3339Nano)))
	return out, nil
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
	out := views.TraceSummary{ID: t.ID, RootService: t.RootService, RootOperation: t.RootOperation, Start: t.Start, End: t.End, Spans: t.Spans, Errors: t.Errors}
	for _, v := range t.Services {
		out.Services = append(out.Services, views.TraceService(v))
	}
	return out
}

// acceptsTrace decides as the views do, as far as the store's answer tells.
func acceptsTrace(q *views.TraceQuery, t *raw.Trace, attributes map[string]string) bool {
	d := t.End.Sub(t.Start)
	if t.Start.Before(q.From) || !t.Start.Before(q.To) || d < q.MinDuration || q.MaxDuration > 0 && d > q.MaxDuration {
		return false
	}
	of, failed := uint64(0), t.Errors // spans of the service and operation, and those that failed
	if t.HasData {
		of, failed = countSpans(t, q)
	} else {
		for _, v := range t.Services {
			if q.Service == "" || v.Name == q.Service {
				of += v.Spans
			}
			if v.Name == q.Service {
				failed = v.Errors
			}
		}
	}
	if of == 0 || q.Status == "error" && failed == 0 || q.Status == "ok" && failed > 0 {
		return false
	}
	return !t.HasData || len(attributes) == 0 || hasAttributes([]ptrace.Traces{t.Data}, t.ID, attributes)
}

func countSpans(t *raw.Trace, q *views.TraceQuery) (of, failed uint64) {
	eachSpan([]ptrace.Traces{t.Data}, t.ID, func(res pcommon.Resource, _ ptrace.ScopeSpans, sp ptrace.Span) {
		service, _ := res.Attributes().Get("service.name")
		if q.Service != "" && service.AsString() != q.Service || q.Operation != "" && sp.Name() != q.Operation {
			return
		}
		of++
		if sp.Status().Code() == ptrace.StatusCodeError {
			failed++
		}
	})
	return of, failed
}

// A foundTrace is all that is known of the spans of one trace.
type foundTrace struct {
	id    [16]byte
	data  []ptrace.Traces // perhaps with spans of others, and with the same span more than once
	spans int
	r     timeRange // in which it was
	provenance
}

// findTrace reads a trace from the views, and from the store what they do not hold.
func (s *Server) findTrace(ctx context.Context, m moment, id [16]byte) (foundTrace, error) {
	out := foundTrace{id: id}
	sum, blocks, missing, ok, err := m.views.Trace(id)
	if err != nil {
		return out, err
	}
	if out.data, err = decodeSpans(blocks, id); err != nil {
		return out, err
	}
	out.count()
	if ok && out.spans > 0 {
		out.sources = []string{sourceView}
	}
	out.r = timeRange{start: sum.Start, end: sum.End}
	if ok && missing == 0 && out.spans > 0 {
		return out, nil
	}
	var failure error
	if store := s.cfg.Stores.Traces; store != nil {
		older, err := store.Trace(ctx, id)
		switch {
		case err == nil:
			out.data = append(out.data, older)
			out.count()
			out.answered(store.Name(), out.r.start)
			missing = 0
		case ctx.Err() != nil:
			return out, err
		case !errors.Is(err, raw.ErrNotFound):
			failure = err
			out.warn(unanswered(err, "it may hold more of this trace"))
		}
	}
	switch {
	case out.spans == 0 && failure != nil:
		return out, advise(problemf(errNotFound, "trace_not_found", "no trace %x is in the views; %v", id[:], failure), "Try again when GET /api/v1/pipeline shows that the backend answers.")
	case out.spans == 0 && ok:
		return out, advise(problemf(errNotFound, "trace_spans_not_kept", "the spans of trace %x are no longer kept", id[:]), "Its summary is in GET /api/v1/traces; keep spans longer with WATCHINGCAT_RETENTION_TRACES.")
	case out.spans == 0:
		return out, advise(problemf(errNotFound, "trace_not_found", "no trace %x is known", id[:]), "GET /api/v1/traces lists traces; they are kept for the retention of traces.")
	case missing > 0:
		out.warn(fmt.Sprintf("of %d spans %d are still kept", sum.Spans, out.spans))
	}
	return out, nil
}

// count counts the spans, and finds when the trace was.
func (f *foundTrace) count() {
	f.spans = 0
	eachSpan(f.data, f.id, func(_ pcommon.Resource, _ ptrace.ScopeSpans, sp ptrace.Span) {
		start, end := sp.StartTimestamp().AsTime(), sp.EndTimestamp().AsTime()
		if f.spans == 0 || start.Before(f.r.start) {
			f.r.start = start
		}
		f.r.end = later(f.r.end, end)
		f.spans++
	})
}

// decodeSpans reads what the blocks hold of a trace: of the resources, those with a span of it, whole.
func decodeSpans(blocks [][]byte, id [16]byte) ([]ptrace.Traces, error) {
	var out []ptrace.Traces
	for _, b := range blocks {
		var u ptrace.ProtoUnmarshaler
		td, err := u.UnmarshalTraces(resourcesWith(b, id))
		if err != nil {
			return nil, fmt.Errorf("decode kept spans: %w", err)
		}
		out = append(out, td)
	}
	return out, nil
}

// resourcesWith is b, OTLP records one after the other, without the resources in which an id does not stand. A block holds the spans of
// a quarter of a second, of which a trace is a few: most need not be decoded.
func resourcesWith(b []byte, id [16]byte) []byte {
	var out []byte
	for rest := b; len(rest) > 0; {
		_, _, size := protowire.ConsumeField(rest)
		if size < 0 {
			return b // whoever decodes it says what is wrong
		}
		if bytes.Contains(rest[:size], id[:]) {
			out = append(out, rest[:size]...)
		}
		rest = rest[size:]
	}
	return out
}

// spanOf is what makes a span of a trace itself: client and server may share an id, as Zipkin's do.
type spanOf struct {
	id   pcommon.SpanID
	kind ptrace.SpanKind
}

// eachSpan calls fn for each span of one trace; a span that was sent twice comes once.
func eachSpan(data []ptrace.Traces, id [16]byte, fn func(res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span)) {
	seen := map[spanOf]bool{}
	for _, td := range data {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					of := spanOf{sp.SpanID(), sp.Kind()}
					if sp.TraceID() != id || seen[of] {
						continue
					}
					seen[of] = true
					fn(rs.Resource(), ss, sp)
				}
			}
		}
	}
}

// hasAttributes reports whether one span of the trace, with its resource, has every attribute.
func hasAttributes(data []ptrace.Traces, id [16]byte, want map[string]string) bool {
	found := false
	keys := slices.Sorted(maps.Keys(want))
	eachSpan(data, id, func(res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span) {
		if found {
			return
		}
		for _, k := range keys {
			if v, ok := attribute(k, res, sc, sp); !ok || v != want[k] {
				return
			}
		}
		found = true
	})
	return found
}

// attribute is what a span or its resource has under a key, as text; what OTLP has as fields counts under the names that Jaeger gives it.
func attribute(key string, res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span) (string, bool) {
	if v, ok := sp.Attributes().Get(key); ok {
		return v.AsString(), true
	}
	if v, ok := res.Attributes().Get(key); ok {
		return v.AsString(), true
	}
	for _, t := range spanTags(sc, sp) {
		if t.Key == key {
			return fmt.Sprint(t.Value), true
		}
	}
	return "", false
}
