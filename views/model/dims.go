package model

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/gaurav/watchingcat/storage/attr"
)

// Dimensions are attributes of resources or spans whose values are part of every key: two environments that run the same services
// are two of everything.
type Dimensions struct {
	names   []string
	keys    []dimensionKey
	lengths uint64 // a bit for each length of a key
}

// dimensionKey is a name under which a dimension is read.
type dimensionKey struct {
	key   string
	index uint8
	old   bool // an earlier name of the attribute: the current one wins
}

// MaxDimensions is how many dimensions there may be.
const MaxDimensions = 8

// oldNames are names that attributes had in earlier semantic conventions.
var oldNames = map[string][]string{
	"deployment.environment.name": {"deployment.environment"},
}

// AttributeNames are the names under which a dimension is read, the current one first.
func AttributeNames(dimension string) []string {
	return append([]string{dimension}, oldNames[dimension]...)
}

// reservedLabels are labels of the series of the views: a dimension must not have one of these names.
var reservedLabels = []string{"le", "reason", "client", "server", "connection_type", "service_name", "service", "span_name", "span_kind",
	"status_code", "exception_type", "exception_message", "source", "db_system", "db_namespace", "db_operation", "db_collection",
	"messaging_system", "messaging_destination", "messaging_role", "service_version", "severity"}

