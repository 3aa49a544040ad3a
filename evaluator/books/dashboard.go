package books

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gaurav/watchingcat/evaluator/query"
)

// Dashboard is a list of panels in a grid of twelve columns. Panels flow: each stands right of the one before it, or below where it has no room.
type Dashboard struct {
	ID          string     `json:"id"`
	Title       string     `json:"title"`
	Description string     `json:"description,omitempty"`
	Variables   []Variable `json:"variables,omitempty"`
	Panels      []Panel    `json:"panels,omitempty"`
	UpdatedAt   time.Time  `json:"updated_at"`
	UpdatedBy   string     `json:"updated_by,omitempty"`
}

// Variable is a value that readers choose, $name in expressions and titles.
type Variable struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	// Type is label (the values of a label), list (Values) or text.
	Type string `json:"type"`
	// Label is whose values are offered, of the series of Selector; of all series without one.
	Label    string `json:"label,omitempty"`
	Selector string `json:"selector,omitempty"`
	// Regex keeps the values that it matches; its first group, if it has one, is the value.
	Regex   string   `json:"regex,omitempty"`
	Values  []string `json:"values,omitempty"`
	Default []string `json:"default,omitempty"`
	Multi   bool     `json:"multi,omitempty"`
	All     bool     `json:"all,omitempty"` // "all" can be chosen
}

// Panel is one part of a dashboard. A row is a heading over the whole width.
type Panel struct {
	Type        string       `json:"type"`
	Title       string       `json:"title,omitempty"`
	Description string       `json:"description,omitempty"`
	Width       int          `json:"width"`  // columns, 1 to 12
	Height      int          `json:"height"` // steps, 1 to 20
	Unit        string       `json:"unit,omitempty"`
	Reduce      string       `json:"reduce,omitempty"` // of a stat: last, mean, max, min or sum
	Queries     []PanelQuery `json:"queries,omitempty"`
	Text        string       `json:"text,omitempty"`
}

// PanelQuery is PromQL with variables; Legend names its series, with {{label}}.
type PanelQuery struct {
	Expr   string `json:"expr"`
	Legend string `json:"legend,omitempty"`
}

// The bounds of dashboards. A record of the configuration topic holds a dashboard twice, in the audit trail.
const (
	MaxDashboards       = 500
	MaxDashboardBytes   = 256 << 10
	MaxPanels           = 200
	MaxVariables        = 20
	MaxPanelQueries     = 20
	maxVariableValues   = 200
	maxDashboardTitle   = 200
	maxDashboardText    = 20_000
	maxDashboardExpr    = 10_000
	maxPanelHeight      = 20
	dashboardColumns    = 12
	usualPanelHeight    = 4
	usualPanelWidth     = 6
	maxPanelDescription = 2_000
)

// PanelTypes and the others are the values that fields of dashboards may have.
var (
	PanelTypes    = []string{"timeseries", "stat", "heatmap", "table", "text", "row"}
	PanelUnits    = []string{"", "percent", "ratio", "seconds", "milliseconds", "bytes", "bytes/s", "bits/s", "per second"}
	PanelReducers = []string{"", "last", "mean", "max", "min", "sum"}
	variableTypes = []string{"label", "list", "text"}
)

var (
	// ErrDashboardInvalid is wrapped by what is wrong with a dashboard.
	ErrDashboardInvalid = errors.New("the dashboard is not valid")
	// ErrDashboardUnknown says that there is none with the ID.
	ErrDashboardUnknown = errors.New("there is no such dashboard")
	// ErrDashboardExample says that the dashboard is part of the program.
	ErrDashboardExample = errors.New("the dashboard is an example")
)

var variableName = regexp.MustCompile(`^[A-Za-z_]\w{0,49}$`)

func dashboardWrong(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDashboardInvalid}, args...)...)
}

// Check says what is wrong.
func (d *Dashboard) Check() error {
	switch {
	case strings.TrimSpace(d.Title) == "":
		return dashboardWrong("title: it is empty")
	case utf8.RuneCountInString(d.Title) > maxDashboardTitle:
		return dashboardWrong("title: %d characters, at most %d are allowed", utf8.RuneCountInString(d.Title), maxDashboardTitle)
	case len(d.Description) > maxPanelDescription:
		return dashboardWrong("description: %d bytes, at most %d are allowed", len(d.Description), maxPanelDescription)
	case len(d.Panels) > MaxPanels:
		return dashboardWrong("panels: %d, at most %d are allowed", len(d.Panels), MaxPanels)
	case len(d.Variables) > MaxVariables:
		return dashboardWrong("variables: %d, at most %d are allowed", len(d.Variables), MaxVariables)
	}
	for i := range d.Variables {
		if err := d.Variables[i].check(); err != nil {
			return dashboardWrong("variable %d: %w", i+1, err)
		}
		if slices.ContainsFunc(d.Variables[:i], func(o Variable) bool { return o.Name == d.Variables[i].Name }) {
			return dashboardWrong("variable %d: the name %s is used twice", i+1, d.Variables[i].Name)
		}
	}
	for i := range d.Panels {
		if err := d.Panels[i].check(); err != nil {
			return dashboardWrong("panel %d %q: %w", i+1, d.Panels[i].Title, err)
		}
	}
	b, err := json.Marshal(d)
	if err != nil {
		return dashboardWrong("%w", err)
	}
	if len(b) > MaxDashboardBytes {
		return dashboardWrong("%d bytes of JSON, at most %d are allowed: divide it into several dashboards", len(b), MaxDashboardBytes)
	}
	return nil
}

