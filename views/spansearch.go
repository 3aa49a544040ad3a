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

// Searches by what only spans hold, their attributes, durations and starts, read the raw blocks: one after the other, from the newest,
// each once for all its traces. What a block holds of a trace is looked at together with the summary of the whole trace.

// spanFinder looks for spans of single traces in their blocks.
type spanFinder struct {
	set  *Set
	q    *TraceQuery
	out  *TraceResult
	read map[traces.RawRef]map[[16]byte]bool // what Find found in blocks
}

// maxFound bounds the blocks of which a spanFinder remembers what was found.
const maxFound = 256

// finds reports whether a trace has a span that Find accepts. A trace whose spans are not all kept, or for which there is no time left,
// counts by its summary: it may have one.
func (f *spanFinder) finds(t *traces.Trace) (bool, error) {
	if f.q.Find == nil || len(t.Raw) == 0 {
		return true, nil
	}
	whole := true
	for _, r := range t.Raw {
		ids, ok := f.read[r]
		if !ok {
			if f.out.Ended = f.out.Ended || f.q.Proceed != nil && !f.q.Proceed(); f.out.Ended {
				return true, nil
			}
			b, kept, err := f.set.rawSpans.Get(f.set.kv, r)
			if err != nil {
				return false, err
			}
			if !kept {
				whole = false
				continue
			}
			list, err := f.q.Find(b, f.q.Dims)
			if err != nil {
				return false, err
			}
			ids = make(map[[16]byte]bool, len(list))
			for _, id := range list {
				ids[id] = true
			}
			if f.read == nil || len(f.read) >= maxFound {
				f.read = map[traces.RawRef]map[[16]byte]bool{}
			}
			f.read[r] = ids
		}
		if ids[t.ID] {
			return true, nil
		}
	}
	return !whole || f.set.siftedOut(t), nil
}

// siftedOut reports whether the spans of a trace are among those that are taken out of settled blocks, and some were.
func (s *Set) siftedOut(t *traces.Trace) bool {
	k := s.cfg.TraceKeep
	if k == nil || k.Samples(t.ID) || s.notable(t) {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(t.Raw, func(r traces.RawRef) bool {
		i, ok := slices.BinarySearchFunc(s.rawSpans.Kept, r.Seq, func(m traces.RawMeta, seq uint64) int { return cmp.Compare(m.Seq, seq) })
		return ok && s.rawSpans.Kept[i].Sifted
	})
}

// searchSpans finds traces by their spans.
func (s *Set) searchSpans(q *TraceQuery) (out TraceResult, err error) {
	s.mu.RLock()
	f, since, metas := s.traceFilter(q), s.tracesSince(), slices.Clone(s.rawSpans.Kept)
	out.SpansSince = s.spansSince(f.from)
	s.mu.RUnlock()
	slices.SortStableFunc(metas, func(a, b traces.RawMeta) int { return cmp.Compare(b.End, a.End) })
	page, tokens := tracePage{limit: q.Limit, has: map[[16]byte]bool{}}, traces.HashesOf(q.Tokens)
	for i := range metas {
		m := &metas[i]
		if w := page.worst(); m.End < f.from || w != nil && !q.Slowest && m.End < w.Value {
			break // no span of what follows starts in the range, or in time for the page
		}
		if m.Starts && m.Begin >= f.to {
			continue
		}
		out.Sifted = out.Sifted || m.Sifted
		refs, err := s.rawSpans.BlocksWith(s.kv, m, tokens)
		if err != nil {
			return out, err
		}
		for _, r := range refs {
			if q.Proceed != nil && !q.Proceed() || q.Visit != nil && len(page.has) >= maxVisited {
				out.Ended, out.SearchedTo = true, model.Time(m.End).Add(1)
				break
			}
			if err := s.searchRawBlock(q, f, since, r, &page); err != nil {
				return out, err
			}
		}
		if out.Ended {
			break
		}
	}
	page.result(&out)
	return out, nil
}

// spansSince is from when on all spans are kept of a range that begins at from; zero: all are.
func (s *Set) spansSince(from uint64) time.Time {
	if dropped := s.droppedSpans(); from <= dropped && dropped > s.tracesSince() {
		return model.Time(dropped).Add(1)
	}
	return time.Time{}
}

// droppedSpans is the newest time of spans that are no longer kept though their traces are; 0: there are none. After a start that is not
// known; it is taken to be where the kept spans begin when traces are older.
func (s *Set) droppedSpans() uint64 {
	r := s.rawSpans
	if s.cfg.TraceBytes <= 0 || r.Guessed && len(r.Kept) == 0 {
		return s.head
	}
	if !r.Guessed {
		return r.Dropped
	}
	oldest := uint64(1<<64 - 1)
	for i := range r.Kept {
		oldest = min(oldest, r.Kept[i].Begin)
	}
	if slices.ContainsFunc(s.traces.Blocks, func(m traces.Block) bool { return m.MinStart > 0 && m.MinStart < oldest }) {
		return max(r.Dropped, oldest)
	}
	return 0
}

func (s *Set) searchRawBlock(q *TraceQuery, f *traceFilter, since uint64, r traces.RawRef, page *tracePage) error {
	b, kept, err := s.rawSpans.Get(s.kv, r)
	if err != nil || !kept {
		return err
	}
	ids, err := q.Find(b, q.Dims)
	if err != nil {
		return err
	}
	ids = slices.DeleteFunc(ids, func(id [16]byte) bool { return page.has[id] })
	list, err := s.readTraces(ids)
	if err != nil {
		return err
	}
	for _, t := range list {
		r := q.rank(t)
		if q.Visit != nil && t.End >= since {
			_ = f.visit(t, page, nil)
			page.has[t.ID] = true
		}
		if q.Visit != nil || t.End < since || !f.accepts(t) || f.after != nil && !f.after.Before(&r) {
			continue
		}
		if at, ok := page.place(r); ok {
			page.insert(at, ranked{r, s.summary(t)})
		}
	}
	return nil
}

// readTraces returns copies of the traces that are held, in no order. The traces of a raw block share a few blocks of summaries, each of
// which is read once.
func (s *Set) readTraces(ids [][16]byte) (list []*traces.Trace, err error) {
	at := map[uint32]map[[16]byte]bool{}
	s.mu.RLock()
	for _, id := range ids {
		if t := s.traces.Recent[id]; t != nil {
			list = append(list, new(t.Copy()))
			continue
		}
		n, ok := s.traces.BlockOf(id)
		if !ok {
			continue
		}
		if at[n] == nil {
			at[n] = map[[16]byte]bool{}
		}
		at[n][id] = true
	}
	s.mu.RUnlock()
	for n, in := range at {
		err := s.traces.Read(s.kv, n, traces.AnyTime, func(t *traces.Trace) bool {
			if in[t.ID] {
				delete(in, t.ID)
				list = append(list, new(t.Copy()))
			}
			return len(in) > 0
		})
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
		for id := range in { // it has moved meanwhile
			t, err := s.readTrace(id)
			if err != nil {
				return nil, err
			}
			if t != nil {
				list = append(list, t)
			}
		}
	}
	return list, nil
}
