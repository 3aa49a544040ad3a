package evaluator

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/template"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"
)

// Nested subqueries multiply: each of these kept a core busy for minutes, or took all memory.
func TestWorkIsBoundedBeforeItBegins(t *testing.T) {
	eng, none := NewEngine(EngineConfig{}, nil, nil), &Queryable{}
	for text, want := range map[string]string{
		"quantile_over_time(0.5, quantile_over_time(0.5, vector(1)[500000s:1s])[400000s:1s])":                                                         "look at 200001300002 steps",
		"1 + sum(max_over_time((min_over_time(vector(1)[5d:1s]))[5d:1s]))":                                                                            "look at",
		"avg_over_time(deriv(rate(vector(1)[1d:1s])[6d:1s])[1d:1s])":                                                                                  "look at",
		"absent_over_time(last_over_time(vector(1)[500000s:1s])[400000s:1s])":                                                                         "look at",
		"quantile_over_time(0.5, (quantile_over_time(0.5, vector(1)[500000s:1s] @ 0))[400000s:1s])":                                                   "",
		"max_over_time(rate(up[5m])[7d:1m])":                                                                                                          "",
		`up{a=~"` + strings.Repeat("a{1000}", 200) + `"}`:                                                                                             "more than 100000 steps",
		`{__name__=~"(((x{10}){10}){10}y){1}", b!~"` + strings.Repeat("[a-z]{900}", 150) + `"}`:                                                       "more than 100000 steps",
		`label_replace(up, "a", "$1", "b", "` + strings.Repeat("(.?){500}", 6) + `")`:                                                                 "regular expression of label_replace has",
		nested(7, `label_replace(%s, "a", "$1$1", "a", "(.*)")`):                                                                                      "repeat a label more than 64 times",
		nested(7, `label_replace(%s, "a", "$1$2", "a", "((.*))")`):                                                                                    "repeat a label more than 64 times",
		nested(7, `label_replace(%s, "a", "${x}${x}", "a", "(?P<x>.*)")`):                                                                             "repeat a label more than 64 times",
		nested(4, `label_join(%s, "a", ",", "a", "a", "a")`):                                                                                          "repeat a label more than 64 times",
		nested(30, `label_replace(%s, "a", "$1-$2", "b", "(.*)-(.*)")`):                                                                               "",
		`label_replace(up, "a", "` + strings.Repeat("x", 5000) + `", "", "")`:                                                                         "writes a text of 5000 bytes",
		`label_join(up, "a", "` + strings.Repeat("x", 2000) + `", "a", "b", "c", "d")`:                                                                "writes a text of 6000 bytes",
		`label_replace(label_join(up, "x", "/", "namespace", "pod", "container"), "y", "$1", "x", "(.*)")`:                                            "",
		`sum by (service_name) (rate(traces_span_metrics_calls_total{service_name=~"` + strings.Repeat("service-with-a-long-name|", 500) + `"}[5m]))`: "",
	} {
		_, err := eng.NewInstantQuery(t.Context(), none, nil, text, time.Unix(1_700_000_000, 0))
		if want == "" {
			require.NoError(t, err, text)
		} else {
			require.ErrorContains(t, err, want, text)
		}
	}
	_, err := eng.NewRangeQuery(t.Context(), none, nil, "max_over_time(vector(1)[2d:1s])", time.Unix(0, 0), time.Unix(700_000, 0), time.Minute)
	require.ErrorContains(t, err, "look at")
	_, err = eng.NewRangeQuery(t.Context(), none, nil, "1", time.Unix(0, 0), time.Unix(2_000_000, 0), time.Second)
	require.ErrorContains(t, err, "the query has 2000000 steps")
	_, err = NewParser().ParseMetricSelectors([]string{"up", `{a=~"` + strings.Repeat("a{1000}", 200) + `"}`})
	require.ErrorContains(t, err, "more than 100000 steps")
}

func nested(n int, call string) string {
	text := "up"
	for range n {
		text = fmt.Sprintf(call, text)
	}
	return text
}

