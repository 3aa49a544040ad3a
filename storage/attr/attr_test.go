package attr

import (
	"encoding/json"
	"math"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestMap(t *testing.T) {
	m := pcommon.NewMap()
	m.PutDouble("nan", math.NaN())
	m.PutDouble("inf", math.Inf(1))
	m.PutDouble("-inf", math.Inf(-1))
	m.PutDouble("third", 0.25)
	m.PutInt("exact", 1<<53-1)
	m.PutInt("large", 1<<53+1)
	m.PutInt("least", math.MinInt64)
	m.PutBool("yes", true)
	m.PutEmpty("nothing")
	m.PutEmptyBytes("bytes").FromRaw([]byte{0xff, 0})
	m.PutStr("text", "a\xff\xfeb<")
	m.PutStr("key\xff", "v")
	l := m.PutEmptySlice("list")
	l.AppendEmpty().SetDouble(math.NaN())
	l.AppendEmpty().SetEmptyMap().PutDouble("x", math.Inf(1))
	m.PutEmptySlice("none")
	b, err := json.Marshal(Map(m))
	require.NoError(t, err)
	require.JSONEq(t, `{"nan":"NaN","inf":"Infinity","-inf":"-Infinity","third":0.25,"exact":9007199254740991,"large":"9007199254740993",
		"least":"-9223372036854775808","yes":true,"nothing":null,"bytes":"/wA=","text":"a�b<","key�":"v","list":["NaN",{"x":"Infinity"}],"none":[]}`, string(b))
}

func TestText(t *testing.T) {
	v := pcommon.NewValueMap()
	v.Map().PutDouble("ratio", math.NaN())
	v.Map().PutInt("n", 1<<53+1)
	v.Map().PutStr("s", "<&>")
	require.Equal(t, `{"n":9007199254740993,"ratio":"NaN","s":"<&>"}`, Text(v), "a NaN takes nothing else with it, and digits stay")
	require.Equal(t, "NaN", Text(pcommon.NewValueDouble(math.NaN())))
	require.Equal(t, "a�b", Text(pcommon.NewValueStr("a\xff\xfeb")))
	require.Empty(t, Text(pcommon.NewValueEmpty()))
}

func TestFirstOfEqualKeys(t *testing.T) {
	var u ptrace.JSONUnmarshaler
	td, err := u.UnmarshalTraces([]byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"first"}},{"key":"service.name","value":{"stringValue":"second"}}]}}]}`))
	require.NoError(t, err)
	attributes := td.ResourceSpans().At(0).Resource().Attributes()
	v, _ := attributes.Get("service.name")
	require.Equal(t, "first", v.Str())
	require.Equal(t, map[string]any{"service.name": "first"}, Map(attributes))
}

func TestDeepValues(t *testing.T) {
	m := pcommon.NewMap()
	v := m.PutEmpty("deep")
	for range 100_000 {
		v = v.SetEmptySlice().AppendEmpty()
	}
	m.PutStr("beside", "kept")
	b, err := json.Marshal(Map(m))
	require.NoError(t, err)
	require.Contains(t, string(b), TooDeep)
	require.Contains(t, string(b), `"beside":"kept"`)
	deep, _ := m.Get("deep")
	require.Contains(t, Text(deep), TooDeep)
}

// FuzzValues makes JSON of every value that OTLP's bytes can hold.
func FuzzValues(f *testing.F) {
	seed := ptrace.NewTraces()
	a := seed.ResourceSpans().AppendEmpty().Resource().Attributes()
	a.PutDouble("nan", math.NaN())
	a.PutInt("least", math.MinInt64)
	a.PutStr("s", "\xff")
	a.PutEmptyBytes("b").FromRaw([]byte{1})
	a.PutEmptyMap("m").PutEmptySlice("l").AppendEmpty().SetDouble(math.Inf(-1))
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(seed)
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var u ptrace.ProtoUnmarshaler
		td, err := u.UnmarshalTraces(b)
		if err != nil {
			return
		}
		for _, rs := range td.ResourceSpans().All() {
			all := rs.Resource().Attributes()
			out, err := json.Marshal(Map(all))
			require.NoError(t, err)
			require.True(t, json.Valid(out))
			for _, v := range all.All() {
				if s := Text(v); v.Type() == pcommon.ValueTypeMap || v.Type() == pcommon.ValueTypeSlice {
					require.True(t, json.Valid([]byte(s)), "%q", s)
				} else {
					require.True(t, utf8.ValidString(s), "%q", s)
				}
			}
		}
	})
}
