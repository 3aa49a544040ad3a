package views

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// dedup remembers the 128-bit hashes of record values, shared by all partitions because a collector that tries again may send to
// another one. Records with equal values whose timestamps lie within the window are one record sent twice.
//
// Hashes are held by minute of record timestamp; minutes that no partition can still match are forgotten.
type dedup struct {
	mu     sync.Mutex
	done   *sync.Cond // a record is no longer pending
	window int64      // milliseconds; < 0: off
	limit  int
	count  int
	seen   map[int64]map[hash]record // by minute of timestamp
	stored []storedHashes
	newest int64
}

type hash [16]byte

type storedHashes struct {
	newest int64 // milliseconds
	seq    uint64
}

// record is what is remembered of a record: a duplicate moves its partition's watermark as the record did.
type record struct {
	ts      int64  // Unix milliseconds
	end     uint64 // newest end of its spans
	pending bool   // it is being applied
}

// seen is one remembered record with its hash.
type seen struct {
	hash hash
	record
}

const (
	minuteMS = 60_000
	hashLen  = 8 + 8 + 16
)

func newDedup(c model.Config) *dedup {
	w := c.DedupWindow.Milliseconds()
	if c.DedupWindow < 0 {
		w = -1
	}
	d := &dedup{window: w, limit: c.Limits.DedupRecords, seen: map[int64]map[hash]record{}}
	d.done = sync.NewCond(&d.mu)
	return d
}

func hashOf(value []byte) hash { return xxh3.Hash128(value).Bytes() }

// reserve remembers a record, or returns the equal one that was seen within the window around its timestamp. Asking and
// remembering are one step, because equal records may come from two partitions at the same time; whether one is a duplicate is
// known only once the other was applied, so it waits for that.
func (d *dedup) reserve(s seen) (earlier record, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		r, found := d.find(s)
		switch {
		case !found:
			s.pending = true
			d.put(s)
			return record{}, true
		case !r.pending:
			return r, false
		}
		d.done.Wait()
	}
}

func (d *dedup) find(s seen) (record, bool) {
	for m := (s.ts - d.window) / minuteMS; m <= (s.ts+d.window)/minuteMS; m++ {
		if r, ok := d.seen[m][s.hash]; ok && max(r.ts-s.ts, s.ts-r.ts) <= d.window {
			return r, true
		}
	}
	return record{}, false
}

// applied completes a reservation.
func (d *dedup) applied(s seen) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put(s)
	d.done.Broadcast()
}

func (d *dedup) put(s seen) {
	m := s.ts / minuteMS
	if d.seen[m] == nil {
		d.seen[m] = map[hash]record{}
	}
	if _, ok := d.seen[m][s.hash]; !ok {
		d.count++
	}
	d.seen[m][s.hash] = s.record
	d.newest = max(d.newest, s.ts)
}

// release forgets a reservation whose record was not applied.
func (d *dedup) release(s seen) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen[s.ts/minuteMS], s.hash)
	d.count--
	d.done.Broadcast()
}

// forget drops minutes older than before (Unix milliseconds), and the oldest ones while there are more hashes than the limit. It
// returns deletions of stored entries that hold nothing else.
func (d *dedup) forget(ks model.Keyspace, before int64, entries []storage.Entry) []storage.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	for m, hashes := range d.seen {
		if (m+1)*minuteMS <= before {
			d.count -= len(hashes)
			delete(d.seen, m)
		}
	}
	for d.count > d.limit && len(d.seen) > 1 {
		oldest := d.newest / minuteMS
		for m := range d.seen {
			oldest = min(oldest, m)
		}
		d.count -= len(d.seen[oldest])
		delete(d.seen, oldest)
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

func dedupKey(ks model.Keyspace, s storedHashes) []byte {
	k := binary.BigEndian.AppendUint32(ks.Key(storage.TableDedup), uint32(s.newest/1000))
	return binary.BigEndian.AppendUint64(k, s.seq)
}

// store returns the entry that keeps the hashes of one checkpoint: each timestamp, int64 BE, end, uint64 BE, and hash.
func (d *dedup) store(ks model.Keyspace, seq uint64, list []seen, entries []storage.Entry) []storage.Entry {
	if len(list) == 0 {
		return entries
	}
	s := storedHashes{seq: seq}
	v := make([]byte, 0, hashLen*len(list))
	for _, e := range list {
		v = binary.BigEndian.AppendUint64(v, uint64(e.ts))
		v = binary.BigEndian.AppendUint64(v, e.end)
		v = append(v, e.hash[:]...)
		s.newest = max(s.newest, e.ts)
	}
	d.mu.Lock()
	d.stored = append(d.stored, s)
	d.mu.Unlock()
	return append(entries, storage.Entry{Key: dedupKey(ks, s), Value: v})
}

func (d *dedup) restore(kv model.State) error {
	prefix := kv.Key(storage.TableDedup)
	return kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		s := storedHashes{seq: binary.BigEndian.Uint64(k[len(prefix)+4:])}
		for ; len(v) >= hashLen; v = v[hashLen:] {
			e := seen{hash(v[16:hashLen]), record{ts: int64(binary.BigEndian.Uint64(v)), end: binary.BigEndian.Uint64(v[8:])}}
			d.put(e)
			s.newest = max(s.newest, e.ts)
		}
		d.stored = append(d.stored, s)
		return nil
	})
}

// windowStart is the oldest record timestamp that a partition read up to ts can still match.
func (d *dedup) windowStart(ts int64) int64 {
	if d.window < 0 {
		return ts
	}
	return ts - 2*d.window - time.Minute.Milliseconds()
}
