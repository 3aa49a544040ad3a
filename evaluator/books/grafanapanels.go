package books

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// grafanaTypes are the panels that are shown as one of ours.
var grafanaTypes = map[string]string{
	"timeseries": "timeseries", "graph": "timeseries", "stat": "stat", "singlestat": "stat", "gauge": "stat", "bargauge": "stat", "heatmap": "heatmap",
	"table": "table", "table-old": "table", "text": "text", "row": "row", "barchart": "timeseries", "state-timeline": "timeseries",
	"status-history": "timeseries", "trend": "timeseries", "piechart": "table", "grafana-piechart-panel": "table",
}

// sameTypes are those that lose nothing that a note would have to say.
var sameTypes = []string{"timeseries", "graph", "stat", "singlestat", "heatmap", "table", "table-old", "text", "row"}

var grafanaUnits = map[string]string{
	"": "", "none": "", "short": "", "string": "", "locale": "", "percent": "percent", "percentunit": "ratio", "s": "seconds", "ms": "milliseconds",
	"dtdurations": "seconds", "dtdurationms": "milliseconds", "clocks": "seconds", "clockms": "milliseconds",
	"bytes": "bytes", "decbytes": "bytes", "Bps": "bytes/s", "binBps": "bytes/s", "bps": "bits/s", "binbps": "bits/s", "reqps": "per second",
	"rps": "per second", "ops": "per second", "cps": "per second", "wps": "per second", "eps": "per second", "iops": "per second", "pps": "per second",
	"mps": "per second", "io/s": "per second", "read/s": "per second", "write/s": "per second", "rd/s": "per second", "wr/s": "per second",
}

func (g *grafanaImport) panel(p *grafanaPanel) {
	title := cut(p.Title, maxDashboardTitle)
	out := Panel{Title: title, Description: cutBytes(p.Description, maxPanelDescription), Width: widthOf(p), Height: heightOf(p)}
	title = cmp.Or(title, "panel without a title")
	g.lost(title, p)
	kind, known := grafanaTypes[p.Type]
	switch {
	case len(p.Library) > 0 && string(p.Library) != "null" && len(p.Targets) == 0:
		g.note(title, "library panel: the export does not have its queries; shown as text")
		out.Type, out.Text = "text", "This panel is kept in a library of Grafana and is not part of the export."
	case !known:
		g.note(title, "panels of type %q are not supported; shown as text with their queries", p.Type)
		out.Type, out.Text, out.Height = "text", placeholder(p), min(out.Height, usualPanelHeight)
	case kind == "row":
		out.Type, out.Width, out.Height = "row", dashboardColumns, 1
	case kind == "text":
		out.Type, out.Text = "text", g.text(title, p)
	default:
		if !slices.Contains(sameTypes, p.Type) {
			g.note(title, "type %q is shown as %s", p.Type, kind)
		}
		out.Type = kind
		out.Unit = g.unit(title, p)
		out.Queries = g.queries(title, p)
		if kind == "stat" {
			out.Reduce = g.reduce(title, p)
		}
		if len(out.Queries) == 0 {
			g.note(title, "it has no query that can be shown; shown as text")
			out = Panel{Title: out.Title, Description: out.Description, Width: out.Width, Height: min(out.Height, usualPanelHeight), Type: "text",
				Text: placeholder(p)}
		}
	}
	g.add(out)
}

// lost notes what a panel has that no panel here has.
func (g *grafanaImport) lost(title string, p *grafanaPanel) {
	if p.Repeat != "" {
		g.note(title, "repetition by $%s: shown once, for all chosen values", p.Repeat)
	}
	if len(p.Transform) > 0 {
		g.note(title, "transformations: %d not applied", len(p.Transform))
	}
	if len(p.FieldConfig.Overrides) > 0 {
		g.note(title, "field overrides: %d not applied", len(p.FieldConfig.Overrides))
	}
	if len(p.Alert) > 0 && string(p.Alert) != "null" {
		g.note(title, "alert: not imported; make a rule of it")
	}
}

// widthOf is the width in twelve columns of Grafana's 24, or of the spans of old rows.
func widthOf(p *grafanaPanel) int {
	w := int(p.GridPos.W+1) / 2
	if w == 0 {
		w = int(p.Span)
	}
	if w == 0 {
		w = usualPanelWidth
	}
	return min(dashboardColumns, max(1, w))
}

