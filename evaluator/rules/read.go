package rules

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	promstorage "github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/query"
)

// Info is one rule and how it is.
type Info struct {
	ID            string        `json:"id"` // stable while group, name and labels are
	Name          string        `json:"name"`
	Type          string        `json:"type"` // alerting or recording
	Expr          string        `json:"expr"`
	For           time.Duration `json:"-"`
	KeepFiringFor time.Duration `json:"-"`
	Labels        labels.Labels `json:"labels"`
	Annotations   labels.Labels `json:"annotations"`
	Enabled       bool          `json:"enabled"`
	Source        string        `json:"source"` // name of the Source
	Editable      bool          `json:"editable"`
	Group         string        `json:"group"`
	State         string        `json:"state"`  // of its strongest alert: unknown, inactive, pending or firing
	Health        string        `json:"health"` // unknown, ok or err
	LastError     string        `json:"last_error"`
	LastEval      time.Time     `json:"last_eval,omitzero"` // wall clock
	Class         query.Class   `json:"class"`
	GeneratorURL  string        `json:"generator_url"` // that its alerts carry
}

// Rules returns every rule, ordered by source and group.
func (e *Evaluator) Rules() []Info {
	out := []Info{}
	for _, g := range *e.groups.Load() {
		for i, r := range g.Rules() {
			info := g.infos[i]
			info.Health, info.LastEval, info.State = string(r.Health()), r.GetEvaluationTimestamp(), "inactive"
			if err := r.LastError(); err != nil {
				info.LastError = err.Error()
			}
			if ar, ok := r.(*rules.AlertingRule); ok {
				info.State = ar.State().String()
			}
			out = append(out, info)
		}
		out = append(out, g.disabled...)
	}
	return out
}

// Active returns the alerts that are pending or firing, ordered by labels.
func (e *Evaluator) Active() []alert.Alert {
	return e.alerts(func(r *alert.Record) bool { return r.State != alert.StateResolved })
}

// Notified returns the alerts that were given to notify as firing and not yet as resolved, as they are now.
func (e *Evaluator) Notified() []alert.Alert {
	return e.alerts(func(r *alert.Record) bool { return r.Notified })
}

func (e *Evaluator) alerts(want func(*alert.Record) bool) []alert.Alert {
	e.stateMu.RLock()
	defer e.stateMu.RUnlock()
	out := []alert.Alert{}
	for _, r := range e.records {
		if want(r) {
			out = append(out, r.Alert)
		}
	}
	slices.SortFunc(out, func(a, b alert.Alert) int {
		return cmp.Or(labels.Compare(a.Labels, b.Labels), cmp.Compare(a.RuleID, b.RuleID))
	})
	return out
}

// History returns up to limit transitions, newest first; 0 means all that are kept.
func (e *Evaluator) History(limit int) []alert.Transition {
	e.stateMu.RLock()
	defer e.stateMu.RUnlock()
	return e.history.Newest(limit)
}

// TakeHistory returns the transitions since it was called last, oldest first, and forgets them: for a backtest, which reads each once.
func (e *Evaluator) TakeHistory() []alert.Transition {
	e.stateMu.Lock()
	defer e.stateMu.Unlock()
	return e.history.Take()
}

// SortGroups puts the groups into another order than that of their keys, until the next Load. They are evaluated in this order.
func (e *Evaluator) SortGroups(compare func(a, b *rules.Group) int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gs := slices.Clone(*e.groups.Load())
	slices.SortStableFunc(gs, func(a, b *group) int { return compare(a.Group, b.Group) })
	e.groups.Store(&gs)
}

// Changed is sent when alerts have changed or rules were evaluated.
func (e *Evaluator) Changed() *alert.Signal { return &e.changed }

// Outbox is what notify drains.
func (e *Evaluator) Outbox() *alert.Outbox { return e.outbox }

// Queryable is what rules query: the views, and the series that rules write.
func (e *Evaluator) Queryable() promstorage.SampleAndChunkQueryable { return e.queryable }

// QueryableOver shows the series that rules write beside q.
func (e *Evaluator) QueryableOver(q promstorage.SampleAndChunkQueryable) promstorage.SampleAndChunkQueryable {
	return joined{q, e.store}
}

// RuleGroups implements the rules retriever of Prometheus' web API.
func (e *Evaluator) RuleGroups() []*rules.Group {
	out := []*rules.Group{}
	for _, g := range *e.groups.Load() {
		out = append(out, g.Group)
	}
	return out
}

// AlertingRules implements the rules retriever of Prometheus' web API.
func (e *Evaluator) AlertingRules() []*rules.AlertingRule {
	out := []*rules.AlertingRule{}
	for _, g := range *e.groups.Load() {
		for _, r := range g.alerting {
			out = append(out, r.AlertingRule)
		}
	}
	return out
}
