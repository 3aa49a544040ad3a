package cells

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/gaurav/watchingcat/views/model"
)

// chunkSeries is how many series share a stored value.
const chunkSeries = 512

// chunk is decoded while it changes (open), and kept as the stored bytes once a fold found it unchanged (packed).
type chunk[C any] struct {
	open    map[uint32]*C
	packed  []byte
	stamp   uint64
	dirty   bool
	resting bool
}

// chunk returns the chunk of a series in a bucket, from the KV when it is a cold one.
func (s *Store[C, P]) chunk(kv model.State, l int, id uint32, start int64) (*chunk[C], error) {
	n, t := uint16(id/chunkSeries), &s.Levels[l]
	b := t.buckets[start]
	if b == nil {
		b = bucket[C]{}
		t.buckets[start] = b
	}
	if c := b[n]; c != nil {
		return c, nil
	}
	c := &chunk[C]{open: map[uint32]*C{}}
	if start < t.hotFrom {
		err := kv.KV.Scan(s.cellsKey(kv.Keyspace, l, start, n), s.cellsKey(kv.Keyspace, l, start, n+1), func(_, v []byte) error {
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
func (s *Store[C, P]) decode(c *chunk[C]) error {
	if c.open != nil {
		return nil
	}
	open := map[uint32]*C{}
	err := s.unpack(c.packed, EverySeries, func(id uint32, cell []byte) (err error) {
		open[id], err = decodeCell[C, P](cell)
		return err
	})
	if err == nil {
		c.open, c.packed = open, nil
	}
	return err
}

func decodeCell[C any, P Cell[C]](cell []byte) (*C, error) {
	c := new(C)
	d := model.Decoder{B: cell}
	P(c).Decode(&d)
	return c, d.Err
}

// A stored chunk: stamp, id of its first possible series, number of cells, then for each its id less the first (uint16 BE) and
// where it ends among the cells (uint32 BE), then the cells; ids ascend. The table lets a reader find a few of many at once.
func stampOf(packed []byte) uint64 {
	d := model.Decoder{B: packed}
	return d.Uvarint()
}

const packedRow = 2 + 4

// Pick says which series a reader wants.
type Pick struct {
	Has func(id uint32) bool
	Ids []uint32 // the same, ascending; nil: nearly all
	// Counts alone are wanted: what a chart adds up lies at the beginning of a cell, and most of the time that it takes is that of
	// getting at memory.
	Counts bool
}

// EverySeries picks all series.
var EverySeries = Pick{Has: func(uint32) bool { return true }}

// PickOf is a pick of the ids from 0 on that has accepts, of n.
func PickOf(n int, has func(id uint32) bool) Pick {
	p := Pick{Has: has, Ids: []uint32{}}
	for id := range uint32(n) {
		if has(id) {
			p.Ids = append(p.Ids, id)
		}
	}
	return p
}

// chunks are the few chunks that hold what is wanted; nil: many do.
func (p *Pick) chunks() []uint16 {
	if p.Ids == nil {
		return nil
	}
	out := []uint16{}
	for _, id := range p.Ids {
		if n := uint16(id / chunkSeries); len(out) == 0 || out[len(out)-1] != n {
			out = append(out, n)
		}
		if len(out) > 4 {
			return nil
		}
	}
	return out
}

// unpack calls fn for each cell of a stored chunk that is wanted.
func (s *Store[C, P]) unpack(packed []byte, want Pick, fn func(id uint32, cell []byte) error) error {
	d := model.Decoder{B: packed}
	d.Uvarint()
	first, n := uint32(d.Uvarint()), d.Count()
	if d.Err != nil || n > chunkSeries || len(d.B) < n*packedRow {
		return model.ErrCorrupt
	}
	rows, cells := d.B[:n*packedRow], d.B[n*packedRow:]
	one := func(i int, id uint32) error {
		from, to := uint32(0), binary.BigEndian.Uint32(rows[i*packedRow+2:])
		if i > 0 {
			from = binary.BigEndian.Uint32(rows[(i-1)*packedRow+2:])
		}
		if from > to || to > uint32(len(cells)) {
			return model.ErrCorrupt
		}
		return fn(id, cells[from:to])
	}
	if want.Ids != nil && len(want.Ids)*8 < n {
		at, _ := slices.BinarySearch(want.Ids, first)
		for _, id := range want.Ids[at:] {
			if id >= first+chunkSeries {
				break
			}
			i := int(id - first) // where it is when no series before is missing
			if i >= n || uint32(binary.BigEndian.Uint16(rows[i*packedRow:])) != id-first {
				i = sort.Search(min(i, n), func(i int) bool { return uint32(binary.BigEndian.Uint16(rows[i*packedRow:])) >= id-first })
			}
			if i < n && uint32(binary.BigEndian.Uint16(rows[i*packedRow:])) == id-first {
				if err := one(i, id); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for i := range n {
		if id := first + uint32(binary.BigEndian.Uint16(rows[i*packedRow:])); want.Has(id) {
			if err := one(i, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store[C, P]) pack(c *chunk[C]) []byte {
	ids := slices.Sorted(maps.Keys(c.open))
	packed, first := binary.AppendUvarint(nil, c.stamp), uint32(0)
	if len(ids) > 0 {
		first = ids[0] - ids[0]%chunkSeries
	}
	packed = binary.AppendUvarint(packed, uint64(first))
	packed = binary.AppendUvarint(packed, uint64(len(ids)))
	var cells []byte
	for _, id := range ids {
		cells = P(c.open[id]).Append(cells)
		packed = binary.BigEndian.AppendUint16(packed, uint16(id-first))
		packed = binary.BigEndian.AppendUint32(packed, uint32(len(cells)))
	}
	return append(packed, cells...)
}
