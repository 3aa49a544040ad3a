package alerting

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/backtest"
	"github.com/gaurav/watchingcat/evaluator/books"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/notify"
)

// Rules over the past.

const defaultBacktest = 6 * time.Hour

// Backtests evaluates rules over the past: over the views, and over the topics.
type Backtests struct {
	*answer.Writer
	*answer.Moments
	Rules          *Rules
	Notifications  Notifications   // nil: nothing is said of notifications
	Topics         TopicBacktester // nil: rules cannot be evaluated over topics
	Engine         promql.QueryEngine
	Queryable      promstorage.SampleAndChunkQueryable
	QueryTimeout   time.Duration
	ExternalLabels labels.Labels
	Audit          func(ctx context.Context, action, kind, id string)
	Panics         *prometheus.CounterVec

	trials topicTrials
}

// BacktestAlertRule implements rest.StrictServerInterface.
func (s *Backtests) BacktestAlertRule(ctx context.Context,
	q rest.BacktestAlertRuleRequestObject) (rest.BacktestAlertRuleResponseObject, error) {
	r, err := s.Rules.find(q.Id)
	if err != nil {
		return nil, err
	}
	spec := books.RuleSpec{Name: r.Name, Recording: r.Type == "recording", Expr: r.Expr, For: r.For, KeepFiringFor: r.KeepFiringFor,
		Labels: r.Labels.Map(), Annotations: r.Annotations.Map()}
	src, err := spec.Source()
	if err != nil {
		return nil, answer.Edited(err)
	}
	out, err := s.backtest(ctx, []rules.Source{src}, q.Body)
	return rest.BacktestAlertRule200JSONResponse(out), err
}

// BacktestRules implements rest.StrictServerInterface.
func (s *Backtests) BacktestRules(ctx context.Context, q rest.BacktestRulesRequestObject) (rest.BacktestRulesResponseObject, error) {
	in := q.Body
	sources, err := sourcesOf(in)
	if err != nil {
		return nil, err
	}
	out, err := s.backtest(ctx, sources, &rest.BacktestRange{Start: in.Start, End: in.End, Step: in.Step, Variants: in.Variants})
	return rest.BacktestRules200JSONResponse(out), err
}

func sourcesOf(in *rest.BacktestRequest) ([]rules.Source, error) {
	given := 0
	for _, is := range []bool{in.Rule != nil, in.Rules != nil, in.Yaml != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		return nil, answer.Problemf(answer.ErrBadRequest, "invalid_rule", "give one of rule, rules and yaml")
	}
	if in.Yaml != nil {
		src, err := rules.ParseSource("backtest", []byte(*in.Yaml), nil)
		if err != nil {
			return nil, answer.Problemf(answer.ErrBadRequest, "invalid_rule", "%v", err)
		}
		return []rules.Source{src}, nil
	}
	list := answer.Value(in.Rules)
	if in.Rule != nil {
		list = []rest.RuleInput{*in.Rule}
	}
	all := rules.Source{Name: books.PageNamespace}
	for i := range list {
		spec, err := specOf(&list[i])
		if err != nil {
			return nil, err
		}
		src, err := spec.Source()
		if err != nil {
			return nil, answer.Edited(err)
		}
		if i == 0 {
			all = src
			continue
		}
		all.Groups[0].Rules = append(all.Groups[0].Rules, src.Groups[0].Rules...)
	}
	return []rules.Source{all}, nil
}

