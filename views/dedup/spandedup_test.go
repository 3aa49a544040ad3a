package dedup

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

func testSpanDedup(limit int) *Spans {
	c := model.Config{DedupSpans: true, Limits: model.Limits{DedupSpans: limit}}
	return NewSpans(c.WithDefaults())
}

// TestSpanDedupAgrees holds the table against a map while it grows, forgets and takes back.
func TestSpanDedupAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	d, shadow := testSpanDedup(0), map[uint64]uint32{}
	for i := range 300_000 {
		now := uint32(1000 + i/100)
		k := SpanKey{hash: uint64(r.IntN(100_000)) * 0x9e3779b97f4a7c15, more: 7, second: now - uint32(r.IntN(20))}
		at, known := shadow[k.hash]
		known = known && at >= d.since
		dup := known && max(at, k.second)-min(at, k.second) < d.window
		if d.put(k) == dup {
			t.Fatalf("step %d: key %v, seen at %d (%v): said to be new: %v", i, k, at, known, dup)
		}
		switch {
		case !dup && r.IntN(10) == 0 && (!known || k.second >= at):
			d.Remove([]SpanKey{k})
			delete(shadow, k.hash)
		case !dup && (!known || k.second >= at):
			shadow[k.hash] = k.second
		}
		if i%5000 == 0 {
			d.Forget(model.Keyspace{}, int64(now-400)*1000, nil)
		}
	}
	live := 0
	for _, at := range shadow {
		if at >= d.since {
			live++
		}
	}
	if d.count != live || d.lost != 0 {
		t.Errorf("%d are remembered and %d lost, want %d and none", d.count, d.lost, live)
	}
}

// TestSpanDedupIsBounded: above the limit the oldest are forgotten, and counted.
func TestSpanDedupIsBounded(t *testing.T) {
	const limit, n = 20_000, 200_000
	d := testSpanDedup(limit)
	key := func(i int) uint64 { return uint64(i) * 0x9e3779b97f4a7c15 }
	for i := range n {
		d.put(SpanKey{hash: key(i), second: uint32(100 + i/1000)})
	}
	places := 0
	for i := range d.tables {
		places += len(d.tables[i].at)
	}
	if d.count > limit || uint64(d.count)+d.lost != n || places > 3*limit {
		t.Errorf("%d remembered, %d lost, %d places", d.count, d.lost, places)
	}
	if d.put(SpanKey{hash: key(n - 1), second: 300}) {
		t.Error("the newest was forgotten")
	}
}

// TestSpanDedupRestores: what checkpoints stored is known again.
func TestSpanDedupRestores(t *testing.T) {
	kv := storage.NewMem(storage.MemOptions{})
	d, keys := testSpanDedup(0), []SpanKey{}
	for seq := range uint64(20) {
		var taken []SpanKey
		for range 50 {
			k := SpanKey{hash: rand.Uint64(), more: rand.Uint32(), second: 100 + uint32(seq)}
			d.put(k)
			taken, keys = append(taken, k), append(keys, k)
		}
		c := model.Counters{DuplicateSpans: seq}
		require.NoError(t, kv.Commit(storage.Commit{Entries: d.Store(model.Keyspace{}, seq, [][]SpanKey{taken}, &c, nil)}))
	}
	// second 110 is the first that is kept
	require.NoError(t, kv.Commit(storage.Commit{Entries: d.Forget(model.Keyspace{}, 108_000, nil)}))
	again, c := testSpanDedup(0), model.Counters{}
	require.NoError(t, again.Restore(model.State{KV: kv}, &c))
	for _, k := range keys {
		if known := !again.put(k); known != (k.second >= 110) {
			t.Errorf("key of second %d is known: %v", k.second, known)
		}
	}
	if c.DuplicateSpans != 19 {
		t.Errorf("%d duplicates", c.DuplicateSpans)
	}
}
