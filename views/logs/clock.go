package logs

import (
	"encoding/binary"
	"iter"

	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/protobuf/encoding/protowire"
)

// Clock says what the time of a record's lines is, for counting, searching, following and cursors alike: their own, else when they were
// seen, else that of the record; and that of the record where their own lies beyond the receiver's clock. What it needs of the record is
// kept with the record.
type Clock struct {
	Arrived uint64 // when the record came, Unix nanoseconds; 0: not known
	Ceiling uint64 // later than this no line is; 0: no clock is known
}

// At is when a line was that names a time, or none (0).
func (c Clock) At(t uint64) (at uint64, shifted bool) {
	switch {
	case t == 0:
		return c.Arrived, false
	case c.Ceiling > 0 && t > c.Ceiling:
		return c.Arrived, true
	}
	return t, false
}

// clockField is the number of the field that stands before a kept record. OTLP has no such field and decoders pass over it.
const clockField protowire.Number = 1<<29 - 1

// Append writes the field that stands before a record of some bytes: arrived, ceiling, size.
func (c Clock) Append(b []byte, size int) []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 32), c.Arrived)
	v = binary.BigEndian.AppendUint64(v, c.Ceiling)
	v = binary.AppendUvarint(v, uint64(size))
	return protowire.AppendBytes(protowire.AppendTag(b, clockField, protowire.BytesType), v)
}

// KeptRecords cuts a block into its records. Those of blocks from before records had clocks come as one, with the clock otherwise.
func KeptRecords(b []byte, otherwise Clock) iter.Seq2[Clock, []byte] {
	return func(yield func(Clock, []byte) bool) {
		for len(b) > 0 {
			c, size, head := readClock(b)
			if head == 0 {
				yield(otherwise, b)
				return
			}
			if !yield(c, b[head:head+size]) {
				return
			}
			b = b[head+size:]
		}
	}
}

// readClock reads the field before a record; head is its length, 0: there is none.
func readClock(b []byte) (c Clock, size, head int) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != clockField || typ != protowire.BytesType {
		return c, 0, 0
	}
	v, m := protowire.ConsumeBytes(b[n:])
	if m < 0 || len(v) < 16 {
		return c, 0, 0
	}
	length, k := binary.Uvarint(v[16:])
	if k <= 0 || length > uint64(len(b)-n-m) {
		return c, 0, 0
	}
	return Clock{binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])}, int(length), n + m
}

// TimeOf is the time that a record names, by its clock.
func (c Clock) TimeOf(l plog.LogRecord) uint64 {
	at, _ := c.At(timeOf(l))
	return at
}
