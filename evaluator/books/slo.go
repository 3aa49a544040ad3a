package books

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
	viewmodel "github.com/gaurav/watchingcat/views/model"
)

// SLO is a service level objective. It becomes ordinary rules, which anybody can read.
//
// The arithmetic is that of the SRE workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts": an alert holds while the error ratio
// over a long window and over one of a twelfth of it are both above burn rate x (1 - objective), where
//
//	burn rate = share of the budget consumed x SLO window / long window
//
// so that it fires when that share of the budget went within the long window, and ends soon after the errors do.
type SLO struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Objective   float64 `json:"objective"` // percent of good events, as 99.9
	// Window is how long the objective is looked at.
	Window model.Duration `json:"window"`
	// Service and perhaps Operation say whose server spans are counted: an error is bad, or with LatencyMs what takes longer.
	Service   string  `json:"service,omitempty"`
	Operation string  `json:"operation,omitempty"`
	LatencyMs float64 `json:"latency_ms,omitempty"`
	// Good and Total are PromQL in place of Service, with $window where a range belongs: sum(rate(x[$window])).
	Good  string `json:"good,omitempty"`
	Total string `json:"total,omitempty"`

	Labels map[string]string `json:"labels,omitempty"` // of its alerts
}

// SLONamespace is where the rules are that follow from SLOs.
const SLONamespace = "slo"

// The series of an SLO, with a label slo. Ratios are of events.
const (
	SLOErrorRatio      = "slo:sli_error:ratio_rate" // and a window, as slo:sli_error:ratio_rate5m
	SLOObjective       = "slo:objective:ratio"
	SLOBudgetRemaining = "slo:error_budget_remaining:ratio" // over the window: 1 untouched, 0 used up, below overdrawn
	SLOBurnRate        = "slo:burn_rate:ratio"              // over an hour: 1 uses the budget up in just the window
)

// ErrSLOInvalid is wrapped by what is wrong with an SLO.
var ErrSLOInvalid = errors.New("the SLO is not valid")

// A burn is one row of the workbook's table 5-8, with the row of a day that its predecessors use between the last two.
type burn struct {
	long, short time.Duration
	budget      float64 // share of the budget that may go within long
	severity    string
}

var burns = []burn{
	{time.Hour, 5 * time.Minute, 0.02, "page"},
	{6 * time.Hour, 30 * time.Minute, 0.05, "page"},
	{24 * time.Hour, 2 * time.Hour, 0.10, "ticket"},
	{3 * 24 * time.Hour, 6 * time.Hour, 0.10, "ticket"},
}

// BurnRate is how many times faster than allowed the budget goes when a share of it is used within long.
func BurnRate(share float64, window, long time.Duration) float64 {
	return share * float64(window) / float64(long)
}

// burns are those that mean something: at less than 1 the budget would last.
func (s *SLO) burns() []burn {
	return slices.DeleteFunc(slices.Clone(burns), func(b burn) bool { return BurnRate(b.budget, time.Duration(s.Window), b.long) < 1 })
}

// Check says what is wrong.
func (s *SLO) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrSLOInvalid}, args...)...)
	}
	switch {
	case s.Name == "":
		return bad("it needs a name")
	case !(s.Objective > 0 && s.Objective < 100): // NaN too
		return bad("objective: %v is no share between 0 and 100 percent, as 99.9", s.Objective)
	case time.Duration(s.Window) < time.Hour || time.Duration(s.Window) > 400*24*time.Hour:
		return bad("window: %v is not between 1h and 400d", s.Window)
	case (s.Service == "") == (s.Good == "" && s.Total == ""):
		return bad("give either service, or good and total")
	case s.Service == "" && (s.Good == "" || s.Total == "" || s.Operation != "" || s.LatencyMs != 0):
		return bad("good and total go together and stand alone")
	case s.LatencyMs != 0 && latencyBound(s.LatencyMs) == "":
		return bad("latency_ms: %v is none of the bounds that are counted exactly: %s", s.LatencyMs, strings.Join(latencyBounds(), ", "))
	}
	for name, text := range map[string]string{"good": s.Good, "total": s.Total} {
		if text == "" {
			continue
		}
		if !strings.Contains(text, "$window") {
			return bad("%s: it has no $window, as in sum(rate(x[$window]))", name)
		}
		if e, err := query.NewParser().ParseExpr(strings.ReplaceAll(text, "$window", "5m")); err != nil {
			return bad("%s: %w", name, err)
		} else if e.Type() != parser.ValueTypeVector {
			return bad("%s: it is a %s, not a vector", name, e.Type())
		}
	}
	return nil
}

// latencyBounds are the bounds of the collector's histogram, in milliseconds.
func latencyBounds() []string {
	var out []string
	for _, b := range viewmodel.CollectorBounds {
		out = append(out, strconv.FormatFloat(float64(b)/1e6, 'g', -1, 64))
	}
	return out
}

func latencyBound(ms float64) string {
	text := strconv.FormatFloat(ms, 'g', -1, 64)
	if slices.Contains(latencyBounds(), text) {
		return text
	}
	return ""
}

// ErrorRatio is the share of bad events over a window.
func (s *SLO) ErrorRatio(window string) string {
	if s.Service == "" {
		in := func(text string) string { return strings.ReplaceAll(text, "$window", window) }
		return fmt.Sprintf("1 - (%s) / ((%s) > 0)", in(s.Good), in(s.Total))
	}
	sum := func(name, more string) string { return s.ofService(name, more, window) }
	if s.LatencyMs != 0 {
		good := sum("traces_span_metrics_duration_milliseconds_bucket", fmt.Sprintf(",le=%q", latencyBound(s.LatencyMs)))
		return fmt.Sprintf("1 - %s / (%s > 0)", good, sum("traces_span_metrics_duration_milliseconds_count", ""))
	}
	total := sum("traces_span_metrics_calls_total", "")
	return fmt.Sprintf("(%s or 0 * %s) / (%s > 0)", sum("traces_span_metrics_calls_total", `,status_code="STATUS_CODE_ERROR"`), total,
		total)
}

