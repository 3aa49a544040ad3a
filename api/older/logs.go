package older

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/logs"
)

// Lines are searched newest first: in the views back to where they hold all, then in the store of raw lines. A token says in which
// of the two a page ended.

// LogCursor is a place in the order of lines, in the views or in the store.
type LogCursor struct {
	View *views.LogPlace `json:"view,omitempty"`
	// Of the store: what is older than Edge is there, After is where the page before ended.
	Edge  int64         `json:"edge,omitempty"` // Unix nanoseconds
	After *raw.LogPlace `json:"after,omitempty"`
}

// ParseLogToken reads a page token of LogCursor.Token; nil is the beginning.
func ParseLogToken(token *string) (c LogCursor, err error) {
	if token == nil {
		return c, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil || json.Unmarshal(b, &c) != nil || c.View == nil && c.Edge <= 0 {
		return c, answer.BadToken(*token)
	}
	return c, nil
}

// Token is the place as a page token.
func (c *LogCursor) Token() (*string, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	t := base64.RawURLEncoding.EncodeToString(b)
	return &t, nil
}

// Logs finds log lines in the views and in the store of raw lines.
type Logs struct{ Store LogStore } // nil: what is older than the views is not found

// FoundLogs is a page of lines.
type FoundLogs struct {
	Lines []views.LogLine
	Next  *LogCursor
	Provenance
}

// Search finds lines in the views and in the store.
func (s *Logs) Search(ctx context.Context, m answer.Moment, q views.LogQuery, at LogCursor) (out FoundLogs, err error) {
	store := s.Store
	out.covered = store != nil
	kept := m.Views.Kept().Logs
	if kept.IsZero() {
		kept = q.To
	}
	edge := kept
	if at.Edge > 0 {
		edge = time.Unix(0, at.Edge)
	} else {
		part := q
		part.Before = at.View
		if store != nil {
			part.From = answer.Later(q.From, kept)
		}
		done, err := s.searchKept(m, part, &out)
		if err != nil || done {
			return out, err
		}
	}
	if store == nil || !q.From.Before(edge) {
		return out, nil
	}
	older := q
	older.To, older.Limit = answer.Earlier(q.To, edge), q.Limit-len(out.Lines)
	if older.Limit <= 0 {
		out.Next = &LogCursor{Edge: edge.UnixNano()}
		return out, nil
	}
	lines, next, note, err := s.searchStore(ctx, older, at.After)
	if err != nil {
		if ctx.Err() != nil {
			return out, err
		}
		out.fail(err, fmt.Sprintf("lines from before %s are missing", edge.UTC().Format(time.RFC3339)))
		if len(out.sources) == 0 {
			out.sources = []string{answer.SourceView}
		}
		return out, nil
	}
	out.answered(store.Name(), q.From)
	out.Lines = append(out.Lines, lines...)
	if note != "" {
		out.warn(note)
	}
	if next != nil {
		out.Next = &LogCursor{Edge: edge.UnixNano(), After: next}
	}
	return out, nil
}

// searchKept finds lines in the views; done says that there is more of them than the page holds.
func (s *Logs) searchKept(m answer.Moment, q views.LogQuery, out *FoundLogs) (done bool, err error) {
	if !q.From.Before(q.To) {
		return false, nil
	}
	out.sources = []string{answer.SourceView}
	res, err := m.Views.SearchLogs(q)
	if err != nil {
		return false, err
	}
	out.Lines = res.Lines
	if res.Exhausted {
		out.warn(fmt.Sprintf("the search ended at %s; next continues from there",
			time.Unix(0, int64(res.Next.At)).UTC().Format(time.RFC3339Nano)))
	}
	if res.Next != nil {
		out.Next = &LogCursor{View: res.Next}
	}
	return res.Next != nil, nil
}

// rawLogQuery asks the store for what q selects, or for more: what it cannot decide exactly is decided here.
func rawLogQuery(q *views.LogQuery) raw.LogQuery {
	out := raw.LogQuery{From: q.From, To: q.To, Service: q.Service, Text: q.Text, Words: views.PatternWords(q.Pattern)}
	if q.MinSeverity > 0 {
		out.MinSeverity = (int(q.MinSeverity)-1)*4 + 1
	}
	if q.TraceID != ([16]byte{}) {
		out.TraceID = hex.EncodeToString(q.TraceID[:])
	}
	return out
}

// searchStore finds a page of lines in the store.
func (s *Logs) searchStore(ctx context.Context, q views.LogQuery,
	after *raw.LogPlace) (lines []views.LogLine, next *raw.LogPlace, note string, err error) {
	rq := rawLogQuery(&q)
	rq.Limit, rq.After = q.Limit, after
	if q.Text != "" || q.Pattern != "" || q.MinSeverity > 0 || len(q.Attributes) > 0 || len(q.Conditions) > 0 {
		rq.Limit = max(rq.Limit, answer.DefaultLimit*5)
	}
	for range rawRequests {
		res, err := s.Store.Search(ctx, rq)
		if err != nil {
			return nil, nil, "", err
		}
		note = cmp.Or(note, res.Incomplete)
		for i := range res.Lines {
			line := lineOf(&res.Lines[i])
			if !acceptsLine(&q, &line) {
				continue
			}
			if lines = append(lines, line); len(lines) == q.Limit {
				if i+1 < len(res.Lines) {
					res.Next = raw.PlaceAfter(res.Lines[:i+1], rq.After)
				}
				return lines, res.Next, note, nil
			}
		}
		if rq.After = res.Next; rq.After == nil {
			return lines, nil, note, nil
		}
	}
	return lines, rq.After, cmp.Or(note,
		fmt.Sprintf("%s was searched back to %s; next continues from there", s.Store.Name(),
			time.Unix(0, rq.After.At).UTC().Format(time.RFC3339Nano))), nil
}

func lineOf(l *raw.LogLine) views.LogLine {
	out := views.LogLine{Time: l.Time, Service: l.Service, HasService: l.Service != "",
		Severity: logs.SeverityOf(l.SeverityNumber, l.SeverityText), Body: l.Body, SeverityText: l.SeverityText,
		SeverityNumber: attr.Severity(l.SeverityNumber, l.SeverityText), Event: l.Event, Scope: l.Scope, ScopeVersion: l.ScopeVersion,
		Attributes: l.Attributes, Resource: l.Resource}
	if id, err := answer.ParseTraceID(l.TraceID); err == nil {
		out.TraceID = id
	}
	if b, err := hex.DecodeString(l.SpanID); err == nil && len(b) == 8 {
		out.SpanID = [8]byte(b)
	}
	return out
}

// attributeOf is attr.OfLine of a line of the store.
func attributeOf(l *views.LogLine, key string) (string, bool) {
	v, ok := l.Attributes[key]
	if !ok {
		v, ok = l.Resource[key]
	}
	if of, is := strings.CutPrefix(key, attr.ResourcePrefix); is && !ok {
		v, ok = l.Resource[of]
	}
	return fmt.Sprint(v), ok
}

func acceptsLine(q *views.LogQuery, l *views.LogLine) bool {
	for k, want := range q.Attributes {
		if v, ok := attributeOf(l, k); !ok || v != want {
			return false
		}
	}
	for i := range q.Conditions {
		if v, ok := attributeOf(l, q.Conditions[i].Key); !ok || !q.Conditions[i].Accepts(v) {
			return false
		}
	}
	text := strings.ToLower(q.Text)
	return l.Severity >= q.MinSeverity &&
		(text == "" || strings.Contains(strings.ToLower(l.Body), text) || strings.Contains(strings.ToLower(l.Event), text)) &&
		(q.Pattern == "" || views.MatchesPattern(q.Pattern, cmp.Or(l.Body, l.Event)))
}
