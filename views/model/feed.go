package model

import "sync"

// Change says what commits since the last Take touched. It is level-triggered: it names series, the reader reads them again.
type Change struct {
	Frontier Frontier
	RED      map[uint32]Touched // red series
	Edges    map[uint32]Touched // servicemap series
	Tables   TableSet
}

// Touched is what commits did to a series.
type Touched struct {
	Bucket int64  // start of the oldest bucket that changed, Unix seconds
	Calls  uint64 // that were added; 0: unknown, or taken back
}

func (t Touched) and(o Touched) Touched {
	both := Touched{Bucket: min(t.Bucket, o.Bucket)}
	if t.Calls > 0 && o.Calls > 0 {
		both.Calls = t.Calls + o.Calls
	}
	return both
}

// Merge adds what o says to c; o is the later one.
func (c *Change) Merge(o Change) {
	c.Frontier = o.Frontier
	c.RED, c.Edges = merged(c.RED, o.RED), merged(c.Edges, o.Edges)
	c.Tables |= o.Tables
}

func merged(a, b map[uint32]Touched) map[uint32]Touched {
	if len(a) == 0 {
		return b
	}
	for id, t := range b {
		add(a, id, t)
	}
	return a
}

func add(set map[uint32]Touched, id uint32, t Touched) {
	if known, ok := set[id]; ok {
		t = t.and(known)
	}
	set[id] = t
}

// Touch is a series that one commit changed.
type Touch struct {
	ID uint32
	Touched
}

// TableSet is a set of tables, a bit each.
type TableSet uint16

// Has reports whether t is in the set.
func (s TableSet) Has(t Table) bool { return s&(1<<t) != 0 }

// With is the set with t in it.
func (s TableSet) With(t Table) TableSet { return s | 1<<t }

// Feed wakes subscribers after commits. Publish never blocks: what a slow subscriber has not taken is merged.
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

// ForwardTo makes fn hear of every later Publish; nil ends that.
func (f *Feed) ForwardTo(fn func(fr Frontier, red, edges []Touch, tables TableSet)) {
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

func addAll(set map[uint32]Touched, list []Touch) map[uint32]Touched {
	if set == nil && len(list) > 0 {
		set = make(map[uint32]Touched, len(list))
	}
	for _, t := range list {
		add(set, t.ID, t.Touched)
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
