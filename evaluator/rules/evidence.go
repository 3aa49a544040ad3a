package rules

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

const (
	evidenceBaseline = time.Hour
	maxBaselines     = 6 // that are looked at
	leastBaseline    = 3 * model.BucketSeconds * time.Second
	evidenceDeploys  = 30 * time.Minute // before From
	evidenceRows     = 5                // of each kind
	minWindow        = time.Minute
	maxWindow        = 15 * time.Minute
	maxSampleLen     = 300
	// evidenceBudget is how much time of an evaluation goes into evidence; alerts beyond it are notified without.
	evidenceBudget = 300 * time.Millisecond
)

// serviceLabels name the service that an alert is about, the first that is there.
var serviceLabels = []string{"service_name", "service", "server", "client"}

// ServiceOf returns the service that labels name, or "".
func ServiceOf(l labels.Labels) string {
	for _, name := range serviceLabels {
		if v := l.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// inquiry gathers evidence for the alerts of one evaluation: what it has read for one serves the others.
type inquiry struct {
	e    *Evaluator
	ctx  context.Context
	maps map[[2]int64]model.Map
}

// Explain gathers evidence for an alert as of now: for one that is pending, whose evidence is not fixed yet. It returns nil for an
// alert whose rule is gone.
func (e *Evaluator) Explain(ctx context.Context, a *alert.Alert) *alert.Evidence {
	for _, g := range *e.groups.Load() {
		for _, r := range g.alerting {
			if r.id == a.RuleID {
				q := inquiry{e: e, ctx: ctx, maps: map[[2]int64]model.Map{}}
				return q.safely(r, &alert.Record{Alert: *a, Input: a.Labels}, e.cfg.Reader.Frontier().Head)
			}
		}
	}
	return nil
}

// safely makes a panic an alert without evidence.
func (q *inquiry) safely(r *alertRule, a *alert.Record, ts time.Time) *alert.Evidence {
	var v *alert.Evidence
	err := Caught("gathering evidence", func() error {
		v = q.gather(r, a, ts)
		return nil
	})
	if err != nil {
		q.e.metrics.panics.Inc()
		q.e.cfg.Logger.Error("gathering evidence failed, the alert has none", "rule", r.Name(), "err", err)
		return nil
	}
	return v
}

// gather reads the evidence for an alert that fires at ts. Parts that cannot be read are named in Missing.
func (q *inquiry) gather(r *alertRule, a *alert.Record, ts time.Time) *alert.Evidence {
	expr := r.Query()
	from := ts
	if !a.ActiveAt.IsZero() && a.ActiveAt.Before(ts) {
		from = a.ActiveAt
	}
	from = from.Add(-windowOf(expr))
	reader, release := live.Snapshot(q.e.cfg.Reader)
	defer release()
	list, reason := q.e.baselines(r.id, from, from.Add(windowOf(expr)), reader.Frontier().Since, windowOf(expr))
	base, unread := q.calmest(reader, list, ServiceOf(a.Labels), weightsOf(expr))
	v := findings{&alert.Evidence{At: ts, From: from, Baseline: base.begin, BaselineEnd: base.end, BaselineReason: reason,
		Service: ServiceOf(a.Labels), Operations: []alert.EvidenceOperation{}, Traces: []alert.EvidenceTrace{},
		Patterns: []alert.EvidencePattern{}, Errors: []alert.EvidenceError{}, Deployments: []alert.EvidenceDeployment{},
		Path: []alert.PathEdge{}, Missing: []string{}}}
	missing := func(what string, err error) {
		if err != nil {
			v.Missing = append(v.Missing, fmt.Sprintf("%s: %v", what, err))
		}
	}
	missing("baseline", unread)
	var err error
	v.Operands, err = operands(q.ctx, q.e.query, expr, a.Input, ts)
	missing("operands", err)
	if !r.selects || v.Service == "" && !r.calls {
		return v.Evidence // the condition looks at no calls: whatever went on meanwhile is no reason
	}
	missing("path", q.path(reader, v.Evidence, weightsOf(expr)))
	around := v.around()
	if fr := reader.Frontier(); !fr.Since.Before(v.From) {
		// Everything is new to views that have just begun: that is no evidence.
		missing("baseline", fmt.Errorf("the views hold nothing from before %s", v.From.UTC().Format(time.RFC3339)))
		missing("operations", v.operations(reader))
		missing("traces", v.traces(reader))
		return v.Evidence
	}
	missing("operations", v.operations(reader))
	missing("traces", v.traces(reader))
	missing("patterns", v.patterns(reader, around))
	missing("errors", v.exceptions(reader, around))
	missing("deployments", v.deployments(reader, around))
	return v.Evidence
}

// stretch is a part of the past.
type stretch struct{ begin, end time.Time }

func (s stretch) length() time.Duration { return s.end.Sub(s.begin) }

// quiet are the stretches of a time in which a rule had nothing to fire about, the longest first; none where none is long enough to compare
// with.
//
// A rule over a window notices what is wrong up to a window after it began, and that it has ended up to a window after: both lie before the
// moment at which the rule changes. So a stretch begins when the rule was at rest again, and ends a window before it was at work; half the
// time before where the rule rested for less than two windows, because what begins at once is noticed soon.
func (e *Evaluator) quiet(ruleID string, from, to time.Time, window time.Duration) (out []stretch) {
	e.stateMu.RLock()
	defer e.stateMu.RUnlock()
	busy, since := 0, from
	free := func(until time.Time, trim bool) {
		if busy > 0 {
			return
		}
		if until = earlier(until, to); trim {
			until = until.Add(-min(window, max(0, until.Sub(since)/2)))
		}
		if s := (stretch{since, earlier(until, to.Add(-window))}); s.length() >= leastBaseline {
			out = append(out, s)
		}
	}
	for _, t := range e.history.List {
		switch {
		case t.RuleID != ruleID || t.Time.After(to):
		case !atWork(t.From) && atWork(t.To):
			free(t.Time, true)
			busy++
		case atWork(t.From) && !atWork(t.To) && busy > 0:
			if busy--; busy == 0 {
				since = newer(from, t.Time)
			}
		case atWork(t.From) && !atWork(t.To): // began before what is remembered
			out, since = nil, newer(from, t.Time)
		}
	}
	free(to, false)
	slices.SortStableFunc(out, func(a, b stretch) int { return cmp.Compare(b.length(), a.length()) })
	return out
}

// baselines are what an alert may be compared with that is looked at from a moment on, the longest first: quiet stretches of the hour
// before, else of the day before; where the rule was at work all the time, the same time a day before, else the hour before. reason says
// which.
func (e *Evaluator) baselines(ruleID string, from, active, known time.Time, window time.Duration) (list []stretch, reason string) {
	for _, back := range []time.Duration{evidenceBaseline, 6 * evidenceBaseline, 24 * evidenceBaseline} {
		least := from.Add(-back)
		if least.Before(known) {
			least = known
		}
		if list = e.quiet(ruleID, least, active, window); len(list) > 0 {
			return list[:min(len(list), maxBaselines)], alert.BaselineQuiet
		}
		if least.Equal(known) {
			break
		}
	}
	if day := from.Add(-24 * time.Hour); !day.Add(-evidenceBaseline).Before(known) {
		return []stretch{{day.Add(-evidenceBaseline), day}}, alert.BaselineDayBefore
	}
	return []stretch{{from.Add(-evidenceBaseline), from}}, alert.BaselineHourBefore
}

// calmest is the longest of the stretches in which little more failed or took long than in the best: a rule is quiet too while something
// is wrong that is not enough for it to fire.
func (q *inquiry) calmest(r views.Reader, list []stretch, service string, weights [2]float64) (stretch, error) {
	if len(list) == 1 {
		return list[0], nil
	}
	rates, means := make([]float64, len(list)), make([]float64, len(list))
	slowest := 0.0
	for i, s := range list {
		m, err := q.serviceMap(r, s.begin, s.end)
		if err != nil {
			return list[0], err
		}
		rates[i], means[i] = arriving(m.Edges, service)
		slowest = max(slowest, means[i])
	}
	bad := make([]float64, len(list))
	for i := range list {
		bad[i] = weights[signalErrors] * rates[i]
		if slowest > 0 {
			bad[i] += weights[signalTime] * means[i] / slowest * 0.1 // ten times slower is as bad as a tenth that fails
		}
	}
	if i := slices.IndexFunc(list, func(s stretch) bool {
		i := slices.Index(list, s)
		return rates[i] <= 1.25*slices.Min(rates)+0.001 && means[i] <= 1.25*slices.Min(means)
	}); i >= 0 {
		return list[i], nil
	}
	return list[slices.Index(bad, slices.Min(bad))], nil
}

// arriving is which share of the calls to a service failed, and their mean time; without one, of those from outside.
func arriving(edges []model.Edge, service string) (rate, mean float64) {
	var calls, failed, seconds float64
	for i := range edges {
		e := &edges[i]
		if e.Connection != "messaging_system" && (service != "" && e.Server == service || service == "" && e.Entry) {
			calls += float64(e.Calls)
			failed += float64(e.Failed)
			seconds += e.LatencySum.Seconds()
		}
	}
	return failed / max(1, calls), seconds / max(1, calls)
}

func atWork(state string) bool { return state == alert.StatePending || state == alert.StateFiring }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// windowOf is the longest range that an expression looks at, within bounds.
func windowOf(e parser.Expr) time.Duration {
	w := minWindow
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if m, ok := n.(*parser.MatrixSelector); ok {
			w = max(w, m.Range)
		}
		return nil
	})
	return min(w, maxWindow)
}