// Events is how many events a window has, or what is proportional to it.
func (s *SLO) Events(window string) string {
	if s.Service == "" {
		return strings.ReplaceAll(s.Total, "$window", window)
	}
	return s.ofService("traces_span_metrics_calls_total", "", window)
}

// Budget is the share of events that may be bad.
func (s *SLO) Budget() float64 { return 1 - s.Objective/100 }

// ofService is the rate of a metric of the service's server spans.
func (s *SLO) ofService(name, more, window string) string {
	of := fmt.Sprintf(`service_name=%q,span_kind="SPAN_KIND_SERVER",job=""`, s.Service) // an application's metric of that name has a job
	if s.Operation != "" {
		of += fmt.Sprintf(",span_name=%q", s.Operation)
	}
	return fmt.Sprintf("sum(rate(%s{%s%s}[%s]))", name, of, more, window)
}

func windowName(d time.Duration) string { return model.Duration(d).String() }

// Groups are the rules of an SLO: what changes fast, and what looks at long windows and is asked less often.
func (s *SLO) Groups() []rulefmt.RuleGroup {
	budget := s.Budget()
	labels := map[string]string{"slo": s.Name}
	if s.Service != "" {
		labels["service_name"] = s.Service
	}
	record := func(name, expr string) rulefmt.Rule { return rulefmt.Rule{Record: name, Expr: expr, Labels: labels} }
	fast := rulefmt.RuleGroup{Name: s.Name, Interval: model.Duration(15 * time.Second)}
	slow := rulefmt.RuleGroup{Name: s.Name + ", long windows", Interval: model.Duration(time.Minute)}
	done := map[time.Duration]bool{}
	ratio := func(d time.Duration) {
		if done[d] {
			return
		}
		done[d] = true
		g := &fast
		if d > time.Hour {
			g = &slow
		}
		g.Rules = append(g.Rules, record(SLOErrorRatio+windowName(d), s.ErrorRatio(windowName(d))))
	}
	for _, b := range s.burns() {
		ratio(b.long)
		ratio(b.short)
	}
	ratio(time.Hour)
	ratio(time.Duration(s.Window))
	of := fmt.Sprintf("{slo=%q}", s.Name)
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', 12, 64) }
	fast.Rules = append(fast.Rules, record(SLOObjective, "vector("+number(s.Objective/100)+")"),
		record(SLOBurnRate, SLOErrorRatio+"1h"+of+" / "+number(budget)))
	slow.Rules = append(slow.Rules, record(SLOBudgetRemaining,
		"1 - "+SLOErrorRatio+windowName(time.Duration(s.Window))+of+" / "+number(budget)))
	for _, b := range s.burns() {
		g := &fast
		if b.long > time.Hour {
			g = &slow
		}
		g.Rules = append(g.Rules, s.alert(b, budget, of))
	}
	groups := []rulefmt.RuleGroup{fast}
	if len(slow.Rules) > 0 {
		groups = append(groups, slow)
	}
	return groups
}

func (s *SLO) alert(b burn, budget float64, of string) rulefmt.Rule {
	rate := BurnRate(b.budget, time.Duration(s.Window), b.long)
	limit := strconv.FormatFloat(rate*budget, 'g', 12, 64)
	r := rulefmt.Rule{
		Alert: "SLOErrorBudgetBurn",
		Expr: fmt.Sprintf("%s%s%s > %s and %s%s%s > %s", SLOErrorRatio, windowName(b.long), of, limit, SLOErrorRatio, windowName(b.short),
			of, limit),
		Labels: map[string]string{"severity": b.severity, "long_window": windowName(b.long), "short_window": windowName(b.short)},
		Annotations: map[string]string{
			"summary": fmt.Sprintf("%s: errors use the budget up %.3g times too fast", s.Name, rate),
			"description": fmt.Sprintf("{{ $value | humanizePercentage }} of the events of the last %s were bad; more than %s over %s and over %s means that %.0f %% of the budget of %s (%.4g %% of the events) went within %s.",
				windowName(b.long), percent(rate*budget), windowName(b.long), windowName(b.short), b.budget*100, s.Window, budget*100,
				windowName(b.long)),
		},
	}
	for k, v := range s.Labels {
		r.Labels[k] = v
	}
	return r
}

func percent(f float64) string { return strconv.FormatFloat(f*100, 'g', 4, 64) + " %" }

// sloFloor is the least time between two evaluations of an SLO's rules: long windows move slowly, whatever comes in.
const sloFloor = 5 * time.Second

// SLOs returns the stored ones, ordered by id.
func SLOs(kv storage.KV) ([]SLO, error) { return sloShelf.list(kv) }

// SLOSource are the rules of all SLOs. Names are unique, see Check of who stores them.
func SLOSource(list []SLO) rules.Source {
	src := rules.Source{Name: SLONamespace, Floor: sloFloor}
	for i := range list {
		src.Groups = append(src.Groups, list[i].Groups()...)
	}
	return src
}

var sloID = regexp.MustCompile(`[^a-z0-9]+`)

// NewSLOID makes an id of a name, so that an SLO has the same one in every installation that defines it by the same name.
func NewSLOID(name string) string {
	return strings.Trim(sloID.ReplaceAllString(strings.ToLower(name), "-"), "-")
}
