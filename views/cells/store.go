package cells

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// Cell is what a view keeps for one series in one bucket: it can be added to, encoded and decoded.
type Cell[C any] interface {
	*C
	Merge(o *C)
	Append(b []byte) []byte
	Decode(d *model.Decoder)
	DecodeCounts(d *model.Decoder) // the same without exemplars, which stay as they are
}

// Store is one view's committed state: for each series its total over all time, and for each bucket the cells of all series.
//
// A counter's value at time t is its total less the cells of the buckets from t on, so reading near now touches few buckets and
// nothing has to be rewritten when old buckets expire. Recent buckets stay in memory, older ones are read from the KV. Every level
// (level.go) has cells of its own.
//
// What is stored says up to which checkpoint it counts (its stamp). So a fold may write in several transactions: after a crash in
// between, the journal adds to each only what it does not hold yet.
//
// A store is guarded by its Set.
type Store[C any, P Cell[C]] struct {
	view   byte // in keys
	Series map[uint32]*series[C]
	Levels [model.Levels]tier[C]
	dirty  map[uint32]struct{}
	Floor  int64 // what is older is not counted: another version has it
}

// tier is what a store holds of one level in memory.
type tier[C any] struct {
	buckets map[int64]bucket[C]
	hotFrom int64            // buckets from here on are in memory if they exist
	nextHot int64            // what hotFrom is after the fold that is under way
	Oldest  int64            // buckets from here on may be stored; 0: none is
	Changed map[int64]uint64 // the checkpoint that added to a bucket last
}

type series[C any] struct {
	First, Last int64 // bucket starts; last is where it was counted most recently
	Total       C
	stamp       uint64
}

// bucket holds the cells of one bucket's time in chunks of neighbouring series, by chunk number.
type bucket[C any] map[uint16]*chunk[C]

// NewStore returns an empty Store.
func NewStore[C any, P Cell[C]](view byte) *Store[C, P] {
	s := &Store[C, P]{view: view, Series: map[uint32]*series[C]{}, dirty: map[uint32]struct{}{}}
	for l := range s.Levels {
		s.Levels[l].buckets, s.Levels[l].Changed = map[int64]bucket[C]{}, map[int64]uint64{}
	}
	return s
}

func (s *Store[C, P]) cellsKey(id model.Keyspace, level int, start int64, n uint16) []byte {
	k := id.Key(storage.TableCells, s.view, byte(level))
	k = binary.BigEndian.AppendUint32(k, uint32(start))
	return binary.BigEndian.AppendUint16(k, n)
}

func (s *Store[C, P]) seriesKey(id model.Keyspace, series uint32) []byte {
	return binary.BigEndian.AppendUint32(id.Key(storage.TableSeries, s.view), series)
}

// Add counts what checkpoint seq adds to a series in a 10 s bucket, in every level that retains its time. It reports whether none
// does: then it counts in the total alone.
func (s *Store[C, P]) Add(kv model.State, seq uint64, id uint32, start int64, delta *C, since model.Sinces) (late bool, err error) {
	if start < s.Floor {
		return false, nil
	}
	late = true
	se := s.Series[id]
	if se == nil {
		se = &series[C]{First: start, Last: start}
		s.Series[id] = se
	}
	if seq > se.stamp {
		P(&se.Total).Merge(delta)
		s.dirty[id] = struct{}{}
	}
	for l := range s.Levels {
		at := start - start%model.LevelSeconds[l]
		if at < since[l] {
			continue
		}
		late = false
		if err := s.addCell(kv, seq, l, id, at, delta); err != nil {
			return late, err
		}
	}
	if !late {
		se.First, se.Last = min(se.First, start), max(se.Last, start)
	}
	return late, nil
}

func (s *Store[C, P]) addCell(kv model.State, seq uint64, l int, id uint32, start int64, delta *C) error {
	if t := &s.Levels[l]; t.Oldest == 0 || start < t.Oldest {
		t.Oldest = max(start, 1)
	}
	s.Levels[l].Changed[start] = seq
	c, err := s.chunk(kv, l, id, start)
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
	P(cell).Merge(delta)
	c.dirty = true
	return nil
}

// First is the start of the oldest bucket, from the finest level that has dropped none; 0: there is none.
func (s *Store[C, P]) First(since model.Sinces) int64 {
	for l := range s.Levels {
		if at := s.Levels[l].Oldest; at > since[l] || l == len(s.Levels)-1 {
			return at
		}
	}
	return 0
}

// AppendState and restoreState keep where the levels begin.
func (s *Store[C, P]) AppendState(b []byte) []byte {
	for l := range s.Levels {
		b = binary.AppendUvarint(b, uint64(s.Levels[l].nextHot))
		b = binary.AppendUvarint(b, uint64(s.Levels[l].Oldest))
	}
	return b
}

// RestoreState reads what AppendState wrote.
func (s *Store[C, P]) RestoreState(d *model.Decoder) {
	for l := range s.Levels {
		s.Levels[l].hotFrom, s.Levels[l].Oldest = int64(d.Uvarint()), int64(d.Uvarint())
	}
}

