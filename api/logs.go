package api

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// logQuery is what the ways of searching log lines ask for.
type logQuery struct {
	service, severity, text, pattern, traceID, start, end, next *string
	attributes                                                  map[string]string
	limit                                                       *int
}

// ListLogs implements rest.StrictServerInterface.
func (s *Server) ListLogs(ctx context.Context, q rest.ListLogsRequestObject) (rest.ListLogsResponseObject, error) {
	p := q.Params
	attributes, err := parseAttributes(value(p.Attributes))
	if err != nil {
		return nil, err
	}
	out, err := s.listLogLines(ctx, logQuery{attributes: attributes, service: p.Service, severity: (*string)(p.Severity), text: p.Text,
		pattern: p.Pattern, traceID: p.TraceId, start: p.Start, end: p.End, next: p.Next, limit: p.Limit})
	return rest.ListLogs200JSONResponse(out), err
}

// SearchLogs implements rest.StrictServerInterface.
func (s *Server) SearchLogs(ctx context.Context, q rest.SearchLogsRequestObject) (rest.SearchLogsResponseObject, error) {
	b := q.Body
	out, err := s.listLogLines(ctx, logQuery{attributes: value(b.Attributes), service: b.Service, severity: (*string)(b.Severity),
		text: b.Text, pattern: b.Pattern, traceID: b.TraceId, start: b.Start, end: b.End, next: b.Next, limit: b.Limit})
	return rest.SearchLogs200JSONResponse(out), err
}

// filter is the query without its range.
func (l *logQuery) filter() (q views.LogQuery, err error) {
	q = views.LogQuery{Service: value(l.service), Text: value(l.text), Pattern: value(l.pattern), Attributes: l.attributes,
		Limit: limitOf(l.limit)}
	if l.severity != nil {
		q.MinSeverity, _ = views.ParseSeverity(*l.severity)
	}
	if l.traceID != nil {
		q.TraceID, err = parseTraceID(*l.traceID)
	}
	return q, err
}

func (s *Server) listLogLines(ctx context.Context, l logQuery) (out rest.LogList, err error) {
	m := s.moment(ctx)
	r, err := m.rangeOf(l.start, l.end, defaultRange)
	if err != nil {
		return out, err
	}
	q, err := l.filter()
	if err != nil {
		return out, err
	}
	q.From, q.To = r.start, r.end
	at, err := parseLogToken(l.next)
	if err != nil {
		return out, err
	}
	found, err := s.searchLogs(ctx, m, q, at)
	if err != nil {
		return out, err
	}
	out = rest.LogList{Logs: make([]rest.LogLine, 0, len(found.lines)), Total: len(found.lines), Meta: found.meta(s, m, r)}
	for i := range found.lines {
		out.Logs = append(out.Logs, logLine(&found.lines[i]))
	}
	if found.next != nil {
		if out.Next, err = found.next.token(); err != nil {
			return out, err
		}
	}
	if since := m.views.Kept().Logs; s.cfg.Stores.Logs == nil && r.asked && r.start.Before(since) && m.frontier.Since.Before(since) {
		warn(&out.Meta, "lines older than %s are no longer kept", since.UTC().Format(time.RFC3339))
	}
	return out, nil
}

func logLine(l *views.LogLine) rest.LogLine {
	return rest.LogLine{Time: l.Time, Service: l.Service, Severity: l.Severity.String(), SeverityText: l.SeverityText,
		SeverityNumber: int(l.SeverityNumber), Body: l.Body, EventName: l.Event,
		Scope: rest.LogScope{Name: l.Scope, Version: l.ScopeVersion}, TraceId: hexOrEmpty(l.TraceID[:]),
		SpanId: hexOrEmpty(l.SpanID[:]), Attributes: l.Attributes, Resource: l.Resource}
}

// hexOrEmpty is an id in hex; one of zeros is none.
func hexOrEmpty(id []byte) string {
	if !slices.ContainsFunc(id, func(b byte) bool { return b != 0 }) {
		return ""
	}
	return hex.EncodeToString(id)
}

