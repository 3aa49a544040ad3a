package app

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
)

const mixin = "../../../deploy/mixin/"

// served are the series of /metrics by name.
type served map[string][]map[string]string

func (a *testApp) metrics() served {
	a.t.Helper()
	code, text := a.get("/metrics")
	if code != http.StatusOK {
		a.t.Fatalf("/metrics: %d %s", code, text)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		a.t.Fatal(err)
	}
	s := served{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			l := map[string]string{"job": "", "instance": ""} // Prometheus adds them
			for _, p := range m.GetLabel() {
				l[p.GetName()] = p.GetValue()
			}
			s[name] = append(s[name], l)
			if f.GetType() == dto.MetricType_HISTOGRAM {
				l["le"] = ""
				s[name+"_bucket"] = append(s[name+"_bucket"], l)
			}
		}
	}
	return s
}

// lacks says what an expression names that is not served, nothing if all is.
func (s served) lacks(expr parser.Expr) (missing []string) {
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		sel, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		need := map[string]bool{}
		for _, p := range path {
			if a, ok := p.(*parser.AggregateExpr); ok && !a.Without {
				for _, g := range a.Grouping {
					need[g] = true
				}
			}
		}
		fits := slices.ContainsFunc(s[sel.Name], func(l map[string]string) bool {
			for name := range need {
				if _, ok := l[name]; !ok {
					return false
				}
			}
			return !slices.ContainsFunc(sel.LabelMatchers, func(m *labels.Matcher) bool {
				v, ok := l[m.Name]
				return m.Name != labels.MetricName &&
					(!ok || m.Name != "job" && m.Name != "instance" && m.Name != "status" && !m.Matches(v))
			})
		})
		if !fits {
			missing = append(missing, sel.String())
		}
		return nil
	})
	return missing
}

// busyApp is an App in which everything has happened once that makes a series.
func busyApp(t *testing.T) *testApp {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	a := startApp(t, zerolog.Nop(), "KAFKA_BROKERS=127.0.0.1:1,127.0.0.1:2,127.0.0.1:3,127.0.0.1:4,127.0.0.1:5,BROKERS_THAT_ANSWER",
		"PROMETHEUS_URL=http://127.0.0.1:1", "REMOTE_WRITE_URL=http://127.0.0.1:1", "KAFKA_KEPT_TOPIC=kept", "ALERTMANAGER_URLS=http://127.0.0.1:1",
		"RULE_FILES="+file("rules.yml", "groups:\n- name: g\n  rules:\n  - alert: Called\n    expr: traces_span_metrics_calls_total > 0\n"),
		"ALERTMANAGER_CONFIG="+file("alertmanager.yml",
			"route: {receiver: w, group_wait: 0s}\nreceivers:\n- name: w\n  webhook_configs: [{url: 'http://127.0.0.1:1/'}]\n"))
	a.span("cart")
	require.NoError(t, a.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "otlp_spans", Value: []byte("no span")}).FirstErr())
	a.settled()
	a.get("/prometheus/api/v1/query_range?query=up&start=0&end=60&step=10")
	a.get("/api/v1/services?limt=1")
	listen, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	r, err := http.NewRequestWithContext(listen, http.MethodGet, "http://"+a.Addr()+"/api/v1/live?view=services", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	if res, err = http.Post("http://"+a.Addr()+"/api/v1/replays", "application/json", strings.NewReader("{}")); err != nil ||
		res.StatusCode != http.StatusAccepted {
		t.Fatal(err, res)
	}
	defer res.Body.Close()
	a.until("a notification failed", func() bool {
		return slices.ContainsFunc(a.metrics()["alertmanager_notification_requests_failed_total"],
			func(l map[string]string) bool { return l["integration"] == "webhook" })
	})
	return a
}

// TestMixin holds that alerts and dashboard name what a running WatchingCat serves, and that each alert can be looked up.
func TestMixin(t *testing.T) {
	s := busyApp(t).metrics()
	check := func(where, text string) {
		t.Helper()
		expr, err := query.NewParser().ParseExpr(strings.NewReplacer("$__rate_interval", "5m").Replace(text))
		if err != nil {
			t.Errorf("%s: %v", where, err)
			return
		}
		for _, m := range s.lacks(expr) {
			t.Errorf("%s: nothing like %s is served", where, m)
		}
	}
	sources, err := rules.LoadFiles([]string{mixin + "alerts.yml"}, nil)
	require.NoError(t, err)
	runbooks, err := os.ReadFile("../../../deploy/docs/runbooks.md")
	require.NoError(t, err)
	sections := map[string]bool{}
	for line := range strings.Lines(string(runbooks)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "## "); ok {
			sections[strings.ToLower(name)] = true
		}
	}
	tests, err := os.ReadFile(mixin + "alerts_test.yml")
	require.NoError(t, err)
	n := 0
	for _, g := range sources[0].Groups {
		for _, r := range g.Rules {
			n++
			check(r.Alert, r.Expr)
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || !slices.Contains([]string{"warning", "critical"},
				r.Labels["severity"]) {
				t.Errorf("%s has no summary, description or severity", r.Alert)
			}
			_, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "deploy/docs/runbooks.md#")
			if !sections[anchor] {
				t.Errorf("%s has no section in runbooks.md", r.Alert)
			}
			if !strings.Contains(string(tests), r.Alert) {
				t.Errorf("%s has no test in alerts_test.yml", r.Alert)
			}
		}
	}
	if n < 20 || len(sections) != n {
		t.Errorf("%d alerts, %d runbooks", n, len(sections))
	}

	b, err := os.ReadFile(mixin + "dashboard.json")
	require.NoError(t, err)
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(b, &d))
	queries := 0
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries++
			check(p.Title, target.Expr)
		}
	}
	if queries < 30 {
		t.Errorf("%d queries in the dashboard", queries)
	}

	// what is not served must be found
	for _, text := range []string{"watchingcat_no_such", `watchingcat_spans_set_aside_total{reason="no such"}`,
		"sum by (colour) (watchingcat_ready)", `watchingcat_ready{colour="red"}`} {
		expr, err := query.NewParser().ParseExpr(text)
		require.NoError(t, err)
		if s.lacks(expr) == nil {
			t.Errorf("%s is not served and was not found out", text)
		}
	}

}
