package model

import (
	"encoding/binary"
	"errors"
	"slices"
)

// ErrCorrupt says that a stored value does not decode: the disk or the program is broken.
var ErrCorrupt = errors.New("views: stored value is corrupt")

// AppendString encodes s: its length, then its bytes.
func AppendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// Decoder reads a value; after the first error every read gives zero.
type Decoder struct {
	B   []byte
	Err error
}

// Fail ends the reading with ErrCorrupt.
func (d *Decoder) Fail() {
	d.Err, d.B = ErrCorrupt, nil
}

// Uvarint reads an unsigned number.
func (d *Decoder) Uvarint() uint64 {
	if len(d.B) > 0 && d.B[0] < 0x80 {
		v := uint64(d.B[0])
		d.B = d.B[1:]
		return v
	}
	v, n := binary.Uvarint(d.B)
	if n <= 0 {
		d.Fail()
		return 0
	}
	d.B = d.B[n:]
	return v
}

// Count reads the number of elements that follow. Each takes at least one byte, so a larger number is damage, and no loop over it outlasts
// the input.
func (d *Decoder) Count() int {
	n := d.Uvarint()
	if n > uint64(len(d.B)) {
		d.Fail()
		return 0
	}
	return int(n)
}

// Varint reads a signed number.
func (d *Decoder) Varint() int64 {
	u := d.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Bytes reads n bytes, which belong to the value that is read.
func (d *Decoder) Bytes(n int) []byte {
	if n < 0 || n > len(d.B) {
		d.Fail()
		return make([]byte, max(0, min(n, 64)))
	}
	v := d.B[:n]
	d.B = d.B[n:]
	return v
}

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if len(d.B) == 0 {
		d.Fail()
		return 0
	}
	v := d.B[0]
	d.B = d.B[1:]
	return v
}

// String reads what AppendString wrote.
func (d *Decoder) String() string {
	n := d.Uvarint()
	if n > uint64(len(d.B)) {
		d.Fail()
		return ""
	}
	return string(d.Bytes(int(n)))
}

// Append encodes the histogram.
// A histogram: number of stored buckets; if not 0, the index of the first, then each count, a run of zero counts as 0 and its
// length.
func (h *Histogram) Append(b []byte) []byte {
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

// Decode reads what Append wrote.
func (h *Histogram) Decode(d *Decoder) {
	n := d.Uvarint()
	h.Reset()
	if n == 0 {
		return
	}
	off := d.Uvarint()
	if most := uint64(len(bucketEnds) + 1); n > most || off > most-n {
		d.Fail()
		return
	}
	h.Offset = uint16(off)
	h.Counts = slices.Grow(h.Counts, int(n))
	for uint64(len(h.Counts)) < n && d.Err == nil {
		c := d.Uvarint()
		run := uint64(1)
		if c == 0 {
			if run = d.Uvarint(); run == 0 || run > n-uint64(len(h.Counts)) {
				d.Fail()
				return
			}
		}
		for range run {
			h.Counts = append(h.Counts, c)
		}
	}
}

// Append encodes the counts.
// Counts: calls, size, sum, histogram.
func (c *Counts) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, c.Calls)
	b = binary.AppendUvarint(b, c.Size)
	return c.Hist.Append(c.Sum.append(b))
}

// Decode reads what Append wrote.
func (c *Counts) Decode(d *Decoder) {
	c.Calls, c.Size = d.Uvarint(), d.Uvarint()
	c.Sum.decode(d)
	c.Hist.Decode(d)
}

// Append encodes the exemplar.
// An exemplar: 0, or 1, trace id, span id, end, duration.
func (e *Exemplar) Append(b []byte) []byte {
	if *e == (Exemplar{}) {
		return append(b, 0)
	}
	b = append(b, 1)
	b = append(b, e.TraceID[:]...)
	b = append(b, e.SpanID[:]...)
	b = binary.AppendUvarint(b, e.End)
	return binary.AppendUvarint(b, e.Duration)
}

// Decode reads what Append wrote.
func (e *Exemplar) Decode(d *Decoder) {
	*e = Exemplar{}
	if d.Byte() == 0 {
		return
	}
	copy(e.TraceID[:], d.Bytes(16))
	copy(e.SpanID[:], d.Bytes(8))
	e.End, e.Duration = d.Uvarint(), d.Uvarint()
}

// AppendUvarint is binary.AppendUvarint with the short case inlined.
func AppendUvarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return binary.AppendUvarint(b, v)
}
