package rules

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage"
)

// What is kept of alerts, and how it comes back.
//
// The simple version: after a group was evaluated, its rules' alerts are compared with the records; what differs is written in
// one transaction together with the outbox entry that notifies it, and only then the records in memory follow. A failed write thus
// leaves the difference in place, and the next evaluation tries again.
//
// Prometheus' own restore of `for` adds the downtime to pending alerts and forgets all others, so it is not used: a rule is
// evaluated on the stored inputs of its alerts, which makes the same alerts again, whose times are then set.

const (
	maxBatch  = 500         // alerts in one transaction
	saveEvery = time.Minute // values and annotations, which change with every evaluation
)

// change is one difference between rules and records.
type change struct {
	old, new *alert.Record // new is nil for an alert that is gone
	gone     time.Time     // event time of that
	notice   *alert.Alert
}

// settle writes what has changed in the groups' alerts since the records were written. While not ready, states are written and
// nothing is notified. What fires at the head stays true, but what no longer fires there may only lack the records of a slow
// partition: that it has resolved is notified when all data up to then is there.
func (e *Evaluator) settle(gs []*group, ready bool, now time.Time) error {
	var changes []change
	e.inquiry, e.explained = nil, 0
	for _, g := range gs {
		for _, r := range g.alerting {
			changes = append(changes, e.diff(g, r, ready, now)...)
		}
	}
	return e.apply(changes, now)
}

func (e *Evaluator) diff(g *group, r *alertRule, ready bool, now time.Time) []change {
	var out []change
	seen := map[string]bool{}
	at := g.evaluated(r.frontier)
	r.ForEachActiveAlert(func(a *rules.Alert) {
		key := alert.RecordKey(g.key, r.ident, a.Labels)
		seen[key] = true
		old := e.records[key]
		n := e.recordOf(g, r, a, old)
		if n.State == alert.StateFiring && n.Evidence == nil {
			n.Evidence = e.explain(r, n, at)
		}
		c := change{old: old, new: n}
		early := r.frontier == query.Head && n.State == alert.StateResolved && n.ResolvedAt.After(e.complete)
		e.early = e.early || early && n.Notified
		if ready && !early && n.Notified != (n.State == alert.StateFiring) {
			n.Notified, n.NotifiedAt = n.State == alert.StateFiring, now
			c.notice = &n.Alert
		}
		if old == nil || c.notice != nil || !n.SameState(old) || now.Sub(old.Saved) >= saveEvery {
			n.Saved = now
			out = append(out, c)
			return
		}
		e.stateMu.Lock()
		old.Value, old.Annotations, old.Evidence, old.Incident, old.GeneratorURL = n.Value, n.Annotations, n.Evidence, n.Incident, n.GeneratorURL
		e.stateMu.Unlock()
	})
	for key := range e.byRule[g.key+"\xff"+r.ident] {
		if !seen[key] {
			out = append(out, e.gone(e.records[key], at, ready, now)...)
		}
	}
	return out
}

// gone is the change for an alert that its rule has no more at the event time at, or whose rule is no more.
func (e *Evaluator) gone(old *alert.Record, at time.Time, ready bool, now time.Time) []change {
	if !old.Notified {
		return []change{{old: old, gone: at}}
	}
	if !ready {
		return nil // stays until it may be notified
	}
	a := old.Alert
	if a.State = alert.StateResolved; a.ResolvedAt.IsZero() {
		a.ResolvedAt = now
	}
	return []change{{old: old, notice: &a}}
}