// Restore reads the series and the hot buckets.
func (s *Store[C, P]) Restore(kv model.State) error {
	prefix := kv.Key(storage.TableSeries, s.view)
	err := kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		d := model.Decoder{B: v}
		se := &series[C]{stamp: d.Uvarint(), First: d.Varint(), Last: d.Varint()}
		P(&se.Total).Decode(&d)
		s.Series[binary.BigEndian.Uint32(k[len(prefix):])] = se
		return d.Err
	})
	if err != nil {
		return fmt.Errorf("read series of view %c: %w", s.view, err)
	}
	for l := range s.Levels {
		t := &s.Levels[l]
		err = s.scanStored(kv, l, t.hotFrom, 1<<32-1, func(start int64, n uint16, v []byte) error {
			if t.buckets[start] == nil {
				t.buckets[start] = bucket[C]{}
			}
			t.buckets[start][n] = &chunk[C]{packed: slices.Clone(v), stamp: stampOf(v)}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read cells of view %c: %w", s.view, err)
		}
	}
	return nil
}

func (s *Store[C, P]) scanStored(kv model.State, l int, from, to int64, fn func(start int64, n uint16, v []byte) error) error {
	prefix := len(kv.Key(storage.TableCells, s.view, 0))
	return kv.KV.Scan(s.cellsKey(kv.Keyspace, l, from, 0), s.cellsKey(kv.Keyspace, l, to, 0), func(k, v []byte) error {
		return fn(int64(binary.BigEndian.Uint32(k[prefix:])), binary.BigEndian.Uint16(k[prefix+4:]), v)
	})
}

// Each calls fn for the cells of the series that want accepts in every segment. What fn is given it may read until it returns.
func (s *Store[C, P]) Each(kv model.State, segments []model.Segment, want Pick, fn func(at BucketAt, id uint32, c *C) error) error {
	scratch := new(C)
	for _, g := range segments {
		err := s.eachOf(kv, g, want, scratch, func(start int64, id uint32, c *C) error {
			return fn(BucketAt{start, model.LevelSeconds[g.Level]}, id, c)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// BucketAt is a bucket's start and width in seconds.
type BucketAt struct{ Start, Width int64 }

// eachStored reads the stored chunks of a segment one by one, leaving out those that changed since.
func (s *Store[C, P]) eachStored(kv model.State, g model.Segment, chunks []uint16, fn func(start int64, v []byte) error) error {
	t, width := &s.Levels[g.Level], model.LevelSeconds[g.Level]
	for start := model.Ceil(max(g.From, t.Oldest-t.Oldest%width), width); start < min(g.To, t.hotFrom); start += width {
		for _, n := range chunks {
			if t.buckets[start][n] != nil {
				continue
			}
			v, err := kv.KV.Get(s.cellsKey(kv.Keyspace, g.Level, start, n))
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			if err == nil {
				err = fn(start, v)
			}
			if err != nil {
				return fmt.Errorf("bucket %d of view %c: %w", start, s.view, err)
			}
		}
	}
	return nil
}

// eachOf reads one segment; buckets ascend, but stored ones come before those in memory.
func (s *Store[C, P]) eachOf(kv model.State, g model.Segment, want Pick, scratch *C, fn func(start int64, id uint32, c *C) error) error {
	from, to, t := g.From, g.To, &s.Levels[g.Level]
	packed := func(start int64, v []byte) error {
		return s.unpack(v, want, func(id uint32, cell []byte) error {
			d := model.Decoder{B: cell}
			if want.Counts {
				P(scratch).DecodeCounts(&d)
			} else {
				P(scratch).Decode(&d)
			}
			if d.Err != nil {
				return d.Err
			}
			return fn(start, id, scratch)
		})
	}
	chunks := want.chunks()
	if from < t.hotFrom && chunks != nil {
		if err := s.eachStored(kv, g, chunks, packed); err != nil {
			return err
		}
	} else if from < t.hotFrom {
		err := s.scanStored(kv, g.Level, max(from, 0), min(to, t.hotFrom), func(start int64, n uint16, v []byte) error {
			if t.buckets[start][n] != nil {
				return nil // changed since it was stored: below
			}
			return packed(start, v)
		})
		if err != nil {
			return err
		}
	}
	chunk := func(start int64, c *chunk[C]) error {
		if c.open == nil {
			return packed(start, c.packed)
		}
		for id, cell := range c.open {
			if want.Has(id) {
				if err := fn(start, id, cell); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return t.each(from, to, model.LevelSeconds[g.Level], func(start int64, b bucket[C]) error {
		if chunks != nil {
			for _, n := range chunks {
				if c := b[n]; c != nil {
					if err := chunk(start, c); err != nil {
						return err
					}
				}
			}
			return nil
		}
		for _, c := range b {
			if err := chunk(start, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls fn for the buckets in memory that begin from from on and before to, ascending.
func (t *tier[C]) each(from, to, width int64, fn func(start int64, b bucket[C]) error) error {
	if from = model.Ceil(from, width); (to-from)/width <= 2*int64(len(t.buckets)) {
		for start := from; start < to; start += width {
			if b := t.buckets[start]; b != nil {
				if err := fn(start, b); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, start := range slices.Sorted(maps.Keys(t.buckets)) {
		if start >= from && start < to {
			if err := fn(start, t.buckets[start]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Text is a bucket's start as time of day when it lies in 1970, as in scripts, else in full, and its width unless it is 10 s.
func (b BucketAt) Text() string {
	t := time.Unix(b.Start, 0).UTC().Format(time.RFC3339)
	if b.Start < 86400 {
		t = (time.Duration(b.Start) * time.Second).String()
	}
	if b.Width == model.BucketSeconds {
		return t
	}
	return t + "+" + (time.Duration(b.Width) * time.Second).String()
}
