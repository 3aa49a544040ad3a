package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/rest"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(f, []byte(text), 0o600))
	return f
}

func command(t *testing.T, args ...string) (code int, out, progress string) {
	t.Helper()
	var o, p bytes.Buffer
	code = run(t.Context(), args, &o, &p)
	return code, o.String(), p.String()
}

const downRule = "groups: [{name: g, rules: [{alert: Down, expr: up == 0}]}]"

func TestRulesTestSaysWhatFailed(t *testing.T) {
	rules := writeFile(t, "rules.yml", downRule)
	test := func(value string) string {
		return writeFile(t, "t.yml", "rule_files: ["+rules+"]\ntests: [{interval: 1m, input_series: [{series: up, values: '"+value+
			"'}], alert_rule_test: [{eval_time: 0m, alertname: Down, exp_alerts: [{exp_labels: {}}]}]}]")
	}
	code, out, _ := command(t, "rules", "test", test("0"))
	require.Zero(t, code, out)
	require.Contains(t, out, "SUCCESS")
	code, out, progress := command(t, "rules", "test", test("0"), test("1"))
	require.Equal(t, exitFailure, code)
	require.Contains(t, out, "got: none")
	require.Contains(t, progress, "1 of 2 files")
}

// server answers backtests: the alert of a file fires as often as its text has the word up.
func server(t *testing.T) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in rest.BacktestRequest
		require.NoError(t, json.NewDecoder(r.Body).Decode(&in))
		n := strings.Count(*in.Yaml, "up ")
		sum := rest.BacktestSummary{Fired: n, FiringS: float64(60 * n)}
		a := rest.BacktestAnswer{StepS: 10, Evaluations: 360, Summary: sum,
			Series: []rest.BacktestSeries{{Rule: "Down", Labels: rest.Labels{"alertname": "Down", "job": "a"}, Summary: sum,
				Transitions: []rest.BacktestTransition{{To: "firing", Value: 1.0 / 3}}}}}
		for _, v := range value(in.Variants) {
			a.Variants = append(a.Variants, rest.BacktestVariantAnswer{Threshold: v.Threshold, For: v.For})
		}
		require.NoError(t, json.NewEncoder(w).Encode(a))
	}))
	t.Cleanup(s.Close)
	t.Setenv("WATCHINGCAT_HTTP_ADDR", strings.TrimPrefix(s.URL, "http://"))
}

func TestRulesBacktestAndDiff(t *testing.T) {
	server(t)
	old, other := writeFile(t, "old.yml", downRule), writeFile(t, "new.yml", strings.Replace(downRule, "up ==", "up + up ==", 1))
	code, out, progress := command(t, "rules", "backtest", old, "--threshold", "2", "--for", "5m")
	require.Zero(t, code, progress)
	for _, want := range []string{"360 evaluations every 10s", "fired 1 times for 1m0s", `Down {job="a"}`, "firing  0.3333", "threshold 2",
		"for 5m"} {
		require.Contains(t, out, want)
	}
	code, out, _ = command(t, "rules", "diff", old, other)
	require.Equal(t, exitLint, code)
	require.Contains(t, out, `Down {job="a"}  1 times, 1m0s firing, 0s pending  ->  2 times, 2m0s firing, 0s pending`)
	code, out, _ = command(t, "rules", "diff", old, old, "-o", "json")
	require.Zero(t, code)
	require.Equal(t, "[]\n", out)
	code, _, progress = command(t, "rules", "backtest", old, "-o", "xml")
	require.Equal(t, exitUsage, code)
	require.Contains(t, progress, "neither table nor json")
	code, _, progress = command(t, "rules", "backtest", writeFile(t, "bad.yml", "groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]"))
	require.Equal(t, exitFailure, code)
	require.Contains(t, progress, "parse error")
}

func TestRulesBacktestNeedsAServer(t *testing.T) {
	t.Setenv("WATCHINGCAT_HTTP_ADDR", "127.0.0.1:1")
	code, _, progress := command(t, "rules", "backtest", writeFile(t, "r.yml", downRule))
	require.Equal(t, exitFailure, code)
	require.Contains(t, progress, "no server answers at 127.0.0.1:1")
}
