package views

import (
	"bytes"
	"cmp"
	"container/heap"
	"errors"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// TraceSummary is what is known of a trace without its spans.
type TraceSummary struct {
	ID                         [16]byte
	RootService, RootOperation string // of the first span, while the root has not been seen
	Start, End                 time.Time
	Spans, Errors              uint64
	Services                   []TraceService // by name
}

// TraceService is a service's part in a trace. Spans of resources without service.name count under the empty name.
type TraceService struct {
	Name          string
	Spans, Errors uint64
}

// Duration is from the first start to the last end.
func (t *TraceSummary) Duration() time.Duration { return t.End.Sub(t.Start) }

// TraceQuery selects traces. Zero fields select everything.
//
// Conditions are of two kinds. Those of the trace: MinDuration, MaxDuration, Status "ok". Those of a span, which one span must fulfil
// together: Service, Operation, Dims, Status "error", a start in [From, To), and whatever Find looks at.
type TraceQuery struct {
	From, To                 time.Time // a span starts in it
	Service, Operation       string
	Dims                     model.DimFilter
	Status                   string        // "error": the span has failed; "ok": no span of Service, Operation and Dims has
	MinDuration, MaxDuration time.Duration // from the trace's first start to its last end
	Slowest                  bool          // order by duration, longest first; else by start, newest first
	Limit                    int           // at least 1
	// After continues after a trace of an earlier answer with the same order.
	After *TraceSummary
	// Find returns the traces with a span in a block of raw records, OTLP TracesData, that fulfils all conditions of a span. Summaries
	// do not hold the times of spans: it decides about traces that reach beyond the range, and with Each about all, because it has
	// conditions that summaries know nothing of. Without it, a trace that overlaps the range is in the range.
	Find func(block []byte, dims model.DimFilter) ([][16]byte, error)
	Each bool
	// Tokens are what a block has in which Find finds anything; others are not read. Nothing here may stand for a value of another type.
	Tokens []traces.SpanToken
	// Proceed is called before each block that is read for Find; false ends the search. nil: it is read to its end.
	Proceed func() bool
}

// TraceResult is a page of traces.
type TraceResult struct {
	Traces []TraceSummary
	More   bool
	// Ended is set when Proceed ended the search; spans from SearchedTo on were looked at, zero where that is not known.
	Ended      bool
	SearchedTo time.Time
	// SpansSince is from when on all spans are kept for Find; zero: no conditions needed them, or all are.
	SpansSince time.Time
	// Sifted is set when spans of traces that are neither slow nor failed were taken out of what Find looked at.
	Sifted bool
}

// traceFilter is a TraceQuery with names as series.
type traceFilter struct {
	q                     *TraceQuery
	from, to, minD, maxD  uint64
	want                  []bool   // by red series; nil: any
	wanted                []uint32 // the same, ascending
	failed                []bool   // series that are errors (of the wanted)
	after                 *traceRank
	needFailed, needClean bool
}

// traceRank orders traces within an answer: greater value first, then greater id.
type traceRank struct {
	value uint64
	id    [16]byte
}

func (a *traceRank) before(b *traceRank) bool {
	return cmp.Or(cmp.Compare(a.value, b.value), bytes.Compare(a.id[:], b.id[:])) > 0
}

func (q *TraceQuery) rank(t *traces.Trace) traceRank {
	if q.Slowest {
		return traceRank{t.End - t.Start, t.ID}
	}
	return traceRank{t.Start, t.ID}
}

func (s *Set) traceFilter(q *TraceQuery) *traceFilter {
	f := &traceFilter{q: q, from: model.UnixNano(q.From, 0), to: model.UnixNano(q.To, 1<<63), minD: uint64(max(0, q.MinDuration)), maxD: uint64(max(0, q.MaxDuration))}
	if f.maxD == 0 {
		f.maxD = 1<<64 - 1
	}
	f.needFailed, f.needClean = q.Status == "error", q.Status == "ok"
	if a := q.After; a != nil {
		f.after = &traceRank{uint64(a.Start.UnixNano()), a.ID}
		if q.Slowest {
			f.after.value = uint64(a.Duration())
		}
	}
	named := q.Service != "" || q.Operation != "" || len(q.Dims) > 0
	n := s.names.REDCount()
	want, failed := make([]bool, 0, n), make([]bool, 0, n)
	s.names.EachSeries(func(id uint32, k model.REDKey) {
		ok := (q.Service == "" || k.Service == q.Service) && (q.Operation == "" || k.Operation == q.Operation) && q.Dims.Accepts(k.Dims)
		failed = append(failed, ok && k.Status == model.StatusError)
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
func (f *traceFilter) block(m *traces.Block, worst *traceRank) bool {
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
		return longest >= worst.value
	}
	return m.MaxStart >= worst.value
}

// times tells quickly which traces of a block to look at. A trace that changed since is not in the block as it is, so nothing may be
// left out for being too short when it could have grown; what could have is looked at in dirty.
func (f *traceFilter) times(worst *traceRank) func(start, end uint64) bool {
	return func(start, end uint64) bool {
		if start >= f.to || end-start < f.minD {
			return false
		}
		if worst == nil {
			return true
		}
		if f.q.Slowest {
			return end-start >= worst.value
		}
		return start >= worst.value
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

// ranked is a found trace in its place.
type ranked struct {
	traceRank
	t TraceSummary
}

// tracePage holds the best traces of a search, one more than asked for: it tells whether there are more.
type tracePage struct {
	limit int
	found []ranked // best first
	has   map[[16]byte]bool
}

// place is where a trace belongs; ok is false when it is not among the best or, with another rank, there already: it changed since the
// search began.
func (p *tracePage) place(r traceRank) (at int, ok bool) {
	if p.has[r.id] {
		return 0, false
	}
	at, _ = slices.BinarySearchFunc(p.found, r, func(a ranked, b traceRank) int {
		if a.before(&b) {
			return -1
		}
		return 1
	})
	return at, at <= p.limit
}

func (p *tracePage) insert(at int, r ranked) {
	p.found, p.has[r.id] = slices.Insert(p.found, at, r), true
	if last := len(p.found) - 1; last > p.limit {
		delete(p.has, p.found[last].id)
		p.found = p.found[:last]
	}
}

// worst is the trace that others must rank before; nil while there is room.
func (p *tracePage) worst() *traceRank {
	if len(p.found) <= p.limit {
		return nil
	}
	return &p.found[p.limit].traceRank
}

func (p *tracePage) result(out *TraceResult) {
	out.More = len(p.found) > p.limit
	for _, r := range p.found[:min(len(p.found), p.limit)] {
		out.Traces = append(out.Traces, r.t)
	}
}

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
		if !f.accepts(t) || f.after != nil && !f.after.before(&r) {
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
	}
	for i := range blocks {
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
	since, best, perhaps := s.tracesSince(), topTraces{limit: q.Limit + 1}, topTraces{limit: q.Limit + 1 + maxPerhaps}
	for _, t := range s.traces.Dirty {
		r, to := q.rank(t), &best
		if q.Find != nil && !f.inRange(t) {
			to = &perhaps
		}
		if to.takes(&r) && t.End >= since && f.accepts(t) && (f.after == nil || f.after.before(&r)) {
			to.add(r, t)
		}
	}
	for _, c := range append(best.sorted(), perhaps.sorted()...) {
		recent = append(recent, c.t.Copy())
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

// topTraces keeps the best of many traces, in a heap with the worst of them on top.
type topTraces struct {
	limit int
	heap  []topTrace
}

type topTrace struct {
	traceRank
	t *traces.Trace
}

func (h *topTraces) takes(r *traceRank) bool {
	return len(h.heap) < h.limit || r.before(&h.heap[0].traceRank)
}

func (h *topTraces) add(r traceRank, t *traces.Trace) {
	if len(h.heap) == h.limit {
		heap.Pop(h)
	}
	heap.Push(h, topTrace{r, t})
}

// sorted empties the heap, best first.
func (h *topTraces) sorted() []topTrace {
	slices.SortFunc(h.heap, func(a, b topTrace) int {
		if a.before(&b.traceRank) {
			return -1
		}
		return 1
	})
	return h.heap
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (h *topTraces) Len() int           { return len(h.heap) }
func (h *topTraces) Less(i, j int) bool { return h.heap[j].before(&h.heap[i].traceRank) }
func (h *topTraces) Swap(i, j int)      { h.heap[i], h.heap[j] = h.heap[j], h.heap[i] }
func (h *topTraces) Push(x any)         { h.heap = append(h.heap, x.(topTrace)) }
func (h *topTraces) Pop() any {
	last := h.heap[len(h.heap)-1]
	h.heap = h.heap[:len(h.heap)-1]
	return last
}

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

// tracesSince is the end that a trace must have to be shown, Unix nanoseconds.
func (s *Set) tracesSince() uint64 { return s.headLess(s.cfg.TraceRetention) }

// Before is the time d before the newest event time; of a negative d, no time.
func (s *Set) Before(d time.Duration) time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return model.Time(s.headLess(d))
}

// headLess is the time d before the newest; of a negative d, no time.
func (s *Set) headLess(d time.Duration) uint64 {
	if d < 0 {
		return 1 << 63
	}
	if uint64(d) >= s.head {
		return 0
	}
	return s.head - uint64(d)
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
