package views

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// SearchTraces returns the traces that q selects, best first.
func (s *Set) SearchTraces(q TraceQuery) (TraceResult, error) {
	q.Limit = max(1, q.Limit)
	if q.Each && q.Find != nil {
		return s.searchSpans(&q)
	}
	var out TraceResult
	page := tracePage{limit: q.Limit, has: map[[16]byte]bool{}}
	f, recent, blocks, next := s.beginSearch(&q)
	finder := spanFinder{set: s, q: &q, out: &out}
	consider := func(t *traces.Trace) error {
		r := q.rank(t)
		if q.Visit != nil {
			return f.visit(t, &page, finder.finds)
		}
		if !f.accepts(t) || f.after != nil && !f.after.Before(&r) {
			return nil
		}
		at, ok := page.place(r)
		if !ok {
			return nil
		}
		if !f.inRange(t) {
			if ok, err := finder.finds(t); err != nil || !ok {
				return err
			}
		}
		page.insert(at, ranked{r, s.summary(t)})
		return nil
	}
	for i := range recent {
		if err := consider(&recent[i]); err != nil {
			return out, err
		}
		page.has[recent[i].ID] = page.has[recent[i].ID] || q.Visit != nil
	}
	for i := range blocks {
		if q.Visit != nil && q.Proceed != nil && !q.Proceed() {
			out.Ended, out.SearchedTo = true, model.Time(blocks[i].MaxStart).Add(1)
			break
		}
		worst := page.worst()
		if !f.block(&blocks[i], worst) {
			continue
		}
		list, err := s.readBlock(&blocks[i], f.times(worst), f, next)
		if err != nil {
			return out, err
		}
		for j := range list {
			if err := consider(&list[j]); err != nil {
				return out, err
			}
		}
	}
	page.result(&out)
	return out, nil
}

// beginSearch takes copies: raw spans and blocks are not read under the lock.
func (s *Set) beginSearch(q *TraceQuery) (f *traceFilter, recent []traces.Trace, blocks []traces.Block, next uint32) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f = s.traceFilter(q)
	if q.Visit != nil {
		q.Limit = max(q.Limit, len(s.traces.Dirty))
	}
	since, best, perhaps := s.tracesSince(), traces.Top{Limit: q.Limit + 1}, traces.Top{Limit: q.Limit + 1 + maxPerhaps}
	for _, t := range s.traces.Dirty {
		r, to := q.rank(t), &best
		if q.Find != nil && !f.inRange(t) {
			to = &perhaps
		}
		if to.Takes(&r) && t.End >= since && f.accepts(t) && (f.after == nil || f.after.Before(&r)) {
			to.Add(r, t)
		}
	}
	for _, c := range append(best.Sorted(), perhaps.Sorted()...) {
		recent = append(recent, c.Copy())
	}
	blocks = slices.Clone(s.traces.Blocks)
	slices.SortFunc(blocks, func(a, b traces.Block) int {
		if q.Slowest {
			return cmp.Compare(b.MaxDuration, a.MaxDuration)
		}
		return cmp.Compare(b.MaxStart, a.MaxStart)
	})
	return f, recent, blocks, s.traces.Next
}

// maxPerhaps bounds how many of the traces that changed lately and reach beyond the range are looked at.
const maxPerhaps = 10_000

// readBlock returns the traces of a block that f accepts, in their newest state, unless an older block below next is their home. The block
// itself, which never changes, is read without the lock.
func (s *Set) readBlock(m *traces.Block, times func(start, end uint64) bool, f *traceFilter, next uint32) (list []traces.Trace, err error) {
	type stored struct {
		id [16]byte
		t  *traces.Trace // nil: not accepted as it is stored
	}
	var all []stored
	err = s.traces.Read(s.kv, m.N, times, func(t *traces.Trace) bool {
		one := stored{id: t.ID}
		if f.accepts(t) {
			one.t = new(t.Copy())
		}
		all = append(all, one)
		return true
	})
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil // it expired meanwhile
	}
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	since := s.tracesSince()
	for _, one := range all {
		home, ok := s.traces.Home.Get(one.id)
		newer := s.traces.Dirty[one.id]
		if newer == nil && ok && home >= next { // it changed since the search began
			newer = s.traces.Recent[one.id]
		}
		switch t := one.t; {
		case newer != nil:
			if newer.End >= since && f.accepts(newer) {
				list = append(list, newer.Copy())
			}
		case !ok || home != m.N && home < next:
		case t != nil && t.End >= since:
			list = append(list, *t)
		}
	}
	return list, nil
}

// Before is the time d before the newest event time; of a negative d, no time.
func (s *Set) Before(d time.Duration) time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return model.Time(s.headLess(d))
}

func (s *Set) summary(t *traces.Trace) TraceSummary {
	out := TraceSummary{ID: t.ID, Start: model.Time(t.Start), End: model.Time(t.End)}
	if t.Root.Some && t.Root.Series != traces.NoSeries {
		k := s.names.REDKey(t.Root.Series)
		out.RootService, out.RootOperation = k.Service, k.Operation
	}
	by := map[string]*TraceService{}
	for _, sp := range t.Spans {
		k := model.REDKey{}
		if sp.Series != traces.NoSeries {
			k = s.names.REDKey(sp.Series)
		}
		v := by[k.Service]
		if v == nil {
			v = &TraceService{Name: k.Service}
			by[k.Service] = v
		}
		n := uint64(sp.N)
		v.Spans += n
		out.Spans += n
		if k.Status == model.StatusError {
			v.Errors += n
			out.Errors += n
		}
	}
	for _, v := range by {
		out.Services = append(out.Services, *v)
	}
	slices.SortFunc(out.Services, func(a, b TraceService) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Trace returns the summary of a trace and its raw records: OTLP TracesData, which may hold spans of other traces too. missing is
// how many blocks with spans of it are no longer kept.
func (s *Set) Trace(id [16]byte) (t TraceSummary, raw [][]byte, missing int, ok bool, err error) {
	return WholeTrace(id, s.EachTraceBlock)
}

// FindTrace returns a trace's summary and the blocks that are held of it; missing is how many are not.
func (s *Set) FindTrace(id [16]byte) (t TraceSummary, blocks []traces.RawRef, missing int, ok bool, err error) {
	found, err := s.readTrace(id)
	if err != nil || found == nil {
		return t, nil, 0, false, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if found.End < s.tracesSince() {
		return t, nil, 0, false, nil
	}
	for _, r := range found.Raw {
		if s.rawSpans.Holds(r) {
			blocks = append(blocks, r)
		} else {
			missing++
		}
	}
	if len(found.Raw) == 0 {
		missing = 1
	}
	return s.summary(found), blocks, missing, true, nil
}

// readTrace returns a copy of a trace, nil when there is none. Its block is read without the lock, and where the trace has moved meanwhile,
// its new one.
func (s *Set) readTrace(id [16]byte) (*traces.Trace, error) {
	for last := uint32(0); ; {
		s.mu.RLock()
		if t := s.traces.Recent[id]; t != nil {
			defer s.mu.RUnlock()
			return new(t.Copy()), nil
		}
		n, ok := s.traces.BlockOf(id)
		s.mu.RUnlock()
		if !ok {
			return nil, nil
		}
		t, err := s.traces.InBlock(s.kv, n, id)
		if t != nil || n == last { // blocks are numbered from 1
			return t, err
		}
		last = n
	}
}
