package telemetry

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/jaeger"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views"
)

// traceQuery is what both ways of searching ask for.
type traceQuery struct {
	service, operation, status, order *string
	minDuration, maxDuration          *string // of the trace
	minSpan, maxSpan                  *string // of a span
	start, end                        *string
	attributes                        map[string]string
	conditions                        []attr.Condition
	limit                             *int
	next                              *string
}

// Traces answers searches of traces.
type Traces struct{ Older *older.Traces }

// ListTraces implements rest.StrictServerInterface.
func (s *Traces) ListTraces(ctx context.Context, q rest.ListTracesRequestObject) (rest.ListTracesResponseObject, error) {
	p := q.Params
	t := traceQuery{service: p.Service, operation: p.Operation, status: (*string)(p.Status), order: (*string)(p.Order),
		minSpan: p.MinSpanDuration, maxSpan: p.MaxSpanDuration, start: p.Start, end: p.End, limit: p.Limit, next: p.Next}
	var err error
	if t.minDuration, err = oneOf("min_duration", p.MinDuration, "minDuration", p.MinDurationAlias); err != nil {
		return nil, err
	}
	if t.maxDuration, err = oneOf("max_duration", p.MaxDuration, "maxDuration", p.MaxDurationAlias); err != nil {
		return nil, err
	}
	if t.attributes, t.conditions, err = older.ParseConditions(answer.Value(p.Attributes)); err != nil {
		return nil, err
	}
	out, err := s.listTraces(ctx, t)
	return rest.ListTraces200JSONResponse(out), err
}

// oneOf is a parameter that has two names.
func oneOf(name string, v *string, other string, w *string) (*string, error) {
	if v != nil && w != nil && *v != *w {
		return nil, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_parameter",
			"%s and %s are the same parameter and have different values", name,
			other), "Give one of them.")
	}
	if v == nil {
		return w, nil
	}
	return v, nil
}

// SearchTraces implements rest.StrictServerInterface.
func (s *Traces) SearchTraces(ctx context.Context, q rest.SearchTracesRequestObject) (rest.SearchTracesResponseObject, error) {
	b := q.Body
	t := traceQuery{service: b.Service, operation: b.Operation, status: (*string)(b.Status), order: (*string)(b.Order),
		start: b.Start, end: b.End, limit: b.Limit, next: b.Next, attributes: answer.Value(b.Attributes)}
	var err error
	for _, d := range []struct {
		name string
		raw  *json.RawMessage
		to   **string
	}{{"minDuration", b.MinDuration, &t.minDuration}, {"maxDuration", b.MaxDuration, &t.maxDuration},
		{"minSpanDuration", b.MinSpanDuration, &t.minSpan}, {"maxSpanDuration", b.MaxSpanDuration, &t.maxSpan}} {
		if *d.to, err = durationText(d.name, d.raw); err != nil {
			return nil, err
		}
	}
	equal, conditions, err := older.ParseConditions(answer.Value(b.Conditions))
	if err != nil {
		return nil, err
	}
	t.conditions = conditions
	if t.attributes == nil {
		t.attributes = equal
	} else {
		maps.Copy(t.attributes, equal)
	}
	out, err := s.listTraces(ctx, t)
	return rest.SearchTraces200JSONResponse(out), err
}

// durationText is a duration of a JSON body: text, or a number of microseconds.
func durationText(name string, raw *json.RawMessage) (*string, error) {
	if raw == nil || string(*raw) == "null" {
		return nil, nil
	}
	text := string(*raw)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(*raw, &text); err != nil {
			return nil, answer.Problemf(answer.ErrBadRequest, "invalid_duration", "%s: %v", name, err)
		}
	}
	return &text, nil
}

