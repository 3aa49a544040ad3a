package views

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// LogLine is one line as it came.
type LogLine struct {
	Time                 time.Time
	Service              string
	HasService           bool
	Severity             logs.Severity
	SeverityText         string // as it was sent
	SeverityNumber       int32  // as it was sent, else what the text stands for; 0: not known
	Body                 string
	Event                string // name of the event; "": it is none
	Scope, ScopeVersion  string // what wrote it
	TraceID              [16]byte
	SpanID               [8]byte
	Attributes, Resource map[string]any
	place                logPlace
}

// Place names a line among all that are kept.
func (l *LogLine) Place() string {
	return fmt.Sprintf("%d.%d.%d.%d", l.place.at, l.place.raw.Seq, l.place.raw.N, l.place.index)
}

// logPlace orders lines: by time, then by where they are stored.
type logPlace struct {
	at    uint64
	raw   traces.RawRef
	index int
}

func (a logPlace) compare(b logPlace) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.raw.Seq, b.raw.Seq), cmp.Compare(a.raw.N, b.raw.N), cmp.Compare(a.index, b.index))
}

// LogCursor is a place in the order of lines; the zero value is none.
type LogCursor struct {
	At    uint64 // Unix nanoseconds
	Seq   uint64
	Block uint32
	Index int
}

func (c *LogCursor) place() logPlace {
	return logPlace{c.At, traces.RawRef{Seq: c.Seq, N: c.Block}, c.Index}
}

// LogQuery selects lines. Zero fields select everything.
type LogQuery struct {
	From, To    time.Time
	Service     string
	Dims        model.DimFilter // of the line's resource
	MinSeverity logs.Severity
	Text        string // occurs in the body or the name of the event, whatever its case
	// the words of the body, or of the name where there is no body, match this pattern, as LogPatterns gives it
	Pattern    string
	Attributes map[string]string // that the line or its resource has, as text
	TraceID    [16]byte
	Limit      int
	Before     *LogCursor // continue after an earlier answer
	// Budget is how many bytes of blocks are looked through at most (0: 256 MiB, decompressed).
	Budget int
}

// LogResult is a page of lines, newest first. Next continues; it is nil at the end. Exhausted says that the budget ended: what lies
// between the last line and Next has been searched, what is older has not.
type LogResult struct {
	Lines     []LogLine
	Next      *LogCursor
	Exhausted bool
	Since     time.Time // lines older than this are no longer kept
}

const logBudget = 256 << 20

type logFilter struct {
	q        *LogQuery
	from, to uint64
	text     []byte
	pattern  []string
	before   *logPlace

	dimensions *model.Dimensions
}

func newLogFilter(q *LogQuery, d *model.Dimensions) *logFilter {
	f := &logFilter{q: q, dimensions: d, from: model.UnixNano(q.From, 0), to: model.UnixNano(q.To, 1<<63),
		text: []byte(strings.ToLower(q.Text))}
	if q.Pattern != "" {
		f.pattern = strings.Fields(q.Pattern)
	}
	if q.Before != nil {
		p := q.Before.place()
		f.before = &p
	}
	return f
}

// block reports quickly that no line of a block is wanted.
func (f *logFilter) block(b []byte) bool {
	if f.q.TraceID != ([16]byte{}) && !bytes.Contains(b, f.q.TraceID[:]) {
		return false
	}
	for k := range f.q.Attributes {
		if !replaced(k) && !bytes.Contains(b, []byte(k)) {
			return false
		}
	}
	return (replaced(f.q.Service) || bytes.Contains(b, []byte(f.q.Service))) &&
		(len(f.text) == 0 || !plain(f.text) || drain.HasFold(b, f.text))
}

// replaced reports whether a text may have had bytes that are not UTF-8, and stands in a block with those.
func replaced(text string) bool { return strings.ContainsRune(text, utf8.RuneError) }

// rendered are the words of JSON that stand in no block.
const rendered = "true false null nan -infinity"

// plain reports whether text, in lower case, stands in a block as it stands in a body: not in a value that is rendered as JSON.
func plain(text []byte) bool {
	return !bytes.ContainsAny(text, "\"{}[]:,.0123456789\\") && !strings.Contains(rendered, string(text)) && !replaced(string(text))
}

