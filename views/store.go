package views

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/gaurav/watchingcat/storage"
)

// counts is what a view keeps for one series in one bucket: it can be added to, encoded and decoded.
type counts[C any] interface {
	*C
	merge(o *C)
	append(b []byte) []byte
	decode(d *decoder)
}

// store is one view's committed state: for each series its total over all time, and for each bucket the cells of all series.
//
// A counter's value at time t is its total less the cells of the buckets from t on, so reading near now touches few buckets and
// nothing has to be rewritten when old buckets expire. Recent buckets stay in memory, older ones are read from the KV.
//
// What is stored says up to which checkpoint it counts (its stamp). So a fold may write in several transactions: after a crash in
// between, the journal adds to each only what it does not hold yet.
//
// A store is guarded by its Set.
type store[C any, P counts[C]] struct {
	view    byte // in keys
	series  map[uint32]*series[C]
	buckets map[int64]bucket[C]
	hotFrom int64 // buckets from here on are in memory if they exist
	dirty   map[uint32]struct{}
}

type series[C any] struct {
	first, last int64 // bucket starts; last is where it was counted most recently
	total       C
	stamp       uint64
}

// bucket holds the cells of 10 s in chunks of neighbouring series, by chunk number.
type bucket[C any] map[uint16]*chunk[C]

// chunkSeries is how many series share a stored value.
const chunkSeries = 2048

// chunk is decoded while it changes (open), and kept as the stored bytes once a fold found it unchanged (packed).
type chunk[C any] struct {
	open    map[uint32]*C
	packed  []byte
	stamp   uint64
	dirty   bool
	resting bool
}

func newStore[C any, P counts[C]](view byte) *store[C, P] {
	return &store[C, P]{view: view, series: map[uint32]*series[C]{}, buckets: map[int64]bucket[C]{}, dirty: map[uint32]struct{}{}}
}

func (s *store[C, P]) cellsKey(id keyspace, start int64, n uint16) []byte {
	k := id.key(storage.TableCells, s.view)
	k = binary.BigEndian.AppendUint32(k, uint32(start))
	return binary.BigEndian.AppendUint16(k, n)
}

func (s *store[C, P]) seriesKey(id keyspace, series uint32) []byte {
	return binary.BigEndian.AppendUint32(id.key(storage.TableSeries, s.view), series)
}

// add counts what checkpoint seq adds to a series in a bucket; with late set it counts in the total alone.
func (s *store[C, P]) add(kv reader, seq uint64, id uint32, start int64, delta *C, late bool) error {
	se := s.series[id]
	if se == nil {
		se = &series[C]{first: start, last: start}
		s.series[id] = se
	}
	if seq > se.stamp {
		P(&se.total).merge(delta)
		s.dirty[id] = struct{}{}
	}
	if late {
		return nil
	}
	se.first, se.last = min(se.first, start), max(se.last, start)
	c, err := s.chunk(kv, id, start)
	if err != nil || seq <= c.stamp {
		return err
	}
	if err := s.decode(c); err != nil {
		return fmt.Errorf("bucket %d of view %c: %w", start, s.view, err)
	}
	cell := c.open[id]
	if cell == nil {
		cell = new(C)
		c.open[id] = cell
	}
	P(cell).merge(delta)
	c.dirty = true
	return nil
}

