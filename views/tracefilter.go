package views

import (
	"slices"

	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// traceFilter is a TraceQuery with names as series.
type traceFilter struct {
	q                     *TraceQuery
	from, to, minD, maxD  uint64
	want                  []bool   // by red series; nil: any
	wanted                []uint32 // the same, ascending
	failed                []bool   // series that are errors (of the wanted)
	errors                []bool   // series that are errors
	after                 *traces.Rank
	needFailed, needClean bool
}

func (s *Set) traceFilter(q *TraceQuery) *traceFilter {
	f := &traceFilter{q: q, from: model.UnixNano(q.From, 0), to: model.UnixNano(q.To, 1<<63), minD: uint64(max(0, q.MinDuration)),
		maxD: uint64(max(0, q.MaxDuration))}
	if f.maxD == 0 {
		f.maxD = 1<<64 - 1
	}
	f.needFailed, f.needClean = q.Status == "error", q.Status == "ok"
	if a := q.After; a != nil {
		f.after = &traces.Rank{Value: uint64(a.Start.UnixNano()), ID: a.ID}
		if q.Slowest {
			f.after.Value = uint64(a.Duration())
		}
	}
	named := q.Service != "" || q.Operation != "" || len(q.Dims) > 0
	n := s.names.REDCount()
	want, failed := make([]bool, 0, n), make([]bool, 0, n)
	s.names.EachSeries(func(id uint32, k model.REDKey) {
		ok := (q.Service == "" || k.Service == q.Service) && (q.Operation == "" || k.Operation == q.Operation) && q.Dims.Accepts(k.Dims)
		failed = append(failed, ok && k.Status == model.StatusError)
		f.errors = append(f.errors, k.Status == model.StatusError)
		want = append(want, ok && (!f.needFailed || failed[id]))
		if want[id] {
			f.wanted = append(f.wanted, id)
		}
	})
	if named || f.needFailed {
		f.want = want
	}
	f.failed = failed
	return f
}

// block reports whether a block may hold traces that are accepted and rank before the worst of a full page.
func (f *traceFilter) block(m *traces.Block, worst *traces.Rank) bool {
	if m.MaxEnd < f.from || m.MinStart >= f.to || m.MaxDuration < f.minD {
		return false
	}
	longest := m.MaxDuration
	if f.want != nil {
		if longest = f.longestIn(m); longest == 0 || longest <= f.minD {
			return false
		}
		longest--
	}
	if worst == nil {
		return true
	}
	if f.q.Slowest {
		return longest >= worst.Value
	}
	return m.MaxStart >= worst.Value
}

// times finds quickly which traces of a block to look at. A trace that changed since is not in the block as it is, so nothing may be
// left out for being too short when it could have grown; what could have is looked at in dirty.
func (f *traceFilter) times(worst *traces.Rank) func(start, end uint64) bool {
	return func(start, end uint64) bool {
		if start >= f.to || end-start < f.minD {
			return false
		}
		if worst == nil {
			return true
		}
		if f.q.Slowest {
			return end-start >= worst.Value
		}
		return start >= worst.Value
	}
}

// longestIn is the longest duration of the block's traces with a wanted series, plus one; 0: there is none.
func (f *traceFilter) longestIn(m *traces.Block) (longest uint64) {
	if len(f.wanted)*8 < len(m.Series) {
		for _, id := range f.wanted {
			if i, ok := slices.BinarySearch(m.Series, id); ok {
				longest = max(longest, m.Longest[i]+1)
			}
		}
		return longest
	}
	for i, id := range m.Series {
		if int(id) < len(f.want) && f.want[id] {
			longest = max(longest, m.Longest[i]+1)
		}
	}
	return longest
}

// accepts reports whether a trace overlaps the range and its summary contradicts no condition.
func (f *traceFilter) accepts(t *traces.Trace) bool {
	d := t.End - t.Start
	if t.End < f.from || t.Start >= f.to || d < f.minD || d > f.maxD {
		return false
	}
	found := f.want == nil
	for _, s := range t.Spans {
		if int(s.Series) >= len(f.failed) {
			continue
		}
		if f.needClean && f.failed[s.Series] {
			return false
		}
		found = found || f.want[s.Series]
	}
	return found
}

// inRange reports whether a trace that is accepted has the span that it is accepted for within the range for certain.
func (f *traceFilter) inRange(t *traces.Trace) bool {
	if t.Start == 0 || t.Start < f.from {
		return false
	}
	return f.want == nil || t.End < f.to // the first span starts in the range; so do all when the last ends in it
}

// visit calls Visit with a trace that is selected and not among those that page has; finds decides where the summary does not.
func (f *traceFilter) visit(t *traces.Trace, page *tracePage, finds func(*traces.Trace) (bool, error)) error {
	if page.has[t.ID] || !f.accepts(t) {
		return nil
	}
	if finds != nil && !f.inRange(t) {
		if ok, err := finds(t); err != nil || !ok {
			return err
		}
	}
	failed := false
	for _, s := range t.Spans {
		failed = failed || int(s.Series) < len(f.errors) && f.errors[s.Series]
	}
	f.q.Visit(model.Time(t.Start), model.Time(t.End), failed)
	return nil
}