func (f *logFilter) accepts(r *model.Resource, resource pcommon.Map, l plog.LogRecord, p logPlace) bool {
	q := f.q
	if p.at < f.from || p.at >= f.to || q.Service != "" && string(r.Service) != q.Service || f.before != nil && p.compare(*f.before) >= 0 {
		return false
	}
	if q.TraceID != ([16]byte{}) && [16]byte(l.TraceID()) != q.TraceID {
		return false
	}
	if len(q.Dims) > 0 && !f.dims(r) {
		return false
	}
	if q.MinSeverity > 0 && logs.SeverityOf(int32(l.SeverityNumber()), l.SeverityText()) < q.MinSeverity {
		return false
	}
	if !f.attributes(l.Attributes(), resource) {
		return false
	}
	if len(f.text) > 0 && !drain.HasFold([]byte(attr.Text(l.Body())), f.text) && !drain.HasFold([]byte(logs.EventName(l)), f.text) {
		return false
	}
	return f.pattern == nil || drain.SameWords(f.pattern, drain.Split([]byte(cmp.Or(attr.Text(l.Body()), logs.EventName(l)))))
}

// attributes reports whether a line or its resource has the wanted attributes.
func (f *logFilter) attributes(line, resource pcommon.Map) bool {
	for k, want := range f.q.Attributes {
		v, ok := line.Get(k)
		if !ok {
			v, ok = resource.Get(k)
		}
		if !ok || attr.Text(v) != want {
			return false
		}
	}
	return true
}

// dims reports whether the resource has the wanted dimensions.
func (f *logFilter) dims(r *model.Resource) bool {
	left := len(f.q.Dims)
	for _, v := range r.Dims {
		if want, ok := f.q.Dims[f.dimensions.Names()[v.Index]]; ok && model.CleanText(v.Value, model.MaxDimension) == want {
			left--
		}
	}
	return left == 0
}

// MatchesPattern reports whether a body is of a pattern as LogPatterns gives it.
func MatchesPattern(pattern, body string) bool {
	return drain.SameWords(strings.Fields(pattern), drain.Split([]byte(body)))
}

// PatternWords are the words that every body of a pattern has.
func PatternWords(pattern string) []string {
	return slices.DeleteFunc(strings.Fields(pattern), func(w string) bool { return w == drain.Wildcard })
}

// logHit is a line that was found: most are not shown in the end, so only the others are built.
type logHit struct {
	place logPlace
	r     model.Resource
	rl    plog.ResourceLogs
	sl    plog.ScopeLogs
	l     plog.LogRecord
}

func (h *logHit) line() LogLine {
	return LogLine{Time: model.Time(h.place.at), Service: string(h.r.Service), HasService: h.r.HasService,
		Severity: logs.SeverityOf(int32(h.l.SeverityNumber()), h.l.SeverityText()), SeverityText: attr.ValidUTF8(h.l.SeverityText()),
		SeverityNumber: attr.Severity(int32(h.l.SeverityNumber()), h.l.SeverityText()), Event: logs.EventName(h.l),
		Scope: attr.ValidUTF8(h.sl.Scope().Name()), ScopeVersion: attr.ValidUTF8(h.sl.Scope().Version()),
		Body: attr.Text(h.l.Body()), TraceID: h.l.TraceID(), SpanID: h.l.SpanID(), Attributes: attr.Map(h.l.Attributes()),
		Resource: attr.Map(h.rl.Resource().Attributes()), place: h.place}
}

func linesOf(hits []logHit) []LogLine {
	lines := make([]LogLine, len(hits))
	for i := range hits {
		lines[i] = hits[i].line()
	}
	return lines
}

