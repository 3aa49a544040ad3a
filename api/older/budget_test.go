package older

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/apitest"
	"github.com/gaurav/watchingcat/views/spans"
)

// TestResourcesWith: what is cut out before decoding is what decoding everything would not show either.
func TestResourcesWith(t *testing.T) {
	wanted := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	block := []byte{}
	for i := range 6 {
		td := ptrace.NewTraces()
		for r := range 3 {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutInt("n", int64(10*i+r))
			for s := range 4 {
				sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
				sp.SetSpanID([8]byte{byte(i), byte(r), byte(s), 1})
				sp.SetTraceID([16]byte{byte(i), 99})
				if r == 1 && s == i%4 {
					sp.SetTraceID(wanted)
				}
			}
		}
		b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		block = append(block, b...)
	}
	names := func(td ptrace.Traces) (out []string) {
		EachSpan([]ptrace.Traces{td}, wanted, func(res pcommon.Resource, _ ptrace.ScopeSpans, sp ptrace.Span) {
			n, _ := res.Attributes().Get("n")
			out = append(out, n.AsString()+" "+sp.SpanID().String())
		})
		return out
	}
	all, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(block)
	require.NoError(t, err)
	cut, err := spans.Decode(resourcesWith(block, wanted))
	require.NoError(t, err)
	require.Len(t, names(all), 6)
	require.Equal(t, names(all), names(cut))
	require.Equal(t, 6, cut.ResourceSpans().Len(), "of 18")
	_, err = spans.Decode(resourcesWith(block[:len(block)-1], wanted))
	require.Error(t, err, "a block that is cut off is said to be")
}

// TestSpansWithin: wherever spans are cut, what is left can be read, is a beginning of them, and keeps their resources; one span is always
// there where that is asked for.
func TestSpansWithin(t *testing.T) {
	records, _ := apitest.OddTraces(rand.New(rand.NewPCG(3, 3)), 20)
	td := apitest.Together(records)
	extra := td.ResourceSpans().At(0).ScopeSpans().At(0)
	for range 50 {
		extra.Spans().At(0).CopyTo(extra.Spans().AppendEmpty())
	}
	names := func(td ptrace.Traces) (out []string) {
		for _, rs := range td.ResourceSpans().All() {
			service, _ := rs.Resource().Attributes().Get("service.name")
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					out = append(out, service.Str()+" "+ss.Scope().Name()+" "+sp.SpanID().String()+" "+sp.Name())
				}
			}
		}
		return out
	}
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	require.NoError(t, err)
	all := names(td)
	for limit := 0; limit <= len(b); limit += 7 {
		for _, first := range []bool{false, true} {
			part, whole := spansWithin(b, int64(limit), first)
			require.Equal(t, limit >= len(b), whole)
			left, err := spans.Decode(part)
			require.NoError(t, err)
			got := names(left)
			require.Equal(t, all[:len(got)], append([]string{}, got...))
			if first {
				require.NotEmpty(t, got)
			} else if len(got) > 0 {
				require.LessOrEqual(t, len(part), limit)
			}
		}
	}
}
