package older

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/attr"
)

// ServiceName is the resource attribute that names the service.
const ServiceName = "service.name"

// StringTag is a tag with text that JSON can hold.
func StringTag(k, v string) rest.JaegerTag {
	return rest.JaegerTag{Key: k, Type: "string", Value: attr.ValidUTF8(v)}
}

// SpanTags are kind, status, tracestate and scope, which Jaeger has as tags.
func SpanTags(sc ptrace.ScopeSpans, sp ptrace.Span) (tags []rest.JaegerTag) {
	if k := sp.Kind(); k != ptrace.SpanKindUnspecified {
		tags = append(tags, StringTag("span.kind", strings.ToLower(k.String())))
	}
	switch sp.Status().Code() {
	case ptrace.StatusCodeError:
		tags = append(tags, StringTag("otel.status_code", "ERROR"), rest.JaegerTag{Key: "error", Type: "bool", Value: true})
	case ptrace.StatusCodeOk:
		tags = append(tags, StringTag("otel.status_code", "OK"))
	}
	if m := sp.Status().Message(); m != "" {
		tags = append(tags, StringTag("otel.status_description", m))
	}
	if st := sp.TraceState().AsRaw(); st != "" {
		tags = append(tags, StringTag("w3c.tracestate", st))
	}
	if name := sc.Scope().Name(); name != "" {
		tags = append(tags, StringTag("otel.scope.name", name))
	}
	if version := sc.Scope().Version(); version != "" {
		tags = append(tags, StringTag("otel.scope.version", version))
	}
	return tags
}

// Spans is what is at hand of a trace's spans: what the store sent with its summary, or what the views keep.
func (s *Traces) Spans(ctx context.Context, f *FoundTraces, m answer.Moment, id [16]byte) ([]ptrace.Traces, error) {
	if td, ok := f.data[id]; ok {
		return []ptrace.Traces{td}, nil
	}
	data, _, _, _, cut, err := s.Budget.spans(ctx, m.Views, id, &f.room)
	if cut && !f.cut {
		f.cut = true
		f.warn(fmt.Sprintf("not all spans of the traces are in this answer: it holds at most %d bytes of them", s.Budget.one))
	}
	return data, err
}

// Orphans counts the spans whose parent is not in the trace; nil when not all of its spans are at hand.
func (s *Traces) Orphans(ctx context.Context, f *FoundTraces, m answer.Moment, id [16]byte) (*uint64, error) {
	data := []ptrace.Traces{f.data[id]}
	if _, sent := f.data[id]; !sent {
		kept, _, missing, ok, cut, err := s.Budget.spans(ctx, m.Views, id, &f.room)
		if err != nil || !ok || missing > 0 || cut {
			return nil, err
		}
		data = kept
	}
	var parents []pcommon.SpanID
	has, n := map[pcommon.SpanID]bool{}, uint64(0)
	EachSpan(data, id, func(_ pcommon.Resource, _ ptrace.ScopeSpans, sp ptrace.Span) {
		has[sp.SpanID()] = true
		if !sp.ParentSpanID().IsEmpty() {
			parents = append(parents, sp.ParentSpanID())
		}
	})
	for _, p := range parents {
		if !has[p] {
			n++
		}
	}
	return &n, nil
}

// spanOf is what makes a span of a trace itself: client and server may share an id, as Zipkin's do.
type spanOf struct {
	id   pcommon.SpanID
	kind ptrace.SpanKind
}

// EachSpan calls fn for each span of one trace; a span that was sent twice comes once.
func EachSpan(data []ptrace.Traces, id [16]byte, fn func(res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span)) {
	seen := map[spanOf]bool{}
	for _, td := range data {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					of := spanOf{sp.SpanID(), sp.Kind()}
					if sp.TraceID() != id || seen[of] {
						continue
					}
					seen[of] = true
					fn(rs.Resource(), ss, sp)
				}
			}
		}
	}
}