func (s *Backtests) backtest(ctx context.Context, sources []rules.Source, in *rest.BacktestRange) (out rest.BacktestAnswer, err error) {
	if in == nil {
		in = &rest.BacktestRange{}
	}
	m := s.Moment(ctx)
	r, err := m.RangeOf(in.Start, in.End, defaultBacktest)
	if err != nil {
		return out, err
	}
	b := backtest.Spec{Sources: sources, Start: r.Start, End: r.End, Reader: m.Views, Queryable: s.Queryable, Engine: s.Engine,
		ExternalLabels: s.ExternalLabels}
	if in.Step != nil {
		if b.Step, err = ruleDuration("step", in.Step); err != nil {
			return out, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.QueryTimeout)
	defer cancel()
	res, err := run(ctx, b)
	if err != nil {
		return out, err
	}
	out, err = s.backtested(res, s.Meta(m, r))
	if err != nil {
		return out, err
	}
	for _, v := range answer.Value(in.Variants) {
		x, err := varied(b, v)
		if err != nil {
			return out, err
		}
		if res, err = run(ctx, x); err != nil {
			return out, err
		}
		a, err := s.variant(v, res)
		if err != nil {
			return out, err
		}
		out.Variants = append(out.Variants, a)
	}
	return out, nil
}

// backtested is the answer of a backtest, with what would have been notified.
func (s *Backtests) backtested(res *backtest.Result, meta rest.Meta) (out rest.BacktestAnswer, err error) {
	out = rest.BacktestAnswer{Start: res.Start.UTC(), End: res.End.UTC(), StepS: res.Step.Seconds(), Evaluations: res.Evaluations,
		Series: []rest.BacktestSeries{}, Notifications: []rest.BacktestNotification{}, Summary: trialSummary(res),
		Variants: []rest.BacktestVariantAnswer{}, Meta: meta}
	notices, err := s.notices(res)
	if err != nil {
		return out, err
	}
	names := map[string]string{}
	for _, x := range res.Rules {
		names[x.ID] = x.Name
		if x.LastError != "" {
			answer.Warn(&out.Meta, "%s: %s", x.Name, x.LastError)
		}
	}
	for i := range res.Series {
		out.Series = append(out.Series, backtestSeries(&res.Series[i], names))
	}
	for _, n := range notices {
		out.Notifications = append(out.Notifications,
			rest.BacktestNotification{Time: n.Time.UTC(), Receiver: n.Receiver, Integration: n.Integration, Reason: n.Reason,
				Firing: labelSets(n.Firing), Resolved: labelSets(n.Resolved)})
	}
	return out, nil
}

func run(ctx context.Context, b backtest.Spec) (*backtest.Result, error) {
	res, err := b.Run(ctx)
	if errors.Is(err, backtest.ErrInvalid) {
		err = answer.Problemf(answer.ErrBadRequest, "invalid_backtest", "%v", err)
	}
	return res, err
}

// notices are the notifications that a backtest would have sent.
func (s *Backtests) notices(res *backtest.Result) ([]notify.SimulatedNotice, error) {
	if s.Notifications == nil {
		return nil, nil
	}
	list, err := s.Notifications.Simulate(AlertChanges(res), res.End)
	if err != nil {
		err = answer.Problemf(answer.ErrBadRequest, "invalid_backtest", "%v", err)
	}
	return list, err
}

// AlertChanges are the moments of a backtest at which alerts began or ceased to fire.
func AlertChanges(res *backtest.Result) []notify.AlertChange {
	var out []notify.AlertChange
	for _, t := range res.Transitions {
		if t.To == alert.StateFiring || t.From == alert.StateFiring {
			out = append(out, notify.AlertChange{Time: t.Time, Labels: notify.LabelSet(t.Labels), Firing: t.To == alert.StateFiring})
		}
	}
	return out
}

// varied is a backtest with other values.
func varied(b backtest.Spec, v rest.BacktestVariant) (backtest.Spec, error) {
	var change backtest.Variation
	if v.Threshold != nil {
		change.Threshold = v.Threshold
	}
	for _, d := range []struct {
		name string
		in   *string
		to   **time.Duration
	}{{"for", v.For, &change.For}, {"keep_firing_for", v.KeepFiringFor, &change.KeepFiringFor}} {
		if d.in != nil {
			x, err := ruleDuration(d.name, d.in)
			if err != nil {
				return b, err
			}
			*d.to = &x
		}
	}
	var err error
	if b.Sources, err = change.Apply(b.Sources); err != nil {
		return b, answer.Problemf(answer.ErrBadRequest, "invalid_backtest", "%v", err)
	}
	return b, nil
}

func (s *Backtests) variant(v rest.BacktestVariant, res *backtest.Result) (rest.BacktestVariantAnswer, error) {
	notices, err := s.notices(res)
	return rest.BacktestVariantAnswer{Threshold: v.Threshold, For: v.For, KeepFiringFor: v.KeepFiringFor, Summary: trialSummary(res),
		Notifications: len(notices)}, err
}

func trialSummary(res *backtest.Result) rest.BacktestSummary {
	var sum backtest.Summary
	for i := range res.Series {
		sum = sum.Add(res.Series[i].Summary)
	}
	return summary(sum)
}

func summary(s backtest.Summary) rest.BacktestSummary {
	return rest.BacktestSummary{Fired: s.Fired, FiringS: s.Firing.Seconds(), LongestS: s.Longest.Seconds(), PendingS: s.Pending.Seconds(),
		Flaps: s.Flaps}
}

func backtestSeries(x *backtest.Series, names map[string]string) rest.BacktestSeries {
	out := rest.BacktestSeries{RuleId: x.RuleID, Rule: names[x.RuleID], Labels: x.Labels.Map(), Transitions: []rest.BacktestTransition{},
		Summary: summary(x.Summary)}
	for _, t := range x.Transitions {
		out.Transitions = append(out.Transitions,
			rest.BacktestTransition{Time: t.Time.UTC(), From: t.From, To: rest.BacktestTransitionTo(t.To), Value: t.Value})
	}
	return out
}

func labelSets(list []model.LabelSet) []rest.Labels {
	out := []rest.Labels{}
	for _, l := range list {
		m := rest.Labels{}
		for name, v := range l {
			m[string(name)] = string(v)
		}
		out = append(out, m)
	}
	return out
}