// heightOf is the height in steps; one of Grafana's is 30 pixels.
func heightOf(p *grafanaPanel) int {
	if p.GridPos.H == 0 {
		return usualPanelHeight
	}
	return min(maxPanelHeight, max(2, int(p.GridPos.H+1)*5/8))
}

func (g *grafanaImport) unit(title string, p *grafanaPanel) string {
	unit := string(p.FieldConfig.Defaults.Unit)
	if unit == "" && len(p.YAxes) > 0 {
		unit = string(p.YAxes[0].Format)
	}
	unit = cmp.Or(unit, string(p.Format))
	if p.Type == "table" || p.Type == "table-old" || p.Type == "heatmap" {
		if _, ok := grafanaUnits[unit]; !ok {
			unit = ""
		}
	}
	u, ok := grafanaUnits[unit]
	if !ok {
		g.note(title, "unit %q: values are shown without it", unit)
	}
	return u
}

var grafanaReducers = map[string]string{"": "last", "lastNotNull": "last", "last": "last", "current": "last", "mean": "mean", "avg": "mean", "max": "max",
	"min": "min", "sum": "sum", "total": "sum"}

func (g *grafanaImport) reduce(title string, p *grafanaPanel) string {
	var o struct {
		ReduceOptions struct {
			Calcs []string `json:"calcs"`
		} `json:"reduceOptions"`
	}
	_ = json.Unmarshal(p.Options, &o) // without options the last value is shown
	calc := p.ValueName
	if len(o.ReduceOptions.Calcs) > 0 {
		calc = o.ReduceOptions.Calcs[0]
	}
	r, ok := grafanaReducers[calc]
	if !ok {
		g.note(title, "calculation %q: the last value is shown", calc)
		return "last"
	}
	return r
}

// queries are the targets in PromQL that are not hidden.
func (g *grafanaImport) queries(title string, p *grafanaPanel) []PanelQuery {
	var out []PanelQuery
	for _, t := range p.Targets {
		name := cmp.Or(string(t.RefID), "without a name")
		source := cmp.Or(t.Datasource.Type, p.Datasource.Type)
		expr := strings.ToValidUTF8(strings.TrimSpace(string(t.Expr)), "\uFFFD")
		switch {
		case t.Hide:
			g.note(title, "query %s is hidden: left out", name)
		case t.Type != "" && t.Expression != "" || source == "__expr__" || t.Datasource.UID == "__expr__":
			g.note(title, "query %s is an expression of Grafana: left out", name)
		case source != "" && source != "prometheus" && !strings.HasPrefix(source, "$") && !strings.Contains(source, "prometheus") && source != "datasource":
			g.note(title, "query %s asks a source of type %q, not Prometheus: left out", name, source)
		case expr == "":
			g.note(title, "query %s has no expression: left out", name)
		case len(expr) > maxDashboardExpr:
			g.note(title, "query %s has more than %d bytes: left out", name, maxDashboardExpr)
		case len(out) >= MaxPanelQueries:
			g.note(title, "query %s: left out, a panel has at most %d queries", name, MaxPanelQueries)
		default:
			if err := checkPromQL(expr); err != nil {
				g.note(title, "query %s is not PromQL, left out: %s", name, cutBytes(err.Error(), 200))
				continue
			}
			legend := string(t.LegendFormat)
			if legend == "__auto" {
				legend = ""
			}
			out = append(out, PanelQuery{Expr: expr, Legend: cutBytes(legend, maxDashboardTitle*4)})
		}
	}
	return out
}

// text is the content of a text panel. HTML is shown as it is written.
func (g *grafanaImport) text(title string, p *grafanaPanel) string {
	var o struct {
		Mode    string `json:"mode"`
		Content string `json:"content"`
	}
	_ = json.Unmarshal(p.Options, &o) // an older one has its content elsewhere
	if cmp.Or(o.Mode, p.Mode) == "html" {
		g.note(title, "HTML is shown as text")
	}
	content := cmp.Or(o.Content, p.Content)
	if len(content) > maxDashboardText {
		g.note(title, "text cut at %d bytes", maxDashboardText)
	}
	return cutBytes(content, maxDashboardText)
}

// placeholder keeps the queries of a panel that cannot be shown.
func placeholder(p *grafanaPanel) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Not shown: a panel of type `%s`.\n", cut(p.Type, 100))
	for _, t := range p.Targets {
		if t.Expr != "" {
			fmt.Fprintf(&b, "\n`%s`\n", cutBytes(string(t.Expr), 2_000))
		}
	}
	return cutBytes(b.String(), maxDashboardText)
}
