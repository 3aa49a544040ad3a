// Package attr turns OTLP attribute values into text and into values that JSON can hold. pdata's own AsRaw and AsString give up a whole
// map or list when one number in it is NaN or infinite.
//
// The form is that of OTLP/JSON: NaN and infinities are the strings "NaN", "Infinity" and "-Infinity", bytes are base64. Bytes that are
// not UTF-8 become U+FFFD, one for each run. Of attributes with the same key the first counts, as for pdata's Get.
package attr

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// MaxDepth is how deep values may be nested. Deeper ones are replaced by TooDeep.
const MaxDepth = 64

// TooDeep stands for a value that is nested too deep.
const TooDeep = "(nested too deep)"

// maxExact is the largest integer up to which every consumer that reads numbers as doubles (JavaScript) reads the same one.
const maxExact = 1<<53 - 1

// ValidUTF8 replaces bytes that are not UTF-8.
func ValidUTF8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Text is a value as text: strings as they are, lists and maps as JSON, nothing for an empty value.
func Text(v pcommon.Value) string {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return ValidUTF8(v.Str())
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(encoder{exact: true}.value(v, 0)); err != nil { // cannot happen: every leaf is text, a bool or a finite number
			return ""
		}
		return strings.TrimSuffix(b.String(), "\n")
	default:
		return v.AsString()
	}
}

// Map is a map that encoding/json always encodes; never nil. Integers that a double cannot hold exactly become strings.
func Map(m pcommon.Map) map[string]any { return encoder{}.object(m, 0) }

type encoder struct {
	exact bool // integers are numbers, however large
}

func (e encoder) value(v pcommon.Value, depth int) any {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return ValidUTF8(v.Str())
	case pcommon.ValueTypeBool:
		return v.Bool()
	case pcommon.ValueTypeInt:
		if e.exact {
			return v.Int()
		}
		return Int(v.Int())
	case pcommon.ValueTypeDouble:
		return Double(v.Double())
	case pcommon.ValueTypeBytes:
		return base64.StdEncoding.EncodeToString(v.Bytes().AsRaw())
	case pcommon.ValueTypeSlice, pcommon.ValueTypeMap:
		if depth >= MaxDepth {
			return TooDeep
		}
		if v.Type() == pcommon.ValueTypeMap {
			return e.object(v.Map(), depth+1)
		}
		out := make([]any, 0, v.Slice().Len())
		for _, x := range v.Slice().All() {
			out = append(out, e.value(x, depth+1))
		}
		return out
	}
	return nil
}

func (e encoder) object(m pcommon.Map, depth int) map[string]any {
	out := make(map[string]any, m.Len())
	for k, v := range m.All() {
		k = ValidUTF8(k)
		if _, again := out[k]; !again {
			out[k] = e.value(v, depth)
		}
	}
	return out
}

// Double is a number, or its name where JSON has none for it.
func Double(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return f
}

// Int is a number, or its digits where a double would change it.
func Int(n int64) any {
	if n > maxExact || n < -maxExact {
		return strconv.FormatInt(n, 10)
	}
	return n
}
