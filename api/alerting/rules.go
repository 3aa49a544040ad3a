package alerting

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/books"
	"github.com/gaurav/watchingcat/evaluator/rules"
)

// Rules made over HTTP, one by one.

// Rules answers for the rules that users make.
type Rules struct {
	*answer.Moments
	Evaluator Evaluator
	Book      *books.RuleBook // nil: users cannot make rules
}

// ruleDuration reads the durations of rules: Prometheus' (1d, 5m) and Go's.
func ruleDuration(name string, v *string) (time.Duration, error) {
	if v == nil || *v == "" {
		return 0, nil
	}
	if d, err := model.ParseDuration(*v); err == nil {
		return time.Duration(d), nil
	}
	d, err := time.ParseDuration(*v)
	if err != nil || d < 0 {
		return 0, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_duration", "%s: %q is no duration", name, *v),
			"Give a duration, as 30s, 5m or 1d.")
	}
	return d, nil
}

func specOf(in *rest.RuleInput) (s books.RuleSpec, err error) {
	s = books.RuleSpec{Name: in.Name, Recording: answer.Value(in.Type) == rest.RuleInputTypeRecording, Expr: in.Expr,
		Labels:      answer.Value(in.Labels),
		Annotations: answer.Value(in.Annotations), Disabled: in.Enabled != nil && !*in.Enabled, Group: answer.Value(in.Group)}
	if s.For, err = ruleDuration("for", in.For); err != nil {
		return s, err
	}
	s.KeepFiringFor, err = ruleDuration("keep_firing_for", in.KeepFiringFor)
	return s, err
}

// find returns the rule with an id.
func (s *Rules) find(id string) (*rules.Info, error) {
	list := s.Evaluator.Rules()
	if i := slices.IndexFunc(list, func(r rules.Info) bool { return r.ID == id }); i >= 0 {
		return &list[i], nil
	}
	return nil, answer.Problemf(answer.ErrNotFound, "", "there is no rule %q", id)
}

// ruleAnswer is a rule as it stands, and the tag of what was written.
func (s *Rules) ruleAnswer(ctx context.Context, id string) (out rest.RuleAnswer, tag *string, err error) {
	r, err := s.find(id)
	if err != nil {
		return out, nil, err
	}
	var ofFile *rules.Info
	if !r.Editable {
		ofFile = r
	}
	if tag, err = answer.ETag(s.Book.Tag(id, ofFile)); err != nil {
		return out, nil, answer.Edited(err)
	}
	x := rule(*r)
	return rest.RuleAnswer{Id: x.Id, Name: x.Name, Type: rest.RuleAnswerType(x.Type), Expr: x.Expr, For: x.For,
		KeepFiringFor: x.KeepFiringFor, Labels: x.Labels, Annotations: x.Annotations, Enabled: x.Enabled, Source: x.Source,
		Editable: x.Editable, Group: x.Group, State: x.State, Health: x.Health, LastError: x.LastError, LastEval: x.LastEval,
		Frontier: x.Frontier, FrontierReason: x.FrontierReason, GeneratorUrl: x.GeneratorUrl,
		Meta: s.Meta(s.Moment(ctx), answer.Range{})}, tag, nil
}

// CreateAlertRule implements rest.StrictServerInterface.
func (s *Rules) CreateAlertRule(ctx context.Context, q rest.CreateAlertRuleRequestObject) (rest.CreateAlertRuleResponseObject, error) {
	b, err := answer.RuleBook(s.Book)
	if err != nil {
		return nil, err
	}
	spec, err := specOf(q.Body)
	if err != nil {
		return nil, err
	}
	id, err := b.Create(ctx, caller.Name(ctx), spec, s.Now())
	if err != nil {
		return nil, answer.Edited(err)
	}
	r, _, err := s.ruleAnswer(ctx, id)
	return rest.CreateAlertRule201JSONResponse(r), err
}

// GetAlertRule implements rest.StrictServerInterface.
func (s *Rules) GetAlertRule(ctx context.Context, q rest.GetAlertRuleRequestObject) (rest.GetAlertRuleResponseObject, error) {
	r, tag, err := s.ruleAnswer(ctx, q.Id)
	return rest.GetAlertRule200JSONResponse{Body: r, Headers: rest.GetAlertRule200ResponseHeaders{ETag: tag}}, err
}

