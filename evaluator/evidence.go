package evaluator

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

// Evidence is why an alert fired, as the views were when it did. It is stored with the alert and does not change while it fires.
// Times are event times.
type Evidence struct {
	// From and At bound what is looked at: the alert's own window. Baseline and BaselineEnd bound what it is compared with, BaselineReason
	// is how that was chosen: one of the Baseline constants.
	Baseline       time.Time `json:"baseline"`
	BaselineEnd    time.Time `json:"baseline_end,omitzero"`
	BaselineReason string    `json:"baseline_reason,omitempty"`
	From           time.Time `json:"from"`
	At             time.Time `json:"at"`

	Service     string               `json:"service"` // that the alert is about; empty: all
	Operands    []Operand            `json:"operands"`
	Operations  []EvidenceOperation  `json:"operations"` // of the service, those with the most excess first
	Traces      []EvidenceTrace      `json:"traces"`     // failed ones first, then the slowest
	Patterns    []EvidencePattern    `json:"patterns"`   // of log lines, first seen since From
	Errors      []EvidenceError      `json:"errors"`     // exception groups first seen since From
	Deployments []EvidenceDeployment `json:"deployments"`
	Path        []PathEdge           `json:"path"`
	Missing     []string             `json:"missing"` // what could not be read, and why
}

// EvidenceOperation is one operation against its own baseline.
type EvidenceOperation struct {
	Name              string  `json:"name"`
	Kind              string  `json:"kind"`
	Calls             uint64  `json:"calls"`
	Errors            uint64  `json:"errors"`
	ErrorRate         float64 `json:"error_rate"`
	BaselineErrorRate float64 `json:"baseline_error_rate"`
	P95Ms             float64 `json:"p95_ms"`
	BaselineP95Ms     float64 `json:"baseline_p95_ms"`
}

// EvidenceTrace is one span worth looking at.
type EvidenceTrace struct {
	TraceID    string    `json:"trace_id"`
	SpanID     string    `json:"span_id"`
	Service    string    `json:"service"`
	Operation  string    `json:"operation"`
	Status     string    `json:"status"`
	DurationMs float64   `json:"duration_ms"`
	Time       time.Time `json:"time"`
}

// EvidencePattern is a log pattern that was not there before.
type EvidencePattern struct {
	Pattern   string    `json:"pattern"`
	Services  []string  `json:"services"`
	Count     uint64    `json:"count"`
	FirstSeen time.Time `json:"first_seen"`
	Sample    string    `json:"sample"`
}

// EvidenceError is an exception group that was not there before.
type EvidenceError struct {
	Service   string    `json:"service"`
	Operation string    `json:"operation"`
	Type      string    `json:"type"`
	Message   string    `json:"message"`
	Count     uint64    `json:"count"`
	FirstSeen time.Time `json:"first_seen"`
}

// EvidenceDeployment is a version that was first seen shortly before.
type EvidenceDeployment struct {
	Service   string    `json:"service"`
	Version   string    `json:"version"`
	FirstSeen time.Time `json:"first_seen"`
}

