package jaeger

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/apitest"
)

// FuzzTraceEncoders shows traces of any OTLP bytes in every form.
func FuzzTraceEncoders(f *testing.F) {
	f.Add(apitest.OddSpans(f))
	f.Fuzz(func(t *testing.T, value []byte) {
		var u ptrace.ProtoUnmarshaler
		td, err := u.UnmarshalTraces(value)
		if err != nil {
			return
		}
		ids := map[[16]byte]bool{}
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					ids[sp.TraceID()] = true
				}
			}
		}
		for id := range ids {
			out, err := json.Marshal(Trace([]ptrace.Traces{td}, id))
			require.NoError(t, err)
			require.True(t, utf8.Valid(out))
			all := ptrace.NewTraces()
			appendTrace(all, []ptrace.Traces{td}, id)
			v3, err := v3Result(all, nil)
			require.NoError(t, err)
			out, err = json.Marshal(v3.(v3Answer).body)
			require.NoError(t, err)
			require.True(t, utf8.Valid(out) && json.Valid(out), "%q", out)
		}
	})
}

// TestServiceNamedTwice: a trace names the service as its series do.
func TestServiceNamedTwice(t *testing.T) {
	var u ptrace.JSONUnmarshaler
	td, err := u.UnmarshalTraces(
		[]byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"first"}},{"key":"service.name","value":{"stringValue":"second"}}]}}]}`))
	require.NoError(t, err)
	p := processOf(td.ResourceSpans().At(0).Resource())
	require.Equal(t, "first", p.ServiceName)
	require.Empty(t, p.Tags)
}
