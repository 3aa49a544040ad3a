package lines

import (
	"bytes"
	"cmp"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// Query selects lines. Zero fields select everything.
type Query struct {
	From, To    time.Time
	Service     string
	Dims        model.DimFilter // of the line's resource
	MinSeverity logs.Severity
	Text        string // occurs in the body or the name of the event, whatever its case
	// the words of the body, or of the name where there is no body, match this pattern, as views.LogPatterns gives it
	Pattern    string
	Attributes map[string]string // that the line or its resource has, as text
	Conditions []attr.Condition  // on other attributes of the line or its resource
	TraceID    [16]byte
	Limit      int
	Before     *Place // continue after an earlier answer
	// Budget is how many bytes of blocks are looked through at most (0: 256 MiB, decompressed).
	Budget int
}

// Filter decides which lines a query selects.
type Filter struct {
	q        *Query
	From, To uint64 // Unix nanoseconds
	After    *Place // only lines that come after it
	text     []byte
	pattern  []string

	dimensions *model.Dimensions
}

// NewFilter returns the filter of a query.
func NewFilter(q *Query, d *model.Dimensions) *Filter {
	f := &Filter{q: q, dimensions: d, From: model.UnixNano(q.From, 0), To: model.UnixNano(q.To, 1<<63),
		text: []byte(strings.ToLower(q.Text))}
	if q.Pattern != "" {
		f.pattern = strings.Fields(q.Pattern)
	}
	return f
}

// Block reports quickly that no line of a block is wanted.
func (f *Filter) Block(b []byte) bool {
	if f.q.TraceID != ([16]byte{}) && !bytes.Contains(b, f.q.TraceID[:]) {
		return false
	}
	for k := range f.q.Attributes {
		if !hasKey(b, k) {
			return false
		}
	}
	for i := range f.q.Conditions {
		if !hasKey(b, f.q.Conditions[i].Key) {
			return false
		}
	}
	return (replaced(f.q.Service) || bytes.Contains(b, []byte(f.q.Service))) &&
		(len(f.text) == 0 || !plain(f.text) || drain.HasFold(b, f.text))
}

// hasKey reports whether a line of a block may have an attribute.
func hasKey(b []byte, key string) bool {
	return replaced(key) || bytes.Contains(b, []byte(strings.TrimPrefix(key, attr.ResourcePrefix)))
}

// replaced reports whether a text may have had bytes that are not UTF-8, and stands in a block with those.
func replaced(text string) bool { return strings.ContainsRune(text, utf8.RuneError) }

// rendered are the words of JSON that stand in no block.
const rendered = "true false null nan -infinity"

// plain reports whether text, in lower case, stands in a block as it stands in a body: not in a value that is rendered as JSON.
func plain(text []byte) bool {
	return !bytes.ContainsAny(text, "\"{}[]:,.0123456789\\") && !strings.Contains(rendered, string(text)) && !replaced(string(text))
}

// Accepts reports whether a line at a place is selected.
func (f *Filter) Accepts(r *model.Resource, resource pcommon.Map, l plog.LogRecord, p Place) bool {
	q := f.q
	if p.At < f.From || p.At >= f.To || q.Service != "" && string(r.Service) != q.Service || f.q.Before != nil && p.Compare(*f.q.Before) >= 0 ||
		f.After != nil && p.Compare(*f.After) <= 0 {
		return false
	}
	if q.TraceID != ([16]byte{}) && [16]byte(l.TraceID()) != q.TraceID {
		return false
	}
	if len(q.Dims) > 0 && !f.dims(r) {
		return false
	}
	if q.MinSeverity > 0 && logs.SeverityOf(int32(l.SeverityNumber()), l.SeverityText()) < q.MinSeverity {
		return false
	}
	if !f.attributes(l.Attributes(), resource) {
		return false
	}
	if len(f.text) > 0 && !drain.HasFold([]byte(attr.Text(l.Body())), f.text) && !drain.HasFold([]byte(logs.EventName(l)), f.text) {
		return false
	}
	return f.pattern == nil || drain.SameWords(f.pattern, drain.Split([]byte(cmp.Or(attr.Text(l.Body()), logs.EventName(l)))))
}

// attributes reports whether a line or its resource has the wanted attributes.
func (f *Filter) attributes(line, resource pcommon.Map) bool {
	for k, want := range f.q.Attributes {
		if v, ok := attr.OfLine(k, line, resource); !ok || attr.Text(v) != want {
			return false
		}
	}
	for i := range f.q.Conditions {
		c := &f.q.Conditions[i]
		if v, ok := attr.OfLine(c.Key, line, resource); !ok || !c.Accepts(attr.Text(v)) {
			return false
		}
	}
	return true
}

// dims reports whether the resource has the wanted dimensions.
func (f *Filter) dims(r *model.Resource) bool {
	left := len(f.q.Dims)
	for _, v := range r.Dims {
		if want, ok := f.q.Dims[f.dimensions.Names()[v.Index]]; ok && model.CleanText(v.Value, model.MaxDimension) == want {
			left--
		}
	}
	return left == 0
}
