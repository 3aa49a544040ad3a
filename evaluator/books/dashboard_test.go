package books

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func panelOf(exprs ...string) Panel {
	p := Panel{Type: "timeseries", Title: "P", Width: 6, Height: 4}
	for _, e := range exprs {
		p.Queries = append(p.Queries, PanelQuery{Expr: e})
	}
	return p
}

func TestDashboardCheck(t *testing.T) {
	good := Dashboard{Title: "T", Panels: []Panel{panelOf("up"), {Type: "row", Title: "R", Width: 12, Height: 1}},
		Variables: []Variable{{Name: "service", Type: "label", Label: "service_name", Selector: `up{a="$b"}`}}}
	require.NoError(t, good.Check())
	for want, bad := range map[string]func(d *Dashboard){
		"title: it is empty":                           func(d *Dashboard) { d.Title = " " },
		"title: 201 characters, at most 200":           func(d *Dashboard) { d.Title = strings.Repeat("ä", 201) },
		"panels: 201, at most 200":                     func(d *Dashboard) { d.Panels = make([]Panel, 201) },
		"variables: 21, at most 20":                    func(d *Dashboard) { d.Variables = make([]Variable, 21) },
		`panel 1 "P": query 1: `:                       func(d *Dashboard) { d.Panels = []Panel{panelOf("sum((")} },
		`panel 1 "P": query 2: the expression is empt`: func(d *Dashboard) { d.Panels = []Panel{panelOf("up", " ")} },
		"width: 13 is not between 1 and 12":            func(d *Dashboard) { d.Panels[0].Width = 13 },
		"height: 0 is not between 1 and 20":            func(d *Dashboard) { d.Panels[0].Height = 0 },
		`type: "pie" is none of timeseries`:            func(d *Dashboard) { d.Panels[0].Type = "pie" },
		"a panel of type row has none":                 func(d *Dashboard) { d.Panels[0].Type = "row" },
		`unit: "ell" is none of percent`:               func(d *Dashboard) { d.Panels[0].Unit = "ell" },
		`name: "a-b" is no name`:                       func(d *Dashboard) { d.Variables[0].Name = "a-b" },
		`name: "__x" is no name`:                       func(d *Dashboard) { d.Variables[0].Name = "__x" },
		"the name service is used twice":               func(d *Dashboard) { d.Variables = append(d.Variables, d.Variables[0]) },
		"divide it into several dashboards": func(d *Dashboard) {
			d.Panels = nil
			for range 20 {
				d.Panels = append(d.Panels, Panel{Type: "text", Width: 1, Height: 1, Text: strings.Repeat("x", 20_000)})
			}
		},
	} {
		d := good
		d.Panels, d.Variables = append([]Panel(nil), good.Panels...), append([]Variable(nil), good.Variables...)
		bad(&d)
		err := d.Check()
		require.ErrorIs(t, err, ErrDashboardInvalid, want)
		require.ErrorContains(t, err, want)
	}
}

func TestExpressionsWithVariables(t *testing.T) {
	for _, good := range []string{
		`rate(x{service=~"$service"}[$__rate_interval])`, `rate(x[[[interval]]])`, `sum by ([[by]]) (x)`, `topk($n, x)`, `${metric:raw}{a="b"}`,
		`increase(x[$__range]) / $__range_s`, `sum_over_time(x[5m:$__interval])`, `x offset $offset`, `rate(x[${interval}])`,
		`rate($metric[$interval])`,
	} {
		if good == `rate($metric[$interval])` {
			require.Error(t, checkPromQL(good), "a name and a duration at once are not known to be PromQL")
			continue
		}
		require.NoError(t, checkPromQL(good), good)
	}
	for _, bad := range []string{``, ` `, `sum(`, `{app="x"} |= "error"`, `$`} {
		require.Error(t, checkPromQL(bad), bad)
	}
}

func TestExampleDashboard(t *testing.T) {
	d, err := Example()
	require.NoError(t, err)
	require.NoError(t, d.Check())
	for _, k := range []string{"timeseries", "stat", "heatmap", "table"} {
		require.Contains(t, string(exampleJSON), `"type": "`+k+`"`)
	}
}