// SearchLogs returns the newest lines that q selects.
func (s *Set) SearchLogs(q LogQuery) (LogResult, error) {
	q.Limit = max(1, q.Limit)
	if q.Budget <= 0 {
		q.Budget = logBudget
	}
	f := newLogFilter(&q, s.names.Dimensions)
	kept, since := s.keptLogs()
	out := LogResult{Since: model.Time(since)}
	f.from = max(f.from, since)
	older := make([]uint64, len(kept)+1) // newest time in the blocks before each
	for i, m := range kept {
		older[i+1] = max(older[i], m.End)
	}
	var found []logHit
	for i := len(kept) - 1; i >= 0; i-- {
		m := kept[i]
		if older[i+1] < f.from || len(found) > q.Limit && found[q.Limit].place.at > older[i+1] {
			break
		}
		if m.End < f.from || m.Begin >= f.to || f.before != nil && m.Begin > f.before.at {
			continue
		}
		if q.Budget <= 0 {
			out.Exhausted = true
			found = slices.DeleteFunc(found, func(h logHit) bool { return h.place.at <= older[i+1] })
			out.Next = &LogCursor{At: older[i+1] + 1}
			break
		}
		hits, size, err := s.searchLogBlocks(m, f)
		if err != nil {
			return out, err
		}
		q.Budget -= size
		found = append(found, hits...)
		slices.SortFunc(found, func(a, b logHit) int { return b.place.compare(a.place) })
		found = found[:min(len(found), q.Limit+1)]
	}
	if len(found) > q.Limit {
		found, out.Exhausted = found[:q.Limit], false
		p := found[q.Limit-1].place
		out.Next = &LogCursor{p.at, p.raw.Seq, p.raw.N, p.index}
	}
	out.Lines = linesOf(found)
	return out, nil
}

// keptLogs is what raw blocks there are, and from when on their lines are shown.
func (s *Set) keptLogs() ([]traces.RawMeta, uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.rawLogs.Kept), s.headLess(s.cfg.LogRetention)
}

func (s *Set) searchLogBlocks(m traces.RawMeta, f *logFilter) (hits []logHit, size int, err error) {
	for n := range m.Blocks {
		ref := traces.RawRef{Seq: m.Seq, N: n}
		b, ok, err := s.logBlock(ref)
		if err != nil || !ok {
			return hits, size, err
		}
		size += len(b)
		if !f.block(b) {
			continue
		}
		i := 0
		for clock, record := range logs.KeptRecords(b, logs.Clock{Arrived: m.Begin}) {
			for part := range logs.Parts(record) {
				if !f.block(part) {
					i += logs.CountLines(part)
					continue
				}
				err = logs.Each(part, f.dimensions, func(r *model.Resource, rl plog.ResourceLogs, sl plog.ScopeLogs, l plog.LogRecord) bool {
					p := logPlace{clock.TimeOf(l), ref, i}
					i++
					if f.accepts(r, rl.Resource().Attributes(), l, p) {
						hits = append(hits, logHit{p, *r, rl, sl, l})
					}
					return true
				})
				if err != nil {
					return hits, size, err
				}
			}
		}
	}
	return hits, size, nil
}

func (s *Set) logBlock(ref traces.RawRef) ([]byte, bool, error) {
	s.mu.RLock()
	held := s.rawLogs.Holds(ref)
	s.mu.RUnlock()
	if !held {
		return nil, false, nil
	}
	return s.rawLogs.Get(s.kv, ref)
}

// TailLogs returns the lines that q selects of the checkpoints after seq, oldest first, at most limit of them, how many more there
// were, and the last checkpoint looked at. Times in q are not looked at.
func (s *Set) TailLogs(q LogQuery, after uint64, limit int) (lines []LogLine, dropped int, seq uint64, err error) {
	q.From, q.To, q.Before = time.Time{}, time.Time{}, nil
	f := newLogFilter(&q, s.names.Dimensions)
	var hits []logHit
	kept, _ := s.keptLogs()
	seq = max(after, s.Frontier().Seq)
	first, _ := slices.BinarySearchFunc(kept, after+1, func(m traces.RawMeta, seq uint64) int { return cmp.Compare(m.Seq, seq) })
	for _, m := range kept[first:] {
		more, _, err := s.searchLogBlocks(m, f)
		if err != nil {
			return linesOf(hits), dropped, seq, err
		}
		seq = max(seq, m.Seq)
		hits = append(hits, more...)
	}
	slices.SortFunc(hits, func(a, b logHit) int { return a.place.compare(b.place) })
	if n := len(hits) - limit; n > 0 {
		hits, dropped = hits[n:], n
	}
	return linesOf(hits), dropped, seq, nil
}
