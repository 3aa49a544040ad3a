package kept

import (
	"fmt"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// maxChunk bounds a chunk, so that records fit what brokers take by default.
const maxChunk = 700 << 10

// A piece is the spans of one trace in one record.
type piece struct {
	id       pcommon.TraceID
	chunks   [][]byte // OTLP, protobuf; one after another they are OTLP too
	spans    int
	failed   bool // a span has an error
	min, max uint64
	// randomness decides whether the trace is in a sample.
	randomness sampling.Randomness
}

// building is a piece while it is made.
type building struct {
	piece
	td       ptrace.Traces
	spansOf  ptrace.SpanSlice
	resource int // that spansOf belongs to
	scope    int
	size     int
}

// split takes an export request apart by trace, with resources and scopes; only, unless it is nil, is the one trace that is wanted.
func split(b []byte, only *pcommon.TraceID) ([]*piece, error) {
	var u ptrace.ProtoUnmarshaler
	td, err := u.UnmarshalTraces(b)
	if err != nil {
		return nil, fmt.Errorf("read spans: %w", err)
	}
	by := map[pcommon.TraceID]*building{}
	var list []*building
	for i := range td.ResourceSpans().Len() {
		rs := td.ResourceSpans().At(i)
		for j := range rs.ScopeSpans().Len() {
			ss := rs.ScopeSpans().At(j)
			for k := range ss.Spans().Len() {
				s := ss.Spans().At(k)
				if only != nil && s.TraceID() != *only {
					continue
				}
				p := by[s.TraceID()]
				if p == nil {
					p = &building{piece: piece{id: s.TraceID(), min: ^uint64(0), randomness: randomnessOf(s)}, td: ptrace.NewTraces(), resource: -1}
					by[p.id] = p
					list = append(list, p)
				}
				if err := p.take(rs, ss, s, i, j); err != nil {
					return nil, err
				}
			}
		}
	}
	out := make([]*piece, len(list))
	for i, p := range list {
		if err := p.close(); err != nil {
			return nil, err
		}
		out[i] = &p.piece
	}
	return out, nil
}

// take adds a span; i and j are the numbers of its resource and scope.
func (p *building) take(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, s ptrace.Span, i, j int) error {
	var m ptrace.ProtoMarshaler
	n := m.SpanSize(s) + 8
	if p.size > 0 && p.size+n > maxChunk {
		if err := p.close(); err != nil {
			return err
		}
	}
	if p.resource != i || p.scope != j {
		to := p.td.ResourceSpans().AppendEmpty()
		rs.Resource().CopyTo(to.Resource())
		to.SetSchemaUrl(rs.SchemaUrl())
		scope := to.ScopeSpans().AppendEmpty()
		ss.Scope().CopyTo(scope.Scope())
		scope.SetSchemaUrl(ss.SchemaUrl())
		p.spansOf, p.resource, p.scope = scope.Spans(), i, j
		p.size += m.ResourceSpansSize(to)
	}
	s.CopyTo(p.spansOf.AppendEmpty())
	p.size += n
	p.spans++
	p.failed = p.failed || s.Status().Code() == ptrace.StatusCodeError
	p.min, p.max = min(p.min, uint64(s.StartTimestamp())), max(p.max, uint64(s.EndTimestamp()))
	return nil
}

// close ends a chunk.
func (p *building) close() error {
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(p.td)
	if err != nil {
		return fmt.Errorf("write spans: %w", err)
	}
	p.chunks = append(p.chunks, b)
	p.td, p.resource, p.size = ptrace.NewTraces(), -1, 0
	return nil
}

// adjust notes in the tracestate of every span that its trace was sampled with a threshold: a span that was sampled before keeps the
// greater one.
func adjust(chunk []byte, th sampling.Threshold) ([]byte, error) {
	var u ptrace.ProtoUnmarshaler
	td, err := u.UnmarshalTraces(chunk)
	if err != nil {
		return nil, fmt.Errorf("read spans: %w", err)
	}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				s.TraceState().FromRaw(sampledState(s.TraceState().AsRaw(), th))
			}
		}
	}
	var m ptrace.ProtoMarshaler
	return m.MarshalTraces(td)
}

// sampledState is a tracestate with the threshold in ot=th; one that cannot be read is left as it is.
func sampledState(text string, th sampling.Threshold) string {
	state, err := sampling.NewW3CTraceState(text)
	if err != nil {
		return text
	}
	if err := state.OTelValue().UpdateTValueWithSampling(th); err != nil { // it has a greater one
		return text
	}
	var b strings.Builder
	if err := state.Serialize(&b); err != nil {
		return text
	}
	return b.String()
}

// randomnessOf is what decides whether a trace is in a sample: the explicit value of its tracestate, else its ID.
func randomnessOf(s ptrace.Span) sampling.Randomness {
	if text := s.TraceState().AsRaw(); strings.Contains(text, "rv:") {
		if state, err := sampling.NewW3CTraceState(text); err == nil {
			if r, ok := state.OTelValue().RValueRandomness(); ok {
				return r
			}
		}
	}
	return sampling.TraceIDToRandomness(s.TraceID())
}