func (e *Evaluator) recordOf(g *group, r *alertRule, a *rules.Alert, old *alert.Record) *alert.Record {
	n := &alert.Record{
		Alert: alert.Alert{
			RuleID: r.id, Labels: a.Labels, Annotations: a.Annotations, State: stateName(a.State), ActiveAt: a.ActiveAt,
			FiredAt: a.FiredAt, KeepFiringSince: a.KeepFiringSince, ResolvedAt: a.ResolvedAt, Value: alert.Number(a.Value),
			GeneratorURL: r.url,
		},
		Group: g.key, Rule: r.ident,
	}
	if old != nil {
		n.Input, n.Notified, n.NotifiedAt = old.Input, old.Notified, old.NotifiedAt
		if old.State == alert.StateFiring || n.State == alert.StateResolved {
			n.Evidence, n.Incident = old.Evidence, old.Incident
		}
		if n.Incident != "" && e.cfg.Incidents != nil {
			n.Incident = e.cfg.Incidents.Current(n.Incident)
			n.GeneratorURL = e.incidentURL(n.Incident)
		}
	} else {
		n.Input = r.inputOf(e.captured[r.Query().String()], a.Labels)
	}
	return n
}

// inputOf finds the element of the condition's result that made the alert: the one that agrees in all labels which the rule
// does not set itself.
func (r *alertRule) inputOf(v promql.Vector, alert labels.Labels) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	core := func(l labels.Labels) labels.Labels {
		b.Reset(l)
		b.Del(labels.MetricName, labels.AlertName)
		r.Labels().Range(func(x labels.Label) { b.Del(x.Name) })
		return b.Labels()
	}
	want := core(alert)
	for _, s := range v {
		if labels.Equal(core(s.Metric), want) {
			return s.Metric
		}
	}
	return alert
}

// apply commits changes in batches and lets memory follow.
func (e *Evaluator) apply(changes []change, now time.Time) error {
	for batch := range slices.Chunk(changes, maxBatch) {
		if err := e.commit(batch, now); err != nil {
			return err
		}
	}
	return nil
}

// commit writes a batch of changes in one transaction: states, incidents, transitions, and what is to be notified.
func (e *Evaluator) commit(batch []change, now time.Time) (err error) {
	var entries []storage.Entry
	if tx := e.assign(batch); tx != nil {
		defer func() { tx.Done(err == nil) }()
		if entries, err = tx.Entries(); err != nil {
			return err
		}
	}
	var notices []alert.Alert
	for _, c := range batch {
		if c.notice != nil {
			notices = append(notices, *c.notice)
		}
		if c.new == nil {
			entries = append(entries, storage.Entry{Key: []byte(c.old.Key())})
			continue
		}
		entry, err := c.new.Entry()
		if err != nil {
			return err
		}
		entries = append(entries, entry)
	}
	happened := transitionsOf(batch)
	more, err := e.history.Entries(happened)
	if err != nil {
		return err
	}
	entries = append(entries, more...)
	if len(notices) > 0 {
		entry, err := e.outbox.Entry(now, notices)
		if err != nil {
			return err
		}
		entries = append(entries, entry)
	}
	if err := e.cfg.KV.Commit(storage.Commit{Entries: entries}); err != nil {
		return err
	}
	e.follow(batch, happened)
	if len(notices) > 0 {
		e.metrics.notified.Add(float64(len(notices)))
		e.outbox.Changed.Send()
	}
	return nil
}

// follow makes memory equal to what was committed.
func (e *Evaluator) follow(batch []change, happened []alert.Transition) {
	e.stateMu.Lock()
	defer e.stateMu.Unlock()
	for _, c := range batch {
		if c.new == nil {
			e.forget(c.old)
		} else {
			e.keep(c.new)
		}
	}
	e.history.Add(happened)
	e.changed.Send()
}

// transitionsOf are the changes of state among changes of records.
func transitionsOf(batch []change) (out []alert.Transition) {
	for _, c := range batch {
		switch {
		case c.new != nil:
			if t, ok := changeOfState(c.old, c.new); ok {
				out = append(out, t)
			}
		case c.notice != nil && c.old.State != alert.StateResolved:
			out = append(out, alert.Transition{Time: c.notice.ResolvedAt, RuleID: c.notice.RuleID, Labels: c.notice.Labels,
				Annotations: c.notice.Annotations, From: c.old.State, To: alert.StateResolved, Value: c.notice.Value})
		case c.notice == nil && c.old.State == alert.StatePending:
			out = append(out, alert.Transition{Time: c.gone, RuleID: c.old.RuleID, Labels: c.old.Labels, Annotations: c.old.Annotations,
				From: c.old.State, To: alert.StateInactive, Value: c.old.Value})
		}
	}
	return out
}

