package traces

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"
)

// Rank orders traces within an answer: greater value first, then greater ID.
type Rank struct {
	Value uint64
	ID    [16]byte
}

// Before reports whether a ranks before b.
func (a *Rank) Before(b *Rank) bool {
	return cmp.Or(cmp.Compare(a.Value, b.Value), bytes.Compare(a.ID[:], b.ID[:])) > 0
}

// Top keeps the best of many traces, in a heap with the worst of them on top.
type Top struct {
	Limit int
	list  topHeap
}

type topTrace struct {
	Rank
	t *Trace
}

// Takes reports whether a trace with this rank is among the best so far.
func (h *Top) Takes(r *Rank) bool { return len(h.list) < h.Limit || r.Before(&h.list[0].Rank) }

// Add adds a trace that Top takes.
func (h *Top) Add(r Rank, t *Trace) {
	if len(h.list) == h.Limit {
		heap.Pop(&h.list)
	}
	heap.Push(&h.list, topTrace{r, t})
}

// Sorted are the traces, best first.
func (h *Top) Sorted() []*Trace {
	slices.SortFunc(h.list, func(a, b topTrace) int {
		if a.Before(&b.Rank) {
			return -1
		}
		return 1
	})
	out := make([]*Trace, len(h.list))
	for i := range h.list {
		out[i] = h.list[i].t
	}
	return out
}

// topHeap implements heap.Interface.
type topHeap []topTrace

func (h topHeap) Len() int           { return len(h) }
func (h topHeap) Less(i, j int) bool { return h[j].Before(&h[i].Rank) }
func (h topHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *topHeap) Push(x any)        { *h = append(*h, x.(topTrace)) }
func (h *topHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
