package cells

import (
	"encoding/binary"

	"github.com/gaurav/watchingcat/views/model"
)

// REDBatch is what one partition counted of the series of spans between two checkpoints.
type REDBatch struct {
	Dirty []*REDSeries // those with a cell
	free  []*model.REDCounts
}

// REDSeries is a series in a batch with the few buckets that the batch touched.
type REDSeries struct {
	ID    uint32
	Over  bool // it is the overflow series
	Cells []REDCell
}

// REDCell is what was counted in one bucket, which starts at Start, Unix seconds.
type REDCell struct {
	Start int64
	*model.REDCounts
}

// Cell returns the cell of a series in a bucket.
func (b *REDBatch) Cell(s *REDSeries, start int64) *model.REDCounts {
	for i := range s.Cells {
		if s.Cells[i].Start == start {
			return s.Cells[i].REDCounts
		}
	}
	if len(s.Cells) == 0 {
		b.Dirty = append(b.Dirty, s)
	}
	var c *model.REDCounts
	if n := len(b.free); n > 0 {
		c, b.free = b.free[n-1], b.free[:n-1]
	} else {
		c = &model.REDCounts{}
	}
	s.Cells = append(s.Cells, REDCell{start, c})
	return c
}

// Reset makes the batch empty and keeps its memory.
func (b *REDBatch) Reset() {
	for _, s := range b.Dirty {
		for _, c := range s.Cells {
			c.Reset()
			b.free = append(b.free, c.REDCounts)
		}
		s.Cells = s.Cells[:0]
	}
	b.Dirty = b.Dirty[:0]
}

// AppendTo encodes the cells of a batch: for each series id+1, number of buckets, each start and cell. A 0 ends those of all batches.
func (b *REDBatch) AppendTo(out []byte) []byte {
	for _, s := range b.Dirty {
		out = model.AppendUvarint(out, uint64(s.ID)+1)
		out = model.AppendUvarint(out, uint64(len(s.Cells)))
		for _, c := range s.Cells {
			out = binary.AppendUvarint(out, uint64(c.Start))
			out = c.Append(out)
		}
	}
	return out
}

// Decode reads what AppendTo wrote of all batches into one.
func (b *REDBatch) Decode(d *model.Decoder) {
	for d.Err == nil {
		id := d.Uvarint()
		if id == 0 {
			return
		}
		s := &REDSeries{ID: uint32(id - 1)}
		for range d.Count() {
			c := REDCell{int64(d.Uvarint()), &model.REDCounts{}}
			if c.Decode(d); d.Err != nil {
				return
			}
			s.Cells = append(s.Cells, c)
		}
		b.Dirty = append(b.Dirty, s)
	}
}
