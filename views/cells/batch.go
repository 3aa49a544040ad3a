package cells

import (
	"encoding/binary"

	"github.com/gaurav/watchingcat/views/model"
)

// Counted is what a batch counts of one series in one bucket.
type Counted[C any] interface {
	*C
	Append(b []byte) []byte
	Decode(d *model.Decoder)
	Reset()
}

// Batch is what one partition counted between two checkpoints, by series and bucket.
type Batch[C any, P Counted[C]] struct {
	Dirty []*BatchSeries[C] // those with a cell
	free  []*C
}

// BatchSeries is a series in a batch with the few buckets that the batch touched.
type BatchSeries[C any] struct {
	ID    uint32
	Over  bool   // it is the overflow series
	Key   string // label values of a table's series; "" for others
	Cells []CellAt[C]
}

// CellAt is what was counted in one bucket, which starts at Start, Unix seconds.
type CellAt[C any] struct {
	Start int64
	C     *C
}

// REDBatch counts the series of spans.
type REDBatch = Batch[model.REDCounts, *model.REDCounts]

// REDSeries is a series of spans in a batch.
type REDSeries = BatchSeries[model.REDCounts]

// Cell returns the cell of a series in a bucket.
func (b *Batch[C, P]) Cell(s *BatchSeries[C], start int64) *C {
	for i := range s.Cells {
		if s.Cells[i].Start == start {
			return s.Cells[i].C
		}
	}
	if len(s.Cells) == 0 {
		b.Dirty = append(b.Dirty, s)
	}
	var c *C
	if n := len(b.free); n > 0 {
		c, b.free = b.free[n-1], b.free[:n-1]
	} else {
		c = new(C)
	}
	s.Cells = append(s.Cells, CellAt[C]{start, c})
	return c
}

// Reset makes the batch empty and keeps its memory.
func (b *Batch[C, P]) Reset() {
	for _, s := range b.Dirty {
		for i := range s.Cells {
			P(s.Cells[i].C).Reset()
			b.free = append(b.free, s.Cells[i].C)
		}
		s.Cells = s.Cells[:0]
	}
	b.Dirty = b.Dirty[:0]
}

// AppendTo encodes the cells of a batch: for each series id+1, number of buckets, each start and cell. A 0 ends those of all batches.
func (b *Batch[C, P]) AppendTo(out []byte) []byte {
	for _, s := range b.Dirty {
		out = model.AppendUvarint(out, uint64(s.ID)+1)
		out = model.AppendUvarint(out, uint64(len(s.Cells)))
		for i := range s.Cells {
			out = binary.AppendUvarint(out, uint64(s.Cells[i].Start))
			out = P(s.Cells[i].C).Append(out)
		}
	}
	return out
}

// Decode reads what AppendTo wrote of all batches into one.
func (b *Batch[C, P]) Decode(d *model.Decoder) {
	for d.Err == nil {
		id := d.Uvarint()
		if id == 0 {
			return
		}
		s := &BatchSeries[C]{ID: uint32(id - 1)}
		for range d.Count() {
			c := CellAt[C]{int64(d.Uvarint()), new(C)}
			if P(c.C).Decode(d); d.Err != nil {
				return
			}
			s.Cells = append(s.Cells, c)
		}
		b.Dirty = append(b.Dirty, s)
	}
}
