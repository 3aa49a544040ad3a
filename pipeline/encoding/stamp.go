package encoding

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gaurav/watchingcat/pipeline/otlp"
)

// A Stamp gives resources that lack an attribute the value of their topic.
type Stamp struct {
	// Names are those under which a resource may have the attribute; the first is given.
	Names []string
	// Value is that of a topic; "": it has none.
	Value func(topic string) string
}

// on returns the request with the attribute. What is no request stays as it is.
func (s *Stamp) on(b []byte, topic string) []byte {
	if s == nil {
		return b
	}
	value := s.Value(topic)
	if value == "" {
		return b
	}
	var out []byte
	for i := 0; i < len(b); {
		f, ok := otlp.NextField(b, i)
		if !ok {
			return b
		}
		if f.Num == 1 && f.Wire == otlp.WireLen && !s.has(f.Data) {
			extra := s.resource(value)
			out = protowire.AppendTag(out, 1, protowire.BytesType)
			out = protowire.AppendVarint(out, uint64(len(f.Data)+len(extra)))
			out = append(append(out, f.Data...), extra...)
		} else {
			out = append(out, b[i:f.Next]...)
		}
		i = f.Next
	}
	return out
}

// resource is a further part of a resource (1): parts of one message are read as one. It holds an attribute (1) of key (1) and value (2), a
// text (1).
func (s *Stamp) resource(value string) []byte {
	message := func(num protowire.Number, inner []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), inner)
	}
	attribute := append(message(1, []byte(s.Names[0])), message(2, message(1, []byte(value)))...)
	return message(1, message(1, attribute))
}

// has reports whether the resource (1) of a list has the attribute.
func (s *Stamp) has(list []byte) bool {
	lacks := fields(list, func(f *otlp.Field) bool {
		return f.Num != 1 || f.Wire != otlp.WireLen || fields(f.Data, func(f *otlp.Field) bool {
			return f.Num != 1 || f.Wire != otlp.WireLen || fields(f.Data, func(f *otlp.Field) bool {
				return f.Num != 1 || !slices.Contains(s.Names, string(f.Data))
			})
		})
	})
	return !lacks // also what is malformed: that it stays
}