// A query whose context ends stops in the midst of a series: what it looks at from then on is counted.
func TestCancelledQueryStops(t *testing.T) {
	const length = 6000
	var looked func(samples int)
	before := maps.Clone(promql.FunctionCalls)
	t.Cleanup(func() { maps.Copy(promql.FunctionCalls, before) })
	for name, f := range before {
		promql.FunctionCalls[name] = func(v []promql.Vector, m promql.Matrix, args parser.Expressions, enh *promql.EvalNodeHelper) (promql.Vector, annotations.Annotations) {
			for i := range m {
				looked(len(m[i].Floats))
			}
			return f(v, m, args, enh)
		}
	}
	source := oneSeries(t, length)
	for _, text := range []string{"quantile_over_time(0.5, up[2h])", "sum_over_time(up[2h])", "1 + max(rate(up[2h]))", "absent_over_time(up[2h])", "predict_linear(up[2h], 3600)", "max_over_time((up + 1)[2h:1s])"} {
		for name, stop := range map[string]func(context.CancelFunc, promql.Query){
			"context": func(cancel context.CancelFunc, _ promql.Query) { cancel() },
			"Cancel":  func(_ context.CancelFunc, q promql.Query) { q.Cancel() },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			q, err := NewEngine(EngineConfig{}, nil, nil).NewRangeQuery(ctx, source, nil, text, time.Unix(0, 0), time.Unix(length, 0), time.Second)
			require.NoError(t, err)
			seen, after := 0, 0
			looked = func(n int) {
				if seen += n; seen > 1<<20 {
					stop(cancel, q)
					after += n
				}
			}
			res := q.Exec(ctx)
			require.ErrorAs(t, res.Err, new(promql.ErrQueryCanceled), "%s by %s", text, name)
			require.Less(t, after, lookEvery+2*length, "%s by %s", text, name)
			q.Close()
			cancel()
		}
	}
	working.Range(func(any, any) bool {
		t.Error("a query that has ended is still watched")
		return false
	})
}

// oneSeries has n samples, one a second.
func oneSeries(t *testing.T, n int) storage.Queryable {
	store := newRuleStore(time.Hour*1000, 10)
	for i := range n {
		require.NoError(t, store.append(labels.FromStrings(labels.MetricName, "up"), ruleSample{t: int64(i) * 1000, v: float64(i * 7919 % 1000)}))
	}
	return alone{store}
}

// bombs are templates that ended the process, or would take all its memory or time.
var bombs = map[string]string{
	"padding":       `{{printf "` + strings.Repeat("%1000000d", 17) + `"` + strings.Repeat(" 1", 17) + `}}`,
	"star":          `{{printf "%*d" 1000000 1}}`,
	"precision":     `{{printf "%.900000f" 1.0}}`,
	"loops of text": `{{range 9999}}{{range 9999}}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{end}}{{end}}`,
	"quoting":       `{{$x := "\\"}}` + strings.Repeat(`{{$x = printf "%q" $x}}`, 60),
	"js":            `{{$x := "\\"}}` + strings.Repeat(`{{$x = js $x}}`, 60),
	"empty groups":  `{{reReplaceAll "` + strings.Repeat("((a?){30}){30}", 12) + `" "" (printf "%0200000d" 1)}}`,
	"named":         `{{printf "%[1]*[1]d" 1000000}}`,
	"doubling":      `{{$x := "aaaaaaaaaaaaaaaa"}}` + strings.Repeat(`{{$x = print $x $x}}`, 40) + `{{$x}}`,
	"replacing":     `{{$x := "aaaaaaaaaaaaaaaa"}}` + strings.Repeat(`{{$x = reReplaceAll "a" "aaaa" $x}}`, 20) + `{{$x}}`,
	"group":         `{{$x := "aaaaaaaaaaaaaaaa"}}` + strings.Repeat(`{{$x = reReplaceAll "(.*)" "$1$1$1$1" $x}}`, 20) + `{{len $x}}`,
	"escaping":      `{{$x := "<<<<<<<<<<<<<<<<"}}` + strings.Repeat(`{{$x = html $x $x $x}}`, 20) + `{{len $x}}`,
	"maps":          `{{$x := args "a" "b"}}` + strings.Repeat(`{{$x = args $x $x}}`, 60) + `{{$x}}`,
	"maps, printed": `{{$x := args "a" "b"}}` + strings.Repeat(`{{$x = args $x $x}}`, 60) + `{{len (print $x)}}`,
	"loop":          `{{range 1000000000}}{{end}}`,
	"loops":         `{{range 10000}}{{range 10000}}{{range 10000}}{{end}}{{end}}{{end}}`,
	"looped text":   `{{range 90000}}some text{{end}}`,
	"calls":         `{{define "a"}}{{template "a" .}}{{template "a" .}}{{end}}{{template "a" .}}`,
	"tree":          `{{define "z"}}{{end}}` + tree(20) + `{{template "t20"}}`,
	"queries":       `{{range 1000}}{{query "vector(1)"}}{{end}}`,
	"regexp":        `{{$x := "aaaaaaaaaaaaaaaa"}}` + strings.Repeat(`{{$x = print $x $x}}`, 12) + `{{range 1000}}{{if match "` + strings.Repeat("(.?){900}", 5) + `z" $x}}{{end}}{{end}}`,
	"large regexp":  `{{match "` + strings.Repeat("a{1000}", 300) + `" "a"}}`,
	"long":          strings.Repeat("x", 70_000),
}

