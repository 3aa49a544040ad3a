package otlp

import (
	"encoding/binary"
	"errors"
)

// Errors of the scanner. Each is a reason for the dead-letter topic.
var (
	// ErrMalformed says that the bytes are no well-formed OTLP message.
	ErrMalformed = errors.New("malformed OTLP protobuf")
	// ErrNesting says that attribute values are nested deeper than maxNesting.
	ErrNesting = errors.New("OTLP attribute values nested too deeply")
	// ErrTooManySpans says that a record holds more spans than one record may.
	ErrTooManySpans = errors.New("too many spans in one record")
)

// maxNesting bounds the nesting of attribute values, counted as pdata counts it (which allows 100).
const maxNesting = 64

// Protobuf wire types, https://protobuf.dev/programming-guides/encoding/.
const (
	wireVarint = 0
	wireI64    = 1
	WireLen    = 2
	wireGroup  = 3
	wireEnd    = 4
	wireI32    = 5
)

// uvarint reads a varint at i and returns the position after it, or -1. Like pdata it takes ten bytes and drops surplus bits.
func uvarint(b []byte, i int) (uint64, int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		if i >= len(b) {
			return 0, -1
		}
		c := b[i]
		i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

// Field is one field of a message: its number, wire type, bytes (WireLen) or value (the others), and where the next begins.
type Field struct {
	Num  int32
	Wire uint8
	Data []byte
	val  uint64
	Next int
}

// NextField reads the field at i. Groups are skipped as unknown fields: their wire is wireGroup.
func NextField(b []byte, i int) (f Field, ok bool) {
	tag, i := uvarint(b, i)
	if i < 0 {
		return f, false
	}
	f.Num, f.Wire = int32(tag>>3), uint8(tag&7)
	if f.Num <= 0 {
		return f, false
	}
	switch f.Wire {
	case wireVarint:
		f.val, f.Next = uvarint(b, i)
		return f, f.Next >= 0
	case wireI64:
		if len(b)-i < 8 {
			return f, false
		}
		f.val, f.Next = binary.LittleEndian.Uint64(b[i:]), i+8
		return f, true
	case WireLen:
		n, j := uvarint(b, i)
		if j < 0 || n > uint64(len(b)-j) {
			return f, false
		}
		f.Data, f.Next = b[j:j+int(n)], j+int(n)
		return f, true
	case wireI32:
		if len(b)-i < 4 {
			return f, false
		}
		f.val, f.Next = uint64(binary.LittleEndian.Uint32(b[i:])), i+4
		return f, true
	case wireGroup:
		f.Next, ok = skipGroup(b, i)
		return f, ok
	}
	return f, false
}

// skipGroup skips fields until the group that is open at i ends. Groups are not used by OTLP; what pdata does with them is done
// here too: the first plain value inside ends the skipping, and a group may not end where the message does.
func skipGroup(b []byte, i int) (int, bool) {
	depth := 1
	for i < len(b) {
		tag, j := uvarint(b, i)
		if j < 0 || j >= len(b) || int32(tag>>3) <= 0 {
			return 0, false
		}
		switch tag & 7 {
		case wireGroup:
			depth++
		case wireEnd:
			if depth--; depth == 0 {
				return j, true
			}
		default:
			f, ok := NextField(b, i)
			return f.Next, ok
		}
		i = j
	}
	return 0, false
}

// shape describes a message well enough to check it: the wire type of each known field and the message inside, if any.
type shape struct {
	fields [17]known // by number; known fields above are listed in the scanners
	values bool      // this message is an attribute value or holds one: nesting counts
}

type known struct {
	wire  uint8 // wire type + 1; 0: not known
	inner *shape
	id    int // length of an id, or 0
}

func lenField(inner *shape) known { return known{wire: WireLen + 1, inner: inner} }
func plainField(wire uint8) known { return known{wire: wire + 1} }
func idField(n int) known         { return known{wire: WireLen + 1, id: n} }

// The messages of opentelemetry-proto 1.x that the span scanner passes over, with the fields pdata checks.
var (
	anyValue  = &shape{values: true}
	keyValue  = &shape{values: true}
	arrayVal  = &shape{values: true}
	kvList    = &shape{values: true}
	entityRef = &shape{fields: [17]known{1: lenField(nil), 2: lenField(nil), 3: lenField(nil), 4: lenField(nil)}}
	scope     = &shape{fields: [17]known{1: lenField(nil), 2: lenField(nil), 3: lenField(keyValue), 4: plainField(wireVarint)}}
	spanEvent = &shape{fields: [17]known{1: plainField(wireI64), 2: lenField(nil), 3: lenField(keyValue), 4: plainField(wireVarint)}}
	spanLink  = &shape{fields: [17]known{1: idField(16), 2: idField(8), 3: lenField(nil), 4: lenField(keyValue), 5: plainField(wireVarint),
		6: plainField(wireI32)}}
	spanMsg = &shape{fields: [17]known{1: idField(16), 2: idField(8), 3: lenField(nil), 4: idField(8), 5: lenField(nil),
		6: plainField(wireVarint), 7: plainField(wireI64), 8: plainField(wireI64), 9: lenField(keyValue), 10: plainField(wireVarint),
		11: lenField(spanEvent), 12: plainField(wireVarint), 13: lenField(spanLink), 14: plainField(wireVarint),
		15: lenField(spanStatus), 16: plainField(wireI32)}}
	spanStatus = &shape{fields: [17]known{2: lenField(nil), 3: plainField(wireVarint)}}
	scopeSpans = &shape{fields: [17]known{1: lenField(scope), 2: lenField(spanMsg), 3: lenField(nil)}}
)

func init() {
	keyValue.fields = [17]known{1: lenField(nil), 2: lenField(anyValue), 3: plainField(wireVarint)}
	anyValue.fields = [17]known{1: lenField(nil), 2: plainField(wireVarint), 3: plainField(wireVarint), 4: plainField(wireI64),
		5: lenField(arrayVal), 6: lenField(kvList), 7: lenField(nil), 8: plainField(wireVarint)}
	arrayVal.fields = [17]known{1: lenField(anyValue)}
	kvList.fields = [17]known{1: lenField(keyValue)}
}

// check walks b as message m without keeping anything.
func check(b []byte, m *shape, depth int) error {
	if m.values {
		if depth++; depth > maxNesting {
			return ErrNesting
		}
	}
	for i := 0; i < len(b); {
		f, ok := NextField(b, i)
		if !ok {
			return ErrMalformed
		}
		i = f.Next
		if int(f.Num) >= len(m.fields) {
			continue
		}
		k := &m.fields[f.Num]
		if k.wire == 0 {
			continue
		}
		if f.Wire+1 != k.wire || k.id > 0 && len(f.Data) != 0 && len(f.Data) != k.id {
			return ErrMalformed
		}
		if k.inner != nil {
			if err := check(f.Data, k.inner, depth); err != nil {
				return err
			}
		}
	}
	return nil
}