const grafanaBoardText = `{
	"title": "Shop", "schemaVersion": 39, "links": [{"title": "x"}],
	"annotations": {"list": [{"builtIn": 1, "name": "A"}, {"name": "deploys"}]},
	"templating": {"list": [
		{"name": "ds", "type": "datasource", "query": "prometheus"},
		{"name": "service", "label": "Service", "type": "query", "query": {"query": "label_values(calls_total{env=\"$env\"}, service_name)", "refId": "x"},
			"multi": true, "includeAll": true, "current": {"value": ["$__all"]}},
		{"name": "host", "type": "query", "query": "label_values(instance)", "regex": "/([^:]+):.*/", "current": {"value": "a:1"}},
		{"name": "odd", "type": "query", "query": "query_result(up)"},
		{"name": "found", "type": "query", "query": "calls_total{a=\"b\"}", "regex": "/.*service_name=\"([^\"]+)\".*/"},
		{"name": "most", "type": "query", "query": "query_result(count by (op) (calls_total))", "regex": "/.*op=\\\"(.*)\\\".*/"},
		{"name": "filters", "type": "adhoc"},
		{"name": "res", "type": "interval", "query": "1m,5m : 5m, ten : 10m"},
		{"name": "free", "type": "textbox", "query": ""}
	]},
	"panels": [
		{"type": "timeseries", "title": "Second", "gridPos": {"x": 12, "y": 1, "w": 12, "h": 8}, "fieldConfig": {"defaults": {"unit": "s"}, "overrides": [{}]},
			"targets": [
				{"refId": "A", "expr": "rate(calls_total{service_name=~\"$service\"}[$__rate_interval])", "legendFormat": "{{service_name}}"},
				{"refId": "B", "expr": "{app=\"x\"} |= \"y\"", "datasource": {"type": "loki"}},
				{"refId": "C", "expr": "sum((", "legendFormat": "__auto"},
				{"refId": "D", "expr": "up", "hide": true},
				{"refId": "E", "datasource": {"type": "__expr__", "uid": "__expr__"}, "type": "math", "expression": "$A * 2"}]},
		{"type": "gauge", "title": "First", "gridPos": {"x": 0, "y": 1, "w": 6, "h": 4}, "repeat": "service", "transformations": [{"id": "merge"}],
			"fieldConfig": {"defaults": {"unit": "celsius"}}, "options": {"reduceOptions": {"calcs": ["mean"]}}, "targets": [{"expr": "up"}]},
		{"type": "row", "title": "Folded", "collapsed": true, "gridPos": {"x": 0, "y": 20, "w": 24, "h": 1}, "panels": [
			{"type": "text", "title": "About", "gridPos": {"x": 0, "y": 21, "w": 24, "h": 3}, "options": {"mode": "html", "content": "<b>hi</b>"}},
			{"type": "nodeGraph", "title": "Nodes", "gridPos": {"x": 0, "y": 24, "w": 24, "h": 3}, "targets": [{"expr": "up{a=\"b\"}"}]},
			{"type": "logs", "title": "", "gridPos": {"x": 0, "y": 27, "w": 24, "h": 3}}]},
		{"type": "stat", "title": "Elsewhere", "gridPos": {"x": 0, "y": 40, "w": 4, "h": 4}, "datasource": {"type": "elasticsearch"}, "targets": [{"refId": "A", "expr": "x"}]}
	]}`

func TestFromGrafana(t *testing.T) {
	d, notes, err := FromGrafana([]byte(grafanaBoardText))
	require.NoError(t, err)
	require.Equal(t, "Shop", d.Title)
	require.Equal(t, []Variable{
		{Name: "service", Title: "Service", Type: "label", Label: "service_name", Selector: `calls_total{env="$env"}`, Multi: true, All: true},
		{Name: "host", Type: "label", Label: "instance", Regex: "([^:]+):.*", Default: []string{"a:1"}},
		{Name: "odd", Type: "text", Default: []string{".*"}},
		{Name: "found", Type: "label", Label: "service_name", Selector: `calls_total{a="b"}`},
		{Name: "most", Type: "label", Label: "op"},
		{Name: "res", Type: "list", Values: []string{"1m", "5m", "10m"}},
		{Name: "free", Type: "text"},
	}, d.Variables)
	require.Equal(t, []Panel{
		{Type: "stat", Title: "First", Width: 3, Height: 3, Reduce: "mean", Queries: []PanelQuery{{Expr: "up"}}},
		{Type: "timeseries", Title: "Second", Width: 6, Height: 5, Unit: "seconds",
			Queries: []PanelQuery{{Expr: `rate(calls_total{service_name=~"$service"}[$__rate_interval])`, Legend: "{{service_name}}"}}},
		{Type: "row", Title: "Folded", Width: 12, Height: 1},
		{Type: "text", Title: "About", Width: 12, Height: 2, Text: "<b>hi</b>"},
		{Type: "text", Title: "Nodes", Width: 12, Height: 2, Text: "Not shown: a panel of type `nodeGraph`.\n\n`up{a=\"b\"}`\n"},
		{Type: "text", Width: 12, Height: 2, Text: "Not shown: a panel of type `logs`.\n"},
		{Type: "text", Title: "Elsewhere", Width: 2, Height: 3, Text: "Not shown: a panel of type `stat`.\n\n`x`\n"},
	}, d.Panels)
	var said []string
	for _, n := range notes {
		said = append(said, n.Panel+": "+n.Text)
	}
	require.Equal(t, []string{
		": variable $ds chooses a data source: left out, there is one",
		`: variable $odd asks "query_result(up)", which is not label_values(): it is a text field`,
		`: variable $most asks "query_result(count by (op) (calls_total))": all values of the label op are offered`,
		": variable $filters: ad hoc filters are not supported",
		`: annotations "deploys": not supported`,
		": links of the dashboard: not supported",
		"First: repetition by $service: shown once, for all chosen values",
		"First: transformations: 1 not applied",
		`First: type "gauge" is shown as stat`,
		`First: unit "celsius": values are shown without it`,
		"Second: field overrides: 1 not applied",
		`Second: query B asks a source of type "loki", not Prometheus: left out`,
		"Second: query C is not PromQL, left out: 1:6: parse error: unclosed left parenthesis",
		"Second: query D is hidden: left out",
		"Second: query E is an expression of Grafana: left out",
		"About: HTML is shown as text",
		`Nodes: panels of type "nodeGraph" are not supported; shown as text with their queries`,
		`panel without a title: panels of type "logs" are not supported; shown as text with their queries`,
		`Elsewhere: query A asks a source of type "elasticsearch", not Prometheus: left out`,
		"Elsewhere: it has no query that can be shown; shown as text",
	}, said)
}