func tree(depth int) string {
	text := `{{define "t0"}}{{end}}`
	for i := 1; i <= depth; i++ {
		text += fmt.Sprintf(`{{define "t%d"}}{{template "t%d"}}{{template "t%d"}}{{end}}`, i, i-1, i-1)
	}
	return text
}

// A template that goes beyond a bound fails its rule, and no other; nor the process, nor its next start.
func TestTemplatesAreBounded(t *testing.T) {
	for name, text := range bombs {
		for _, label := range []bool{false, true} {
			b := newBench(t, alertRules(rule("Errors", errorsRule, "")))
			bad := rulefmt.Rule{Alert: "Bomb", Expr: "vector(1)", Annotations: map[string]string{"a": text}}
			if label {
				bad.Labels, bad.Annotations = bad.Annotations, nil
			}
			load := func() {
				src, err := ParseSource("rules.yml", []byte(b.rules), b.e.cfg.Logger)
				require.NoError(t, err)
				src.Groups[0].Rules = append([]rulefmt.Rule{bad}, src.Groups[0].Rules...)
				require.NoError(t, b.e.Load(t.Context(), []Source{src}, b.r.Frontier().Head))
			}
			load()
			b.errors(3, 5)
			require.Equal(t, "firing Errors", b.told(), name)
			info := b.e.Rules()[0]
			require.Equal(t, "err", info.Health, name)
			require.Contains(t, info.LastError, "beyond the bound", name)
			require.Contains(t, info.LastError, `"a"`, name)
			require.Equal(t, "ok", b.e.Rules()[1].Health, "%s: %s", name, b.e.Rules()[1].LastError)
			b.start()
			load()
			b.idle(10)
			require.Equal(t, "err", b.e.Rules()[0].Health, name)
			require.Empty(t, b.told(), name)
		}
		// Who makes it learns of it; so does a backtest.
		spec := RuleSpec{Name: "x", Expr: "vector(1)", Annotations: map[string]string{"a": text}}
		_, err := spec.Source()
		if name == "queries" {
			continue // how many it makes depends on what they return
		}
		require.ErrorIs(t, err, ErrRuleInvalid, name)
		require.ErrorContains(t, err, "beyond the bound", name)
	}
}

// An alert that fires keeps its state through a start with a template that went bad.
func TestAlertsOutliveABadTemplate(t *testing.T) {
	b := newBench(t, alertRules(rule("Errors", errorsRule, "")))
	b.errors(3, 5)
	require.Equal(t, "firing Errors", b.told())
	b.rules = strings.ReplaceAll(b.rules, "has {{", `{{range 1000000000}}{{end}}{{`)
	e, err := New(b.e.cfg)
	require.NoError(t, err)
	b.e = e
	file, errs := rulefmt.Parse([]byte(b.rules), false, model.UTF8Validation, NewParser(), e.cfg.Logger)
	require.Empty(t, errs)
	require.NoError(t, e.Load(t.Context(), []Source{{Name: "rules.yml", Groups: file.Groups}}, b.r.Frontier().Head))
	require.Empty(t, b.told())
	require.Len(t, e.Active(), 1)
	require.Equal(t, StateFiring, e.Active()[0].State)
	require.Equal(t, "cart has 5", e.Active()[0].Annotations.Get("summary"))
}

