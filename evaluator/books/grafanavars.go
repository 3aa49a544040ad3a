package books

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gaurav/watchingcat/evaluator/query"
)

type grafanaVariable struct {
	Name       string          `json:"name"`
	Label      flexText        `json:"label"`
	Type       string          `json:"type"`
	Query      json.RawMessage `json:"query"`
	Definition flexText        `json:"definition"`
	Regex      flexText        `json:"regex"`
	Multi      bool            `json:"multi"`
	IncludeAll bool            `json:"includeAll"`
	AllValue   flexText        `json:"allValue"`
	Current    struct {
		Value json.RawMessage `json:"value"`
	} `json:"current"`
}

var (
	labelValuesOf = regexp.MustCompile(`(?s)^\s*label_values\(\s*(.+?)\s*,\s*"?([\w.]+)"?\s*\)\s*$`)
	labelInRegex  = regexp.MustCompile(`(\w+)=\\?"\(`)
	labelValues   = regexp.MustCompile(`^\s*label_values\(\s*"?([\w.]+)"?\s*\)\s*$`)
)

func (g *grafanaImport) variables(list []grafanaVariable) {
	for i := range list {
		v := &list[i]
		switch {
		case v.Type == "datasource":
			g.note("", "variable $%s chooses a data source: left out, there is one", v.Name)
			continue
		case v.Type == "adhoc":
			g.note("", "variable $%s: ad hoc filters are not supported", v.Name)
			continue
		case !variableName.MatchString(v.Name) || strings.HasPrefix(v.Name, "__"):
			g.note("", "variable %q: the name is not supported", cut(v.Name, 100))
			continue
		case len(g.out.Variables) >= MaxVariables:
			g.note("", "variable $%s: left out, a dashboard has at most %d", v.Name, MaxVariables)
			continue
		}
		out := Variable{Name: v.Name, Title: cut(string(v.Label), maxDashboardTitle), Multi: v.Multi, All: v.IncludeAll, Default: v.values()}
		g.variable(v, &out)
		if out.Type == "text" {
			out.Multi, out.All = false, false
		}
		if err := out.check(); err != nil {
			g.note("", "variable $%s became a text field: %v", v.Name, err)
			out = Variable{Name: v.Name, Type: "text", Default: out.Default}
		}
		g.out.Variables = append(g.out.Variables, out)
	}
}

func (g *grafanaImport) variable(v *grafanaVariable, out *Variable) {
	text := v.text()
	switch v.Type {
	case "custom", "interval":
		out.Type, out.Values = "list", listOf(text)
		if len(out.Values) > maxVariableValues {
			g.note("", "variable $%s: %d values, %d are kept", v.Name, len(out.Values), maxVariableValues)
			out.Values = out.Values[:maxVariableValues]
		}
	case "constant":
		out.Type, out.Values, out.Default = "list", []string{text}, []string{text}
	case "textbox":
		out.Type = "text"
	case "query":
		g.query(v, text, out)
	default:
		g.note("", "variable $%s of type %q is a text field", v.Name, cut(v.Type, 100))
		out.Type = "text"
	}
}

// query makes a variable of label_values(series, label) or label_values(label).
func (g *grafanaImport) query(v *grafanaVariable, text string, out *Variable) {
	out.Type = "label"
	if m := labelValuesOf.FindStringSubmatch(text); m != nil {
		out.Selector, out.Label = m[1], m[2]
	} else if m := labelValues.FindStringSubmatch(text); m != nil {
		out.Label = m[1]
	} else if m := labelInRegex.FindStringSubmatch(string(v.Regex)); m != nil {
		g.series(v, text, m[1], out)
		return
	} else {
		g.note("", "variable $%s asks %q, which is not label_values(): it is a text field", v.Name, cut(text, 200))
		out.Type = "text"
		if len(out.Default) == 0 {
			out.Default = []string{".*"}
		}
		return
	}
	if re := string(v.Regex); re != "" {
		out.Regex = strings.TrimSuffix(strings.TrimPrefix(re, "/"), "/")
	}
}

// series makes a variable of series whose label a regular expression takes out of their text.
func (g *grafanaImport) series(v *grafanaVariable, text, label string, out *Variable) {
	out.Label = label
	if e, err := query.NewParser().ParseExpr(text); err == nil {
		if _, ok := e.(*parser.VectorSelector); ok {
			out.Selector = text
			return
		}
	}
	g.note("", "variable $%s asks %q: all values of the label %s are offered", v.Name, cut(text, 200), label)
}

// text is the query of a variable, which is a text or an object that has it.
func (v *grafanaVariable) text() string {
	var s string
	if json.Unmarshal(v.Query, &s) == nil {
		return s
	}
	var o struct {
		Query flexText `json:"query"`
	}
	if json.Unmarshal(v.Query, &o) == nil && o.Query != "" {
		return string(o.Query)
	}
	return string(v.Definition)
}

// values are those that were chosen when the dashboard was saved; all of them are none.
func (v *grafanaVariable) values() []string {
	var one string
	var list []string
	if json.Unmarshal(v.Current.Value, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(v.Current.Value, &list) != nil {
		return nil
	}
	var out []string
	for _, x := range list {
		if x == "$__all" || x == "" || len(out) >= maxVariableValues {
			continue
		}
		out = append(out, strings.ToValidUTF8(x, "\uFFFD"))
	}
	return out
}

// listOf splits "1m,5m" and "name : value, name : value".
func listOf(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if _, value, ok := strings.Cut(part, " : "); ok {
			part = value
		}
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, strings.ToValidUTF8(part, "\uFFFD"))
		}
	}
	return out
}
