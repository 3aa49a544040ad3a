package jaeger

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/promql"

	"github.com/gaurav/watchingcat/api/answer"
)

// What Jaeger's Monitor tab asks: the same queries that Jaeger sends a Prometheus with span metrics, over the views.

// metricFamily is proto/metrics/openmetrics.proto of jaeger-idl in JSON.
type metricFamily struct {
	Name    string         `json:"name"`
	Type    string         `json:"type"`
	Help    string         `json:"help"`
	Metrics []familyMetric `json:"metrics"`
}

type familyMetric struct {
	Labels []familyLabel `json:"labels"`
	Points []familyPoint `json:"metricPoints"`
}

type familyLabel struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type familyPoint struct {
	Gauge struct {
		Value any `json:"doubleValue"` // a number, or the string NaN
	} `json:"gaugeValue"`
	Timestamp time.Time `json:"timestamp"`
}

// spanMetricsQuery is what one request asks.
type spanMetricsQuery struct {
	matchers, by            string
	byOperation             bool
	quantile                float64
	end                     time.Time
	lookback, step, ratePer time.Duration
}

func parseSpanMetrics(q url.Values, now time.Time, kind string) (out spanMetricsQuery, err error) {
	millis := func(name string, otherwise int64) time.Duration {
		v := q.Get(name)
		if v == "" {
			return time.Duration(otherwise) * time.Millisecond
		}
		n, e := strconv.ParseInt(v, 10, 64)
		if e != nil || n <= 0 || n > answer.MaxUnixSeconds*1e3 {
			err = answer.Problemf(answer.ErrBadRequest, "", "unable to parse param '%s': %q", name, v)
		}
		return time.Duration(min(n, int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
	}
	out.end = now
	if v := q.Get("endTs"); v != "" {
		out.end = time.UnixMilli(int64(millis("endTs", 0) / time.Millisecond)).UTC()
	}
	out.lookback, out.step, out.ratePer = millis("lookback", 3_600_000), millis("step", 5000), millis("ratePer", 600_000)
	if err != nil {
		return out, err
	}
	if len(q["service"]) == 0 {
		return out, answer.Problemf(answer.ErrBadRequest, "", "please provide at least one service name")
	}
	if v := q.Get("groupByOperation"); v != "" {
		if out.byOperation, err = strconv.ParseBool(v); err != nil {
			return out, answer.Problemf(answer.ErrBadRequest, "", "unable to parse param 'groupByOperation': %q", v)
		}
	}
	if kind == "latencies" {
		if out.quantile, err = strconv.ParseFloat(q.Get("quantile"), 64); err != nil || !(out.quantile >= 0 && out.quantile <= 1) {
			return out, answer.Problemf(answer.ErrBadRequest, "", "unable to parse param 'quantile': %q", q.Get("quantile"))
		}
	}
	kinds := q["spanKind"]
	if len(kinds) == 0 {
		kinds = []string{"server"}
	}
	var values []string
	for _, k := range kinds {
		switch k {
		case "unspecified", "internal", "server", "client", "producer", "consumer":
			values = append(values, "SPAN_KIND_"+strings.ToUpper(k))
		default:
			return out, answer.Problemf(answer.ErrBadRequest, "", "unsupported span kind: '%s'", k)
		}
	}
	var services []string
	for _, v := range q["service"] {
		if !utf8.ValidString(v) {
			return out, answer.Problemf(answer.ErrBadRequest, "", "parameter 'service' is not UTF-8: %q", v)
		}
		services = append(services, regexp.QuoteMeta(v))
	}
	out.matchers = fmt.Sprintf("service_name=~%q, span_kind=~%q", strings.Join(services, "|"), strings.Join(values, "|"))
	out.by = "service_name"
	if out.byOperation {
		out.by = "service_name, span_name"
	}
	if out.lookback/max(out.step, time.Millisecond) > answer.MaxPoints {
		return out, answer.Problemf(answer.ErrBadRequest, "", "range and step make more than %d points", answer.MaxPoints)
	}
	return out, nil
}

// expr is the query in PromQL, and what its answer is called. A metric of an application that is named like the views' has a job. So have
// the series that a collector counted before the views began: they answer where the views do not.
func (q *spanMetricsQuery) expr(kind string) (expr, name, help string) {
	what, grouped := "service", "grouped by service"
	if q.byOperation {
		what, grouped = "service_operation", "grouped by service & operation"
	}
	expr = fmt.Sprintf("(%s) or (%s)", q.over(kind, q.matchers+`, job=""`), q.over(kind, q.matchers))
	switch kind {
	case "latencies":
		return expr, what + "_latencies", fmt.Sprintf("%.2fth quantile latency, %s", q.quantile, grouped)
	case "calls":
		return expr, what + "_call_rate", "calls/sec, " + grouped
	}
	return expr, what + "_error_rate", "error rate, computed as a fraction of errors/sec over calls/sec, " + grouped
}

// over is the query over the series that matchers select.
func (q *spanMetricsQuery) over(kind, matchers string) string {
	window := fmt.Sprintf("[%dms]", q.ratePer.Milliseconds())
	calls := fmt.Sprintf("sum(rate(traces_span_metrics_calls_total{%s}%s)) by (%s)", matchers, window, q.by)
	switch kind {
	case "latencies":
		return fmt.Sprintf("histogram_quantile(%g, sum(rate(traces_span_metrics_duration_milliseconds_bucket{%s}%s)) by (%s, le))",
			q.quantile, matchers, window, q.by)
	case "calls":
		return calls
	}
	failed := fmt.Sprintf("sum(rate(traces_span_metrics_calls_total{%s, status_code=\"STATUS_CODE_ERROR\"}%s)) by (%s)", matchers, window,
		q.by)
	// Services without a failed call have no such series; theirs is 0.
	return fmt.Sprintf("(%s) / (%s) or 0 * (%s)", failed, calls, calls)
}

func (s *API) metrics(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, warnings, err := s.spanMetrics(r.Context(), r.URL.Query(), kind)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		answer.WarnHeader(w, warnings)
		if err := s.JSON(w, http.StatusOK, out); err != nil {
			s.fail(w, r, err)
		}
	}
}

func (s *API) spanMetrics(ctx context.Context, v url.Values, kind string) (out metricFamily, warnings []string, err error) {
	m := s.Moment(ctx)
	q, err := parseSpanMetrics(v, answer.Later(m.Known(), m.Now), kind)
	if err != nil {
		return out, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.QueryTimeout)
	defer cancel()
	expr, name, help := q.expr(kind)
	query, err := s.Engine.NewRangeQuery(ctx, s.Queryable, nil, expr, q.end.Add(-q.lookback), q.end, q.step)
	if err != nil {
		return out, nil, answer.QueryError(err)
	}
	defer query.Close()
	res := query.Exec(ctx)
	if res.Err != nil {
		return out, nil, answer.QueryError(res.Err)
	}
	matrix, err := res.Matrix()
	if err != nil {
		return out, nil, err
	}
	warnings, _ = res.Warnings.AsStrings(expr, 10, 0)
	out = metricFamily{Name: name, Type: "GAUGE", Help: help, Metrics: []familyMetric{}}
	for _, series := range matrix {
		out.Metrics = append(out.Metrics, familyOf(series))
	}
	return out, warnings, nil
}

func familyOf(series promql.Series) familyMetric {
	f := familyMetric{Labels: []familyLabel{}, Points: make([]familyPoint, 0, len(series.Floats))}
	if v := series.Metric.Get("span_name"); v != "" {
		f.Labels = append(f.Labels, familyLabel{"operation", v})
	}
	f.Labels = append(f.Labels, familyLabel{"service_name", series.Metric.Get("service_name")})
	for _, p := range series.Floats {
		point := familyPoint{Timestamp: time.UnixMilli(p.T).UTC()}
		point.Gauge.Value = p.F
		if math.IsNaN(p.F) || math.IsInf(p.F, 0) {
			point.Gauge.Value = strings.TrimPrefix(strconv.FormatFloat(p.F, 'g', -1, 64), "+")
		}
		f.Points = append(f.Points, point)
	}
	return f
}
