package views

import "sync"

// Change says what commits since the last Take touched. It is level-triggered: it names series, the reader reads them again.
type Change struct {
	Frontier Frontier
	RED      map[uint32]int64 // red series, and the start of the oldest bucket of each that changed, Unix seconds
	Edges    map[uint32]int64 // servicemap series, likewise
	Tables   TableSet
}

// Merge adds what o says to c; o is the later one.
func (c *Change) Merge(o Change) {
	c.Frontier = o.Frontier
	c.RED, c.Edges = merged(c.RED, o.RED), merged(c.Edges, o.Edges)
	c.Tables |= o.Tables
}

func merged(a, b map[uint32]int64) map[uint32]int64 {
	if len(a) == 0 {
		return b
	}
	for id, bucket := range b {
		if at, ok := a[id]; !ok || bucket < at {
			a[id] = bucket
		}
	}
	return a
}

// Touch is a series and the start of a bucket of it that changed, Unix seconds.
type Touch struct {
	ID     uint32
	Bucket int64
}

// TableSet is a set of tables, a bit each.
type TableSet uint16

// Has reports whether t is in the set.
func (s TableSet) Has(t Table) bool { return s&(1<<t) != 0 }

// With is the set with t in it.
func (s TableSet) With(t Table) TableSet { return s | 1<<t }

// Feed tells subscribers that commits happened. Publish never blocks: what a slow subscriber has not taken is merged.
type Feed struct {
	mu      sync.Mutex
	subs    map[*Subscription]struct{}
	forward func(fr Frontier, red, edges []Touch, tables TableSet) // to the Live that shows the Set
}

// Subscription is one reader's place in a Feed.
type Subscription struct {
	// C is ready when there is something to Take. It is never closed.
	C    <-chan struct{}
	c    chan struct{}
	feed *Feed
	mu   sync.Mutex
	next Change
}

// Subscribe starts a subscription; it sees every later Publish. The caller must Close it.
func (f *Feed) Subscribe() *Subscription {
	c := make(chan struct{}, 1)
	s := &Subscription{C: c, c: c, feed: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subs == nil {
		f.subs = map[*Subscription]struct{}{}
	}
	f.subs[s] = struct{}{}
	return s
}

// Publish hands a change to every subscription. It keeps no reference to the slices.
func (f *Feed) Publish(fr Frontier, red, edges []Touch, tables TableSet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subs {
		s.add(fr, red, edges, tables)
	}
	if f.forward != nil {
		f.forward(fr, red, edges, tables)
	}
}

// forwardTo makes fn hear of every later Publish; nil ends that.
func (f *Feed) forwardTo(fn func(fr Frontier, red, edges []Touch, tables TableSet)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forward = fn
}

func (s *Subscription) add(fr Frontier, red, edges []Touch, tables TableSet) {
	s.mu.Lock()
	s.next.Frontier = fr
	s.next.RED = addAll(s.next.RED, red)
	s.next.Edges = addAll(s.next.Edges, edges)
	s.next.Tables |= tables
	s.mu.Unlock()
	select {
	case s.c <- struct{}{}:
	default:
	}
}

func addAll(set map[uint32]int64, list []Touch) map[uint32]int64 {
	if set == nil && len(list) > 0 {
		set = make(map[uint32]int64, len(list))
	}
	for _, t := range list {
		if at, ok := set[t.ID]; !ok || t.Bucket < at {
			set[t.ID] = t.Bucket
		}
	}
	return set
}

// Take returns everything published since the last Take, merged. Its Frontier is the newest; its maps may be nil.
func (s *Subscription) Take() Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.next
	s.next = Change{Frontier: c.Frontier}
	return c
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	delete(s.feed.subs, s)
}
