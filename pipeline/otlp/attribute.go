package otlp

import (
	"encoding/binary"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage/attr"
)

// ranks say under which of an attribute's names its value was found: semantic conventions have renamed some, and a span may have both.
type ranks struct{ destination, operation, collection rank }

// rank is the place of a name in the order of preference, the current one is 1; 0: none was found.
type rank uint8

// prefer keeps the text of an attribute unless one with the same or a better name did.
func (r *rank) prefer(to *[]byte, name rank, attr, val []byte) (err error) {
	if *r == 0 || name < *r {
		*r = name
		*to, err = text(attr, val)
	}
	return err
}

// attribute checks a KeyValue and returns its key and its encoded value. The usual form, a short key and a short value that is a
// string or a number, is recognized by a few comparisons; SDKs write the key first, the collector the value.
func attribute(d []byte) (key, val []byte, err error) {
	if len(d) > 4 && d[1] < 0x80 {
		if i := 2 + int(d[1]); i+2 <= len(d) && d[i+1] < 0x80 && i+2+int(d[i+1]) == len(d) {
			switch uint16(d[0])<<8 | uint16(d[i]) {
			case (1<<3|WireLen)<<8 | 2<<3 | WireLen:
				key, val = d[2:i], d[i+2:]
			case (2<<3|WireLen)<<8 | 1<<3 | WireLen:
				key, val = d[i+2:], d[2:i]
			default:
				val = noValue
			}
			if simpleValue(val) {
				return key, val, nil
			}
		}
	}
	if err := check(d, keyValue, 0); err != nil {
		return nil, nil, err
	}
	for i := 0; i < len(d); {
		f, _ := NextField(d, i)
		i = f.Next
		switch f.Num {
		case 1:
			key = f.Data
		case 2:
			val = f.Data
		}
	}
	return key, val, nil
}

// noValue is no simple value.
var noValue = []byte{0xff, 0xff}

// simpleValue reports whether v is exactly one short string, bool, int or double.
func simpleValue(v []byte) bool {
	if len(v) < 2 {
		return len(v) == 0
	}
	switch v[0] {
	case 1<<3 | WireLen:
		return v[1] < 0x80 && int(v[1]) == len(v)-2
	case 2<<3 | wireVarint, 3<<3 | wireVarint:
		_, n := uvarint(v, 1)
		return n == len(v)
	case 4<<3 | wireI64:
		return len(v) == 9
	}
	return false
}

// keep stores the text of an attribute unless an earlier one with the same key did.
func keep(to *[]byte, attr, val []byte) (err error) {
	if *to == nil {
		*to, err = text(attr, val)
	}
	return err
}

// text is an attribute's value as attr.Text gives it, but for bytes that are not UTF-8, never nil. Strings come without a copy; the others
// are rare for the attributes that views want, so pdata converts them.
func text(pair, val []byte) ([]byte, error) {
	if len(val) > 1 && val[0] == 1<<3|WireLen && val[1] < 0x80 && int(val[1]) == len(val)-2 {
		return val[2:len(val):len(val)], nil
	}
	// an ExportTraceServiceRequest of one ResourceSpans with a resource of this one attribute
	m := pair
	for range 3 {
		m = append(binary.AppendUvarint([]byte{1<<3 | WireLen}, uint64(len(m))), m...)
	}
	var u ptrace.ProtoUnmarshaler
	td, err := u.UnmarshalTraces(m)
	if err != nil {
		return nil, ErrMalformed
	}
	out := []byte{}
	for _, v := range td.ResourceSpans().At(0).Resource().Attributes().All() {
		if v.Type() == pcommon.ValueTypeStr {
			out = append(out, v.Str()...)
			continue
		}
		out = append(out, attr.Text(v)...)
	}
	return out, nil
}