func (v *Variable) check() error {
	switch {
	case !variableName.MatchString(v.Name) || strings.HasPrefix(v.Name, "__"):
		return fmt.Errorf("name: %q is no name of letters, digits and underscores", v.Name)
	case utf8.RuneCountInString(v.Title) > maxDashboardTitle:
		return fmt.Errorf("title: at most %d characters are allowed", maxDashboardTitle)
	case !slices.Contains(variableTypes, v.Type):
		return fmt.Errorf("type: %q is none of %s", v.Type, strings.Join(variableTypes, ", "))
	case v.Type == "label" && v.Label == "":
		return errors.New("label: it is empty")
	case v.Type == "list" && len(v.Values) == 0:
		return errors.New("values: the list is empty")
	case len(v.Values) > maxVariableValues || len(v.Default) > maxVariableValues:
		return fmt.Errorf("values: %d, at most %d are allowed", max(len(v.Values), len(v.Default)), maxVariableValues)
	case len(v.Selector) > maxDashboardExpr:
		return fmt.Errorf("selector: at most %d bytes are allowed", maxDashboardExpr)
	}
	if v.Selector != "" {
		if err := checkPromQL(v.Selector); err != nil {
			return fmt.Errorf("selector: %w", err)
		}
	}
	if len(v.Regex) > 1000 {
		return errors.New("regex: at most 1000 bytes are allowed")
	}
	return nil
}

func (p *Panel) check() error {
	switch {
	case !slices.Contains(PanelTypes, p.Type):
		return fmt.Errorf("type: %q is none of %s", p.Type, strings.Join(PanelTypes, ", "))
	case utf8.RuneCountInString(p.Title) > maxDashboardTitle:
		return fmt.Errorf("title: at most %d characters are allowed", maxDashboardTitle)
	case len(p.Description) > maxPanelDescription:
		return fmt.Errorf("description: %d bytes, at most %d are allowed", len(p.Description), maxPanelDescription)
	case p.Width < 1 || p.Width > dashboardColumns:
		return fmt.Errorf("width: %d is not between 1 and %d columns", p.Width, dashboardColumns)
	case p.Height < 1 || p.Height > maxPanelHeight:
		return fmt.Errorf("height: %d is not between 1 and %d", p.Height, maxPanelHeight)
	case !slices.Contains(PanelUnits, p.Unit):
		return fmt.Errorf("unit: %q is none of %s", p.Unit, strings.Join(PanelUnits[1:], ", "))
	case !slices.Contains(PanelReducers, p.Reduce):
		return fmt.Errorf("reduce: %q is none of %s", p.Reduce, strings.Join(PanelReducers[1:], ", "))
	case len(p.Text) > maxDashboardText:
		return fmt.Errorf("text: %d bytes, at most %d are allowed", len(p.Text), maxDashboardText)
	case len(p.Queries) > MaxPanelQueries:
		return fmt.Errorf("queries: %d, at most %d are allowed", len(p.Queries), MaxPanelQueries)
	case (p.Type == "text" || p.Type == "row") && len(p.Queries) > 0:
		return fmt.Errorf("queries: a panel of type %s has none", p.Type)
	}
	for i, q := range p.Queries {
		switch {
		case len(q.Expr) > maxDashboardExpr:
			return fmt.Errorf("query %d: %d bytes, at most %d are allowed", i+1, len(q.Expr), maxDashboardExpr)
		case len(q.Legend) > maxDashboardTitle*4:
			return fmt.Errorf("query %d: legend: at most %d bytes are allowed", i+1, maxDashboardTitle*4)
		}
		if err := checkPromQL(q.Expr); err != nil {
			return fmt.Errorf("query %d: %w", i+1, err)
		}
	}
	return nil
}

// reference is a variable in an expression: $name, ${name}, ${name:format}, [[name]] or [[name:format]].
var reference = regexp.MustCompile(`\$(\w+)|\$\{(\w+)(?:\.[^:}]*)?(?::[^}]*)?\}|\[\[(\w+)(?::[^\]]*)?\]\]`)

// checkPromQL parses an expression with variables. What a variable stands for is known when the dashboard is read, so it may be what makes
// an expression of it: a duration, a number or a name.
func checkPromQL(expr string) error {
	if strings.TrimSpace(expr) == "" {
		return errors.New("the expression is empty")
	}
	var first error
	for _, value := range []string{"5m", "1", "x"} {
		text := reference.ReplaceAllStringFunc(expr, func(of string) string {
			m := reference.FindStringSubmatch(of)
			switch name := m[1] + m[2] + m[3]; {
			case strings.HasSuffix(name, "_ms") || strings.HasSuffix(name, "_s") || name == "__from" || name == "__to":
				if strings.HasPrefix(name, "__") {
					return "1"
				}
			case strings.HasPrefix(name, "__"):
				return "5m"
			}
			return value
		})
		_, err := query.NewParser().ParseExpr(text)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
		if text == expr {
			break
		}
	}
	return first
}