func (e *Evaluator) keep(r *alert.Record) {
	key, rule := r.Key(), r.Group+"\xff"+r.Rule
	e.records[key] = r
	if e.byRule[rule] == nil {
		e.byRule[rule] = map[string]struct{}{}
	}
	e.byRule[rule][key] = struct{}{}
}

func (e *Evaluator) forget(r *alert.Record) {
	key, rule := r.Key(), r.Group+"\xff"+r.Rule
	delete(e.records, key)
	delete(e.byRule[rule], key)
	if len(e.byRule[rule]) == 0 {
		delete(e.byRule, rule)
	}
}

// restore gives a rule the alerts that its records describe.
func (e *Evaluator) restore(ctx context.Context, g *group, r *alertRule) error {
	var input promql.Vector
	byHash := map[uint64]*alert.Record{}
	for key := range e.byRule[g.key+"\xff"+r.ident] {
		rec := e.records[key]
		input = append(input, promql.Sample{Metric: rec.Input, F: float64(rec.Value)})
		byHash[rec.Labels.Hash()] = rec
	}
	if len(input) == 0 {
		return nil
	}
	query := func(_ context.Context, _ string, _ time.Time) (promql.Vector, error) { return input, nil }
	begun := r.AlertingRule
	if err := e.templates().Check(ctx, r.AlertingRule, input, time.Unix(0, 0), query); err != nil {
		// The alerts come back without annotations, and get those that are stored.
		begun = rules.NewAlertingRule(r.Name(), r.Query(), r.HoldDuration(), r.KeepFiringFor(), r.Labels(), labels.EmptyLabels(),
			e.cfg.ExternalLabels, e.cfg.ExternalURL.String(), true, e.cfg.Logger)
		if err := e.templates().Check(ctx, begun, input, time.Unix(0, 0), query); err != nil {
			e.cfg.Logger.Error("the alerts of a rule are not taken over", "rule", r.Name(), "group", g.key, "err", err)
			return nil
		}
	}
	if _, err := begun.Eval(ctx, 0, time.Unix(0, 0), query, e.cfg.ExternalURL, 0); err != nil {
		return err
	}
	if begun != r.AlertingRule {
		g.CopyState(rules.NewGroup(rules.GroupOptions{Name: g.Name(), File: g.File(), Interval: g.Interval(), Rules: []rules.Rule{begun},
			Opts: &e.options}))
	}
	r.ForEachActiveAlert(func(a *rules.Alert) {
		rec := byHash[a.Labels.Hash()]
		if rec == nil {
			a.State = rules.StatePending // of a rule whose labels were changed; the next evaluation drops or keeps it
			return
		}
		switch rec.State {
		case alert.StateFiring:
			a.State = rules.StateFiring
		case alert.StatePending:
			a.State = rules.StatePending
		default:
			a.State = rules.StateInactive
		}
		a.Annotations, a.Value = rec.Annotations, float64(rec.Value)
		a.ActiveAt, a.FiredAt, a.KeepFiringSince, a.ResolvedAt = rec.ActiveAt, rec.FiredAt, rec.KeepFiringSince, rec.ResolvedAt
	})
	return nil
}

// stateName is the state of an alert of Prometheus' as alerts are stored.
func stateName(s rules.AlertState) string {
	switch s {
	case rules.StateFiring:
		return alert.StateFiring
	case rules.StatePending:
		return alert.StatePending
	}
	return alert.StateResolved
}

// changeOfState is how n differs from old, which may be nil; ok is false when the state is the same.
func changeOfState(old, n *alert.Record) (t alert.Transition, ok bool) {
	t = alert.Transition{Time: n.ActiveAt, RuleID: n.RuleID, Labels: n.Labels, Annotations: n.Annotations, To: n.State, Value: n.Value}
	if old != nil {
		t.From = old.State
	}
	switch n.State {
	case alert.StateFiring:
		t.Time = n.FiredAt
	case alert.StateResolved:
		t.Time = n.ResolvedAt
	}
	return t, t.From != t.To
}
