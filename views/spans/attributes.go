package spans

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage/attr"
)

// Where an attribute is.
const (
	ScopeResource = "resource"
	ScopeSpan     = "span"
	ScopeField    = "field" // a field of OTLP, under the name that searches have for it
)

// Bounds of what is counted.
const (
	maxKeys   = 500
	maxValues = 1000     // of a key
	maxText   = 200      // bytes of a value: longer ones are hardly ever equal
	maxBytes  = 16 << 20 // of all keys and values, with what it takes to count them
	perValue  = 64       // bytes that it takes to count a value
	maxStrata = 1000
)

// key names an attribute.
type key struct{ scope, name string }

// condition is how a search names the spans with a value of the attribute; "" where it cannot.
func (k key) condition(is, value string) string {
	name := k.name
	if k.scope == ScopeResource {
		name = attr.ResourcePrefix + name
	}
	if strings.ContainsAny(name, "=~<>!") || name != strings.TrimSpace(name) {
		return ""
	}
	switch is {
	case IsEqual:
		return name + "=" + value
	case IsAtLeast:
		return name + ">=" + value
	}
	return ""
}

// split is how many spans there are among those that are selected, and among the others.
type split struct{ selected, others uint64 }

func (s *split) add(o split)       { s.selected, s.others = s.selected+o.selected, s.others+o.others }
func (s split) less(o split) split { return split{s.selected - o.selected, s.others - o.others} }
func (s split) plus(o split) split { return split{s.selected + o.selected, s.others + o.others} }
func (s split) total() uint64      { return s.selected + s.others }

// attribute is what was counted of one key.
type attribute struct {
	values  map[string]split
	numbers map[int16]split // by the power of two below, for values that are numbers
	number  split           // those among the values
	all     split
	dropped split // with values beyond the bounds
}

// bounds is how much all attributes that are counted together take.
type bounds struct {
	bytes   int
	dropped uint64 // spans' attributes that were not counted
}

func (b *bounds) takes(text string) bool { return b.bytes+len(text)+perValue <= maxBytes }
func (b *bounds) take(text string)       { b.bytes += len(text) + perValue }

// attributes counts values by their keys.
type attributes struct {
	*bounds
	by   map[key]*attribute
	text []byte
}

func newAttributes(b *bounds) attributes { return attributes{bounds: b, by: map[key]*attribute{}} }

// add counts n spans that have the attributes of m.
func (a *attributes) add(scope string, m pcommon.Map, n split) {
	for k, v := range m.All() {
		a.value(key{scope, k}, v, n)
	}
}

// value counts n spans that have a value.
func (a *attributes) value(k key, v pcommon.Value, n split) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		a.str(k, v.Str(), n)
	case pcommon.ValueTypeInt:
		if at := a.str(k, string(strconv.AppendInt(a.text[:0], v.Int(), 10)), n); at != nil {
			at.count(float64(v.Int()), n)
		}
	case pcommon.ValueTypeDouble:
		if at := a.str(k, attr.Text(v), n); at != nil {
			at.count(v.Double(), n)
		}
	default:
		a.str(k, attr.Text(v), n)
	}
}

// str counts n spans that have a value as text; nil: the key is beyond the bounds.
func (a *attributes) str(k key, value string, n split) *attribute {
	at := a.by[k]
	if at == nil {
		if len(a.by) >= maxKeys || !a.takes(k.name) || !utf8.ValidString(k.name) {
			a.dropped += n.total()
			return nil
		}
		at = &attribute{values: map[string]split{}}
		a.by[k] = at
		a.take(k.name)
	}
	at.all.add(n)
	value = attr.ValidUTF8(value)
	if v, ok := at.values[value]; ok {
		v.add(n)
		at.values[value] = v
		return at
	}
	if len(at.values) >= maxValues || !a.takes(value) || len(value) > maxText {
		at.dropped.add(n)
		return at
	}
	a.take(value)
	at.values[value] = n
	return at
}

// count counts n spans whose value is a number.
func (at *attribute) count(v float64, n split) {
	if at.numbers == nil {
		at.numbers = map[int16]split{}
	}
	p := power(v)
	s := at.numbers[p]
	s.add(n)
	at.numbers[p] = s
	at.number.add(n)
}

// power orders numbers by powers of two: those below 1 are 0, those from 2^(p-1) to 2^p are p, negative ones -1.
func power(v float64) int16 {
	switch {
	case v < 0:
		return -1
	case v < 1 || math.IsNaN(v):
		return 0
	case math.IsInf(v, 1):
		return math.MaxInt16
	}
	_, exp := math.Frexp(v)
	return int16(exp)
}

// least is the smallest number of a power.
func least(p int16) float64 {
	if p <= 0 {
		return 0
	}
	return math.Ldexp(1, int(p)-1)
}

// Failed reports whether a span has failed.
func Failed(sp ptrace.Span) bool { return sp.Status().Code() == ptrace.StatusCodeError }

// Duration is how long a span took, in nanoseconds.
func Duration(sp ptrace.Span) uint64 {
	if start, end := sp.StartTimestamp(), sp.EndTimestamp(); end > start && start > 0 {
		return uint64(end - start)
	}
	return 0
}
