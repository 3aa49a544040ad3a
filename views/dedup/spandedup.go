package dedup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// Spans remembers spans, for all partitions, where de-duplication of records is not enough: collectors put spans of a batch that is
// sent again into other batches. Spans with equal ids, service, name, kind, status, start and end whose records' timestamps lie within
// the window are one span sent twice. That only all of this makes a span the same keeps the result from depending on who came first,
// and keeps apart what shares ids, as the two sides of a call do in Zipkin's old format.
//
// What a record brings is looked up and remembered in one step, after the record was read to its end (Accumulator.Again): two records
// with equal spans may come from two partitions at the same time. A checkpoint stores what its batches brought, so that after a crash
// the copy counts whose record is read again.
type Spans struct {
	mu     sync.Mutex
	window uint32 // seconds
	limit  int
	tables [256]spanTable
	second map[uint32]int // how many are remembered, by second of the record's timestamp
	count  int
	newest uint32
	since  uint32 // those of seconds before are forgotten
	stored []storedHashes
	lost   uint64 // forgotten before their time, or never remembered, because of the limit
}

// SpanKey is a span in spanDedup: 96 bits of a hash, and the second of its record.
type SpanKey struct {
	hash   uint64
	more   uint32
	second uint32 // 0: an empty place
}

// spanTable is a hash table with open addressing. What is forgotten stays until it grows.
type spanTable struct {
	at   []SpanKey
	used int
}

const spanKeyLen = 8 + 4

// NewSpans returns Spans that remember nothing; nil if spans are not de-duplicated.
func NewSpans(c model.Config) *Spans {
	if !c.DedupSpans || c.DedupWindow < 0 {
		return nil
	}
	return &Spans{window: uint32(c.DedupWindow.Milliseconds()/1000) + 1, limit: c.Limits.DedupSpans, second: map[uint32]int{}}
}

// KeyOf is the key of a span; b is scratch.
func KeyOf(s *model.Span, r *model.Resource, second uint32, b []byte) (SpanKey, []byte) {
	b = append(b[:0], s.TraceID[:]...)
	b = append(b, s.SpanID[:]...)
	b = binary.LittleEndian.AppendUint64(b, s.Start)
	b = binary.LittleEndian.AppendUint64(b, s.End)
	b = append(b, byte(s.Kind), byte(s.Status))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.Name)))
	b = append(b, s.Name...)
	b = append(b, r.Service...)
	h := xxh3.Hash128(b)
	return SpanKey{h.Hi, uint32(h.Lo), second}, b
}

// SecondOf is the second of a record, from 2 on: 0 is an empty place, and 1 one that is forgotten.
func SecondOf(ms int64) uint32 { return uint32(max(0, ms/1000)) + 2 }

const forgottenSecond = 1

// Take remembers keys and says of which there was an equal one before, also among themselves: the list of their indices.
func (d *Spans) Take(keys []SpanKey, again []uint32) []uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range keys {
		if !d.put(keys[i]) {
			again = append(again, uint32(i))
		}
	}
	return again
}

// put remembers a key; it returns false when an equal one within the window is remembered.
func (d *Spans) put(k SpanKey) bool {
	t := &d.tables[byte(k.hash)]
	if t.used*5 >= len(t.at)*4 {
		t.grow(d.since)
	}
	e := t.place(k)
	live := e.second > forgottenSecond && e.second >= d.since
	switch {
	case live && max(e.second, k.second)-min(e.second, k.second) < d.window:
		return false
	case k.second < d.since:
		d.lost++
		return true
	case live && k.second < e.second:
		return true // the newer one is worth more
	}
	if live {
		d.forgotten(e.second)
	}
	if e.second == 0 {
		t.used++
	}
	*e = k
	d.second[k.second]++
	d.count++
	d.newest = max(d.newest, k.second)
	if d.count > d.limit {
		d.shrink()
	}
	return true
}

func (d *Spans) forgotten(second uint32) {
	d.count--
	if d.second[second]--; d.second[second] == 0 {
		delete(d.second, second)
	}
}

// shrink forgets the oldest second.
func (d *Spans) shrink() {
	oldest := d.newest
	for s := range d.second {
		oldest = min(oldest, s)
	}
	d.lost += uint64(d.second[oldest])
	d.drop(oldest + 1)
}

// drop forgets what is of a second before since.
func (d *Spans) drop(since uint32) {
	d.since = max(d.since, since)
	for s, n := range d.second {
		if s < d.since {
			d.count -= n
			delete(d.second, s)
		}
	}
}

// Remove takes back keys that were put.
func (d *Spans) Remove(keys []SpanKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range keys {
		if t := &d.tables[byte(k.hash)]; len(t.at) > 0 {
			if e := t.place(k); *e == k && k.second >= d.since {
				d.forgotten(k.second)
				e.second = forgottenSecond // the place stays taken, for those that lie behind it
			}
		}
	}
}

