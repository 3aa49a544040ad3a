package backtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the folder of a module's source.
func module(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// promtool's own unit-test files have the outcome that promtool's tests say.
func TestUnitTestsOfPromtool(t *testing.T) {
	dir := filepath.Join(module(t, "github.com/prometheus/prometheus"), "cmd", "promtool", "testdata")
	for file, want := range map[string]string{
		"unittest.yml": "", "long-period.yml": "", "at-modifier-test.yml": "", "negative-offset-test.yml": "",
		"no-test-group-interval.yml": "", "rules_run.yml": "wrong test", "rules_run_fuzzy.yml": "wrong fuzzy match",
		"start-time-test.yml": "", "bad-input-series.yml": "series", "bad-promql.yml": "found duplicate series",
		"bad-rules-error-test.yml": "many-to-many", "bad-rules-syntax-test.yml": "unexpected", "failing.yml": "exp:",
		"rules_run_no_fuzzy.yml": "exp:", "rules_run_extrafields.yml": "field",
	} {
		err := UnitTest(context.Background(), filepath.Join(dir, file))
		if want == "" {
			require.NoError(t, err, file)
		} else {
			require.ErrorContains(t, err, want, file)
		}
	}
}

func TestUnitTestNamesWhatFailed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		f := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(f, []byte(text), 0o600))
		return f
	}
	write("rules.yml", "groups: [{name: g, rules: [{alert: Down, expr: up == 0, for: 1m, annotations: {summary: '{{ $labels.job }} is down'}}]}]")
	test := `
rule_files: [rules.yml]
tests:
- name: one
  interval: 1m
  input_series: [{series: 'up{job="a"}', values: '1 0 0 0 1'}]
  alert_rule_test:
  - {eval_time: 1m, alertname: Down}
  - {eval_time: 3m, alertname: Down, exp_alerts: [{exp_labels: {job: a}, exp_annotations: {summary: a is down}}]}
  promql_expr_test:
  - {expr: 'count(up)', eval_time: 2m, exp_samples: [{labels: '{}', value: 1}]}
`
	require.NoError(t, UnitTest(context.Background(), write("good.yml", test)))
	err := UnitTest(context.Background(), write("bad.yml", strings.Replace(test, "a is down", "b is down", 1)))
	require.ErrorContains(t, err, `one: alertname: Down, time: 3m`)
	require.ErrorContains(t, err, `summary="b is down"`)
}
