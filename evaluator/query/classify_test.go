package query

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClassify(t *testing.T) {
	f := func(want Frontier, expr string) {
		t.Helper()
		e, err := NewParser().ParseExpr(expr)
		require.NoError(t, err)
		got := Classify(e)
		require.Equal(t, want, got.Frontier, "%s: %s", expr, got.Reason)
		require.NotEmpty(t, got.Reason)
	}
	f(Head, `increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m]) > 3`)
	f(Head, `calls_total >= 10`)
	f(Head, `10 < calls_total`)
	f(Head, `sum by (service_name) (rate(calls_total[5m])) * 60 > 100`)
	f(Head, `histogram_quantile(0.95, sum by (le) (rate(traces_spanmetrics_latency_bucket[5m]))) > 0.5`)
	f(Head, `histogram_quantile(0.95, sum(rate(traces_spanmetrics_latency[5m]))) > 0.5`)
	f(Head, `sum(rate(calls_total{status_code="STATUS_CODE_ERROR"}[5m])) / sum(rate(calls_total[5m])) > 0.05`)
	f(Head, `sum by (service_name) (rate(calls_total{service_name="a",status_code="STATUS_CODE_ERROR"}[5m])) / sum by (service_name) (rate(calls_total{service_name="a"}[5m])) > 0.05`)
	f(Head, `rate(calls_total[1m]) > 1 and rate(calls_total[5m]) > 1`)
	f(Head, `rate(calls_total[1m]) > 1 or rate(traces_service_graph_request_failed_total[5m]) > 1`)
	f(Head, `count(rate(calls_total[1m]) > 1) > 2`)
	f(Head, `(increase(calls_total[1m]) + 1) / 60 - 3 > 0`)
	f(Head, `clamp_max(rate(calls_total[1m]), 5) > 4`)

	f(Complete, `increase(calls_total[1m]) < 3`)
	f(Complete, `3 > increase(calls_total[1m])`)
	f(Complete, `calls_total == 3`)
	f(Complete, `calls_total != 3`)
	f(Complete, `absent(calls_total)`)
	f(Complete, `absent_over_time(calls_total[5m])`)
	f(Complete, `rate(calls_total[5m]) > 2 unless rate(calls_total[1m]) > 5`)
	f(Complete, `rate(calls_total[5m]) > rate(calls_total[5m] offset 1h)`)
	f(Complete, `rate(calls_total[5m] offset 1h) > 3`)
	f(Complete, `calls_total @ 100 > 3`)
	f(Complete, `rate(calls_total{service_name="a"}[5m]) > on() rate(calls_total{service_name="b"}[5m])`)
	f(Complete, `sum(rate(calls_total{service_name="a"}[5m])) / sum(rate(calls_total{service_name="b"}[5m])) > 0.1`)
	f(Complete, `sum(rate(calls_total[5m])) / sum(rate(calls_total[1h])) > 2`)
	f(Complete, `1 / rate(calls_total[5m]) > 2`)
	f(Complete, `avg(rate(calls_total[5m])) > 2`)
	f(Complete, `min(rate(calls_total[5m])) > 2`)
	f(Complete, `-rate(calls_total[5m]) > -2`)
	f(Complete, `rate(calls_total[5m]) * -1 > -2`)
	f(Complete, `100 - rate(calls_total[5m]) > 2`)
	f(Complete, `max_over_time(rate(calls_total[1m])[5m:]) > 2`)
	f(Complete, `rate(calls_total[5m]) > bool 2`)
	f(Complete, `irate(calls_total[5m]) > 2`)
	f(Complete, `some_gauge > 2`)
	f(Complete, `{service_name="a"} > 2`)
	f(Complete, `vector(time()) > 2`)
	f(Complete, `vector(1)`)
	f(Complete, `rate(calls_total[5m]) > scalar(some_gauge)`)
	f(Complete, `resets(calls_total[5m]) > 2`)
}
