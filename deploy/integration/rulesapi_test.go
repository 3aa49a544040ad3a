//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/deploy/servers"
)

const sameRules = `groups:
  - name: first
    interval: 5s
    limit: 10
    labels: {team: a}
    rules:
      - {record: one, expr: vector(1), labels: {kind: number}}
      - alert: Always
        expr: vector(1) > 0
        labels: {severity: page, value: '{{ $value }}'}
        annotations: {summary: 'it is {{ $value }}', runbook_url: 'https://example.org/{{ $labels.alertname }}'}
      - alert: Waits
        expr: one * 2 > 1
        for: 1h
        keep_firing_for: 5m
        annotations: {summary: '{{ $labels.kind }}'}
      - {alert: Never, expr: vector(0) > 0}
  - name: second
    interval: 5s
    query_offset: 1s
    rules:
      - {alert: Broken, expr: 'one + on(a) (one or label_replace(one, "b", "1", "", ""))'}
      - {alert: Absent, expr: 'absent(no_such_series{job="x"})'}
`

// TestRulesAPI compares what /api/v1/rules and /api/v1/alerts answer with what a real Prometheus answers on the same rules: every field but
// those that contain the time.
func TestRulesAPI(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	rules := file("rules.yml", sameRules)
	fetched(t, "prometheus")
	p, err := servers.NewPrometheus(*runDir, filepath.Join(dir, "prometheus"), "rule_files: ["+rules+"]\n")
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	t.Cleanup(p.Close)
	a := newApp(t, startKfake(t), "WATCHINGCAT_RULE_FILES="+rules)
	a.start()
	a.ready()
	cl, err := kgo.NewClient(kgo.SeedBrokers(a.brokers...), kgo.DefaultProduceTopic(topic))
	require.NoError(t, err)
	defer cl.Close()
	require.NoError(t, cl.ProduceSync(t.Context(), kgo.SliceRecord(failingSpans(t, "any", 1))).FirstErr())

	for _, of := range []string{p.URL, "http://" + a.addr + "/prometheus"} { // both have evaluated everything
		require.Eventually(t, func() bool {
			text := timeless(t, of+"/api/v1/rules")
			return strings.Contains(text, `"firing"`) && strings.Contains(text, `"err"`) && !strings.Contains(text, `"unknown"`)
		}, patience, 200*time.Millisecond, of)
	}
	for _, path := range []string{"/api/v1/rules", "/api/v1/rules?type=alert&rule_name[]=Always", "/api/v1/rules?rule_group[]=second",
		"/api/v1/rules?exclude_alerts=true", "/api/v1/rules?group_limit=1", "/api/v1/alerts"} {
		var want, got string
		require.Eventually(t, func() bool {
			want, got = timeless(t, p.URL+path), timeless(t, "http://"+a.addr+"/prometheus"+path)
			return want == got
		}, patience, time.Second, "%s", path)
		if want != got {
			require.Equal(t, want, got, path)
		}
	}
}

// timeless is an answer without times and durations, indented.
func timeless(t *testing.T, url string) string {
	t.Helper()
	var v any
	if err := get(t.Context(), url, &v); err != nil {
		return err.Error()
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range []string{"activeAt", "evaluationTime", "lastEvaluation", "keepFiringSince"} {
				delete(v, name)
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(v)
	b, err := json.MarshalIndent(v, "", "  ")
	require.NoError(t, err)
	return string(b)
}
