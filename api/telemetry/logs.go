package telemetry

import (
	"context"
	"maps"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/logs"
)

// LogQuery is what the ways of searching log lines ask for.
type LogQuery struct {
	Service, Severity, Text, Pattern, TraceID, start, end, next *string
	Attributes                                                  map[string]string // that lines have
	Conditions                                                  []string          // on attributes, as ParseConditions reads them
	limit                                                       *int
}

// Logs answers for log lines and their patterns.
type Logs struct {
	*answer.Moments
	Older *older.Logs
}

// ListLogs implements rest.StrictServerInterface.
func (s *Logs) ListLogs(ctx context.Context, q rest.ListLogsRequestObject) (rest.ListLogsResponseObject, error) {
	p := q.Params
	out, err := s.listLogLines(ctx, LogQuery{Conditions: answer.Value(p.Attributes), Service: p.Service, Severity: (*string)(p.Severity),
		Text: p.Text, Pattern: p.Pattern, TraceID: p.TraceId, start: p.Start, end: p.End, next: p.Next, limit: p.Limit})
	return rest.ListLogs200JSONResponse(out), err
}

// SearchLogs implements rest.StrictServerInterface.
func (s *Logs) SearchLogs(ctx context.Context, q rest.SearchLogsRequestObject) (rest.SearchLogsResponseObject, error) {
	b := q.Body
	out, err := s.listLogLines(ctx, LogQuery{Attributes: answer.Value(b.Attributes), Conditions: answer.Value(b.Conditions), Service: b.Service,
		Severity: (*string)(b.Severity), Text: b.Text, Pattern: b.Pattern, TraceID: b.TraceId, start: b.Start, end: b.End, next: b.Next,
		limit: b.Limit})
	return rest.SearchLogs200JSONResponse(out), err
}

// Filter is the query without its range.
func (l *LogQuery) Filter() (q views.LogQuery, err error) {
	q = views.LogQuery{Service: answer.Value(l.Service), Text: answer.Value(l.Text), Pattern: answer.Value(l.Pattern),
		Limit: answer.LimitOf(l.limit)}
	if q.Attributes, q.Conditions, err = older.ParseConditions(l.Conditions); err != nil {
		return q, err
	}
	maps.Copy(q.Attributes, l.Attributes)
	if l.Severity != nil {
		q.MinSeverity, _ = logs.ParseSeverity(*l.Severity)
	}
	if l.TraceID != nil {
		q.TraceID, err = answer.ParseTraceID(*l.TraceID)
	}
	return q, err
}

func (s *Logs) listLogLines(ctx context.Context, l LogQuery) (out rest.LogList, err error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(l.start, l.end, answer.DefaultRange)
	if err != nil {
		return out, err
	}
	q, err := l.Filter()
	if err != nil {
		return out, err
	}
	q.From, q.To = r.Start, r.End
	at, err := older.ParseLogToken(l.next)
	if err != nil {
		return out, err
	}
	found, err := s.Older.Search(ctx, m, q, at)
	if err != nil {
		return out, err
	}
	out = rest.LogList{Logs: make([]rest.LogLine, 0, len(found.Lines)), Total: len(found.Lines), Meta: found.Meta(s.Moments, m, r)}
	for i := range found.Lines {
		out.Logs = append(out.Logs, LogLine(&found.Lines[i]))
	}
	if found.Next != nil {
		if out.Next, err = found.Next.Token(); err != nil {
			return out, err
		}
	}
	if since := m.Views.Kept().Logs; s.Older.Store == nil && r.Asked && r.Start.Before(since) && m.Frontier.Since.Before(since) {
		answer.Warn(&out.Meta, "lines older than %s are no longer kept", since.UTC().Format(time.RFC3339))
	}
	return out, nil
}

// LogLine is a log line as answers show it.
func LogLine(l *views.LogLine) rest.LogLine {
	return rest.LogLine{Id: l.Place(), Time: l.Time, Service: l.Service, Severity: l.Severity.String(), SeverityText: l.SeverityText,
		SeverityNumber: int(l.SeverityNumber), Body: l.Body, EventName: l.Event,
		Scope: rest.LogScope{Name: l.Scope, Version: l.ScopeVersion}, TraceId: answer.HexOrEmpty(l.TraceID[:]),
		SpanId: answer.HexOrEmpty(l.SpanID[:]), Attributes: l.Attributes, Resource: l.Resource}
}

// byService accepts the series of a table whose first label, its service, is the one asked for.
func byService(name *string) func([]string) bool {
	return func(l []string) bool { return name == nil || l[0] == *name }
}

// ListLogPatterns implements rest.StrictServerInterface.
func (s *Logs) ListLogPatterns(ctx context.Context, q rest.ListLogPatternsRequestObject) (rest.ListLogPatternsResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	list, err := m.Views.LogPatterns(r.Start, r.End, answer.Value(q.Params.Service))
	if err != nil {
		return nil, err
	}
	list = list[:min(len(list), answer.LimitOf(q.Params.Limit))]
	out := rest.ListLogPatterns200JSONResponse{Patterns: make([]rest.LogPattern, 0, len(list)), Total: len(list), Meta: s.Meta(m, r)}
	for _, p := range list {
		out.Patterns = append(out.Patterns,
			rest.LogPattern{Pattern: p.Pattern, Count: int64(p.Count), Services: p.Services, FirstSeen: answer.TimeOrNil(p.FirstSeen),
				LastSeen: answer.TimeOrNil(p.LastSeen), Sample: p.Sample, TraceId: answer.HexOrEmpty(p.Exemplar.TraceID[:])})
	}
	return out, nil
}
