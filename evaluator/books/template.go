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
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gaurav/watchingcat/evaluator/query"
)

// Rules that are easy to get wrong by hand, written out as ordinary PromQL: what comes of a template can be read, changed, tested on
// the past and kept in a file.

// ErrTemplate is wrapped by what is wrong with the question.
var ErrTemplate = errors.New("no rule can be made of this")

// NoData is an alert for each series of a selector that has stopped: it had data within seen, and none within within. `absent` alone
// says nothing about the single series. Series of the views stay visible for days after they fall silent, so for counters the question
// is whether they still count.
func NoData(name, selector string, within, seen time.Duration) (rulefmt.RuleGroup, error) {
	e, err := query.NewParser().ParseExpr(selector)
	if err != nil {
		return rulefmt.RuleGroup{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	v, ok := e.(*parser.VectorSelector)
	if !ok || v.OriginalOffset != 0 || v.Timestamp != nil || v.StartOrEnd != 0 {
		return rulefmt.RuleGroup{}, fmt.Errorf(`%w: %s is no plain selector, as calls_total{service_name="cart"}`, ErrTemplate, selector)
	}
	if within <= 0 || seen <= within {
		return rulefmt.RuleGroup{}, fmt.Errorf("%w: within must be above zero and seen longer than it", ErrTemplate)
	}
	text, w, s := v.String(), windowName(within), windowName(seen)
	expr := fmt.Sprintf("last_over_time(%s[%s]) unless last_over_time(%s[%s])", text, s, text, w)
	if isCounter(v) {
		expr = fmt.Sprintf("increase(%s[%s]) == 0 and increase(%s[%s] offset %s) > 0", text, w, text, s, w)
	}
	r := rulefmt.Rule{Alert: name, Expr: expr, Annotations: map[string]string{
		"summary":     fmt.Sprintf("No data for %s", w),
		"description": fmt.Sprintf("{{ $labels }} had data within %s and has had none for %s.", s, w)}}
	return checked(rulefmt.RuleGroup{Name: name, Rules: []rulefmt.Rule{r}})
}

// isCounter reports whether a selector is of a counter, by the name.
func isCounter(v *parser.VectorSelector) bool {
	for _, m := range v.LabelMatchers {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return query.IsView(m.Value) || strings.HasSuffix(m.Value, "_total")
		}
	}
	return false
}

// BaselineDays are how many days back the same time of day is looked at.
var BaselineDays = []int{1, 2, 3, 4, 5, 6, 7}

const baselineDay = "baseline_day"

var notInName = regexp.MustCompile(`[^a-zA-Z0-9_]+`)

// Baseline is an alert on a value far from what it was at the same time of the last days: further from their median than factor times
// their deviation, or than a tenth of the median where they hardly deviate. The deviation is the median absolute one, scaled by
// 1.4826 so that it is the standard deviation of what is normally distributed (Hampel 1974). All steps are recorded as series.
func Baseline(name, text string, days []int, factor float64) (rulefmt.RuleGroup, error) {
	e, err := query.NewParser().ParseExpr(text)
	if err != nil {
		return rulefmt.RuleGroup{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if e.Type() != parser.ValueTypeVector || len(parser.ExtractSelectors(e)) == 0 {
		return rulefmt.RuleGroup{}, fmt.Errorf("%w: %s selects no series", ErrTemplate, text)
	}
	if len(days) < 2 || slices.Min(days) < 1 || slices.Max(days) > 400 || !(factor > 0) {
		return rulefmt.RuleGroup{}, fmt.Errorf("%w: give at least two days back, each 1 to 400, and a factor above zero", ErrTemplate)
	}
	var past []string
	for _, d := range days {
		p, err := query.NewParser().ParseExpr(text) // a copy to shift
		if err != nil {
			return rulefmt.RuleGroup{}, fmt.Errorf("%w: %w", ErrTemplate, err)
		}
		shift(p, time.Duration(d)*24*time.Hour)
		past = append(past, fmt.Sprintf(`label_replace(%s, %q, "%d", "", "")`, p, baselineDay, d))
	}
	series := func(what string) string { return "baseline:" + notInName.ReplaceAllString(name, "_") + ":" + what }
	all := strings.Join(past, " or ")
	now, median, deviation := series("now"), series("median"), series("deviation")
	f := strconv.FormatFloat(factor, 'g', -1, 64)
	return checked(rulefmt.RuleGroup{Name: name, Interval: model.Duration(time.Minute), Rules: []rulefmt.Rule{
		{Record: now, Expr: e.String()},
		{Record: median, Expr: fmt.Sprintf("quantile without (%s) (0.5, %s)", baselineDay, all)},
		{Record: deviation, Expr: fmt.Sprintf("1.4826 * quantile without (%s) (0.5, abs((%s) - ignoring (%s) group_left () %s))",
			baselineDay, all, baselineDay, median)},
		{
			Alert: name, For: model.Duration(5 * time.Minute),
			Expr: fmt.Sprintf("abs(%s - %s) > %s * (%s > 0.1 * %s or 0.1 * %s)", now, median, f, deviation, median, median),
			Annotations: map[string]string{
				"summary":     "Far from what it was at this time of the last days",
				"description": fmt.Sprintf("The value is {{ $value | humanize }} away from the median of the same time %d days back (%s); that is more than %s times what those days deviate (%s) or than %s tenths of the median.", len(days), median, f, deviation, f),
			},
		},
	}})
}

// shift lets an expression look d further back.
func shift(n parser.Node, d time.Duration) {
	switch n := n.(type) {
	case *parser.VectorSelector:
		n.OriginalOffset += d
	case *parser.SubqueryExpr:
		n.OriginalOffset += d
		return // what is within moves with it
	}
	for _, c := range parser.Children(n) {
		shift(c, d)
	}
}

// checked is the group, if its rules are right.
func checked(g rulefmt.RuleGroup) (rulefmt.RuleGroup, error) {
	s := storedGroup{Namespace: PageNamespace, Name: g.Name, Interval: g.Interval}
	for _, r := range g.Rules {
		s.Rules = append(s.Rules, storedOf(r))
	}
	if err := s.check(); err != nil {
		return g, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return g, nil
}
