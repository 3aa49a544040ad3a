//go:build integration

package integration

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/gaurav/watchingcat/deploy/servers"
	"github.com/gaurav/watchingcat/storage/raw"
)

// TestClients: programs that were written for Prometheus, Alertmanager and Jaeger work with watchingcat as they are.
func TestClients(t *testing.T) {
	promtool, amtool := fetched(t, "promtool"), fetched(t, "amtool")
	a := newApp(t, startKfake(t), "WATCHINGCAT_RULE_FILES="+alwaysFiring(t))
	traffic := startTraffic(t, a.brokers, topic, 500)
	a.start()
	a.ready()
	waitFor(t, func() bool { return len(a.query("count(traces_span_metrics_calls_total) > 5")) > 0 })
	t.Run("client_golang", func(t *testing.T) { clientGolang(t, a) })
	t.Run("promtool", func(t *testing.T) {
		url := "http://" + a.addr + "/prometheus"
		now := time.Now()
		says(t, promtool, "traces_span_metrics_calls_total{", "query", "instant", url, "traces_span_metrics_calls_total")
		says(t, promtool, "service_name", "query", "range", "--start", fmt.Sprint(now.Add(-time.Minute).Unix()), "--end",
			fmt.Sprint(now.Unix()), url, "sum by (service_name) (rate(traces_span_metrics_calls_total[1m]))")
		says(t, promtool, "STATUS_CODE_", "query", "labels", url, "status_code")
		says(t, promtool, "traces_service_graph_request_total", "query", "series", "--match", "traces_service_graph_request_total", url)
	})
	t.Run("amtool", func(t *testing.T) {
		url := "--alertmanager.url=http://" + a.addr + "/alertmanager"
		waitFor(t, func() bool {
			out, err := exec.CommandContext(t.Context(), amtool, url, "alert", "query").CombinedOutput()
			return err == nil && strings.Contains(string(out), "Always")
		})
		says(t, amtool, "Always", url, "alert", "query", "alertname=Always")
		id := strings.TrimSpace(says(t, amtool, "", url, "silence", "add", "alertname=Always", "--comment=test", "--author=test",
			"--duration=1h"))
		says(t, amtool, id, url, "silence", "query", "-q")
		waitFor(t, func() bool {
			out, err := exec.CommandContext(t.Context(), amtool, url, "alert", "query", "--silenced", "alertname=Always").CombinedOutput()
			return err == nil && strings.Contains(string(out), "Always")
		})
		says(t, amtool, "", url, "silence", "expire", id)
		says(t, amtool, "Cluster Status", url, "cluster", "show")
	})
	t.Run("jaeger", func(t *testing.T) { jaegerReader(t, a) })
	t.Run("jaeger monitor", func(t *testing.T) { jaegerMonitor(t, a) })
	t.Run("prometheus", func(t *testing.T) { prometheusServer(t, a) })
	traffic.stop(t)
}

func alwaysFiring(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules.yml")
	rules := "groups:\n- name: g\n  rules:\n  - alert: Always\n    expr: sum(traces_span_metrics_calls_total) > 0\n    labels: {severity: page}\n"
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// says runs a program that must succeed and say a text.
func says(t *testing.T, program, text string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), text) {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(program), args, err, out)
	}
	return string(out)
}

func clientGolang(t *testing.T, a *app) {
	c, err := api.NewClient(api.Config{Address: "http://" + a.addr + "/prometheus"})
	if err != nil {
		t.Fatal(err)
	}
	p, ctx, now := promv1.NewAPI(c), t.Context(), time.Now()
	check := func(what string, ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Fatalf("%s: %v, error %v", what, ok, err)
		}
	}
	v, warnings, _, err := p.Query(ctx, "sum(traces_span_metrics_calls_total)", now)
	vector, ok := v.(model.Vector)
	check("query", ok && len(vector) == 1 && vector[0].Value > 0 && len(warnings) == 0, err)
	v, _, _, err = p.QueryRange(ctx, "sum by (service_name) (rate(calls_total[1m]))",
		promv1.Range{Start: now.Add(-time.Minute), End: now, Step: 10 * time.Second})
	matrix, ok := v.(model.Matrix)
	check("query_range", ok && len(matrix) > 1, err)
	names, _, _, err := p.LabelNames(ctx, nil, now.Add(-time.Hour), now)
	check("labels", slices.Contains(names, "span_name"), err)
	values, _, _, err := p.LabelValues(ctx, "service_name", nil, now.Add(-time.Hour), now)
	check("label values", len(values) > 1, err)
	series, _, _, err := p.Series(ctx, []string{"traces_service_graph_request_total"}, now.Add(-time.Hour), now)
	check("series", len(series) > 1, err)
	exemplars, err := p.QueryExemplars(ctx, "traces_span_metrics_duration_milliseconds_bucket", now.Add(-time.Hour), now)
	check("exemplars", len(exemplars) > 0 && exemplars[0].Exemplars[0].Labels["trace_id"] != "", err)
	metadata, err := p.Metadata(ctx, "", "")
	check("metadata", metadata["traces_span_metrics_calls_total"][0].Type == promv1.MetricTypeCounter, err)
	info, err := p.Buildinfo(ctx)
	check("buildinfo", info.Version != "", err)
	rules, err := p.Rules(ctx, nil)
	check("rules", len(rules.Groups) == 1, err)
	alerts, err := p.Alerts(ctx)
	check("alerts", len(alerts.Alerts) > 0, err)
	format, err := p.FormatQuery(ctx, "sum(a)by(b)")
	check("format_query", strings.Contains(format, "sum by (b) (a)"), err)
	_, _, _, err = p.Query(ctx, "sum(", now)
	if e, ok := err.(*promv1.Error); !ok || e.Type != promv1.ErrBadData {
		t.Fatalf("a bad query: %v", err)
	}
}