// UpdateAlertRule implements rest.StrictServerInterface.
func (s *Rules) UpdateAlertRule(ctx context.Context, q rest.UpdateAlertRuleRequestObject) (rest.UpdateAlertRuleResponseObject, error) {
	b, err := answer.RuleBook(s.Book)
	if err != nil {
		return nil, err
	}
	r, err := s.find(q.Id)
	if err != nil {
		return nil, err
	}
	spec, err := specOf(q.Body)
	if err != nil {
		return nil, err
	}
	var ofFile *rules.Info
	if !r.Editable {
		ofFile = r
	}
	if err := b.Update(ctx, caller.Name(ctx), q.Id, spec, ofFile, answer.IfMatch(q.Params.IfMatch), s.Now()); err != nil {
		return nil, answer.Edited(err)
	}
	answer, tag, err := s.ruleAnswer(ctx, q.Id)
	return rest.UpdateAlertRule200JSONResponse{Body: answer, Headers: rest.UpdateAlertRule200ResponseHeaders{ETag: tag}}, err
}

// DeleteAlertRule implements rest.StrictServerInterface.
func (s *Rules) DeleteAlertRule(ctx context.Context, q rest.DeleteAlertRuleRequestObject) (rest.DeleteAlertRuleResponseObject, error) {
	b, err := answer.RuleBook(s.Book)
	if err != nil {
		return nil, err
	}
	r, err := s.find(q.Id)
	if err != nil {
		return nil, err
	}
	if !r.Editable {
		return nil, answer.Edited(books.ErrRuleOfFile)
	}
	return rest.DeleteAlertRule204Response{}, answer.Edited(b.Delete(ctx, caller.Name(ctx), q.Id, answer.IfMatch(q.Params.IfMatch),
		s.Now()))
}

// MakeAlertRules implements rest.StrictServerInterface.
func (s *Rules) MakeAlertRules(_ context.Context, q rest.MakeAlertRulesRequestObject) (rest.MakeAlertRulesResponseObject, error) {
	in := q.Body
	g, err := templateOf(in)
	if err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(rulefmt.RuleGroups{Groups: []rulefmt.RuleGroup{g}})
	if err != nil {
		return nil, fmt.Errorf("api: template: %w", err)
	}
	out := rest.MakeAlertRules200JSONResponse{Rules: []rest.RuleInput{}, Yaml: string(text)}
	for _, r := range g.Rules {
		out.Rules = append(out.Rules, inputOf(g.Name, r))
	}
	return out, nil
}

func templateOf(in *rest.TemplateRequest) (g rulefmt.RuleGroup, err error) {
	if in.Kind == rest.NoData {
		within, seen := 5*time.Minute, time.Hour
		if in.Within != nil {
			if within, err = ruleDuration("within", in.Within); err != nil {
				return g, err
			}
		}
		if in.Seen != nil {
			if seen, err = ruleDuration("seen", in.Seen); err != nil {
				return g, err
			}
		}
		g, err = books.NoData(in.Name, answer.Value(in.Selector), within, seen)
		return g, answer.Edited(err)
	}
	days, factor := books.BaselineDays, 4.0
	if in.Days != nil {
		days = *in.Days
	}
	if in.Factor != nil {
		factor = *in.Factor
	}
	g, err = books.Baseline(in.Name, answer.Value(in.Expr), days, factor)
	return g, answer.Edited(err)
}

func inputOf(group string, r rulefmt.Rule) rest.RuleInput {
	kind := rest.RuleInputTypeAlerting
	if r.Record != "" {
		kind = rest.RuleInputTypeRecording
	}
	out := rest.RuleInput{Name: r.Alert + r.Record, Type: &kind, Expr: r.Expr, Group: &group}
	if r.For > 0 {
		d := r.For.String()
		out.For = &d
	}
	if len(r.Annotations) > 0 {
		a := rest.Labels(maps.Clone(r.Annotations))
		out.Annotations = &a
	}
	if len(r.Labels) > 0 {
		l := rest.Labels(maps.Clone(r.Labels))
		out.Labels = &l
	}
	return out
}
