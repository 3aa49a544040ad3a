package older

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/spans"
	"github.com/gaurav/watchingcat/views/traces"
)

// spanMatch is what one span must fulfil, all of it together. Zero fields accept every span.
type spanMatch struct {
	from, to           time.Time // of its start; to is not in the range
	service, operation string
	status             *ptrace.StatusCode
	none               bool // no span can fulfil it
	min, max           time.Duration
	attributes         map[string]string // of the span, its resource, its scope, one of its events or links; as text
	keys               []string          // of attributes, sorted
	conditions         []attr.Condition
	needles            [][]byte           // bytes that stand in a resource with such a span
	tokens             []traces.SpanToken // what a block with such a span has
}

// newSpanMatch returns the conditions that a search has on one span.
func newSpanMatch(t *TraceSearch) *spanMatch {
	m := &spanMatch{from: t.From, to: t.To, service: t.Service, operation: t.Operation, status: t.SpanStatus, none: t.NoSpan,
		min: t.MinSpan, max: t.MaxSpan, attributes: t.Attributes, keys: slices.Sorted(maps.Keys(t.Attributes)), conditions: t.Conditions}
	if t.Status == "error" {
		m.status = new(ptrace.StatusCodeError)
	}
	if m.service == model.Other { // whose names are counted there is not known here: the summaries decide
		m.service = ""
	}
	if m.operation == model.Other {
		m.operation = ""
	}
	m.need(m.service)
	m.need(m.operation)
	m.token(ServiceName, m.service)
	m.token("", m.operation)
	for _, k := range m.keys {
		if isAttribute(k) {
			m.need(strings.TrimPrefix(k, attr.ResourcePrefix))
			m.need(onlyText(m.attributes[k]))
			if !strings.HasPrefix(k, attr.ResourcePrefix) { // or the key begins so, or it is of the resource
				m.token(k, m.attributes[k])
			}
		}
	}
	for _, c := range m.conditions {
		if isAttribute(c.Key) {
			m.need(strings.TrimPrefix(c.Key, attr.ResourcePrefix))
		}
	}
	return m
}

// isAttribute reports whether nothing but attributes is found under a name.
func isAttribute(key string) bool {
	return !slices.ContainsFunc(notAttributes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// notAttributes begin the names under which more than attributes is found (spanFields, spanTags).
var notAttributes = []string{"span.", "scope.", "otel.", "w3c.", "error", "event"}

// need adds bytes without which a resource need not be decoded. Names are cut and made valid where they enter, so that those of a certain
// kind do not stand in the records as they are known.
func (m *spanMatch) need(text string) {
	if spans.AsSent(text) {
		m.needles = append(m.needles, []byte(text))
	}
}

// token adds an attribute by which blocks are passed over.
func (m *spanMatch) token(key, value string) {
	if value != "" && len(key) < 1024 && len(value) < 1024 && utf8.ValidString(key+value) && !strings.ContainsRune(key+value,
		utf8.RuneError) {
		m.tokens = append(m.tokens, traces.SpanToken{Key: key, Value: value})
	}
}

// onlyText is an attribute's value if an attribute of another type than string cannot have it as its text: numbers, lists and maps are
// written otherwise in a record, and bytes are base64.
func onlyText(v string) string {
	if v == "" || v[0] == '[' || v[0] == '{' {
		return ""
	}
	if _, err := strconv.ParseFloat(v, 64); err == nil {
		return ""
	}
	const base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
	if strings.Trim(v, base64) == "" {
		return ""
	}
	return v
}

// summaries reports whether summaries of traces hold all that the conditions ask for, but for the range.
func (m *spanMatch) summaries(status string) bool {
	return len(m.keys) == 0 && len(m.conditions) == 0 && m.min == 0 && m.max == 0 && !m.none && (m.status == nil || status == "error")
}

// find returns the traces with a span in a block of raw records that fulfils the conditions; of dims too.
func (m *spanMatch) find(block []byte, dims model.DimFilter) (ids [][16]byte, err error) {
	seen := map[[16]byte]bool{}
	err = m.each(block, dims, func(sp ptrace.Span) bool { return !seen[sp.TraceID()] },
		func(_ pcommon.Resource, sp ptrace.Span) {
			seen[sp.TraceID()] = true
			ids = append(ids, sp.TraceID())
		})
	return ids, err
}

// each calls fn for the spans in a block of raw records that want accepts and that fulfil the conditions; of dims too.
func (m *spanMatch) each(block []byte, dims model.DimFilter, want func(sp ptrace.Span) bool, fn func(res pcommon.Resource, sp ptrace.Span)) error {
	if m.none {
		return nil
	}
	td, err := spans.Decode(spans.Resources(block, func(one []byte) bool {
		return !slices.ContainsFunc(m.needles, func(n []byte) bool { return !bytes.Contains(one, n) })
	}))
	if err != nil {
		return err
	}
	for _, rs := range td.ResourceSpans().All() {
		if !m.resource(rs.Resource()) {
			continue
		}
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				if want(sp) && m.span(rs.Resource(), ss, sp) && hasDimensions(dims, rs.Resource(), sp) {
					fn(rs.Resource(), sp)
				}
			}
		}
	}
	return nil
}

