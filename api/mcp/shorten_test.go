package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func decoded(t testing.TB, text string) (v any, ok bool) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	return v, d.Decode(&v) == nil
}

func TestShorten(t *testing.T) {
	long := `"` + strings.Repeat("word ", 200) + `"`
	list := "[" + strings.TrimSuffix(strings.Repeat(`{"name":"a","n":1},`, 64), ",") + "]"
	points := ""
	for i := range 64 {
		points += fmt.Sprintf(`,[%d.5,"1"]`, 100+i)
	}
	for _, c := range []struct {
		in, want string
		most     int
	}{
		{`{"a":1.23456789,"b":123456.789,"c":12345678901234567890,"d":"","e":null,"f":{"g":{}},"h":0,"i":false}`,
			`{"a":1.235,"b":123457,"c":12345678901234567890,"h":0,"i":false}`, 1000},
		{`{"list":[]}`, `{"list":[]}`, 1000},
		{`[1]`, `{"answer":[1]}`, 1000},
		{`{"small":[1,2],"large":` + list + `}`, `{"large":[{"n":1,"name":"a"},{"n":1,"name":"a"}],"shortened":{"large":"2 of 64"},"small":[1,2]}`, 120},
		{`{"values":[` + points[1:] + `]}`, `{"shortened":{"values":"4 of 64"},"values":[[115.5,"1"],[131.5,"1"],[147.5,"1"],[163.5,"1"]]}`, 110},
		{`{"a":{"text":` + long + `}}`, "…", 400},
	} {
		v, ok := decoded(t, c.in)
		require.True(t, ok)
		got := shorten(v, c.most)
		require.LessOrEqual(t, len(got), c.most)
		require.Contains(t, got, c.want)
	}
}

func FuzzShorten(f *testing.F) {
	f.Add(`{"a":[1,2,3],"b":"text"}`, 20)
	f.Add(`[[1.5,"2"],[2.5,"3"]]`, 64)
	f.Add(`{"shortened":["x"],"a":[[[]]]}`, 10)
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = 64 + most&0xfff
		v, ok := decoded(t, text)
		if !ok {
			return
		}
		got := shorten(v, most)
		require.LessOrEqual(t, len(got), most)
		require.True(t, utf8.ValidString(got))
		if !strings.HasSuffix(got, tooLarge) {
			require.True(t, json.Valid([]byte(got)), got)
		}
	})
}

func FuzzTraceShape(f *testing.F) {
	f.Add(`{"trace":{"traceID":"1","spans":[{"spanID":"a","processID":"p1","startTime":5,"duration":3,"tags":[{"key":"error","value":true}]}],"processes":{"p1":{"serviceName":"web"}}}}`)
	f.Add(`{"trace":{"spans":[1,null,{"references":[3]}],"processes":4}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if v, ok := decoded(t, text); ok {
			_, err := json.Marshal(traceShape(v))
			require.NoError(t, err)
		}
	})
}
