package traces

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Keep is a block of raw records, OTLP TracesData, with the spans of the traces that keep accepts.
func Keep(block []byte, keep func(id pcommon.TraceID) (bool, error)) ([]byte, error) {
	var um ptrace.ProtoUnmarshaler
	var ma ptrace.ProtoMarshaler
	td, err := um.UnmarshalTraces(block)
	if err != nil {
		return nil, err
	}
	var failed error
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(sp ptrace.Span) bool {
				ok, err := keep(sp.TraceID())
				if err != nil {
					failed = err
				}
				return !ok && err == nil
			})
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	if failed != nil {
		return nil, failed
	}
	return ma.MarshalTraces(td)
}