// place is where a key is, or where it belongs.
func (t *spanTable) place(k SpanKey) *SpanKey {
	n := uint64(len(t.at))
	for i := (k.hash >> 32) * n >> 32; ; i++ {
		if i == n {
			i = 0
		}
		e := &t.at[i]
		if e.second == 0 || e.hash == k.hash && e.more == k.more {
			return e
		}
	}
}

// grow makes room for more than half as many again, and leaves out what is forgotten.
func (t *spanTable) grow(since uint32) {
	since = max(since, forgottenSecond+1)
	live := 0
	for i := range t.at {
		if t.at[i].second >= since {
			live++
		}
	}
	was := t.at
	t.at, t.used = make([]SpanKey, live+live*3/4+16), live
	for _, k := range was {
		if k.second >= since {
			*t.place(k) = k
		}
	}
}

func spanDedupKey(ks model.Keyspace, s storedHashes) []byte {
	k := binary.BigEndian.AppendUint32(ks.Key(storage.TableSpans), uint32(s.newest))
	return binary.BigEndian.AppendUint64(k, s.seq)
}

func spanDedupState(ks model.Keyspace) []byte { return ks.Key(storage.TableMeta, model.MetaSpansSeen) }

// Store returns the entries that keep what the batches of a checkpoint brought, and what was counted: for each second, how many, and each
// key's 12 bytes.
func (d *Spans) Store(ks model.Keyspace, seq uint64, taken [][]SpanKey, c *model.Counters, entries []storage.Entry) []storage.Entry {
	if d == nil {
		return entries
	}
	s, n := storedHashes{seq: seq}, 0
	for _, keys := range taken {
		n += len(keys)
	}
	if n > 0 {
		v := make([]byte, 0, n*(spanKeyLen+1)+64)
		for _, list := range taken {
			for len(list) > 0 {
				same := 1
				for same < len(list) && list[same].second == list[0].second {
					same++
				}
				v = binary.AppendUvarint(v, uint64(list[0].second))
				v = binary.AppendUvarint(v, uint64(same))
				for _, k := range list[:same] {
					v = binary.LittleEndian.AppendUint64(v, k.hash)
					v = binary.LittleEndian.AppendUint32(v, k.more)
				}
				s.newest = max(s.newest, int64(list[0].second))
				list = list[same:]
			}
		}
		d.mu.Lock()
		d.stored = append(d.stored, s)
		d.mu.Unlock()
		entries = append(entries, storage.Entry{Key: spanDedupKey(ks, s), Value: v})
	}
	d.mu.Lock()
	c.DedupLost += d.lost
	d.lost = 0
	d.mu.Unlock()
	v := binary.AppendUvarint(binary.AppendUvarint(nil, c.DuplicateSpans), c.DedupLost)
	return append(entries, storage.Entry{Key: spanDedupState(ks), Value: v})
}

// Forget drops what is of a time before before (Unix milliseconds), and returns deletions of stored entries that hold nothing else.
func (d *Spans) Forget(ks model.Keyspace, before int64, entries []storage.Entry) []storage.Entry {
	if d == nil || before <= 0 {
		return entries
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(SecondOf(before))
	kept := d.stored[:0]
	for _, s := range d.stored {
		if s.newest < int64(SecondOf(before)) {
			entries = append(entries, storage.Entry{Key: spanDedupKey(ks, s)})
			continue
		}
		kept = append(kept, s)
	}
	d.stored = kept
	return entries
}

// Restore reads what was remembered, and into c what was counted.
func (d *Spans) Restore(kv model.State, c *model.Counters) error {
	v, err := kv.KV.Get(spanDedupState(kv.Keyspace))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if err == nil {
		at := model.Decoder{B: v}
		if c.DuplicateSpans, c.DedupLost = at.Uvarint(), at.Uvarint(); at.Err != nil {
			return fmt.Errorf("counters: %w", at.Err)
		}
	}
	if d == nil {
		return nil
	}
	prefix := kv.Key(storage.TableSpans)
	err = kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		s := storedHashes{seq: binary.BigEndian.Uint64(k[len(prefix)+4:]), newest: int64(binary.BigEndian.Uint32(k[len(prefix):]))}
		at := model.Decoder{B: v}
		for len(at.B) > 0 {
			second, n := uint32(at.Uvarint()), at.Uvarint()
			for range min(n, uint64(len(at.B)/spanKeyLen+1)) {
				b := at.Bytes(spanKeyLen)
				if at.Err != nil {
					return at.Err
				}
				d.put(SpanKey{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:]), second})
			}
		}
		d.stored = append(d.stored, s)
		return at.Err
	})
	d.lost = 0 // was counted when it was lost
	return err
}