var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]*$`)

// NewDimensions checks the names of attributes and returns them as dimensions; none is nil.
func NewDimensions(names []string) (*Dimensions, error) {
	if len(names) == 0 {
		return nil, nil
	}
	if len(names) > MaxDimensions {
		return nil, fmt.Errorf("%d dimensions are configured, at most %d are possible", len(names), MaxDimensions)
	}
	d := &Dimensions{names: slices.Clone(names)}
	labels := map[string]string{}
	for i, n := range names {
		if !attributeName.MatchString(n) || len(n) > 62 {
			return nil, fmt.Errorf("dimension %q is not the name of an attribute: letters, digits, '.', '_', '/' and '-', at most 62 characters", n)
		}
		label := LabelOf(n)
		if other, ok := labels[label]; ok {
			return nil, fmt.Errorf("dimensions %q and %q have the same label %q", other, n, label)
		}
		if slices.Contains(reservedLabels, label) {
			return nil, fmt.Errorf("dimension %q would have the label %q, which the series of the views have already", n, label)
		}
		labels[label] = n
		d.add(n, i, false)
		for _, o := range oldNames[n] {
			d.add(o, i, true)
		}
	}
	return d, nil
}

func (d *Dimensions) add(key string, index int, old bool) {
	d.keys = append(d.keys, dimensionKey{key, uint8(index), old})
	d.lengths |= 1 << len(key)
}

// Names are the attributes, in order.
func (d *Dimensions) Names() []string {
	if d == nil {
		return nil
	}
	return d.names
}

// Is reports whether some attribute with a key of this length is a dimension.
func (d *Dimensions) Is(length int) bool { return d != nil && d.lengths>>min(length, 63)&1 != 0 }

// Collect adds the value of an attribute that is a dimension to list. value is called for those.
func (d *Dimensions) Collect(list []DimensionValue, key []byte, value func() ([]byte, error)) ([]DimensionValue, error) {
	for i := range d.keys {
		k := &d.keys[i]
		if k.key != string(key) {
			continue
		}
		at := slices.IndexFunc(list, func(v DimensionValue) bool { return v.Index == k.index })
		if at >= 0 && (k.old || !list[at].Old) {
			return list, nil // the first wins, and the current name over an old one
		}
		v, err := value()
		if err != nil {
			return list, err
		}
		if at >= 0 {
			list[at] = DimensionValue{v, k.index, false}
			return list, nil
		}
		return append(list, DimensionValue{v, k.index, k.old}), nil
	}
	return list, nil
}

// OfMap are the dimensions among attributes.
func (d *Dimensions) OfMap(m pcommon.Map) (list []DimensionValue) {
	for k, v := range m.All() {
		if d.Is(len(k)) {
			list, _ = d.Collect(list, []byte(k), func() ([]byte, error) { return []byte(attr.Text(v)), nil })
		}
	}
	return list
}

// DimensionValue is the value of one dimension of a resource or a span. Value points into the scanned record.
type DimensionValue struct {
	Value []byte
	Index uint8
	Old   bool // it stood under an earlier name of the attribute
}

// LabelOf is the Prometheus label of an attribute.
func LabelOf(attribute string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' {
			return r
		}
		return '_'
	}, attribute)
}

// Dims are the values of the dimensions that something has: pairs of name and value, encoded, in the order of the configuration. It is
// comparable; "" has none. An empty value is as good as none, as an empty label in Prometheus.
type Dims string

// Each calls fn for each dimension.
func (d Dims) Each(fn func(name, value string)) {
	for dec := (Decoder{B: []byte(d)}); len(dec.B) > 0; {
		name, value := dec.String(), dec.String()
		if dec.Err != nil {
			return
		}
		fn(name, value)
	}
}

// Get is the value of a dimension, or "".
func (d Dims) Get(name string) (value string) {
	d.Each(func(n, v string) {
		if n == name {
			value = v
		}
	})
	return value
}

// Map are the dimensions by name, nil where there is none.
func (d Dims) Map() (m map[string]string) {
	d.Each(func(n, v string) {
		if m == nil {
			m = map[string]string{}
		}
		m[n] = v
	})
	return m
}

// String is the dimensions as text.
func (d Dims) String() string {
	var b strings.Builder
	d.Each(func(n, v string) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(n + "=" + v)
	})
	return b.String()
}

// Compare orders by name and value.
func (d Dims) Compare(o Dims) int {
	if d == o {
		return 0
	}
	return strings.Compare(d.String(), o.String())
}

func (d Dims) with(name, value string) Dims {
	return Dims(AppendString(AppendString([]byte(d), name), value))
}

// DimFilter selects by dimensions: each must have the value. Nil selects everything.
type DimFilter map[string]string

// Accepts reports whether d has all values.
func (f DimFilter) Accepts(d Dims) bool {
	if len(f) == 0 {
		return true
	}
	left := len(f)
	for name, want := range f {
		if want == d.Get(name) {
			left--
		}
	}
	return left == 0
}

// AcceptsEdge reports whether the ends that have dimensions have all values, and one has any: databases and virtual nodes have none.
func (f DimFilter) AcceptsEdge(k *EdgeKey) bool {
	if len(f) == 0 {
		return true
	}
	switch {
	case k.clientVirtual():
		return f.Accepts(k.ServerDims)
	case k.serverVirtual():
		return f.Accepts(k.ClientDims)
	}
	return f.Accepts(k.ClientDims) && f.Accepts(k.ServerDims)
}

// Rows narrows a match of the rows of a table.
func (f DimFilter) Rows(match func(labels []string) bool) func(labels []string) bool {
	if len(f) == 0 {
		return match
	}
	return func(l []string) bool { return f.Accepts(DimsOf(l)) && match(l) }
}

const (
	// MaxName bounds the names of services, operations and nodes, in bytes; longer ones are cut.
	MaxName = 1024
	// MaxDimension bounds the values of dimensions, in bytes; longer ones are cut.
	MaxDimension = 128
)

// CleanText is a name as it is known everywhere: valid UTF-8 of at most limit bytes. It is made once, where names enter.
func CleanText(b []byte, limit int) string {
	if len(b) <= limit && utf8.Valid(b) {
		return string(b)
	}
	if len(b) > limit {
		b = b[:limit]
		for n := 1; n <= utf8.UTFMax && n <= len(b); n++ { // a cut may have split a character
			if c := b[len(b)-n]; utf8.RuneStart(c) {
				if !utf8.FullRune(b[len(b)-n:]) {
					b = b[:len(b)-n]
				}
				break
			}
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// CleanName is the name of a service, an operation or a node as views have it, of a name as it was sent.
func CleanName(name string) string { return CleanText([]byte(name), MaxName) }

// DimensionOf is the value that a span has of a dimension, as views have it: its own, or its resource's.
func DimensionOf(name string, resource, span pcommon.Map) string {
	for _, m := range []pcommon.Map{span, resource} {
		for _, key := range append([]string{name}, oldNames[name]...) {
			if v, ok := m.Get(key); ok {
				return CleanText([]byte(attr.Text(v)), MaxDimension)
			}
		}
	}
	return ""
}

// Dims gives the values of dimensions their form in keys; ok is false when one was counted under Other because it has too many values.
func (n *Names) Dims(resource, span []DimensionValue) (Dims, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var raw [MaxDimensions][]byte
	for _, v := range resource {
		raw[v.Index] = v.Value
	}
	for _, v := range span { // a span's own attribute wins, as in the connectors
		raw[v.Index] = v.Value
	}
	var d Dims
	ok := true
	for i, name := range n.Dimensions.Names() {
		v := CleanText(raw[i], MaxDimension)
		if v == "" {
			continue
		}
		known := n.dimValues[i]
		if _, seen := known[v]; !seen {
			if len(known) >= n.limits.DimensionValues {
				v, ok = Other, false
			} else {
				known[v] = struct{}{}
			}
		}
		d = d.with(name, v)
	}
	return d, ok
}

// noteDims makes values known that were stored.
func (n *Names) noteDims(d Dims) {
	if d == "" {
		return
	}
	d.Each(func(name, value string) {
		if i := slices.Index(n.Dimensions.Names(), name); i >= 0 && value != Other {
			n.dimValues[i][value] = struct{}{}
		}
	})
}

// Values are those of each dimension that are known, by name.
func (n *Names) Values() map[string][]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[string][]string{}
	for i, name := range n.Dimensions.Names() {
		list := make([]string, 0, len(n.dimValues[i]))
		for v := range n.dimValues[i] {
			list = append(list, v)
		}
		slices.Sort(list)
		out[name] = list
	}
	return out
}

// RawDims is a key of values as they came, for looking up what was asked before.
func RawDims(key []byte, list []DimensionValue) []byte {
	for _, v := range list {
		key = append(key, v.Index)
		key = binary.AppendUvarint(key, uint64(len(v.Value)))
		key = append(key, v.Value...)
	}
	return key
}

// Dimension is one dimension and its values.
type Dimension struct {
	Name   string
	Values []string // sorted
}

// DimsOf are the dimensions in the labels of a row of a table: the last label.
func DimsOf(labels []string) Dims {
	if len(labels) == 0 {
		return ""
	}
	return Dims(labels[len(labels)-1])
}
