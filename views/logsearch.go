package views

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/lines"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

type (
	// LogLine is one log line.
	LogLine = lines.Line
	// LogPlace is where a line is.
	LogPlace = lines.Place
	// LogQuery selects lines.
	LogQuery = lines.Query
)

// LogResult is a page of lines, newest first. Next continues; it is nil at the end. Exhausted says that the budget ended: what lies
// between the last line and Next has been searched, what is older has not.
type LogResult struct {
	Lines     []LogLine
	Next      *LogPlace
	Exhausted bool
	Since     time.Time // lines older than this are no longer kept
}

const logBudget = 256 << 20

// MatchesPattern reports whether a body is of a pattern as LogPatterns gives it.
func MatchesPattern(pattern, body string) bool {
	return drain.SameWords(strings.Fields(pattern), drain.Split([]byte(body)))
}

// PatternWords are the words that every body of a pattern has.
func PatternWords(pattern string) []string {
	return slices.DeleteFunc(strings.Fields(pattern), func(w string) bool { return w == drain.Wildcard })
}

func linesOf(hits []lines.Hit) []LogLine {
	out := make([]LogLine, len(hits))
	for i := range hits {
		out[i] = hits[i].Line()
	}
	return out
}

// SearchLogs returns the newest lines that q selects.
func (s *Set) SearchLogs(q LogQuery) (LogResult, error) {
	q.Limit = max(1, q.Limit)
	if q.Budget <= 0 {
		q.Budget = logBudget
	}
	f := lines.NewFilter(&q, s.names.Dimensions)
	kept, since := s.keptLogs()
	out := LogResult{Since: model.Time(since)}
	f.From = max(f.From, since)
	older := newestBefore(kept)
	var found []lines.Hit
	for i := len(kept) - 1; i >= 0; i-- {
		m := kept[i]
		if older[i+1] < f.From || len(found) > q.Limit && found[q.Limit].Place.At > older[i+1] {
			break
		}
		if m.End < f.From || m.Begin >= f.To || q.Before != nil && m.Begin > q.Before.At {
			continue
		}
		if q.Budget <= 0 {
			out.Exhausted = true
			found = slices.DeleteFunc(found, func(h lines.Hit) bool { return h.Place.At <= older[i+1] })
			out.Next = &LogPlace{At: older[i+1] + 1}
			break
		}
		hits, size, err := s.searchLogBlocks(m, f)
		if err != nil {
			return out, err
		}
		q.Budget -= size
		found = append(found, hits...)
		slices.SortFunc(found, func(a, b lines.Hit) int { return b.Place.Compare(a.Place) })
		found = found[:min(len(found), q.Limit+1)]
	}
	if len(found) > q.Limit {
		found, out.Exhausted = found[:q.Limit], false
		p := found[q.Limit-1].Place
		out.Next = &p
	}
	out.Lines = linesOf(found)
	return out, nil
}

// newestBefore has, for each checkpoint and after the last, the newest time in those before it.
func newestBefore(kept []traces.RawMeta) []uint64 {
	older := make([]uint64, len(kept)+1)
	for i, m := range kept {
		older[i+1] = max(older[i], m.End)
	}
	return older
}

// keptLogs is what raw blocks there are, and from when on their lines are shown.
func (s *Set) keptLogs() ([]traces.RawMeta, uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.rawLogs.Kept), s.headLess(s.cfg.LogRetention)
}

func (s *Set) searchLogBlocks(m traces.RawMeta, f *lines.Filter) (hits []lines.Hit, size int, err error) {
	size, err = s.eachLogHit(m, f, func(h lines.Hit) { hits = append(hits, h) })
	return hits, size, err
}

// eachLogHit calls found for each line of a checkpoint's blocks that is wanted; size is how many bytes were looked through.
func (s *Set) eachLogHit(m traces.RawMeta, f *lines.Filter, found func(lines.Hit)) (size int, err error) {
	for n := range m.Blocks {
		ref := traces.RawRef{Seq: m.Seq, N: n}
		b, ok, err := s.logBlock(ref)
		if err != nil || !ok {
			return size, err
		}
		size += len(b)
		if !f.Block(b) {
			continue
		}
		i := 0
		for clock, record := range logs.KeptRecords(b, logs.Clock{Arrived: m.Begin}) {
			for part := range logs.Parts(record) {
				if !f.Block(part) {
					i += logs.CountLines(part)
					continue
				}
				err = logs.Each(part, s.names.Dimensions, func(r *model.Resource, rl plog.ResourceLogs, sl plog.ScopeLogs, l plog.LogRecord) bool {
					p := LogPlace{At: clock.TimeOf(l), Seq: ref.Seq, Block: ref.N, Index: i}
					i++
					if f.Accepts(r, rl.Resource().Attributes(), l, p) {
						found(lines.Hit{Place: p, Of: *r, Resource: rl, Scope: sl, Record: l})
					}
					return true
				})
				if err != nil {
					return size, err
				}
			}
		}
	}
	return size, nil
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
func (s *Set) TailLogs(q LogQuery, after uint64, limit int) (out []LogLine, dropped int, seq uint64, err error) {
	q.From, q.To, q.Before = time.Time{}, time.Time{}, nil
	f := lines.NewFilter(&q, s.names.Dimensions)
	var hits []lines.Hit
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
	slices.SortFunc(hits, func(a, b lines.Hit) int { return a.Place.Compare(b.Place) })
	if n := len(hits) - limit; n > 0 {
		hits, dropped = hits[n:], n
	}
	return linesOf(hits), dropped, seq, nil
}
