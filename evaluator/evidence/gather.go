package evidence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"

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
)

// Gatherer finds why alerts fire. Its fields are fixed while it is used.
type Gatherer struct {
	Reader views.Reader
	Query  rules.QueryFunc // evaluates parts of a condition
	// Transitions calls f with the changes of alerts' states, oldest first, which f does not keep.
	Transitions func(f func([]alert.Transition))
}

// Condition is what a rule looks at.
type Condition struct {
	RuleID string
	Expr   parser.Expr
	// Selects says that it selects series, Calls that these may count calls: of the views, or recorded from them.
	Selects, Calls bool
}

// Inquiry gathers evidence for the alerts of one evaluation: what it has read for one serves the others. It is for one goroutine.
type Inquiry struct {
	g    *Gatherer
	ctx  context.Context
	maps map[[2]int64]model.Map
}

// Inquire begins an inquiry that ends with ctx.
func (g *Gatherer) Inquire(ctx context.Context) *Inquiry {
	return &Inquiry{g: g, ctx: ctx, maps: map[[2]int64]model.Map{}}
}

// Gather reads the evidence for an alert of a condition that fires at ts. Parts that cannot be read are named in Missing.
func (q *Inquiry) Gather(c Condition, a *alert.Record, ts time.Time) *alert.Evidence {
	from := ts
	if !a.ActiveAt.IsZero() && a.ActiveAt.Before(ts) {
		from = a.ActiveAt
	}
	window := windowOf(c.Expr)
	from = from.Add(-window)
	reader, release := live.Snapshot(q.g.Reader)
	defer release()
	list := q.g.baselines(c.RuleID, from, from.Add(window), reader.Frontier().Since, window)
	base, unread := q.calmest(reader, list, alert.ServiceOf(a.Labels), weightsOf(c.Expr))
	v := begin(alert.ServiceOf(a.Labels), from, ts)
	if first, ok := beginning(reader.Frontier().Since, from.Add(window), from); ok && q.worsens(reader, first, ts, v.Service) {
		base, v.From = baseline{first, alert.BaselineBeginning}, first.end
	}
	v.compareWith(base)
	v.missing("baseline", unread)
	q.find(reader, c, a, v)
	return v.Evidence
}

// Again reads the evidence for an alert that still fires at ts: what its window holds now, compared with what it was compared with before.
// Where that named no cause, the baseline is chosen anew.
func (q *Inquiry) Again(c Condition, a *alert.Record, before *alert.Evidence, ts time.Time) *alert.Evidence {
	if before == nil || before.Cause == nil {
		return q.Gather(c, a, ts)
	}
	reader, release := live.Snapshot(q.g.Reader)
	defer release()
	v := begin(alert.ServiceOf(a.Labels), newer(ts.Add(-windowOf(c.Expr)), before.From), ts)
	v.Baseline, v.BaselineEnd, v.BaselineReason, v.since = before.Baseline, before.BaselineEnd, before.BaselineReason, before.From
	q.find(reader, c, a, v)
	if v.Cause != nil && v.Cause.Name == before.Cause.Name && !before.Cause.Since.IsZero() {
		v.Cause.Since = before.Cause.Since
	}
	return v.Evidence
}

// Question asks about a service, or without one about all calls from outside, at a time that no alert says anything of. A zero Baseline means
// the hour before From, or the same hour of the day or the week before if it was calmer.
type Question struct {
	Service               string
	From, At              time.Time
	Baseline, BaselineEnd time.Time
}

// Explain reads the evidence about a service.
func (q *Inquiry) Explain(x Question) *alert.Evidence {
	reader, release := live.Snapshot(q.g.Reader)
	defer release()
	v := begin(x.Service, x.From, x.At)
	v.Baseline, v.BaselineEnd, v.BaselineReason = x.Baseline, x.BaselineEnd, alert.BaselineAsked
	if x.Baseline.IsZero() {
		list := append([]baseline{hourBefore(x.From)}, earlierHours(x.From, reader.Frontier().Since)...)
		base, unread := q.calmest(reader, list, x.Service, [2]float64{1, 1})
		v.compareWith(base)
		v.missing("baseline", unread)
	}
	q.compare(reader, v, [2]float64{1, 1})
	return v.Evidence
}