// jaegerReader asks watchingcat as it asks Jaeger itself.
func jaegerReader(t *testing.T, a *app) {
	j, err := raw.OpenJaeger("http://"+a.addr+"/jaeger", raw.Options{Metrics: raw.NewMetrics(prometheus.NewRegistry(), nil)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	list, more, err := j.Search(t.Context(), raw.TraceQuery{From: now.Add(-time.Hour), To: now, Limit: 10})
	if err != nil || len(list) != 10 || !more {
		t.Fatalf("%d traces, more %v, error %v", len(list), more, err)
	}
	td, err := j.Trace(t.Context(), list[9].ID)
	if err != nil || uint64(td.SpanCount()) < list[9].Spans {
		t.Fatalf("%d of %d spans, error %v", td.SpanCount(), list[9].Spans, err)
	}
}

// jaegerMonitor: a real Jaeger that takes watchingcat for the Prometheus of its Monitor tab says what watchingcat says itself.
func jaegerMonitor(t *testing.T, a *app) {
	fetched(t, "jaeger")
	j, err := servers.NewJaeger(*runDir, t.TempDir(), "http://"+a.addr+"/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var services struct{ Data []string }
	if err := get(t.Context(), "http://"+a.addr+"/jaeger/api/services", &services); err != nil || len(services.Data) < 2 {
		t.Fatal(services, err)
	}
	end := time.Now().Add(-20 * time.Second).Truncate(10 * time.Second)
	q := url.Values{"service": services.Data[:2], "endTs": {fmt.Sprint(end.UnixMilli())}, "lookback": {"30000"}, "step": {"10000"},
		"ratePer": {"60000"}, "spanKind": {"server"}, "quantile": {"0.95"}}
	for _, kind := range []string{"calls", "latencies", "errors"} {
		for _, by := range []string{"false", "true"} {
			q.Set("groupByOperation", by)
			waitFor(t, func() bool {
				theirs, points := monitored(t, j.URL+"/api/metrics/"+kind+"?"+q.Encode())
				ours, _ := monitored(t, "http://"+a.addr+"/jaeger/api/metrics/"+kind+"?"+q.Encode())
				return points > 0 && ours == theirs
			})
		}
	}
}

// monitored is an answer about metrics as text, without what has no value, and how many points it has.
func monitored(t *testing.T, target string) (text string, points int) {
	t.Helper()
	var body struct {
		Name, Type, Help string
		Metrics          []struct {
			Labels       []struct{ Name, Value string }
			MetricPoints []struct {
				GaugeValue struct{ DoubleValue any }
				Timestamp  string
			}
		}
	}
	if err := get(t.Context(), target, &body); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range body.Metrics {
		slices.SortFunc(m.Labels, func(a, b struct{ Name, Value string }) int { return strings.Compare(a.Name, b.Name) })
		for _, p := range m.MetricPoints {
			// Beside services that fail Jaeger leaves those out that do not.
			if v, ok := p.GaugeValue.DoubleValue.(float64); ok && (v != 0 || !strings.HasSuffix(body.Name, "error_rate")) {
				lines = append(lines, fmt.Sprintf("%v %s %.9g", m.Labels, p.Timestamp, v))
			}
		}
	}
	slices.Sort(lines)
	return fmt.Sprintln(body.Name, body.Type, body.Help, strings.Join(lines, "\n")), len(lines)
}

// prometheusServer: a real Prometheus reads watchingcat's series by remote read, and sends its alerts to watchingcat as its Alertmanager.
func prometheusServer(t *testing.T, a *app) {
	fetched(t, "prometheus")
	dir := t.TempDir()
	rules := filepath.Join(dir, "sent.yml")
	if err := os.WriteFile(rules, []byte("groups: [{name: g, interval: 1s, rules: [{alert: SentByPrometheus, expr: vector(1)}]}]\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	p, err := servers.NewPrometheus(*runDir, filepath.Join(dir, "prometheus"),
		fmt.Sprintf("remote_read: [{url: %q, read_recent: true}]\nrule_files: [%q]\n"+
			"alerting: {alertmanagers: [{path_prefix: /alertmanager, static_configs: [{targets: [%q]}]}]}\n",
			"http://"+a.addr+"/prometheus/api/v1/read", rules, a.addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-20 * time.Second).Truncate(10 * time.Second)
	for _, query := range []string{`sum by (service_name) (traces_span_metrics_calls_total)`,
		`sum by (client, server) (rate(traces_service_graph_request_total[1m]))`,
		`histogram_quantile(0.9, sum by (service, le) (rate(traces_spanmetrics_latency_bucket[1m])))`,
		`histogram_count(sum(traces_spanmetrics_latency))`} {
		waitFor(t, func() bool {
			theirs, _, _, err := promClient(t, p.URL).Query(t.Context(), query, at)
			if err != nil {
				t.Fatal(query, err)
			}
			ours, _, _, err := promClient(t, "http://"+a.addr+"/prometheus").Query(t.Context(), query, at)
			if err != nil {
				t.Fatal(query, err)
			}
			return theirs.String() != "" && cmp.Diff(inOrder(theirs), inOrder(ours), sameValues) == ""
		})
	}
	waitFor(t, func() bool {
		var alerts []struct{ Labels map[string]string }
		if err := get(t.Context(), "http://"+a.addr+"/alertmanager/api/v2/alerts?filter="+url.QueryEscape(`alertname="SentByPrometheus"`),
			&alerts); err != nil {
			t.Fatal(err)
		}
		return len(alerts) == 1
	})
}
