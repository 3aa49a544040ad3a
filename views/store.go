package views

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/gaurav/watchingcat/storage"
)

// counts is what a view keeps for one series in one bucket: it can be added to, taken away from, encoded and decoded.
type counts[C any] interface {
	*C
	merge(o *C)
	sub(o *C)
	zero() bool
	append(b []byte) []byte
	decode(d *decoder)
}

// store is one view's committed state: for each series its total over all time, and for each bucket the cells of all series.
//
// A counter's value at time t is its total less the cells of the buckets from t on, so reading near now touches few buckets and
// nothing has to be rewritten when old buckets expire. Recent buckets stay in memory, older ones are read from the KV.
//
// Cells of a bucket that changes are decoded (open); one that no fold found changed is kept as the bytes that were written
// (packed). A store is guarded by its Set.
type store[C any, P counts[C]] struct {
	view    byte // in keys
	series  map[uint32]*series[C]
	buckets map[int64]*bucket[C]
	hotFrom int64 // buckets from here on are in memory if they exist
	dirty   map[uint32]struct{}
}

type series[C any] struct {
	first, last int64 // bucket starts; last is where it was counted most recently
	total       C
}

type bucket[C any] struct {
	open    map[uint32]*C
	packed  []byte
	dirty   bool
	chunks  int // stored
	resting bool
}

func newStore[C any, P counts[C]](view byte) *store[C, P] {
	return &store[C, P]{view: view, series: map[uint32]*series[C]{}, buckets: map[int64]*bucket[C]{}, dirty: map[uint32]struct{}{}}
}

// maxChunk bounds one stored value of a bucket.
const maxChunk = 512 << 10

func (s *store[C, P]) cellsKey(id keyspace, start int64, chunk int) []byte {
	k := id.key(storage.TableCells, s.view)
	k = binary.BigEndian.AppendUint32(k, uint32(start))
	return binary.BigEndian.AppendUint16(k, uint16(chunk))
}

func (s *store[C, P]) seriesKey(id keyspace, series uint32) []byte {
	return binary.BigEndian.AppendUint32(id.key(storage.TableSeries, s.view), series)
}

// add counts delta for a series in a bucket; with late set it counts in the total alone.
func (s *store[C, P]) add(kv reader, id uint32, start int64, delta *C, late bool) error {
	se := s.series[id]
	if se == nil {
		se = &series[C]{first: start, last: start}
		s.series[id] = se
	}
	P(&se.total).merge(delta)
	s.dirty[id] = struct{}{}
	if late {
		return nil
	}
	se.first, se.last = min(se.first, start), max(se.last, start)
	b, err := s.openBucket(kv, start)
	if err != nil {
		return err
	}
	c := b.open[id]
	if c == nil {
		c = new(C)
		b.open[id] = c
	}
	P(c).merge(delta)
	b.dirty = true
	return nil
}

