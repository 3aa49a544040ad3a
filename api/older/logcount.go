package older

import (
	"context"
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/logs"
)

// A LogCounter is called with counts of lines. Bytes are 0 where they are not known.
type LogCounter func(at int64, service, severity string, lines, bytes int64)

// Counted reports whether tables hold the counts of what a query selects; of other queries lines are read and counted.
func Counted(q *views.LogQuery) bool {
	return q.Text == "" && q.Pattern == "" && q.TraceID == ([16]byte{}) && len(q.Attributes) == 0 && len(q.Conditions) == 0
}

// CountKept counts the lines of the views that a query selects which no table counts.
func (s *Logs) CountKept(m answer.Moment, q views.LogQuery, step time.Duration, p *Provenance, add LogCounter) error {
	if s.Store != nil {
		q.From = answer.Later(q.From, m.Views.Kept().Logs)
	} else {
		p.sources = []string{answer.SourceView}
	}
	found, err := m.Views.CountLogs(q, step)
	if err != nil {
		return err
	}
	for _, c := range found.Counts {
		add(c.At, c.Service, c.Severity.String(), int64(c.Lines), int64(c.Bytes))
	}
	switch {
	case found.Exhausted:
		p.warn(fmt.Sprintf("lines were counted back to %s: give a shorter range or more filters to count older ones",
			found.From.UTC().Format(time.RFC3339)))
	case s.Store == nil && found.From.After(q.From):
		p.warn(fmt.Sprintf("these filters count kept lines; lines older than %s are no longer kept",
			found.From.UTC().Format(time.RFC3339)))
	}
	return nil
}

// Volume counts lines in the store from before edge, from when on the views count them, by the names that the views give severities.
func (s *Logs) Volume(ctx context.Context, q views.LogQuery, edge time.Time, step time.Duration, p *Provenance, add LogCounter) error {
	store := s.Store
	if edge.IsZero() {
		edge = q.To
	}
	if q.To.After(edge) || store == nil {
		p.sources = []string{answer.SourceView}
	}
	if store == nil || !q.From.Before(edge) {
		return nil
	}
	before := edge.UTC().Format(time.RFC3339)
	if len(q.Attributes) > 0 || len(q.Conditions) > 0 {
		p.covered = true
		p.sources = []string{answer.SourceView}
		p.warn(fmt.Sprintf("lines from before %s are not counted: %s does not count by attributes", before, store.Name()))
		return nil
	}
	q.To = answer.Earlier(q.To, edge)
	list, incomplete, err := store.Volume(ctx, rawLogQuery(&q), step)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		p.fail(err, fmt.Sprintf("lines from before %s are not counted", before))
		p.sources = []string{answer.SourceView}
		return nil
	}
	p.answered(store.Name(), q.From)
	if incomplete != "" {
		p.warn(incomplete)
	}
	if q.Text != "" || q.Pattern != "" {
		p.warn(fmt.Sprintf("%s counts lines from before %s by whole words", store.Name(), before))
	}
	for _, b := range list {
		add(b.Time.Unix(), b.Service, logs.SeverityOf(b.SeverityNumber, b.Level).String(), b.Count, 0)
	}
	return nil
}

// After finds the lines that follow a place, oldest first.
func (s *Logs) After(ctx context.Context, m answer.Moment, q views.LogQuery, after views.LogPlace) (out FoundLogs, err error) {
	out.covered = s.Store != nil
	at := time.Unix(0, int64(after.At))
	kept := m.Views.Kept().Logs
	if kept.IsZero() {
		kept = q.To
	}
	if s.Store != nil && at.Before(kept) {
		older := q
		older.From, older.To = at.Add(1), answer.Earlier(q.To, kept)
		rq := rawLogQuery(&older)
		rq.Ascending, rq.Limit = true, max(q.Limit, answer.DefaultLimit*5)
		res, err := s.Store.Search(ctx, rq)
		switch {
		case err != nil && ctx.Err() != nil:
			return out, err
		case err != nil:
			out.fail(err, fmt.Sprintf("lines from before %s are missing", kept.UTC().Format(time.RFC3339)))
			return out, nil
		}
		out.answered(s.Store.Name(), at)
		for i := range res.Lines {
			if line := lineOf(&res.Lines[i]); acceptsLine(&q, &line) && len(out.Lines) < q.Limit {
				out.Lines = append(out.Lines, line)
			}
		}
		if len(out.Lines) == q.Limit {
			return out, nil
		}
		if res.Next != nil { // whatever the views hold comes later
			out.warn("the search ended before so many lines were found")
			return out, nil
		}
	}
	part := q
	part.Limit = q.Limit - len(out.Lines)
	if s.Store != nil {
		part.From = answer.Later(q.From, kept)
	}
	found, err := m.Views.LogsAfter(part, after)
	if err != nil {
		return out, err
	}
	out.sources = append(out.sources, answer.SourceView)
	out.Lines = append(out.Lines, found.Lines...)
	if found.Exhausted {
		out.warn("the search ended before so many lines were found")
	}
	return out, nil
}