func TestFromOldGrafana(t *testing.T) {
	d, notes, err := FromGrafana([]byte(`{"meta": {}, "dashboard": {"title": "Old", "rows": [{"title": "R", "showTitle": true, "panels": [
		{"type": "graph", "title": "G", "span": 4, "datasource": "Prometheus", "yaxes": [{"format": "percentunit"}], "alert": {"name": "x"},
		 "targets": [{"expr": "up", "legendFormat": "{{job}}"}]},
		{"type": "singlestat", "title": "S", "span": 12, "format": "bytes", "valueName": "avg", "targets": [{"expr": "up"}]},
		{"type": "text", "title": "T", "mode": "markdown", "content": "# hi"}]}]}}`))
	require.NoError(t, err)
	require.Equal(t, []Note{{"G", "alert: not imported; make a rule of it"}}, notes)
	require.Equal(t, []Panel{
		{Type: "row", Title: "R", Width: 12, Height: 1},
		{Type: "timeseries", Title: "G", Width: 4, Height: 4, Unit: "ratio", Queries: []PanelQuery{{Expr: "up", Legend: "{{job}}"}}},
		{Type: "stat", Title: "S", Width: 12, Height: 4, Unit: "bytes", Reduce: "mean", Queries: []PanelQuery{{Expr: "up"}}},
		{Type: "text", Title: "T", Width: 6, Height: 4, Text: "# hi"},
	}, d.Panels)
}

func TestWhatIsNoGrafanaDashboard(t *testing.T) {
	for doc, want := range map[string]string{
		`[]`: "no JSON object", `{`: "no JSON object", `{}`: "has no panels", `{"title": 5, "panels": [{}]}`: "no dashboard of Grafana",
		`{"kind":"Dashboard","spec":{"elements":{"a":{}},"layout":{}}}`: "schema v2",
	} {
		_, _, err := FromGrafana([]byte(doc))
		require.ErrorIs(t, err, ErrDashboardInvalid, doc)
		require.ErrorContains(t, err, want, doc)
	}
}

// FuzzFromGrafana: whatever the JSON, it does not panic, and what it returns can be stored.
func FuzzFromGrafana(f *testing.F) {
	f.Add([]byte(grafanaBoardText))
	f.Add([]byte(`{"rows": [{"panels": [{"type": "graph", "span": "4", "targets": [{"expr": 5}]}]}]}`))
	f.Add([]byte(`{"panels": [{"type": "row", "panels": [{"type": "row", "panels": []}]}], "templating": {"list": [{"name": "a", "type": "query", "query": []}]}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, _, err := FromGrafana(doc)
		if err != nil {
			require.ErrorIs(t, err, ErrDashboardInvalid)
			return
		}
		require.NoError(t, d.Check())
		b, err := json.Marshal(d)
		require.NoError(t, err)
		var again Dashboard
		require.NoError(t, json.Unmarshal(b, &again))
		require.NoError(t, again.Check())
	})
}