func (s *store[C, P]) openBucket(kv reader, start int64) (*bucket[C], error) {
	b := s.buckets[start]
	if b == nil {
		b = &bucket[C]{}
		if start < s.hotFrom {
			if err := s.load(kv, b, start); err != nil {
				return nil, err
			}
		}
		s.buckets[start] = b
	}
	if b.open != nil {
		return b, nil
	}
	open := map[uint32]*C{}
	err := s.unpack(b.packed, func(id uint32, cell []byte) error {
		c, err := decodeCell[C, P](cell)
		open[id] = c
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bucket %d of view %c: %w", start, s.view, err)
	}
	b.open, b.packed = open, nil
	return b, nil
}

func decodeCell[C any, P counts[C]](cell []byte) (*C, error) {
	c := new(C)
	d := decoder{b: cell}
	P(c).decode(&d)
	return c, d.err
}

// load reads what is stored of one bucket.
func (s *store[C, P]) load(kv reader, b *bucket[C], start int64) error {
	return kv.kv.Scan(s.cellsKey(kv.keyspace, start, 0), s.cellsKey(kv.keyspace, start+1, 0), func(_, v []byte) error {
		b.packed = append(b.packed, v...)
		b.chunks++
		return nil
	})
}

// unpack calls fn for each cell of a packed bucket: series id, length, cell; ids ascend.
func (s *store[C, P]) unpack(packed []byte, fn func(id uint32, cell []byte) error) error {
	d := decoder{b: packed}
	id := uint32(0)
	for len(d.b) > 0 {
		id += uint32(d.uvarint())
		n := d.uvarint()
		if d.err != nil || n > uint64(len(d.b)) {
			return errCorrupt
		}
		if err := fn(id, d.bytes(int(n))); err != nil {
			return err
		}
	}
	return d.err
}

// pack encodes an open bucket; ends are where it may be cut into chunks.
func (s *store[C, P]) pack(b *bucket[C]) (packed []byte, ends []int) {
	last := uint32(0)
	var cell []byte
	for _, id := range slices.Sorted(maps.Keys(b.open)) {
		c := b.open[id]
		cell = P(c).append(cell[:0])
		packed = binary.AppendUvarint(packed, uint64(id-last))
		packed = binary.AppendUvarint(packed, uint64(len(cell)))
		packed = append(packed, cell...)
		last = id
		ends = append(ends, len(packed))
	}
	return packed, ends
}

// fold returns the entries that bring the stored state up to date. Cold and expired buckets leave memory.
func (s *store[C, P]) fold(ks keyspace, hotFrom, since, forget int64, entries []storage.Entry) []storage.Entry {
	var enc []byte
	for id := range s.dirty {
		se := s.series[id]
		enc = binary.AppendVarint(enc[:0], se.first)
		enc = binary.AppendVarint(enc, se.last)
		enc = P(&se.total).append(enc)
		entries = append(entries, storage.Entry{Key: s.seriesKey(ks, id), Value: slices.Clone(enc)})
	}
	clear(s.dirty)
	for id, se := range s.series {
		if se.last < forget {
			delete(s.series, id)
			entries = append(entries, storage.Entry{Key: s.seriesKey(ks, id)})
		}
	}
	for start, b := range s.buckets {
		if start < since {
			delete(s.buckets, start) // its stored chunks are deleted by the Set
			continue
		}
		entries = s.foldBucket(ks, start, b, entries)
		if start < hotFrom {
			delete(s.buckets, start)
		}
	}
	s.hotFrom = max(s.hotFrom, hotFrom)
	return entries
}

func (s *store[C, P]) foldBucket(ks keyspace, start int64, b *bucket[C], entries []storage.Entry) []storage.Entry {
	if !b.dirty {
		if b.open != nil {
			if b.resting {
				b.packed, _ = s.pack(b)
				b.open = nil
			}
			b.resting = true
		}
		return entries
	}
	b.dirty, b.resting = false, false
	packed, ends := s.pack(b)
	chunks, from := 0, 0
	for i, end := range ends {
		if i+1 < len(ends) && ends[i+1]-from <= maxChunk {
			continue
		}
		entries = append(entries, storage.Entry{Key: s.cellsKey(ks, start, chunks), Value: packed[from:end:end]})
		chunks, from = chunks+1, end
	}
	for i := chunks; i < b.chunks; i++ {
		entries = append(entries, storage.Entry{Key: s.cellsKey(ks, start, i)})
	}
	b.chunks = chunks
	return entries
}

// restore reads the series and the buckets from hotFrom on.
func (s *store[C, P]) restore(kv reader, hotFrom int64) error {
	s.hotFrom = hotFrom
	prefix := kv.key(storage.TableSeries, s.view)
	err := kv.kv.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		d := decoder{b: v}
		se := &series[C]{first: d.varint(), last: d.varint()}
		P(&se.total).decode(&d)
		s.series[binary.BigEndian.Uint32(k[len(prefix):])] = se
		return d.err
	})
	if err != nil {
		return fmt.Errorf("read series of view %c: %w", s.view, err)
	}
	err = s.scanStored(kv, hotFrom, 1<<32-1, func(start int64, v []byte) error {
		b := s.buckets[start]
		if b == nil {
			b = &bucket[C]{}
			s.buckets[start] = b
		}
		b.packed = append(b.packed, v...)
		b.chunks++
		return nil
	})
	if err != nil {
		return fmt.Errorf("read cells of view %c: %w", s.view, err)
	}
	return nil
}

func (s *store[C, P]) scanStored(kv reader, from, to int64, fn func(start int64, v []byte) error) error {
	prefix := len(kv.key(storage.TableCells, s.view))
	return kv.kv.Scan(s.cellsKey(kv.keyspace, from, 0), s.cellsKey(kv.keyspace, to, 0), func(k, v []byte) error {
		return fn(int64(binary.BigEndian.Uint32(k[prefix:])), v)
	})
}

// each calls fn for every cell with from <= bucket < to of the series that want accepts; buckets ascend, but stored ones come
// before those in memory. fn may keep c.
func (s *store[C, P]) each(kv reader, from, to int64, want func(id uint32) bool, fn func(start int64, id uint32, c *C) error) error {
	packed := func(start int64, v []byte) error {
		return s.unpack(v, func(id uint32, cell []byte) error {
			if !want(id) {
				return nil
			}
			c, err := decodeCell[C, P](cell)
			if err != nil {
				return err
			}
			return fn(start, id, c)
		})
	}
	if from < s.hotFrom {
		err := s.scanStored(kv, max(from, 0), min(to, s.hotFrom), func(start int64, v []byte) error {
			if s.buckets[start] != nil {
				return nil // changed since it was stored: below
			}
			return packed(start, v)
		})
		if err != nil {
			return err
		}
	}
	for _, start := range slices.Sorted(maps.Keys(s.buckets)) {
		if start < from || start >= to {
			continue
		}
		b := s.buckets[start]
		if b.open == nil {
			if err := packed(start, b.packed); err != nil {
				return err
			}
			continue
		}
		for id, c := range b.open {
			if want(id) {
				if err := fn(start, id, c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// keyspace is where a Set's keys live.
type keyspace struct {
	version uint32
	shard   uint16
}

func (k keyspace) key(t storage.Table, rest ...byte) []byte {
	return storage.Key(k.version, k.shard, t, rest...)
}

// reader is a keyspace that can be read.
type reader struct {
	keyspace
	kv storage.KV
}