// Templates that are in use are expanded as ever.
func TestOrdinaryTemplatesPass(t *testing.T) {
	for _, text := range []string{
		`{{ $value | humanize }} {{ $value | humanize1024 }} {{ humanizeDuration 3661.5 }} {{ 0.123 | humanizePercentage }} {{ humanizeTimestamp 1435065584.128 }}`,
		`{{ printf "%.2f" $value }} {{ $value | printf "%10.0f" }} {{printf "%-20s|" $labels.a}}`,
		`{{ with query "x" }}{{ . | first | value | humanize }}{{ else }}none{{ end }}`,
		`{{ range query "x" }}{{ .Labels.a }}={{ .Value }};{{ end }}`, `{{ range $i, $s := query "x" | sortByLabel "a" }}{{ if $i }}, {{ end }}{{ label "a" $s }}{{ end }}`,
		`{{ "a.b.c" | reReplaceAll "\\." "-" | toUpper | title }} {{ match "sh.*" $labels.a }} {{ stripPort "host:80" }} {{ stripDomain "a.b.c:1" }}`,
		`{{ externalURL }} {{ pathPrefix }} [{{ $externalLabels }}] {{ $externalLabels.nosuch }} {{ args 1 2 }} {{ safeHtml "<b>" }} {{ parseDuration "1h30m" }} {{ graphLink "up" }}`,
		`{ {{- " " -}} { {{- "x" -}} }} {{"{{"}} {{/* no */}}`, `{{ define "x" }}[{{ . }}]{{ end }}{{ template "x" $value }}{{ template "x" "y" }}`, "{{ . }}", `{{ $labels.nosuch }}|{{ .Value }}|{{ $labels }}`,
		`{{ range query "x" }}{{ if eq .Labels.a "b" }}{{ break }}{{ end }}{{ continue }}{{ end }}`, `{{ block "b" . }}{{ .Value }}{{ end }}`, "{{ query `x` }}", `{{ .NoSuch }}`, `{{ template "x" }}`, `{{ nosuch }}`, "",
		`{{ reReplaceAll "a*" "[$0]" "baac" }}{{ reReplaceAll "(?P<x>.)c" "${x}$x$$" "abcbc" }}{{ urlquery "a b" }}{{ html "<" }}{{ js "'" }}{{ println "x" 1 }}`,
	} {
		v := promql.Vector{{Metric: labels.FromStrings("a", "b", "c", strings.Repeat("d", 500)), F: 12345.678}}
		query := func(context.Context, string, time.Time) (promql.Vector, error) { return v, nil }
		data := template.AlertTemplateData(v[0].Metric.Map(), map[string]string{"x": "y"}, "http://x", v[0])
		a := newAccount()
		require.NoError(t, a.check(t.Context(), "x", text, maxAnnotation, func() any { return data }, 600, time.Unix(1, 0), query, &url.URL{Host: "x"}), text)
		want, err := template.NewTemplateExpander(t.Context(), templateDefs+text, "x", data, 1000, query, &url.URL{Host: "x"}, nil).Expand()
		if err == nil {
			require.GreaterOrEqual(t, maxRuleExpanded-a.text, len(want), "%s: the account is at least what Prometheus makes: %s", text, want)
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
		x := &expansion{account: newAccount()}
		got, err := x.replaced(pattern, repl, text)
		if err == nil {
			require.Equal(t, re.ReplaceAllString(text, repl), got)
		}
	})
}

// A label that a rule makes longer of itself at each evaluation ends at a bound.
func TestGrowingLabels(t *testing.T) {
	b := newBench(t, "groups:\n- name: g\n  rules:\n  - record: grows\n    expr: 'label_join(grows, \"a\", \"x\", \"a\", \"a\") or label_replace(vector(1), \"a\", \"a\", \"\", \"\")'\n")
	b.errors(1, 1)
	for s := 20.0; s < 1000 && b.e.Rules()[0].Health == "ok"; s += 20 {
		b.idle(s)
	}
	require.Contains(t, b.e.Rules()[0].LastError, "beyond the bound")
	require.Contains(t, b.e.Rules()[0].LastError, "bytes of labels")
}

// A panic is one rule that failed: those before and after it are evaluated.
func TestPanicIsOneRule(t *testing.T) {
	b := newBench(t, alertRules(rule("A", errorsRule, "")+rule("B", "vector(1)", "")+rule("C", errorsRule, "")))
	was := b.e.options.QueryFunc
	for _, g := range *b.e.groups.Load() {
		g.Group = rules.NewGroup(rules.GroupOptions{Name: g.Name(), File: g.File(), Interval: g.Interval(), Rules: g.Rules(), Opts: &rules.ManagerOptions{
			Context: t.Context(), AppendableV2: b.e.store, Queryable: b.e.queryable, Logger: b.e.cfg.Logger, Metrics: b.e.options.Metrics, RuleConcurrencyController: g.subset,
			NotifyFunc: b.e.options.NotifyFunc, ExternalURL: b.e.cfg.ExternalURL,
			QueryFunc: func(ctx context.Context, q string, ts time.Time) (promql.Vector, error) {
				v, err := was(ctx, q, ts)
				if q == "vector(1)" {
					panic("planted")
				}
				return v, err
			},
		}})
	}
	for s := range 3 {
		b.errors(float64(3+2*s), 5)
		list := b.e.Rules()
		require.Equal(t, []string{"ok", "err", "ok"}, []string{list[0].Health, list[1].Health, list[2].Health})
		require.Contains(t, list[1].LastError, "planted")
		require.Len(t, b.e.Active(), 2)
	}
}
