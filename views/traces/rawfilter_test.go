package traces

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage/attr"
)

// filteredSpans are OTLP bytes of n spans with 17 attributes each, of which five have a value of their own.
func filteredSpans(t testing.TB, r *rand.Rand, n int) (ptrace.Traces, []byte) {
	t.Helper()
	td := ptrace.NewTraces()
	for range n / 10 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", r.IntN(20)))
		rs.Resource().Attributes().PutStr("host.name", fmt.Sprintf("host-%d", r.IntN(50)))
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().Attributes().PutStr("lib", "x")
		for range 10 {
			sp := ss.Spans().AppendEmpty()
			sp.SetTraceID(pcommon.TraceID{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
			sp.SetSpanID(pcommon.SpanID{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
			sp.SetName(fmt.Sprintf("GET /%d", r.IntN(100)))
			for i := range 5 {
				sp.Attributes().PutStr(fmt.Sprintf("id.%d", i), fmt.Sprintf("%x", r.Uint64()))
			}
			for i := range 7 {
				sp.Attributes().PutStr(fmt.Sprintf("http.attribute.%d", i), fmt.Sprintf("a common value %d", r.IntN(10)))
			}
			sp.Attributes().PutInt("http.response.status_code", int64(200+r.IntN(5)))
			sp.Attributes().PutDouble("ratio", r.Float64())
			sp.Attributes().PutEmptySlice("list").AppendEmpty().SetStr("b")
			sp.Attributes().PutStr("long", strings.Repeat("x", maxToken))
			sp.Attributes().PutEmptyBytes("bytes").FromRaw([]byte{1, 2})
			sp.Events().AppendEmpty().Attributes().PutStr("exception.type", fmt.Sprintf("Error%d", r.IntN(5)))
			sp.Links().AppendEmpty().Attributes().PutBool("yes", true)
		}
	}
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	require.NoError(t, err)
	return td, b
}

// storedFilterOf is the filter of a block as a search finds it.
func storedFilterOf(block []byte) storedFilter {
	f, rest, ok := NextFilter(filterOf(block).append(nil))
	if !ok || len(rest) > 0 {
		panic("not one filter")
	}
	return f
}

// TestFilterOfSpans: a filter has every attribute and name of its block, and few that others have.
func TestFilterOfSpans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	td, block := filteredSpans(t, r, 1000)
	f := storedFilterOf(block)
	n := 0
	has := func(m pcommon.Map) {
		for k, v := range m.All() {
			n++
			require.True(t, f.MayHave(HashesOf([]SpanToken{{k, attr.Text(v)}})), "%s=%s", k, attr.Text(v))
		}
	}
	for _, rs := range td.ResourceSpans().All() {
		has(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			has(ss.Scope().Attributes())
			for _, sp := range ss.Spans().All() {
				require.True(t, f.MayHave(HashesOf([]SpanToken{{"", sp.Name()}})))
				has(sp.Attributes())
				has(sp.Events().At(0).Attributes())
				has(sp.Links().At(0).Attributes())
			}
		}
	}
	require.Greater(t, n, 14_000)
	wrong := 0
	for i := range 10_000 {
		if f.MayHave(HashesOf([]SpanToken{{"id.1", fmt.Sprint("none-", i)}})) {
			wrong++
		}
	}
	t.Logf("%d of 10,000 values that a block of %d KiB does not have are taken for its own", wrong, len(block)>>10)
	require.Less(t, wrong, 400)
	require.False(t, f.MayHave(HashesOf([]SpanToken{{"ratio", "0.123"}})))
	require.True(t, f.MayHave(HashesOf([]SpanToken{{"list", `["a"]`}})), "lists may be equal to every text")
	two := filterOf(block).append(filterOf(block[:0]).append(nil))
	one, rest, ok := NextFilter(two)
	require.True(t, ok)
	require.Len(t, one, filterLine*8)
	one, rest, ok = NextFilter(rest)
	require.True(t, ok)
	require.Equal(t, f, one)
	_, _, ok = NextFilter(rest)
	require.False(t, ok)
	for n := range two[1+filterLine*8:] {
		_, _, ok = NextFilter(two[1+filterLine*8:][:n])
		require.False(t, ok, "cut at %d", n)
	}
	require.True(t, storedFilterOf(block[:len(block)-1]).MayHave(HashesOf([]SpanToken{{"a", "b"}})),
		"what is not understood may have everything")
}

// FuzzFilter: whatever pdata reads of a block, its filter has.
func FuzzFilter(f *testing.F) {
	_, b := filteredSpans(f, rand.New(rand.NewPCG(1, 2)), 10)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		filter := storedFilterOf(b)
		var u ptrace.ProtoUnmarshaler
		td, err := u.UnmarshalTraces(b)
		if err != nil {
			return
		}
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					for _, m := range []pcommon.Map{sp.Attributes(), rs.Resource().Attributes(), ss.Scope().Attributes()} {
						for k := range m.All() {
							v, _ := m.Get(k) // the first of equal keys
							if !filter.MayHave(HashesOf([]SpanToken{{k, attr.Text(v)}})) && attr.ValidUTF8(attr.Text(v)) == v.AsString() {
								t.Fatalf("%q=%q", k, attr.Text(v))
							}
						}
					}
				}
			}
		}
	})
}

// BenchmarkFilter against the compression of the same block, which stands beside it.
func BenchmarkFilter(b *testing.B) {
	_, block := filteredSpans(b, rand.New(rand.NewPCG(1, 3)), 1000)
	b.Run("filter", func(b *testing.B) {
		for b.Loop() {
			filterOf(block)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
	})
	b.Run("zstd", func(b *testing.B) {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		require.NoError(b, err)
		for b.Loop() {
			enc.EncodeAll(block, nil)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
	})
}
