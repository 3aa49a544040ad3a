package views

import (
	"encoding/binary"
	"errors"
	"slices"
)

// errCorrupt says that a stored value does not decode: the disk or the program is broken.
var errCorrupt = errors.New("views: stored value is corrupt")

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decoder reads a value; after the first error every read gives zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() {
	d.err, d.b = errCorrupt, nil
}

func (d *decoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		v := uint64(d.b[0])
		d.b = d.b[1:]
		return v
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads the number of elements that follow. Each takes at least one byte, so a larger number is damage, and no loop over it outlasts the input.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail()
		return make([]byte, max(0, min(n, 64)))
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return ""
	}
	return string(d.bytes(int(n)))
}

// A histogram: number of stored buckets; if not 0, the index of the first, then each count, a run of zero counts as 0 and its
// length.
func (h *Histogram) append(b []byte) []byte {
	counts, off := h.Counts, int(h.Offset)
	for len(counts) > 0 && counts[len(counts)-1] == 0 {
		counts = counts[:len(counts)-1]
	}
	for len(counts) > 0 && counts[0] == 0 {
		counts, off = counts[1:], off+1
	}
	b = binary.AppendUvarint(b, uint64(len(counts)))
	if len(counts) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(off))
	for i := 0; i < len(counts); i++ {
		b = binary.AppendUvarint(b, counts[i])
		if counts[i] == 0 {
			run := 1
			for counts[i+run] == 0 {
				run++
			}
			b = binary.AppendUvarint(b, uint64(run))
			i += run - 1
		}
	}
	return b
}

func (h *Histogram) decode(d *decoder) {
	n := d.uvarint()
	h.reset()
	if n == 0 {
		return
	}
	off := d.uvarint()
	if most := uint64(len(bounds) + 1); n > most || off > most-n {
		d.fail()
		return
	}
	h.Offset = uint16(off)
	h.Counts = slices.Grow(h.Counts, int(n))
	for uint64(len(h.Counts)) < n && d.err == nil {
		c := d.uvarint()
		run := uint64(1)
		if c == 0 {
			if run = d.uvarint(); run == 0 || run > n-uint64(len(h.Counts)) {
				d.fail()
				return
			}
		}
		for range run {
			h.Counts = append(h.Counts, c)
		}
	}
}

// Counts: calls, size, sum, histogram.
func (c *Counts) append(b []byte) []byte {
	b = binary.AppendUvarint(b, c.Calls)
	b = binary.AppendUvarint(b, c.Size)
	return c.Hist.append(c.Sum.append(b))
}

func (c *Counts) decode(d *decoder) {
	c.Calls, c.Size = d.uvarint(), d.uvarint()
	c.Sum.decode(d)
	c.Hist.decode(d)
}

// An exemplar: 0, or 1, trace id, span id, end, duration.
func (e *Exemplar) append(b []byte) []byte {
	if *e == (Exemplar{}) {
		return append(b, 0)
	}
	b = append(b, 1)
	b = append(b, e.TraceID[:]...)
	b = append(b, e.SpanID[:]...)
	b = binary.AppendUvarint(b, e.End)
	return binary.AppendUvarint(b, e.Duration)
}

func (e *Exemplar) decode(d *decoder) {
	*e = Exemplar{}
	if d.byte() == 0 {
		return
	}
	copy(e.TraceID[:], d.bytes(16))
	copy(e.SpanID[:], d.bytes(8))
	e.End, e.Duration = d.uvarint(), d.uvarint()
}