// GetLogVolume implements rest.StrictServerInterface.
func (s *Server) GetLogVolume(ctx context.Context, q rest.GetLogVolumeRequestObject) (rest.GetLogVolumeResponseObject, error) {
	m := s.moment(ctx)
	r, err := m.rangeOf(q.Params.Start, q.Params.End, defaultRange)
	if err != nil {
		return nil, err
	}
	step, err := m.stepOf(r, q.Params.Step)
	if err != nil {
		return nil, err
	}
	type key struct {
		at                int64
		service, severity string
	}
	by := map[key]*rest.LogBucket{}
	add := func(at int64, service, severity string, count, bytes int64) {
		k := key{at, service, severity}
		if by[k] == nil {
			by[k] = &rest.LogBucket{Time: time.Unix(at, 0).UTC(), Service: service, Severity: severity}
		}
		by[k].Count += count
		by[k].Bytes += bytes
	}
	var from provenance
	err = s.rawVolume(ctx, m, r, value(q.Params.Service), step, &from,
		func(at int64, service, severity string, count int64) { add(at, service, severity, count, 0) })
	if err != nil {
		return nil, err
	}
	counted := r.start // what the store has counted the views do not count again
	if !from.since.IsZero() {
		counted = earlier(later(r.start, m.frontier.Since), r.end)
	}
	lines, err := m.views.SelectTable(model.TableLogs, counted, r.end, byService(q.Params.Service))
	if err != nil {
		return nil, err
	}
	for i := range lines {
		for _, c := range stepsOf(lines[i].Cells, int64(step/time.Second)) {
			add(c.Bucket, lines[i].Labels[0], lines[i].Labels[1], int64(c.Calls), int64(c.Size))
		}
	}
	out := rest.GetLogVolume200JSONResponse{Buckets: make([]rest.LogBucket, 0, len(by)), StepS: int64(step / time.Second),
		Meta: from.meta(s, m, r)}
	for _, b := range by {
		out.Buckets = append(out.Buckets, *b)
	}
	slices.SortFunc(out.Buckets, func(a, b rest.LogBucket) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Severity, b.Severity))
	})
	return out, nil
}

// byService accepts the series of a table whose first label, its service, is the one asked for.
func byService(name *string) func([]string) bool {
	return func(l []string) bool { return name == nil || l[0] == *name }
}

// stepsOf adds up cells to steps of a width in seconds.
func stepsOf(inRange []cells.TallyCell, width int64) (out []cells.TallyCell) {
	for i := range inRange {
		at := inRange[i].Bucket - inRange[i].Bucket%width
		if n := len(out); n == 0 || out[n-1].Bucket != at {
			out = append(out, cells.TallyCell{Bucket: at, Width: width})
		}
		last := &out[len(out)-1]
		last.Calls += inRange[i].Calls
		last.Size += inRange[i].Size
	}
	return out
}

// ListLogPatterns implements rest.StrictServerInterface.
func (s *Server) ListLogPatterns(ctx context.Context, q rest.ListLogPatternsRequestObject) (rest.ListLogPatternsResponseObject, error) {
	m := s.moment(ctx)
	r, err := m.rangeOf(q.Params.Start, q.Params.End, defaultRange)
	if err != nil {
		return nil, err
	}
	list, err := m.views.LogPatterns(r.start, r.end, value(q.Params.Service))
	if err != nil {
		return nil, err
	}
	list = list[:min(len(list), limitOf(q.Params.Limit))]
	out := rest.ListLogPatterns200JSONResponse{Patterns: make([]rest.LogPattern, 0, len(list)), Total: len(list), Meta: s.meta(m, r)}
	for _, p := range list {
		out.Patterns = append(out.Patterns,
			rest.LogPattern{Pattern: p.Pattern, Count: int64(p.Count), Services: p.Services, FirstSeen: orNil(p.FirstSeen),
				LastSeen: orNil(p.LastSeen), Sample: p.Sample, TraceId: hexOrEmpty(p.Exemplar.TraceID[:])})
	}
	return out, nil
}

func limitOf(asked *int) int {
	if asked != nil {
		return *asked
	}
	return defaultLimit
}
