package alerting

import (
	"context"

	promrules "github.com/prometheus/prometheus/rules"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evidence"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/views"
)

// Evaluator is what the API needs of rules and alerts. *evaluator.Evaluator implements it.
type Evaluator interface {
	Rules() []rules.Info
	Active() []alert.Alert
	History(limit int) []alert.Transition
	Changed() *alert.Signal
	RuleGroups() []*promrules.Group
	AlertingRules() []*promrules.AlertingRule
	// Explain gathers why an alert is pending, as of now; nil where its rule is gone.
	Explain(ctx context.Context, a *alert.Alert) *alert.Evidence
	// ExplainService gathers why a service is worse than before, as views show it.
	ExplainService(ctx context.Context, r views.Reader, q evidence.Question) *alert.Evidence
}
