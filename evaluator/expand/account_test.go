package expand

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
	"github.com/stretchr/testify/require"
)

// Templates that are in use are expanded as ever.
func TestOrdinaryTemplatesPass(t *testing.T) {
	for _, text := range []string{
		`{{ $value | humanize }} {{ $value | humanize1024 }} {{ humanizeDuration 3661.5 }} {{ 0.123 | humanizePercentage }} {{ humanizeTimestamp 1435065584.128 }}`,
		`{{ printf "%.2f" $value }} {{ $value | printf "%10.0f" }} {{printf "%-20s|" $labels.a}}`,
		`{{ with query "x" }}{{ . | first | value | humanize }}{{ else }}none{{ end }}`,
		`{{ range query "x" }}{{ .Labels.a }}={{ .Value }};{{ end }}`,
		`{{ range $i, $s := query "x" | sortByLabel "a" }}{{ if $i }}, {{ end }}{{ label "a" $s }}{{ end }}`,
		`{{ "a.b.c" | reReplaceAll "\\." "-" | toUpper | title }} {{ match "sh.*" $labels.a }} {{ stripPort "host:80" }} {{ stripDomain "a.b.c:1" }}`,
		`{{ externalURL }} {{ pathPrefix }} [{{ $externalLabels }}] {{ $externalLabels.nosuch }} {{ args 1 2 }} {{ safeHtml "<b>" }} {{ parseDuration "1h30m" }} {{ graphLink "up" }}`,
		`{ {{- " " -}} { {{- "x" -}} }} {{"{{"}} {{/* no */}}`,
		`{{ define "x" }}[{{ . }}]{{ end }}{{ template "x" $value }}{{ template "x" "y" }}`, "{{ . }}",
		`{{ $labels.nosuch }}|{{ .Value }}|{{ $labels }}`,
		`{{ range query "x" }}{{ if eq .Labels.a "b" }}{{ break }}{{ end }}{{ continue }}{{ end }}`,
		`{{ block "b" . }}{{ .Value }}{{ end }}`, "{{ query `x` }}", `{{ .NoSuch }}`, `{{ template "x" }}`, `{{ nosuch }}`,
		"",
		`{{ reReplaceAll "a*" "[$0]" "baac" }}{{ reReplaceAll "(?P<x>.)c" "${x}$x$$" "abcbc" }}{{ urlquery "a b" }}{{ html "<" }}{{ js "'" }}{{ println "x" 1 }}`,
	} {
		v := promql.Vector{{Metric: labels.FromStrings("a", "b", "c", strings.Repeat("d", 500)), F: 12345.678}}
		query := func(context.Context, string, time.Time) (promql.Vector, error) { return v, nil }
		data := template.AlertTemplateData(v[0].Metric.Map(), map[string]string{"x": "y"}, "http://x", v[0])
		a := newAccount()
		require.NoError(t, a.check(t.Context(), "x", text, maxAnnotation, func() any { return data }, 600, time.Unix(1, 0), query,
			&url.URL{Host: "x"}), text)
		want, err := template.NewTemplateExpander(t.Context(), templateDefs+text, "x", data, 1000, query, &url.URL{Host: "x"}, nil).Expand()
		if err == nil {
			require.GreaterOrEqual(t, maxRuleExpanded-a.text, len(want), "%s: the account is at least what Prometheus makes: %s", text,
				want)
		}
	}
}

// The replacement under account is Go's.
func FuzzReplaced(f *testing.F) {
	f.Add("a*", "[$0]", "baac")
	f.Add("(?P<x>.)c", "${x}$x$$", "abcbc")
	f.Add("", "x", "日本")
	f.Fuzz(func(t *testing.T, pattern, repl, text string) {
		re, err := regexp.Compile(pattern)
		if err != nil || len(pattern)+len(repl)+len(text) > 1000 {
			t.Skip()
		}
		x := &meter{account: newAccount()}
		got, err := x.replaced(pattern, repl, text)
		if err == nil {
			require.Equal(t, re.ReplaceAllString(text, repl), got)
		}
	})
}