// chunk returns the chunk of a series in a bucket, from the KV when it is a cold one.
func (s *store[C, P]) chunk(kv reader, id uint32, start int64) (*chunk[C], error) {
	n := uint16(id / chunkSeries)
	b := s.buckets[start]
	if b == nil {
		b = bucket[C]{}
		s.buckets[start] = b
	}
	if c := b[n]; c != nil {
		return c, nil
	}
	c := &chunk[C]{open: map[uint32]*C{}}
	if start < s.hotFrom {
		err := kv.kv.Scan(s.cellsKey(kv.keyspace, start, n), s.cellsKey(kv.keyspace, start, n+1), func(_, v []byte) error {
			c = &chunk[C]{packed: slices.Clone(v), stamp: stampOf(v)}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("bucket %d of view %c: %w", start, s.view, err)
		}
	}
	b[n] = c
	return c, nil
}

// decode opens a chunk.
func (s *store[C, P]) decode(c *chunk[C]) error {
	if c.open != nil {
		return nil
	}
	open := map[uint32]*C{}
	err := s.unpack(c.packed, func(id uint32, cell []byte) (err error) {
		open[id], err = decodeCell[C, P](cell)
		return err
	})
	if err == nil {
		c.open, c.packed = open, nil
	}
	return err
}

func decodeCell[C any, P counts[C]](cell []byte) (*C, error) {
	c := new(C)
	d := decoder{b: cell}
	P(c).decode(&d)
	return c, d.err
}

// A stored chunk: stamp, then for each cell the series id less the one before, length, cell; ids ascend.
func stampOf(packed []byte) uint64 {
	d := decoder{b: packed}
	return d.uvarint()
}

// unpack calls fn for each cell of a stored chunk.
func (s *store[C, P]) unpack(packed []byte, fn func(id uint32, cell []byte) error) error {
	d := decoder{b: packed}
	d.uvarint()
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

func (s *store[C, P]) pack(c *chunk[C]) []byte {
	packed := binary.AppendUvarint(nil, c.stamp)
	last := uint32(0)
	var cell []byte
	for _, id := range slices.Sorted(maps.Keys(c.open)) {
		cell = P(c.open[id]).append(cell[:0])
		packed = binary.AppendUvarint(packed, uint64(id-last))
		packed = binary.AppendUvarint(packed, uint64(len(cell)))
		packed = append(packed, cell...)
		last = id
	}
	return packed
}

// fold returns the entries that bring the stored state up to checkpoint seq. Each stands for itself. Cold and expired buckets leave
// memory.
func (s *store[C, P]) fold(ks keyspace, seq uint64, hotFrom, since, forget int64, entries []storage.Entry) []storage.Entry {
	for id := range s.dirty {
		se := s.series[id]
		se.stamp = seq
		enc := binary.AppendUvarint(nil, seq)
		enc = binary.AppendVarint(enc, se.first)
		enc = binary.AppendVarint(enc, se.last)
		entries = append(entries, storage.Entry{Key: s.seriesKey(ks, id), Value: P(&se.total).append(enc)})
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
			delete(s.buckets, start) // what is stored of it is deleted by the Set
			continue
		}
		for n, c := range b {
			if c.dirty {
				c.stamp, c.dirty, c.resting = seq, false, false
				entries = append(entries, storage.Entry{Key: s.cellsKey(ks, start, n), Value: s.pack(c)})
			} else if c.open != nil {
				if c.resting {
					c.packed, c.open = s.pack(c), nil
				}
				c.resting = true
			}
		}
		if start < hotFrom {
			delete(s.buckets, start)
		}
	}
	s.hotFrom = max(s.hotFrom, hotFrom)
	return entries
}

// restore reads the series and the buckets from hotFrom on.
func (s *store[C, P]) restore(kv reader, hotFrom int64) error {
	s.hotFrom = hotFrom
	prefix := kv.key(storage.TableSeries, s.view)
	err := kv.kv.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		d := decoder{b: v}
		se := &series[C]{stamp: d.uvarint(), first: d.varint(), last: d.varint()}
		P(&se.total).decode(&d)
		s.series[binary.BigEndian.Uint32(k[len(prefix):])] = se
		return d.err
	})
	if err != nil {
		return fmt.Errorf("read series of view %c: %w", s.view, err)
	}
	err = s.scanStored(kv, hotFrom, 1<<32-1, func(start int64, n uint16, v []byte) error {
		if s.buckets[start] == nil {
			s.buckets[start] = bucket[C]{}
		}
		s.buckets[start][n] = &chunk[C]{packed: slices.Clone(v), stamp: stampOf(v)}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read cells of view %c: %w", s.view, err)
	}
	return nil
}

func (s *store[C, P]) scanStored(kv reader, from, to int64, fn func(start int64, n uint16, v []byte) error) error {
	prefix := len(kv.key(storage.TableCells, s.view))
	return kv.kv.Scan(s.cellsKey(kv.keyspace, from, 0), s.cellsKey(kv.keyspace, to, 0), func(k, v []byte) error {
		return fn(int64(binary.BigEndian.Uint32(k[prefix:])), binary.BigEndian.Uint16(k[prefix+4:]), v)
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
		err := s.scanStored(kv, max(from, 0), min(to, s.hotFrom), func(start int64, n uint16, v []byte) error {
			if s.buckets[start][n] != nil {
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
		for _, c := range s.buckets[start] {
			if c.open == nil {
				if err := packed(start, c.packed); err != nil {
					return err
				}
				continue
			}
			for id, cell := range c.open {
				if want(id) {
					if err := fn(start, id, cell); err != nil {
						return err
					}
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
