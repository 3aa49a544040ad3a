package dedup

import (
	"encoding/binary"
	"math/bits"
)

// table holds remembered records by hash: open addressing with linear probing, in shards that grow one by one, so that no record waits while
// all of it is moved. A hash may be there several times, with times that lie apart. The zero hash marks an empty slot.
type table struct {
	shards [1 << shardBits]shard
	count  int
}

const (
	shardBits  = 6
	fewestSlot = 16
)

type shard struct {
	slots []slot // their number is a power of two; at most three quarters are used
	n     int
}

type slot struct {
	hash Hash
	ts   int64
	end  uint64
}

func (t *table) shard(h *Hash) *shard { return &t.shards[h[0]>>(8-shardBits)] }

// at is where the search for a hash begins.
func (s *shard) at(h *Hash) int { return int(binary.LittleEndian.Uint64(h[8:])) & (len(s.slots) - 1) }

func (s *shard) next(i int) int { return (i + 1) & (len(s.slots) - 1) }

// find returns an entry of the hash whose timestamp lies within the window around ts; nil: there is none.
func (t *table) find(h *Hash, ts, window int64) *slot {
	s := t.shard(h)
	if s.n == 0 {
		return nil
	}
	for i := s.at(h); s.slots[i].hash != (Hash{}); i = s.next(i) {
		if e := &s.slots[i]; e.hash == *h && max(e.ts-ts, ts-e.ts) <= window {
			return e
		}
	}
	return nil
}

// put remembers an entry, or replaces that of the same hash and timestamp.
func (t *table) put(e slot) {
	s := t.shard(&e.hash)
	if 4*(s.n+1) > 3*len(s.slots) {
		s.rebuild(max(fewestSlot, 2*len(s.slots)), nil)
	}
	i := s.at(&e.hash)
	for ; s.slots[i].hash != (Hash{}); i = s.next(i) {
		if s.slots[i].hash == e.hash && s.slots[i].ts == e.ts {
			s.slots[i] = e
			return
		}
	}
	s.slots[i] = e
	s.n++
	t.count++
}

// remove forgets the entry of a hash and timestamp. What follows it moves up to where it is looked for.
func (t *table) remove(h *Hash, ts int64) {
	s := t.shard(h)
	if s.n == 0 {
		return
	}
	i := s.at(h)
	for ; s.slots[i].hash != *h || s.slots[i].ts != ts; i = s.next(i) {
		if s.slots[i].hash == (Hash{}) {
			return
		}
	}
	t.count--
	s.n--
	free := i
	for i = s.next(i); s.slots[i].hash != (Hash{}); i = s.next(i) {
		// an entry may move to the free slot unless its search begins behind that
		if from := s.at(&s.slots[i].hash); (i-from)&(len(s.slots)-1) >= (i-free)&(len(s.slots)-1) {
			s.slots[free], free = s.slots[i], i
		}
	}
	s.slots[free] = slot{}
}

// before forgets what has a timestamp before ts.
func (t *table) before(ts int64) {
	for i := range t.shards {
		s := &t.shards[i]
		kept := 0
		for j := range s.slots {
			if e := &s.slots[j]; e.hash != (Hash{}) && e.ts >= ts {
				kept++
			}
		}
		if kept == s.n {
			continue
		}
		t.count -= s.n - kept
		s.rebuild(1<<bits.Len(uint(max(fewestSlot-1, 2*kept))), func(e *slot) bool { return e.ts >= ts })
	}
}

// rebuild makes room for n slots with the entries that keep accepts; nil: all.
func (s *shard) rebuild(n int, keep func(e *slot) bool) {
	old := s.slots
	s.slots, s.n = make([]slot, n), 0
	for j := range old {
		e := &old[j]
		if e.hash == (Hash{}) || keep != nil && !keep(e) {
			continue
		}
		i := s.at(&e.hash)
		for s.slots[i].hash != (Hash{}) {
			i = s.next(i)
		}
		s.slots[i] = *e
		s.n++
	}
}

// each calls fn for each timestamp.
func (t *table) each(fn func(ts int64)) {
	for i := range t.shards {
		for j := range t.shards[i].slots {
			if e := &t.shards[i].slots[j]; e.hash != (Hash{}) {
				fn(e.ts)
			}
		}
	}
}
