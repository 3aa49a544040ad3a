package views

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/lines"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// LogCount is how many lines of a service and a severity are in a step of time.
type LogCount struct {
	At       int64 // Unix seconds: the start of the step, a whole multiple of its width
	Service  string
	Severity logs.Severity
	Lines    uint64
	Bytes    uint64 // of their bodies
}

// LogCounts are lines counted by step, service and severity. From is from when on all of them were counted. Exhausted says that the
// budget ended there; otherwise older lines are not kept.
type LogCounts struct {
	Counts    []LogCount
	From      time.Time
	Exhausted bool
}

// CountLogs counts the lines that q selects, newest first. Limit and Before of q are not looked at.
func (s *Set) CountLogs(q LogQuery, step time.Duration) (LogCounts, error) {
	q.Before = nil
	if q.Budget <= 0 {
		q.Budget = logBudget
	}
	f := lines.NewFilter(&q, s.names.Dimensions)
	kept, since := s.keptLogs()
	f.From = max(f.From, since)
	older := newestBefore(kept)
	width := max(1, int64(step/time.Second))
	type key struct {
		at       int64
		service  string
		severity logs.Severity
	}
	by := map[key]*LogCount{}
	out := LogCounts{From: model.Time(f.From)}
	for i := len(kept) - 1; i >= 0 && older[i+1] >= f.From; i-- {
		m := kept[i]
		if m.End < f.From || m.Begin >= f.To {
			continue
		}
		if q.Budget <= 0 {
			// Lines as old as these may be in blocks that were not read, so that only later steps are whole.
			out.Exhausted = true
			edge := model.Ceil(int64(older[i+1]/uint64(time.Second))+1, width)
			out.From = time.Unix(edge, 0)
			for k := range by {
				if k.at < edge {
					delete(by, k)
				}
			}
			break
		}
		size, err := s.eachLogHit(m, f, func(h lines.Hit) {
			at := int64(h.Place.At / uint64(time.Second))
			k := key{at - at%width, string(h.Of.Service), logs.SeverityOf(int32(h.Record.SeverityNumber()), h.Record.SeverityText())}
			if by[k] == nil {
				by[k] = &LogCount{At: k.at, Service: k.service, Severity: k.severity}
			}
			by[k].Lines++
			by[k].Bytes += uint64(len(attr.Text(h.Record.Body())))
		})
		if err != nil {
			return out, err
		}
		q.Budget -= size
	}
	for _, c := range by {
		out.Counts = append(out.Counts, *c)
	}
	slices.SortFunc(out.Counts, func(a, b LogCount) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Severity, b.Severity))
	})
	return out, nil
}

// LogsAfter returns the oldest lines that q selects after a place, oldest first. Exhausted says that the budget ended before so many
// were found.
func (s *Set) LogsAfter(q LogQuery, after LogPlace) (LogResult, error) {
	q.Before, q.Limit = nil, max(1, q.Limit)
	if q.Budget <= 0 {
		q.Budget = logBudget
	}
	f := lines.NewFilter(&q, s.names.Dimensions)
	f.After = &after
	kept, since := s.keptLogs()
	f.From = max(f.From, since, after.At)
	newer := make([]uint64, len(kept)+1) // oldest time in the blocks from each on
	newer[len(kept)] = math.MaxUint64
	for i, m := range slices.Backward(kept) {
		newer[i] = min(newer[i+1], m.Begin)
	}
	out := LogResult{Since: model.Time(since)}
	var found []lines.Hit
	for i, m := range kept {
		if newer[i] >= f.To || len(found) == q.Limit && found[q.Limit-1].Place.At < newer[i] {
			break
		}
		if m.End < f.From || m.Begin >= f.To {
			continue
		}
		if q.Budget <= 0 {
			out.Exhausted = true
			found = slices.DeleteFunc(found, func(h lines.Hit) bool { return h.Place.At >= newer[i] })
			break
		}
		hits, size, err := s.searchLogBlocks(m, f)
		if err != nil {
			return out, err
		}
		q.Budget -= size
		found = append(found, hits...)
		slices.SortFunc(found, func(a, b lines.Hit) int { return a.Place.Compare(b.Place) })
		found = found[:min(len(found), q.Limit)]
	}
	out.Lines = linesOf(found)
	return out, nil
}
