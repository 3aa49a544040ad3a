package books

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A Note is what was changed or left out of a dashboard that another program made.
type Note struct {
	Panel string `json:"panel"` // its title; empty: of the whole dashboard
	Text  string `json:"text"`
}

// grafanaBoard is a dashboard of Grafana's classic JSON, as far as it is read. Fields that come in several shapes stay raw.
type grafanaBoard struct {
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Panels      []grafanaPanel  `json:"panels"`
	Rows        []grafanaRow    `json:"rows"` // before Grafana 5
	Elements    json.RawMessage `json:"elements"`
	Templating  struct {
		List []grafanaVariable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct {
			Name    string  `json:"name"`
			BuiltIn flexInt `json:"builtIn"`
		} `json:"list"`
	} `json:"annotations"`
	Links []json.RawMessage `json:"links"`
}

type grafanaRow struct {
	Title     string         `json:"title"`
	ShowTitle bool           `json:"showTitle"`
	Panels    []grafanaPanel `json:"panels"`
}

type grafanaPanel struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct {
		X, Y, W, H flexInt
	} `json:"gridPos"`
	Span        flexInt         `json:"span"` // before Grafana 5: columns of twelve
	Targets     []grafanaTarget `json:"targets"`
	Panels      []grafanaPanel  `json:"panels"` // of a row that is folded
	Datasource  grafanaSource   `json:"datasource"`
	Repeat      flexText        `json:"repeat"`
	Content     string          `json:"content"` // of a text panel before Grafana 7
	Mode        string          `json:"mode"`
	Format      flexText        `json:"format"`
	ValueName   string          `json:"valueName"`
	Library     json.RawMessage `json:"libraryPanel"`
	Transform   []struct{}      `json:"transformations"`
	Alert       json.RawMessage `json:"alert"`
	FieldConfig struct {
		Defaults struct {
			Unit flexText `json:"unit"`
		} `json:"defaults"`
		Overrides []json.RawMessage `json:"overrides"`
	} `json:"fieldConfig"`
	YAxes []struct {
		Format flexText `json:"format"`
	} `json:"yaxes"`
	Options json.RawMessage `json:"options"`
}

type grafanaTarget struct {
	Expr         flexText      `json:"expr"`
	LegendFormat flexText      `json:"legendFormat"`
	RefID        flexText      `json:"refId"`
	Hide         bool          `json:"hide"`
	Datasource   grafanaSource `json:"datasource"`
	Type         flexText      `json:"type"`
	Expression   flexText      `json:"expression"`
}

// grafanaSource is a data source: its name, or its type and ID.
type grafanaSource struct{ Type, UID string }

func (s *grafanaSource) UnmarshalJSON(b []byte) error {
	var o struct {
		Type flexText `json:"type"`
		UID  flexText `json:"uid"`
	}
	if json.Unmarshal(b, &o) == nil {
		s.Type, s.UID = string(o.Type), string(o.UID)
	}
	return nil // by its name it may be of any type
}

// flexInt and flexText take what hand-written and old dashboards have in the place of a number or a text.
type flexInt int

func (n *flexInt) UnmarshalJSON(b []byte) error {
	var f float64
	if json.Unmarshal([]byte(strings.Trim(string(b), `"`)), &f) == nil && f > -1e6 && f < 1e6 {
		*n = flexInt(f)
	}
	return nil
}

type flexText string

func (t *flexText) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = flexText(s)
	}
	return nil
}

// grafanaImport is one conversion.
type grafanaImport struct {
	out   Dashboard
	notes []Note
}

func (g *grafanaImport) note(panel, format string, args ...any) {
	n := Note{panel, fmt.Sprintf(format, args...)}
	if !slices.Contains(g.notes, n) {
		g.notes = append(g.notes, n)
	}
}

// FromGrafana makes a dashboard of Grafana's JSON: of an export, of an answer of its API, or of a resource with a classic spec. Notes say for
// each panel what is different or left out. What it returns passes Check.
func FromGrafana(doc []byte) (*Dashboard, []Note, error) {
	var outer struct {
		Dashboard json.RawMessage `json:"dashboard"`
		Spec      json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(doc, &outer); err != nil {
		return nil, nil, dashboardWrong("this is no JSON object: %w", err)
	}
	for _, inner := range []json.RawMessage{outer.Dashboard, outer.Spec} {
		if len(inner) > 0 && inner[0] == '{' {
			doc = inner
			break
		}
	}
	var b grafanaBoard
	if err := json.Unmarshal(doc, &b); err != nil {
		return nil, nil, dashboardWrong("this is no dashboard of Grafana: %w", err)
	}
	switch {
	case len(b.Elements) > 0 && len(b.Panels) == 0:
		return nil, nil, dashboardWrong("this is Grafana's schema v2; export the dashboard with the classic model")
	case len(b.Panels) == 0 && len(b.Rows) == 0:
		return nil, nil, dashboardWrong("this JSON has no panels: it is no dashboard of Grafana")
	}
	g := &grafanaImport{}
	g.out.Title = cut(cmp.Or(strings.TrimSpace(b.Title), "Imported dashboard"), maxDashboardTitle)
	g.out.Description = cutBytes(b.Description, maxPanelDescription)
	g.variables(b.Templating.List)
	for _, a := range b.Annotations.List {
		if a.BuiltIn == 0 {
			g.note("", "annotations %q: not supported", a.Name)
		}
	}
	if len(b.Links) > 0 {
		g.note("", "links of the dashboard: not supported")
	}
	for _, r := range b.Rows {
		if r.ShowTitle && r.Title != "" {
			g.add(Panel{Type: "row", Title: cut(r.Title, maxDashboardTitle), Width: dashboardColumns, Height: 1})
		}
		for i := range r.Panels {
			g.panel(&r.Panels[i])
		}
	}
	g.panels(b.Panels)
	if err := g.out.Check(); err != nil {
		return nil, nil, err
	}
	return &g.out, g.notes, nil
}

// panels adds panels in the order in which they stand; those of a folded row stand under it.
func (g *grafanaImport) panels(list []grafanaPanel) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b grafanaPanel) int {
		return cmp.Or(cmp.Compare(a.GridPos.Y, b.GridPos.Y), cmp.Compare(a.GridPos.X, b.GridPos.X))
	})
	for i := range list {
		g.panel(&list[i])
		for j := range list[i].Panels {
			g.panel(&list[i].Panels[j])
		}
	}
}

// add appends a panel while there is room for it.
func (g *grafanaImport) add(p Panel) {
	if len(g.out.Panels) >= MaxPanels {
		g.note(p.Title, "left out: a dashboard has at most %d panels", MaxPanels)
		return
	}
	g.out.Panels = append(g.out.Panels, p)
}

func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// cutBytes keeps whole characters.
func cutBytes(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
