//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/gaurav/watchingcat/storage/raw"
)

// TestClients: programs that were written for Prometheus, Alertmanager and Jaeger work with watchingcat as they are.
func TestClients(t *testing.T) {
	promtool, amtool := fetched(t, "promtool"), fetched(t, "amtool")
	a := newApp(t, startKfake(t), "WATCHINGCAT_RULE_FILES="+alwaysFiring(t))
	traffic := startTraffic(t, a.brokers, topic, 500)
	a.start()
	a.ready(time.Minute)
	waitFor(t, time.Minute, func() bool { return len(a.query("count(traces_span_metrics_calls_total) > 5")) > 0 })
	t.Run("client_golang", func(t *testing.T) { clientGolang(t, a) })
	t.Run("promtool", func(t *testing.T) {
		url := "http://" + a.addr + "/prometheus"
		now := time.Now()
		says(t, promtool, "traces_span_metrics_calls_total{", "query", "instant", url, "traces_span_metrics_calls_total")
		says(t, promtool, "service_name", "query", "range", "--start", fmt.Sprint(now.Add(-time.Minute).Unix()), "--end", fmt.Sprint(now.Unix()), url, "sum by (service_name) (rate(traces_span_metrics_calls_total[1m]))")
		says(t, promtool, "STATUS_CODE_", "query", "labels", url, "status_code")
		says(t, promtool, "traces_service_graph_request_total", "query", "series", "--match", "traces_service_graph_request_total", url)
	})
	t.Run("amtool", func(t *testing.T) {
		url := "--alertmanager.url=http://" + a.addr + "/alertmanager"
		waitFor(t, time.Minute, func() bool {
			out, err := exec.CommandContext(t.Context(), amtool, url, "alert", "query").CombinedOutput()
			return err == nil && strings.Contains(string(out), "Always")
		})
		says(t, amtool, "Always", url, "alert", "query", "alertname=Always")
		id := strings.TrimSpace(says(t, amtool, "", url, "silence", "add", "alertname=Always", "--comment=test", "--author=test", "--duration=1h"))
		says(t, amtool, id, url, "silence", "query", "-q")
		waitFor(t, time.Minute, func() bool {
			out, err := exec.CommandContext(t.Context(), amtool, url, "alert", "query", "--silenced", "alertname=Always").CombinedOutput()
			return err == nil && strings.Contains(string(out), "Always")
		})
		says(t, amtool, "", url, "silence", "expire", id)
		says(t, amtool, "Cluster Status", url, "cluster", "show")
	})
	t.Run("jaeger", func(t *testing.T) { jaegerReader(t, a) })
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
	v, _, _, err = p.QueryRange(ctx, "sum by (service_name) (rate(calls_total[1m]))", promv1.Range{Start: now.Add(-time.Minute), End: now, Step: 10 * time.Second})
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
