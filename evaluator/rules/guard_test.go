package rules

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/query"
)

// A template that goes beyond a bound fails its rule, and no other; nor the process, nor its next start.
func TestTemplatesAreBounded(t *testing.T) {
	for name, text := range evaltest.TemplateBombs {
		for _, label := range []bool{false, true} {
			b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
			bad := rulefmt.Rule{Alert: "Bomb", Expr: "vector(1)", Annotations: map[string]string{"a": text}}
			if label {
				bad.Labels, bad.Annotations = bad.Annotations, nil
			}
			load := func() {
				src, err := ParseSource("rules.yml", []byte(b.rules), b.e.cfg.Logger)
				require.NoError(t, err)
				src.Groups[0].Rules = append([]rulefmt.Rule{bad}, src.Groups[0].Rules...)
				require.NoError(t, b.e.Load(t.Context(), []Source{src}, b.r.Frontier().Head))
			}
			load()
			b.errors(3, 5)
			require.Equal(t, "firing Errors", b.notified(), name)
			info := b.e.Rules()[0]
			require.Equal(t, "err", info.Health, name)
			require.Contains(t, info.LastError, "beyond the bound", name)
			require.Contains(t, info.LastError, `"a"`, name)
			require.Equal(t, "ok", b.e.Rules()[1].Health, "%s: %s", name, b.e.Rules()[1].LastError)
			b.start()
			load()
			b.idle(10)
			require.Equal(t, "err", b.e.Rules()[0].Health, name)
			require.Empty(t, b.notified(), name)
		}
	}
}

// An alert that fires keeps its state through a start with a template that went bad.
func TestAlertsOutliveABadTemplate(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
	b.errors(3, 5)
	require.Equal(t, "firing Errors", b.notified())
	b.rules = strings.ReplaceAll(b.rules, "has {{", `{{range 1000000000}}{{end}}{{`)
	e, err := New(b.e.cfg)
	require.NoError(t, err)
	b.e = e
	file, errs := rulefmt.Parse([]byte(b.rules), false, model.UTF8Validation, query.NewParser(), e.cfg.Logger)
	require.Empty(t, errs)
	require.NoError(t, e.Load(t.Context(), []Source{{Name: "rules.yml", Groups: file.Groups}}, b.r.Frontier().Head))
	require.Empty(t, b.notified())
	require.Len(t, e.Active(), 1)
	require.Equal(t, alert.StateFiring, e.Active()[0].State)
	require.Equal(t, "cart has 5", e.Active()[0].Annotations.Get("summary"))
}

// A label that a rule makes longer of itself at each evaluation ends at a bound.
func TestGrowingLabels(t *testing.T) {
	b := newBench(t, "groups:\n- name: g\n  rules:\n  - record: grows\n    expr: 'label_join(grows, \"a\", \"x\", \"a\", \"a\") or label_replace(vector(1), \"a\", \"a\", \"\", \"\")'\n")
	b.errors(1, 1)
	for s := 20.0; s < 1000 && b.e.Rules()[0].Health == "ok"; s += 20 {
		b.idle(s)
	}
	require.Contains(t, b.e.Rules()[0].LastError, "beyond the bound")
	require.Contains(t, b.e.Rules()[0].LastError, "bytes of labels")
}

// A panic is one rule that failed: those before and after it are evaluated.
func TestPanicIsOneRule(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("A", evaltest.ErrorsRule, "")+evaltest.Rule("B", "vector(1)", "")+evaltest.Rule("C",
		evaltest.ErrorsRule, "")))
	was := b.e.options.QueryFunc
	for _, g := range *b.e.groups.Load() {
		g.Group = rules.NewGroup(rules.GroupOptions{Name: g.Name(), File: g.File(), Interval: g.Interval(), Rules: g.Rules(),
			Opts: &rules.ManagerOptions{
				Context: t.Context(), AppendableV2: b.e.store, Queryable: b.e.queryable, Logger: b.e.cfg.Logger, Metrics: b.e.options.Metrics,
				RuleConcurrencyController: g.subset, NotifyFunc: b.e.options.NotifyFunc, ExternalURL: b.e.cfg.ExternalURL,
				QueryFunc: func(ctx context.Context, q string, ts time.Time) (promql.Vector, error) {
					v, err := was(ctx, q, ts)
					if q == "vector(1)" {
						panic("planted")
					}
					return v, err
				},
			}})
	}
	for s := range 3 {
		b.errors(float64(3+2*s), 5)
		list := b.e.Rules()
		require.Equal(t, []string{"ok", "err", "ok"}, []string{list[0].Health, list[1].Health, list[2].Health})
		require.Contains(t, list[1].LastError, "planted")
		require.Len(t, b.e.Active(), 2)
	}
}
