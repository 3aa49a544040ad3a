package encoding

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"github.com/gaurav/watchingcat/pipeline/otlp"
)

// unframed is the value without the header that serializers of Confluent's schema registry write: a zero, the id of the schema, and for
// protobuf the indexes of the message within it. No OTLP begins with a zero.
func unframed(b []byte) []byte {
	const header = 5
	if len(b) <= header || b[0] != 0 {
		return b
	}
	b = b[header:]
	if b[0] == '{' || b[0] == ' ' || b[0] == '\t' || b[0] == '\r' { // these would be negative numbers of indexes, or too many
		return b
	}
	if b[0] == '\n' { // the tag of the first field, or white space: no index list of 5 has a parser behind it
		return b
	}
	n, i := binary.Varint(b)
	if i <= 0 || n < 0 || n > 8 {
		return b
	}
	for range n {
		_, size := binary.Varint(b[i:])
		if size <= 0 {
			return b
		}
		i += size
	}
	return b[i:]
}

// foreign names the protobuf encoding of a value that is surely no OTLP, "" for any other. It looks at few bytes of what may be OTLP.
func foreign(b []byte) string {
	if len(b) < 20 || b[0] != 1<<3|otlp.WireLen {
		return ""
	}
	if isJaegerSpan(b) {
		return JaegerProto
	}
	f, ok := otlp.NextField(b, 0)
	if !ok || len(f.Data) < 20 || f.Data[0] != 1<<3|otlp.WireLen || f.Data[1] != 16 {
		return ""
	}
	switch {
	case isZipkin(b):
		return ZipkinProto
	case isJaegerBatch(b):
		return JaegerProto
	}
	return ""
}

// looksLike names the encoding of a value, "" where it is none that can be known.
func looksLike(value []byte) string {
	b := unframed(value)
	if t := bytes.TrimLeft(b, " \t\r\n"); len(t) > 0 && (t[0] == '{' || t[0] == '[') && json.Valid(t) {
		return looksLikeJSON(t)
	}
	if name := foreign(b); name != "" {
		return name
	}
	if isOTLP(b) {
		return OTLPProto
	}
	return ""
}

func looksLikeJSON(b []byte) string {
	has := func(names ...string) bool {
		for _, n := range names {
			if !bytes.Contains(b, []byte(`"`+n+`"`)) {
				return false
			}
		}
		return true
	}
	switch {
	case b[0] == '[' && has("traceId", "id"):
		return ZipkinJSON
	case b[0] == '[':
		return ""
	case has("resourceSpans"), has("resourceLogs"), has("resourceMetrics"), has("resource_spans"), has("resource_logs"),
		has("resource_metrics"):
		return OTLPJSON
	case has("traceId", "spanId", "operationName"):
		return JaegerJSON
	}
	return ""
}

// isJaegerSpan: trace id (1) and span id (2) have their lengths, and there are an operation (3) and a start (6).
func isJaegerSpan(b []byte) bool {
	var trace, span, other bool
	ok := fields(b, func(f *otlp.Field) bool {
		switch f.Num {
		case 1:
			trace = true
			return f.Wire == otlp.WireLen && len(f.Data) == 16
		case 2:
			span = true
			return f.Wire == otlp.WireLen && len(f.Data) == 8
		case 3, 6:
			other = true
			return f.Wire == otlp.WireLen
		}
		return true
	})
	return ok && trace && span && other
}

// isJaegerBatch: spans (1) and a process (2), nothing else.
func isJaegerBatch(b []byte) bool {
	spans := 0
	ok := fields(b, func(f *otlp.Field) bool {
		if f.Num == 1 && f.Wire == otlp.WireLen && isJaegerSpan(f.Data) {
			spans++
			return true
		}
		return f.Num == 2 && f.Wire == otlp.WireLen
	})
	return ok && spans > 0
}

// isZipkin: spans (1) whose trace id (1) and id (3) have their lengths.
func isZipkin(b []byte) bool {
	spans := 0
	ok := fields(b, func(f *otlp.Field) bool {
		if f.Num != 1 || f.Wire != otlp.WireLen {
			return false
		}
		spans++
		trace, id := false, false
		return fields(f.Data, func(f *otlp.Field) bool {
			switch f.Num {
			case 1:
				trace = true
				return len(f.Data) == 16 || len(f.Data) == 8
			case 3:
				id = true
				return f.Wire == otlp.WireLen && len(f.Data) == 8
			}
			return true
		}) && trace && id
	})
	return ok && spans > 0
}

// isOTLP: lists (1) of lists (2) of spans, lines or metrics (2).
func isOTLP(b []byte) bool {
	found := false
	ok := fields(b, func(f *otlp.Field) bool {
		return f.Num == 1 && f.Wire == otlp.WireLen && fields(f.Data, func(f *otlp.Field) bool {
			return f.Num != 2 || f.Wire == otlp.WireLen && fields(f.Data, func(f *otlp.Field) bool {
				found = found || f.Num == 2 && f.Wire == otlp.WireLen
				return true
			})
		})
	})
	return ok && found
}

// fields calls f with each field of a message; false when one call says so or b is no message.
func fields(b []byte, f func(*otlp.Field) bool) bool {
	for i := 0; i < len(b); {
		x, ok := otlp.NextField(b, i)
		if !ok || !f(&x) {
			return false
		}
		i = x.Next
	}
	return true
}
