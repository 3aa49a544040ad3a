package dedup

import (
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// Records remembers the 128-bit hashes of record values, shared by all partitions because a collector that tries again may send to
// another one. Records with equal values whose timestamps lie within the window are one record sent twice.
//
// What no partition can still match is forgotten by minute of record timestamp.
type Records struct {
	mu      sync.Mutex
	done    *sync.Cond // a record is no longer pending
	Window  int64      // milliseconds; < 0: off
	limit   int
	seen    table
	pending map[reserved]struct{}
	stored  []storedHashes
	floor   int64 // the minute before which everything was forgotten
}

// reserved is a record that is being applied.
type reserved struct {
	hash Hash
	ts   int64
}

// Hash is the hash of a record's value.
type Hash [16]byte

type storedHashes struct {
	newest int64 // milliseconds
	seq    uint64
}

// Times is what is remembered of a record: a duplicate moves its partition's watermark as the record did.
type Times struct {
	TS  int64  // Unix milliseconds
	End uint64 // newest end of its spans
}

// Seen is one remembered record with its hash.
type Seen struct {
	Hash Hash
	Times
}

const (
	minuteMS = 60_000
	hashLen  = 8 + 8 + 16
)

// NewRecords returns Records that remember nothing.
func NewRecords(c model.Config) *Records {
	w := c.DedupWindow.Milliseconds()
	if c.DedupWindow < 0 {
		w = -1
	}
	d := &Records{Window: w, limit: c.Limits.DedupRecords, pending: map[reserved]struct{}{}}
	d.done = sync.NewCond(&d.mu)
	return d
}

// HashOf is the hash of a record's value.
func HashOf(value []byte) Hash {
	h := Hash(xxh3.Hash128(value).Bytes())
	if h == (Hash{}) {
		h[0] = 1 // the zero hash is no record's
	}
	return h
}

// Reserve remembers a record, or returns the equal one that was seen within the window around its timestamp. Asking and
// remembering are one step, because equal records may come from two partitions at the same time; whether one is a duplicate is
// known only once the other was applied, so it waits for that.
func (d *Records) Reserve(s Seen) (earlier Times, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		r := d.seen.find(&s.Hash, s.TS, d.Window)
		if r == nil {
			d.pending[reserved{s.Hash, s.TS}] = struct{}{}
			d.put(s)
			return Times{}, true
		}
		if _, ok := d.pending[reserved{r.hash, r.ts}]; !ok {
			return Times{r.ts, r.end}, false
		}
		d.done.Wait()
	}
}

// Applied completes a reservation.
func (d *Records) Applied(s Seen) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put(s)
	delete(d.pending, reserved{s.Hash, s.TS})
	d.done.Broadcast()
}

func (d *Records) put(s Seen) { d.seen.put(slot{s.Hash, s.TS, s.End}) }

// Release forgets a reservation whose record was not applied.
func (d *Records) Release(s Seen) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen.remove(&s.Hash, s.TS)
	delete(d.pending, reserved{s.Hash, s.TS})
	d.done.Broadcast()
}

// Forget drops minutes older than before (Unix milliseconds), and the oldest ones while there are more hashes than the limit. It
// returns deletions of stored entries that hold nothing else.
func (d *Records) Forget(ks model.Keyspace, before int64, entries []storage.Entry) []storage.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := before / minuteMS; m > d.floor {
		d.seen.before(m * minuteMS)
		d.floor = m
	}
	if d.seen.count > d.limit {
		d.seen.before(d.fits() * minuteMS)
	}
	kept := d.stored[:0]
	for _, s := range d.stored {
		if s.newest < before {
			entries = append(entries, storage.Entry{Key: dedupKey(ks, s)})
			continue
		}
		kept = append(kept, s)
	}
	d.stored = kept
	return entries
}

// fits is the minute from which on no more is remembered than the limit; the newest one stays in any case.
func (d *Records) fits() int64 {
	minutes := map[int64]int{}
	d.seen.each(func(ts int64) { minutes[ts/minuteMS]++ })
	list := slices.Sorted(maps.Keys(minutes))
	for left := d.seen.count; left > d.limit && len(list) > 1; list = list[1:] {
		left -= minutes[list[0]]
	}
	return list[0]
}

func dedupKey(ks model.Keyspace, s storedHashes) []byte {
	k := binary.BigEndian.AppendUint32(ks.Key(storage.TableDedup), uint32(s.newest/1000))
	return binary.BigEndian.AppendUint64(k, s.seq)
}

// Store returns the entry that keeps the hashes of one checkpoint: each timestamp, int64 BE, end, uint64 BE, and hash.
func (d *Records) Store(ks model.Keyspace, seq uint64, list []Seen, entries []storage.Entry) []storage.Entry {
	if len(list) == 0 {
		return entries
	}
	s := storedHashes{seq: seq}
	v := make([]byte, 0, hashLen*len(list))
	for _, e := range list {
		v = binary.BigEndian.AppendUint64(v, uint64(e.TS))
		v = binary.BigEndian.AppendUint64(v, e.End)
		v = append(v, e.Hash[:]...)
		s.newest = max(s.newest, e.TS)
	}
	d.mu.Lock()
	d.stored = append(d.stored, s)
	d.mu.Unlock()
	return append(entries, storage.Entry{Key: dedupKey(ks, s), Value: v})
}

// Restore reads what checkpoints stored.
func (d *Records) Restore(kv model.State) error {
	prefix := kv.Key(storage.TableDedup)
	return kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		s := storedHashes{seq: binary.BigEndian.Uint64(k[len(prefix)+4:])}
		for ; len(v) >= hashLen; v = v[hashLen:] {
			e := Seen{Hash(v[16:hashLen]), Times{TS: int64(binary.BigEndian.Uint64(v)), End: binary.BigEndian.Uint64(v[8:])}}
			d.put(e)
			s.newest = max(s.newest, e.TS)
		}
		d.stored = append(d.stored, s)
		return nil
	})
}

// WindowStart is the oldest record timestamp that a partition read up to ts can still match.
func (d *Records) WindowStart(ts int64) int64 {
	if d.Window < 0 {
		return ts
	}
	return ts - 2*d.Window - time.Minute.Milliseconds()
}