// inTrace reports whether a trace has a span that fulfils the conditions.
func (m *spanMatch) inTrace(data []ptrace.Traces, id [16]byte) (found bool) {
	if m.none {
		return false
	}
	EachSpan(data, id, func(res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span) {
		found = found || m.resource(res) && m.span(res, sc, sp)
	})
	return found
}

// failed are the conditions on a span that has failed, of the same service and operation at any time: a trace of the status ok has none.
func (m *spanMatch) failed() *spanMatch {
	return &spanMatch{service: m.service, operation: m.operation, status: new(ptrace.StatusCodeError)}
}

func (m *spanMatch) resource(res pcommon.Resource) bool {
	return m.service == "" || spans.ServiceOf(res) == m.service
}

func (m *spanMatch) span(res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span) bool {
	if m.operation != "" && model.CleanName(sp.Name()) != m.operation || m.status != nil && sp.Status().Code() != *m.status {
		return false
	}
	start, end := sp.StartTimestamp(), sp.EndTimestamp()
	if start == 0 {
		start = end // it does not say when it began
	}
	at, took := start.AsTime(), time.Duration(0)
	if end > start {
		took = time.Duration(end - start)
	}
	if at.Before(m.from) || !m.to.IsZero() && !at.Before(m.to) || took < m.min || m.max > 0 && took > m.max {
		return false
	}
	for _, k := range m.keys {
		if !hasAttribute(k, m.attributes[k], res, sc, sp) {
			return false
		}
	}
	for i := range m.conditions {
		if !holds(&m.conditions[i], res, sc, sp) {
			return false
		}
	}
	return true
}

// spanFields are the names under which searches find what OTLP has as fields of a span, as Jaeger's stores do.
var spanFields = map[string]func(want string, sc ptrace.ScopeSpans, sp ptrace.Span) bool{
	"span.status": func(want string, _ ptrace.ScopeSpans, sp ptrace.Span) bool {
		return strings.EqualFold(want, sp.Status().Code().String())
	},
	"span.kind": func(want string, _ ptrace.ScopeSpans, sp ptrace.Span) bool {
		return strings.EqualFold(want, sp.Kind().String())
	},
	"scope.name":    func(want string, sc ptrace.ScopeSpans, _ ptrace.Span) bool { return want == sc.Scope().Name() },
	"scope.version": func(want string, sc ptrace.ScopeSpans, _ ptrace.Span) bool { return want == sc.Scope().Version() },
}

// hasAttribute reports whether a span, its resource, its scope, one of its events or one of its links has an attribute with this value as
// text; with resource. before the key, its resource. What OTLP has as fields counts too, also under the names of the tags that Jaeger
// makes of them.
func hasAttribute(key, want string, res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span) bool {
	is := func(m pcommon.Map, key string) bool {
		v, ok := m.Get(key)
		return ok && attr.Text(v) == want
	}
	if is(sp.Attributes(), key) || is(res.Attributes(), key) || is(sc.Scope().Attributes(), key) {
		return true
	}
	if of, ok := strings.CutPrefix(key, attr.ResourcePrefix); ok && is(res.Attributes(), of) {
		return true
	}
	if f := spanFields[key]; f != nil && f(want, sc, sp) {
		return true
	}
	for _, e := range sp.Events().All() {
		if is(e.Attributes(), key) || key == "event" && e.Name() == want {
			return true
		}
	}
	for _, l := range sp.Links().All() {
		if is(l.Attributes(), key) {
			return true
		}
	}
	for _, t := range SpanTags(sc, sp) {
		if t.Key == key && fmt.Sprint(t.Value) == want {
			return true
		}
	}
	return false
}

// hasDimensions reports whether a span or its resource has the values of dimensions.
func hasDimensions(f model.DimFilter, res pcommon.Resource, sp ptrace.Span) bool {
	for name, want := range f {
		if want == model.Other { // which values are counted there is not known here
			continue
		}
		if model.DimensionOf(name, res.Attributes(), sp.Attributes()) != want {
			return false
		}
	}
	return true
}
