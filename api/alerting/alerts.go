package alerting

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/rules"
)

// maxExplained is how many pending alerts of one answer are explained: what fires carries its evidence, these are asked about now.
const maxExplained = 20

// Alerts answers for rules, alerts and their notifications.
type Alerts struct {
	*answer.Moments
	Evaluator     Evaluator
	Notifications Notifications // nil: nothing is known of receivers
	Audit         func(ctx context.Context, action, kind, id string)
}

// fingerprint is that of Alertmanager for the same labels.
func fingerprint(l labels.Labels) string {
	set := make(model.LabelSet, l.Len())
	l.Range(func(l labels.Label) { set[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
	return set.Fingerprint().String()
}

func rule(r rules.Info) rest.Rule {
	return rest.Rule{Id: r.ID, Name: r.Name, Type: rest.RuleType(r.Type), Expr: r.Expr, For: r.For.String(),
		KeepFiringFor: r.KeepFiringFor.String(), Labels: r.Labels.Map(), Annotations: r.Annotations.Map(), Enabled: r.Enabled,
		Source: r.Source, Editable: r.Editable, Group: r.Group, State: r.State, Health: r.Health, LastError: r.LastError,
		LastEval: answer.TimeOrNil(r.LastEval), Frontier: fmt.Sprint(r.Class.Frontier), FrontierReason: r.Class.Reason,
		GeneratorUrl: r.GeneratorURL}
}

// ListAlertRules implements rest.StrictServerInterface.
func (s *Alerts) ListAlertRules(ctx context.Context, q rest.ListAlertRulesRequestObject) (rest.ListAlertRulesResponseObject, error) {
	out := []rest.Rule{}
	for _, r := range s.Evaluator.Rules() {
		if q.Params.Type == nil || string(*q.Params.Type) == r.Type {
			out = append(out, rule(r))
		}
	}
	return rest.ListAlertRules200JSONResponse{Rules: out, Meta: s.Meta(s.Moment(ctx), answer.Range{})}, nil
}

// Active reads the active alerts with their evidence; an empty state means all. explain asks for that of pending ones too.
func (s *Alerts) Active(ctx context.Context, state string, explain bool) ([]rest.Alert, error) {
	active := s.Evaluator.Active()
	if state != "" {
		active = slices.DeleteFunc(active, func(a alert.Alert) bool { return a.State != state })
	}
	rules := map[string]rules.Info{}
	if len(active) > 0 {
		for _, r := range s.Evaluator.Rules() {
			rules[r.ID] = r
		}
	}
	fates, err := s.deliveries(ctx)
	if err != nil {
		return nil, err
	}
	out, explained := make([]rest.Alert, 0, len(active)), 0
	for i := range active {
		a, r := &active[i], rules[active[i].RuleID]
		why := a.Evidence
		if why == nil && explain && a.State == alert.StatePending && explained < maxExplained {
			why = s.Evaluator.Explain(ctx, a)
			explained++
		}
		e := rest.Evidence{Expr: r.Expr, For: r.For.String(), Frontier: fmt.Sprint(r.Class.Frontier), Why: why,
			Traces: []rest.EvidenceTrace{}}
		if why != nil {
			e.Traces = why.Traces
		}
		print, sent := fingerprint(a.Labels), a.Labels
		if s.Notifications != nil {
			sent = s.Notifications.Sent(a.Labels)
		}
		out = append(out, rest.Alert{Fingerprint: print, RuleId: a.RuleID, Labels: a.Labels.Map(), Annotations: a.Annotations.Map(),
			State: rest.AlertState(a.State), ActiveAt: a.ActiveAt.UTC(), FiredAt: answer.TimeOrNil(a.FiredAt), Value: a.Value,
			GeneratorUrl: a.GeneratorURL, Incident: answer.TextOrNil(a.Incident), Evidence: e, Deliveries: deliveriesOf(fates[fingerprint(sent)])})
	}
	return out, nil
}

// ListActiveAlerts implements rest.StrictServerInterface.
func (s *Alerts) ListActiveAlerts(ctx context.Context, q rest.ListActiveAlertsRequestObject) (rest.ListActiveAlertsResponseObject, error) {
	m := s.Moment(ctx)
	list, err := s.Active(ctx, string(answer.Value(q.Params.State)), true)
	if err != nil {
		return nil, err
	}
	return rest.ListActiveAlerts200JSONResponse{Alerts: list, Meta: s.Meta(m, answer.Range{})}, nil
}

// ListAlertHistory implements rest.StrictServerInterface.
func (s *Alerts) ListAlertHistory(ctx context.Context, q rest.ListAlertHistoryRequestObject) (rest.ListAlertHistoryResponseObject, error) {
	m := s.Moment(ctx)
	within, err := historyRange(q.Params.Start, q.Params.End)
	if err != nil {
		return nil, err
	}
	all := []rest.Transition{}
	for _, t := range s.Evaluator.History(0) {
		if within(t.Time) {
			all = append(all, rest.Transition{Time: t.Time.UTC(), RuleId: t.RuleID, Fingerprint: fingerprint(t.Labels),
				Labels: t.Labels.Map(), From: t.From, To: t.To, Value: t.Value})
		}
	}
	// Event times of several rules interleave, so the order is made here; the key of a page grows along it.
	slices.SortStableFunc(all, func(a, b rest.Transition) int {
		return strings.Compare(transitionKey(a), transitionKey(b))
	})
	list, next, err := answer.Page(all, answer.LimitOf(q.Params.Limit), q.Params.Next, transitionKey)
	if err != nil {
		return nil, err
	}
	return rest.ListAlertHistory200JSONResponse{History: list, Total: len(list), Next: next, Meta: s.Meta(m, answer.Range{})}, nil
}

func transitionKey(t rest.Transition) string {
	return fmt.Sprintf("%020d %s %s %s", uint64(1<<63)-uint64(t.Time.UnixNano()), t.RuleId, t.Fingerprint, t.To)
}

// historyRange reads start and end, both open when absent.
func historyRange(start, end *string) (within func(time.Time) bool, err error) {
	var from, to time.Time
	if start != nil {
		if from, err = answer.ParseTime("start", *start); err != nil {
			return nil, err
		}
	}
	if end != nil {
		if to, err = answer.ParseTime("end", *end); err != nil {
			return nil, err
		}
		if to.Before(from) {
			return nil, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_range", "end lies before start"),
				"Give an end that lies after start.")
		}
	}
	return func(t time.Time) bool { return !t.Before(from) && (end == nil || t.Before(to)) }, nil
}