// weightsOf says by the names that an expression reads whether it asks for errors or for time.
func weightsOf(e parser.Expr) [2]float64 {
	text := strings.ToLower(e.String())
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	failures, slow := has("error", "failed", "exception"), has("duration", "latency", "seconds")
	switch {
	case failures && !slow:
		return [2]float64{signalErrors: 1, signalTime: 0.3}
	case slow && !failures:
		return [2]float64{signalErrors: 0.3, signalTime: 1}
	}
	return [2]float64{1, 1}
}

func (q *inquiry) serviceMap(r views.Reader, from, to time.Time) (model.Map, error) {
	key := [2]int64{from.UnixNano(), to.UnixNano()}
	if m, ok := q.maps[key]; ok {
		return m, nil
	}
	m, err := r.ServiceMap(from, to)
	if err == nil {
		q.maps[key] = m
	}
	return m, err
}

func (q *inquiry) path(r views.Reader, v *alert.Evidence, weights [2]float64) error {
	now, err := q.serviceMap(r, v.From, v.At.Add(1))
	if err != nil {
		return err
	}
	before, err := q.serviceMap(r, v.Baseline, v.BaselineEnd)
	if err != nil {
		return err
	}
	known := v.BaselineEnd.Sub(newer(v.Baseline, r.Frontier().Since))
	v.Path = rankPath(now.Edges, before.Edges, v.At.Sub(v.From), max(known, model.BucketSeconds*time.Second), v.Service, weights)
	return nil
}

// newer is the later of two times.
func newer(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
