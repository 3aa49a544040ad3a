package api

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator"
	"github.com/gaurav/watchingcat/views"
)

const (
	defaultLimit   = 20
	evidenceTraces = 5 // shown with an alert
	evidenceRange  = 5 * time.Minute
)

// fingerprint is that of Alertmanager for the same labels.
func fingerprint(l labels.Labels) string {
	set := make(model.LabelSet, l.Len())
	l.Range(func(l labels.Label) { set[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
	return set.Fingerprint().String()
}

func rule(r evaluator.RuleInfo) rest.Rule {
	return rest.Rule{Id: r.ID, Name: r.Name, Type: rest.RuleType(r.Type), Expr: r.Expr, For: r.For.String(), KeepFiringFor: r.KeepFiringFor.String(),
		Labels: r.Labels.Map(), Annotations: r.Annotations.Map(), Enabled: r.Enabled, Source: r.Source, Group: r.Group, State: r.State,
		Health: r.Health, LastError: r.LastError, LastEval: orNil(r.LastEval), Frontier: fmt.Sprint(r.Class.Frontier), FrontierReason: r.Class.Reason}
}

// ListAlertRules implements rest.StrictServerInterface.
func (s *Server) ListAlertRules(ctx context.Context, q rest.ListAlertRulesRequestObject) (rest.ListAlertRulesResponseObject, error) {
	out := []rest.Rule{}
	for _, r := range s.cfg.Alerts.Rules() {
		if q.Params.Type == nil || string(*q.Params.Type) == r.Type {
			out = append(out, rule(r))
		}
	}
	return rest.ListAlertRules200JSONResponse{Rules: out, Meta: s.meta(s.moment(ctx), timeRange{})}, nil
}

// alerts reads the active alerts with their evidence; an empty state means all.
func (s *Server) alerts(m moment, state string) ([]rest.Alert, error) {
	active := s.cfg.Alerts.Active()
	if state != "" {
		active = slices.DeleteFunc(active, func(a evaluator.Alert) bool { return a.State != state })
	}
	rules := map[string]evaluator.RuleInfo{}
	if len(active) > 0 {
		for _, r := range s.cfg.Alerts.Rules() {
			rules[r.ID] = r
		}
	}
	traces, err := s.evidence(m, active)
	if err != nil {
		return nil, err
	}
	out := make([]rest.Alert, 0, len(active))
	for _, a := range active {
		r := rules[a.RuleID]
		out = append(out, rest.Alert{Fingerprint: fingerprint(a.Labels), RuleId: a.RuleID, Labels: a.Labels.Map(), Annotations: a.Annotations.Map(),
			State: rest.AlertState(a.State), ActiveAt: a.ActiveAt.UTC(), FiredAt: orNil(a.FiredAt), Value: a.Value, GeneratorUrl: a.GeneratorURL,
			Evidence: rest.Evidence{Expr: r.Expr, For: r.For.String(), Frontier: fmt.Sprint(r.Class.Frontier), Traces: tracesOf(traces, a)}})
	}
	return out, nil
}

// evidenceLabels name the service that an alert is about.
var evidenceLabels = []string{"service_name", "service", "server", "client"}

func serviceOf(l labels.Labels) string {
	for _, name := range evidenceLabels {
		if v := l.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// evidence reads the exemplars of all services that alerts name, in one pass over the views.
func (s *Server) evidence(m moment, active []evaluator.Alert) (map[string][]rest.EvidenceTrace, error) {
	out := map[string][]rest.EvidenceTrace{}
	for _, a := range active {
		if name := serviceOf(a.Labels); name != "" {
			out[name] = []rest.EvidenceTrace{}
		}
	}
	if len(out) == 0 {
		return out, nil
	}
	end := m.frontier.Head.Add(1)
	series, err := m.views.SelectRED(end.Add(-evidenceRange), end, func(_ uint32, k views.REDKey) bool {
		_, ok := out[k.Service]
		return ok
	})
	if err != nil {
		return nil, err
	}
	for _, t := range series {
		for _, c := range t.Cells {
			for _, e := range []views.Exemplar{c.Slowest, c.Latest} {
				if e.TraceID != ([16]byte{}) {
					out[t.Key.Service] = append(out[t.Key.Service], evidenceTrace(t.Key, e))
				}
			}
		}
	}
	for name, list := range out {
		out[name] = strongest(list)
	}
	return out, nil
}

func evidenceTrace(k views.REDKey, e views.Exemplar) rest.EvidenceTrace {
	return rest.EvidenceTrace{TraceId: hex.EncodeToString(e.TraceID[:]), SpanId: hex.EncodeToString(e.SpanID[:]), Service: k.Service,
		Operation: k.Operation, Status: k.Status.String(), DurationMs: millis(time.Duration(e.Duration)), Time: time.Unix(0, int64(e.End)).UTC()}
}

// strongest keeps one span of each trace: failed ones first, then the slowest.
func strongest(list []rest.EvidenceTrace) []rest.EvidenceTrace {
	failed := func(t rest.EvidenceTrace) int {
		if t.Status == views.StatusError.String() {
			return 0
		}
		return 1
	}
	slices.SortFunc(list, func(a, b rest.EvidenceTrace) int {
		return cmp.Or(cmp.Compare(failed(a), failed(b)), cmp.Compare(b.DurationMs, a.DurationMs), b.Time.Compare(a.Time), cmp.Compare(a.TraceId, b.TraceId))
	})
	seen := map[string]bool{}
	list = slices.DeleteFunc(list, func(t rest.EvidenceTrace) bool {
		again := seen[t.TraceId]
		seen[t.TraceId] = true
		return again
	})
	return list[:min(len(list), evidenceTraces)]
}

func tracesOf(traces map[string][]rest.EvidenceTrace, a evaluator.Alert) []rest.EvidenceTrace {
	if list := traces[serviceOf(a.Labels)]; list != nil {
		return list
	}
	return []rest.EvidenceTrace{}
}

// ListActiveAlerts implements rest.StrictServerInterface.
func (s *Server) ListActiveAlerts(ctx context.Context, q rest.ListActiveAlertsRequestObject) (rest.ListActiveAlertsResponseObject, error) {
	m := s.moment(ctx)
	list, err := s.alerts(m, string(value(q.Params.State)))
	if err != nil {
		return nil, err
	}
	return rest.ListActiveAlerts200JSONResponse{Alerts: list, Meta: s.meta(m, timeRange{})}, nil
}

// ListAlertHistory implements rest.StrictServerInterface.
func (s *Server) ListAlertHistory(ctx context.Context, q rest.ListAlertHistoryRequestObject) (rest.ListAlertHistoryResponseObject, error) {
	m := s.moment(ctx)
	within, err := historyRange(q.Params.Start, q.Params.End)
	if err != nil {
		return nil, err
	}
	all := []rest.Transition{}
	for _, t := range s.cfg.Alerts.History(0) {
		if within(t.Time) {
			all = append(all, rest.Transition{Time: t.Time.UTC(), RuleId: t.RuleID, Fingerprint: fingerprint(t.Labels), Labels: t.Labels.Map(), From: t.From, To: t.To, Value: t.Value})
		}
	}
	// Event times of several rules interleave, so the order is made here; the key of a page grows along it.
	slices.SortStableFunc(all, func(a, b rest.Transition) int {
		return strings.Compare(transitionKey(a), transitionKey(b))
	})
	list, next, err := page(all, limitOf(q.Params.Limit), q.Params.Next, transitionKey)
	if err != nil {
		return nil, err
	}
	return rest.ListAlertHistory200JSONResponse{History: list, Total: len(list), Next: next, Meta: s.meta(m, timeRange{})}, nil
}

func transitionKey(t rest.Transition) string {
	return fmt.Sprintf("%020d %s %s %s", uint64(1<<63)-uint64(t.Time.UnixNano()), t.RuleId, t.Fingerprint, t.To)
}

// historyRange reads start and end, both open when absent.
func historyRange(start, end *string) (within func(time.Time) bool, err error) {
	var from, to time.Time
	if start != nil {
		if from, err = parseTime("start", *start); err != nil {
			return nil, err
		}
	}
	if end != nil {
		if to, err = parseTime("end", *end); err != nil {
			return nil, err
		}
		if to.Before(from) {
			return nil, advise(problemf(errBadRequest, "invalid_range", "end lies before start"), "Give an end that lies after start.")
		}
	}
	return func(t time.Time) bool { return !t.Before(from) && (end == nil || t.Before(to)) }, nil
}
