package views

import (
	"encoding/binary"
	"iter"

	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/protobuf/encoding/protowire"
)

// lineClock says what the time of a record's lines is, for counting, searching, following and cursors alike: their own, else when they were
// seen, else that of the record; and that of the record where their own lies beyond the receiver's clock. What it needs of the record is
// kept with the record.
type lineClock struct {
	arrived uint64 // when the record came, Unix nanoseconds; 0: not known
	ceiling uint64 // later than this no line is; 0: no clock is known
}

func (a *Accumulator) lineClock() lineClock { return lineClock{a.arrived(), a.ceiling()} }

// time is when a line was that names a time, or none (0).
func (c lineClock) time(t uint64) (at uint64, shifted bool) {
	switch {
	case t == 0:
		return c.arrived, false
	case c.ceiling > 0 && t > c.ceiling:
		return c.arrived, true
	}
	return t, false
}

// clockField is the number of the field that stands before a kept record. OTLP has no such field and decoders pass over it.
const clockField protowire.Number = 1<<29 - 1

// append writes the field that stands before a record of some bytes: arrived, ceiling, size.
func (c lineClock) append(b []byte, size int) []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 32), c.arrived)
	v = binary.BigEndian.AppendUint64(v, c.ceiling)
	v = binary.AppendUvarint(v, uint64(size))
	return protowire.AppendBytes(protowire.AppendTag(b, clockField, protowire.BytesType), v)
}

// keptLogRecords cuts a block into its records. Those of blocks from before records had clocks come as one, with the clock otherwise.
func keptLogRecords(b []byte, otherwise lineClock) iter.Seq2[lineClock, []byte] {
	return func(yield func(lineClock, []byte) bool) {
		for len(b) > 0 {
			c, size, head := readLineClock(b)
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

// readLineClock reads the field before a record; head is its length, 0: there is none.
func readLineClock(b []byte) (c lineClock, size, head int) {
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
	return lineClock{binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])}, int(length), n + m
}

// UniqueLogs reports whether a record of OTLP logs holds something by which it differs from others that say the same: an id, or a time
// finer than a second. Of other records equal bytes do not say that one was sent again.
func UniqueLogs(value []byte) bool {
	for resource := range nested(value, 1) {
		for scope := range nested(resource, 2) {
			for line := range nested(scope, 2) {
				if uniqueLine(line) {
					return true
				}
			}
		}
	}
	return false
}

// uniqueLine looks at time_unix_nano (1), trace_id (9), span_id (10), observed_time_unix_nano (11) and the attribute log.record.uid.
func uniqueLine(b []byte) bool {
	for field := range logParts(b) {
		num, typ, tag := protowire.ConsumeTag(field)
		switch {
		case tag < 0:
		case (num == 1 || num == 11) && typ == protowire.Fixed64Type:
			if t, n := protowire.ConsumeFixed64(field[tag:]); n > 0 && t%1e9 != 0 {
				return true
			}
		case (num == 9 || num == 10) && typ == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(field[tag:])
			for _, x := range v {
				if x != 0 {
					return true
				}
			}
		case num == 6 && typ == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(field[tag:])
			for key := range nested(v, 1) {
				if string(key) == "log.record.uid" {
					return true
				}
			}
		}
	}
	return false
}

// lineTime is the time that a record names, by its clock.
func (c lineClock) lineTime(l plog.LogRecord) uint64 {
	at, _ := c.time(logTime(l))
	return at
}