const (
	evidenceBaseline = time.Hour
	maxBaselines     = 6 // that are looked at
	leastBaseline    = 3 * model.BucketSeconds * time.Second
	evidenceDeploys  = 30 * time.Minute // before From
	evidenceRows     = 5                // of each kind
	minWindow        = time.Minute
	maxWindow        = 15 * time.Minute
	maxSampleLen     = 300
	// evidenceBudget is how much time of an evaluation goes into evidence; alerts beyond it are told without.
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
func (e *Evaluator) Explain(ctx context.Context, a *Alert) *Evidence {
	for _, g := range *e.groups.Load() {
		for _, r := range g.alerting {
			if r.id == a.RuleID {
				q := inquiry{e: e, ctx: ctx, maps: map[[2]int64]model.Map{}}
				return q.safely(r, &record{Alert: *a, Input: a.Labels}, e.cfg.Reader.Frontier().Head)
			}
		}
	}
	return nil
}

// safely makes a panic an alert without evidence.
func (q *inquiry) safely(r *alertRule, a *record, ts time.Time) *Evidence {
	var v *Evidence
	err := caught("gathering evidence", func() error {
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
func (q *inquiry) gather(r *alertRule, a *record, ts time.Time) *Evidence {
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
	v := &Evidence{At: ts, From: from, Baseline: base.begin, BaselineEnd: base.end, BaselineReason: reason, Service: ServiceOf(a.Labels), Operations: []EvidenceOperation{}, Traces: []EvidenceTrace{},
		Patterns: []EvidencePattern{}, Errors: []EvidenceError{}, Deployments: []EvidenceDeployment{}, Path: []PathEdge{}, Missing: []string{}}
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
		return v // the condition looks at no calls: whatever went on meanwhile is no reason
	}
	missing("path", q.path(reader, v, weightsOf(expr)))
	around := v.around()
	if fr := reader.Frontier(); !fr.Since.Before(v.From) {
		// Everything is new to views that have just begun: that is no evidence.
		missing("baseline", fmt.Errorf("the views hold nothing from before %s", v.From.UTC().Format(time.RFC3339)))
		missing("operations", v.operations(reader))
		missing("traces", v.traces(reader))
		return v
	}
	missing("operations", v.operations(reader))
	missing("traces", v.traces(reader))
	missing("patterns", v.patterns(reader, around))
	missing("errors", v.exceptions(reader, around))
	missing("deployments", v.deployments(reader, around))
	return v
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
	for _, t := range e.history.list {
		switch {
		case t.RuleID != ruleID || t.Time.After(to):
		case !atWork(t.From) && atWork(t.To):
			free(t.Time, true)
			busy++
		case atWork(t.From) && !atWork(t.To) && busy > 0:
			if busy--; busy == 0 {
				since = later(from, t.Time)
			}
		case atWork(t.From) && !atWork(t.To): // began before what is remembered
			out, since = nil, later(from, t.Time)
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
			return list[:min(len(list), maxBaselines)], BaselineQuiet
		}
		if least.Equal(known) {
			break
		}
	}
	if day := from.Add(-24 * time.Hour); !day.Add(-evidenceBaseline).Before(known) {
		return []stretch{{day.Add(-evidenceBaseline), day}}, BaselineDayBefore
	}
	return []stretch{{from.Add(-evidenceBaseline), from}}, BaselineHourBefore
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

// How the time that an alert is compared with was chosen.
const (
	BaselineQuiet      = "quiet"       // its rule had nothing to fire about
	BaselineDayBefore  = "day_before"  // the same time of the day before: the rule was at work all the time since
	BaselineHourBefore = "hour_before" // the rule was at work all the time, and the views hold no day before
)

func atWork(state string) bool { return state == StatePending || state == StateFiring }

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

func (q *inquiry) path(r views.Reader, v *Evidence, weights [2]float64) error {
	now, err := q.serviceMap(r, v.From, v.At.Add(1))
	if err != nil {
		return err
	}
	before, err := q.serviceMap(r, v.Baseline, v.BaselineEnd)
	if err != nil {
		return err
	}
	known := v.BaselineEnd.Sub(later(v.Baseline, r.Frontier().Since))
	v.Path = rankPath(now.Edges, before.Edges, v.At.Sub(v.From), max(known, model.BucketSeconds*time.Second), v.Service, weights)
	return nil
}

// around are the services that evidence is looked for in: that of the alert and those on the path; nil means all.
func (v *Evidence) around() map[string]bool {
	if v.Service == "" {
		return nil
	}
	out := map[string]bool{v.Service: true}
	for _, e := range v.Path {
		out[e.Server] = true
	}
	return out
}

func within(services map[string]bool, name string) bool { return services == nil || services[name] }

func (v *Evidence) operations(r views.Reader) error {
	if v.Service == "" {
		return nil
	}
	now, _, err := r.Operations(v.Service, v.From, v.At.Add(1))
	if err != nil {
		return err
	}
	before, _, err := r.Operations(v.Service, v.Baseline, v.BaselineEnd)
	if err != nil {
		return err
	}
	excess := map[EvidenceOperation]float64{}
	for _, o := range now {
		x := EvidenceOperation{Name: o.Name, Kind: o.Kind.String(), Calls: o.Calls, Errors: o.Errors, P95Ms: ms(o.Latency.P95)}
		if o.Calls > 0 {
			x.ErrorRate = rounded(float64(o.Errors) / float64(o.Calls))
		}
		if i := slices.IndexFunc(before, func(b model.Operation) bool { return b.Name == o.Name && b.Kind == o.Kind }); i >= 0 && before[i].Calls > 0 {
			x.BaselineErrorRate, x.BaselineP95Ms = rounded(float64(before[i].Errors)/float64(before[i].Calls)), ms(before[i].Latency.P95)
		}
		excess[x] = max(0, x.ErrorRate-x.BaselineErrorRate)*float64(x.Calls) + max(0, x.P95Ms-x.BaselineP95Ms)*float64(x.Calls)/1e3
		v.Operations = append(v.Operations, x)
	}
	slices.SortStableFunc(v.Operations, func(a, b EvidenceOperation) int { return cmp.Compare(excess[b], excess[a]) })
	v.Operations = slices.DeleteFunc(v.Operations, func(o EvidenceOperation) bool { return excess[o] <= 0 })
	v.Operations = v.Operations[:min(len(v.Operations), evidenceRows)]
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Round(time.Microsecond).Microseconds()) / 1e3 }

func (v *Evidence) traces(r views.Reader) error {
	lines, err := r.SelectRED(v.From, v.At.Add(1), func(_ uint32, k model.REDKey) bool { return v.Service == "" || k.Service == v.Service })
	if err != nil {
		return err
	}
	seen := map[[16]byte]bool{}
	var list []EvidenceTrace
	for _, t := range lines {
		for _, c := range t.Cells {
			for _, e := range []model.Exemplar{c.Slowest, c.Latest} {
				if e.TraceID != ([16]byte{}) {
					list = append(list, EvidenceTrace{hex.EncodeToString(e.TraceID[:]), hex.EncodeToString(e.SpanID[:]), t.Key.Service, t.Key.Operation,
						t.Key.Status.String(), ms(time.Duration(e.Duration)), time.Unix(0, int64(e.End)).UTC()})
				}
			}
		}
	}
	failed := func(t EvidenceTrace) int {
		if t.Status == model.StatusError.String() {
			return 0
		}
		return 1
	}
	slices.SortFunc(list, func(a, b EvidenceTrace) int {
		return cmp.Or(cmp.Compare(failed(a), failed(b)), cmp.Compare(b.DurationMs, a.DurationMs), b.Time.Compare(a.Time), cmp.Compare(a.TraceID, b.TraceID))
	})
	for _, t := range list {
		var id [16]byte
		_, _ = hex.Decode(id[:], []byte(t.TraceID)) // was encoded above
		if !seen[id] && len(v.Traces) < evidenceRows {
			seen[id] = true
			v.Traces = append(v.Traces, t)
		}
	}
	return nil
}

func (v *Evidence) patterns(r views.Reader, around map[string]bool) error {
	list, err := r.LogPatterns(v.From, v.At.Add(1), "")
	if err != nil {
		return err
	}
	for _, p := range list {
		if !p.FirstSeen.Before(v.From) && slices.ContainsFunc(p.Services, func(s string) bool { return within(around, s) }) && len(v.Patterns) < evidenceRows {
			v.Patterns = append(v.Patterns, EvidencePattern{p.Pattern, p.Services, p.Count, p.FirstSeen.UTC(), cutSample(p.Sample)})
		}
	}
	return nil
}

func cutSample(s string) string {
	if len(s) > maxSampleLen {
		s = strings.ToValidUTF8(s[:maxSampleLen], "") + " …"
	}
	return s
}

func (v *Evidence) exceptions(r views.Reader, around map[string]bool) error {
	rows, err := r.TableRows(model.TableErrors, v.From, v.At.Add(1), func(l []string) bool { return within(around, l[0]) })
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(x cells.TallyRow) bool { return x.FirstSeen.Before(v.From) })
	slices.SortStableFunc(rows, func(a, b cells.TallyRow) int { return cmp.Compare(b.Calls, a.Calls) })
	for _, x := range rows[:min(len(rows), evidenceRows)] {
		v.Errors = append(v.Errors, EvidenceError{x.Labels[0], x.Labels[1], x.Labels[2], cutSample(x.Labels[3]), x.Calls, x.FirstSeen.UTC()})
	}
	return nil
}

// deployments are versions of the services around that were first seen shortly before, where the service had another one before.
func (v *Evidence) deployments(r views.Reader, around map[string]bool) error {
	lines, err := r.SelectTable(model.TableVersions, v.At.Add(1), v.At.Add(1), func(l []string) bool { return within(around, l[0]) })
	if err != nil {
		return err
	}
	oldest := map[string]uint64{}
	for i := range lines {
		service, first := lines[i].Labels[0], lines[i].Base.First
		if at, ok := oldest[service]; !ok || first < at {
			oldest[service] = first
		}
	}
	for i := range lines {
		service, first := lines[i].Labels[0], time.Unix(0, int64(lines[i].Base.First)).UTC()
		if lines[i].Base.First > oldest[service] && !first.Before(v.From.Add(-evidenceDeploys)) && !first.After(v.At) {
			v.Deployments = append(v.Deployments, EvidenceDeployment{service, lines[i].Labels[1], first})
			for k := range v.Path {
				if v.Path[k].Server == service {
					v.Path[k].NewVersions = append(v.Path[k].NewVersions, lines[i].Labels[1])
				}
			}
		}
	}
	slices.SortFunc(v.Deployments, func(a, b EvidenceDeployment) int {
		return cmp.Or(b.FirstSeen.Compare(a.FirstSeen), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Version, b.Version))
	})
	v.Deployments = v.Deployments[:min(len(v.Deployments), evidenceRows)]
	return nil
}

// Text is the evidence in a few lines, for a notification.
func (v *Evidence) Text() string {
	var b strings.Builder
	for i, e := range v.Path[:min(len(v.Path), 3)] {
		from := cmp.Or(e.Client, "calls")
		fmt.Fprintf(&b, "%d. %s -> %s (%.0f %%): ", i+1, from, e.Server, e.Score*100)
		if slices.Contains(e.Changed, views.ChangeErrors) {
			fmt.Fprintf(&b, "errors %.3g %% -> %.3g %% ", e.BaselineErrorRate*100, e.ErrorRate*100)
		}
		if slices.Contains(e.Changed, views.ChangeLatency) {
			fmt.Fprintf(&b, "mean %.3g ms -> %.3g ms ", e.BaselineMeanMs, e.MeanMs)
		}
		if len(e.NewVersions) > 0 {
			fmt.Fprintf(&b, "new version %s ", strings.Join(e.NewVersions, ", "))
		}
		b.WriteString("\n")
	}
	for _, d := range v.Deployments[:min(len(v.Deployments), 2)] {
		fmt.Fprintf(&b, "deployed: %s %s at %s\n", d.Service, d.Version, d.FirstSeen.Format(time.TimeOnly))
	}
	for _, x := range v.Errors[:min(len(v.Errors), 2)] {
		fmt.Fprintf(&b, "new exception: %s in %s, %d times\n", cmp.Or(x.Type, x.Message), x.Service, x.Count)
	}
	for _, t := range v.Traces[:min(len(v.Traces), 1)] {
		fmt.Fprintf(&b, "trace: %s (%s, %.3g ms)\n", t.TraceID, t.Status, t.DurationMs)
	}
	return strings.TrimSpace(strings.ReplaceAll(b.String(), " \n", "\n"))
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