func begin(service string, from, at time.Time) findings {
	return findings{&alert.Evidence{At: at, From: from, Service: service, Operands: []alert.Operand{}, Operations: []alert.EvidenceOperation{},
		Traces: []alert.EvidenceTrace{}, Patterns: []alert.EvidencePattern{}, Errors: []alert.EvidenceError{},
		Deployments: []alert.EvidenceDeployment{}, Path: []alert.PathEdge{}, Missing: []string{}}, from}
}

func (v findings) compareWith(b baseline) {
	v.Baseline, v.BaselineEnd, v.BaselineReason = b.begin, b.end, b.reason
}

// missing notes what could not be read.
func (v findings) missing(what string, err error) {
	if err != nil {
		v.Missing = append(v.Missing, fmt.Sprintf("%s: %v", what, err))
	}
}

// find reads everything but the baseline.
func (q *Inquiry) find(reader views.Reader, c Condition, a *alert.Record, v findings) {
	var err error
	v.Operands, err = operands(q.ctx, q.g.Query, c.Expr, a.Input, v.At)
	v.missing("operands", err)
	if !c.Selects || v.Service == "" && !c.Calls {
		return // the condition looks at no calls: whatever went on meanwhile is no reason
	}
	q.compare(reader, v, weightsOf(c.Expr))
}

// compare reads what changed since the baseline, which v names.
func (q *Inquiry) compare(reader views.Reader, v findings, weights [2]float64) {
	v.missing("path", q.path(reader, v.Evidence, weights))
	v.missing("candidates", q.candidates(reader, v.Evidence, weights))
	around := v.around()
	v.missing("operations", v.operations(reader))
	v.missing("traces", v.traces(reader))
	if fr := reader.Frontier(); !fr.Since.Before(v.since) {
		// Everything is new to views that have just begun: that is no evidence.
		v.missing("baseline", fmt.Errorf("the views hold nothing from before %s", v.since.UTC().Format(time.RFC3339)))
		if v.BaselineReason == alert.BaselineBeginning {
			v.missing("cause", q.cause(reader, v.Evidence))
		}
		return
	}
	v.missing("patterns", v.patterns(reader, around))
	v.missing("errors", v.exceptions(reader, around))
	v.missing("deployments", v.deployments(reader, around))
	v.missing("cause", q.cause(reader, v.Evidence))
	v.missing("differences", q.differences(reader, v.Evidence))
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

func (q *Inquiry) serviceMap(r views.Reader, from, to time.Time) (model.Map, error) {
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

// mapsOf are the service maps of what is looked at and of the baseline, and how long the baseline is, as far as it is known.
func (q *Inquiry) mapsOf(r views.Reader, v *alert.Evidence) (now, before model.Map, known time.Duration, err error) {
	if now, err = q.serviceMap(r, v.From, v.At.Add(1)); err != nil {
		return now, before, 0, err
	}
	before, err = q.serviceMap(r, v.Baseline, v.BaselineEnd)
	known = v.BaselineEnd.Sub(newer(v.Baseline, r.Frontier().Since))
	return now, before, max(known, model.BucketSeconds*time.Second), err
}

func (q *Inquiry) path(r views.Reader, v *alert.Evidence, weights [2]float64) error {
	now, before, known, err := q.mapsOf(r, v)
	if err != nil {
		return err
	}
	ranked := rankPath(now.Edges, before.Edges, v.At.Sub(v.From), known, v.Service, weights)
	v.Path, v.Cleared = ranked.path, ranked.cleared
	return nil
}