// search is what a query asks of traces, and its range.
func (t *traceQuery) search(m answer.Moment) (q older.TraceSearch, r answer.Range, err error) {
	if r, err = m.RangeOf(t.start, t.end, answer.DefaultRange); err != nil {
		return q, r, err
	}
	q = older.TraceSearch{Attributes: t.attributes, Conditions: t.conditions,
		TraceQuery: views.TraceQuery{From: r.Start, To: r.End, Service: answer.Value(t.service), Operation: answer.Value(t.operation),
			Status: answer.Value(t.status), Slowest: answer.Value(t.order) == "slowest", Limit: answer.LimitOf(t.limit)}}
	err = durations(map[string]durationParam{"min_duration": {t.minDuration, &q.MinDuration}, "max_duration": {t.maxDuration, &q.MaxDuration},
		"min_span_duration": {t.minSpan, &q.MinSpan}, "max_span_duration": {t.maxSpan, &q.MaxSpan}})
	if err != nil {
		return q, r, err
	}
	if q.MaxDuration > 0 && q.MinDuration > q.MaxDuration {
		return q, r, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_range", "min_duration is longer than max_duration"),
			"Give a max_duration that is not shorter than min_duration.")
	}
	if q.MaxSpan > 0 && q.MinSpan > q.MaxSpan {
		return q, r, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_range",
			"min_span_duration is longer than max_span_duration"),
			"Give a max_span_duration that is not shorter than min_span_duration.")
	}
	return q, r, nil
}

func (s *Traces) listTraces(ctx context.Context, t traceQuery) (out rest.TraceList, err error) {
	m := s.Older.Moment(ctx)
	q, r, err := t.search(m)
	if err != nil {
		return out, err
	}
	if q.After, err = parseTraceToken(t.next); err != nil {
		return out, err
	}
	found, err := s.Older.Search(ctx, m, q)
	if err != nil {
		return out, err
	}
	out = rest.TraceList{Traces: make([]rest.TraceSummary, 0, len(found.List)), Total: len(found.List),
		Meta: found.Meta(s.Older.Moments, m, r)}
	for i := range found.List {
		out.Traces = append(out.Traces, traceSummary(&found.List[i]))
	}
	if n := len(found.List); found.More && n > 0 {
		token := traceToken(&found.List[n-1])
		out.Next = &token
	}
	return out, nil
}

func traceSummary(t *views.TraceSummary) rest.TraceSummary {
	out := rest.TraceSummary{TraceId: hex.EncodeToString(t.ID[:]), RootServiceName: t.RootService, RootOperationName: t.RootOperation,
		MinStartTimeUnixNano: strconv.FormatInt(t.Start.UnixNano(), 10), MaxEndTimeUnixNano: strconv.FormatInt(t.End.UnixNano(), 10),
		SpanCount: int(t.Spans), ErrorSpanCount: int(t.Errors), DurationMs: answer.Millis(t.Duration()),
		Services: make([]rest.TraceService, 0, len(t.Services))}
	for _, v := range t.Services {
		out.Services = append(out.Services, rest.TraceService{Name: v.Name, SpanCount: int(v.Spans), ErrorSpanCount: int(v.Errors)})
	}
	return out
}

// A token of a list of traces: id, start, end of the last one.
func traceToken(t *views.TraceSummary) string {
	b := append([]byte{}, t.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Start.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, uint64(t.End.UnixNano()))
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseTraceToken(next *string) (*views.TraceSummary, error) {
	if next == nil {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*next)
	if err != nil || len(b) != 32 {
		return nil, answer.BadToken(*next)
	}
	t := &views.TraceSummary{Start: time.Unix(0, int64(binary.BigEndian.Uint64(b[16:]))),
		End: time.Unix(0, int64(binary.BigEndian.Uint64(b[24:])))}
	copy(t.ID[:], b)
	return t, nil
}

// find is the trace that a path names.
func (s *Traces) find(ctx context.Context, m answer.Moment, text string) (id [16]byte, found older.FoundTrace, err error) {
	if id, err = answer.ParseTraceID(text); err == nil {
		found, err = s.Older.Find(ctx, m, id)
	}
	return id, found, err
}

// GetTrace implements rest.StrictServerInterface.
func (s *Traces) GetTrace(ctx context.Context, q rest.GetTraceRequestObject) (rest.GetTraceResponseObject, error) {
	m := s.Older.Moment(ctx)
	id, found, err := s.find(ctx, m, q.Id)
	if err != nil {
		return nil, err
	}
	return rest.GetTrace200JSONResponse{Trace: jaeger.Trace(found.Data, id), Meta: found.Meta(s.Older.Moments, m, found.Range)}, nil
}
