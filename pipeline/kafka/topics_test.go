package kafka_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/pipeline/kafka"
)

func TestParseTopics(t *testing.T) {
	for text, want := range map[string]string{
		"a,b,,c":                      "empty",
		"a b":                         `' '`,
		"a,a":                         "given twice",
		"a.b,a_b":                     "does not distinguish",
		"/a":                          "write /expression/",
		"/(/":                         "no regular expression",
		"^[":                          "no regular expression",
		strings.Repeat("a,", 3) + ".": "given twice",
		strings.Repeat("a", 250):      "too long",
	} {
		_, err := kafka.ParseTopics(text)
		require.ErrorContains(t, err, want, text)
	}
	parse := func(text string) kafka.Topics {
		p, err := kafka.ParseTopics(text)
		require.NoError(t, err)
		return p
	}
	list := parse(" a, b.c ")
	require.Equal(t, []string{"a", "b.c"}, list.Names())
	require.True(t, list.Match("b.c") && !list.Match("b_c") && !list.Pattern())
	pattern := parse("/otlp_spans_(.+)/")
	require.True(t, pattern.Match("otlp_spans_prod") && !pattern.Match("my_otlp_spans_prod") && pattern.Grouped())
	require.Equal(t, "prod", pattern.Group("otlp_spans_prod"))
	require.True(t, parse("^.*").Match("a") && !parse("^.*").Match("__consumer_offsets"))
	require.True(t, parse("").Empty() && !parse("").Match(""))
	require.Equal(t, "a", list.Overlap(parse("/a|x/")))
	require.Equal(t, "b.c", list.Overlap(parse("b_c")))
	require.Empty(t, list.Overlap(pattern))
	require.Equal(t, "/a.*/", parse("/a.*/").Overlap(parse("/a.*/")))
}
