package older

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestConditions(t *testing.T) {
	res, sc, sp := pcommon.NewResource(), ptrace.NewScopeSpans(), ptrace.NewSpan()
	res.Attributes().PutStr("host.name", "node-7")
	sp.SetName("GET /cart")
	sp.Attributes().PutInt("http.status_code", 503)
	sp.Attributes().PutStr("http.route", "/cart?a=b")
	sp.Attributes().PutStr("size", "12.5")
	sp.Events().AppendEmpty().Attributes().PutStr("exception.type", "TimeoutError")
	sp.Status().SetCode(ptrace.StatusCodeError)
	for text, want := range map[string]bool{
		"http.status_code=503":        true,
		"http.status_code=500":        false,
		"http.route=/cart?a=b":        true, // the first operator counts
		"http.status_code!=500":       true,
		"http.status_code!=503":       false,
		"no.such!=503":                false, // it has no such attribute
		"http.status_code>=500":       true,
		"http.status_code>=503":       true,
		"http.status_code>503":        false,
		"http.status_code<600":        true,
		"http.status_code<=502":       false,
		"size > 12":                   true,
		"http.route>1":                false, // not a number
		"http.route~^/c.*b$":          true,
		"http.route~art":              true,
		"http.route~^art":             false,
		"exception.type~(?i)timeout":  true,
		"host.name":                   true,
		"host.names":                  false,
		"resource.host.name~7$":       true,
		"resource.http.status_code>1": false,
		"span.kind":                   false,
		"otel.status_code~ERR":        true,
		"error!=false":                true,
		"span.name=GET /cart":         true,
		"span.name=GET":               false,
		"span.name!=GET":              true,
		"span.name!=GET /cart":        false,
		"span.name~^GET":              true,
		"span.name":                   true,
	} {
		equal, others, err := ParseConditions([]string{text})
		require.NoError(t, err, text)
		m := newSpanMatch(&TraceSearch{Attributes: equal, Conditions: others})
		require.Equal(t, want, m.span(res, sc, sp), text)
		require.False(t, m.summaries(""), text)
	}
	for text, why := range map[string]string{
		"":        "names no attribute",
		"=x":      "names no attribute",
		">=5":     "names no attribute",
		"a>=much": "is not a number",
		"a>":      "is not a number",
		"a~(":     "missing closing",
		"a~" + strings.Repeat("x", longestExpression+1): "more than 500 bytes",
	} {
		_, _, err := ParseConditions([]string{text})
		require.ErrorContains(t, err, why, text)
	}
}
