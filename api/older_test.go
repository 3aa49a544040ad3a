package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/jaeger"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/storage/raw/rawtest"
	"github.com/gaurav/watchingcat/views/model"
)

// promBench is a bench whose views begin at 600 s, behind them a Prometheus with what a collector's connector counted before.
func promBench(t *testing.T) (*bench, *rawtest.Prometheus) {
	prom := rawtest.NewPrometheus(t)
	older, err := raw.OpenPrometheus(prom.URL, raw.Options{Metrics: raw.NewMetrics(prometheus.NewRegistry(), nil)})
	require.NoError(t, err)
	b := newBench(t, func(c *Config) {
		s := &query.Sources{Views: &query.Queryable{Reader: c.Views}, Older: older}
		c.Queryable, c.Exemplars = s, s
	})
	red := []string{"job", "collector", "service_name", "web", "span_name", "GET", "span_kind", "SPAN_KIND_SERVER", "status_code",
		"STATUS_CODE_UNSET"}
	for sec := 15; sec <= 900; sec += 15 {
		series := labels.FromStrings(append([]string{"__name__", "traces_span_metrics_calls_total"}, red...)...)
		prom.Append(series, at(time.Duration(sec)*time.Second), float64(1000+sec))
		prom.Exemplar(series, exemplar.Exemplar{Labels: labels.FromStrings("trace_id", "0af7"), Value: 1, Ts: int64(sec) * 1000,
			HasTs: true})
	}
	for sec := 600; sec < 900; sec++ {
		b.record(time.Duration(sec*1e9).String() + " 40ms web server GET id=" + url.QueryEscape(time.Duration(sec).String()) + "/a")
	}
	b.commit(model.Mark{Topic: "otlp_spans", Watermark: time.Unix(900, 0)})
	b.now = at(901 * time.Second)
	return b, prom
}

// TestSpanMetricsOfAConnector: charts of span metrics go on before the views begin, in the APIs of both; the answer names its sources.
func TestSpanMetricsOfAConnector(t *testing.T) {
	b, prom := promBench(t)
	const query = "sum(rate(traces_span_metrics_calls_total[1m]))"
	w := b.get("/prometheus/api/v1/query_range?start=100&end=880&step=60&query=" + url.QueryEscape(query))
	require.Equal(t, http.StatusOK, w.Code)
	var body struct {
		Warnings []string
		Data     struct {
			Result []struct{ Values [][2]any }
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	require.Empty(t, body.Warnings)
	require.Len(t, body.Data.Result, 1)
	require.Len(t, body.Data.Result[0].Values, 14)
	w = b.do(http.MethodPost, "/api/v1/metrics/query", `{"query":"`+query+`","start":"100","end":"880","step":"60s"}`,
		"Content-Type: application/json")
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var q struct{ Meta rest.Meta }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &q))
	require.ElementsMatch(t, []string{"view", "prometheus"}, q.Meta.Source)
	require.Equal(t, at(100*time.Second), q.Meta.Since.UTC())
	require.False(t, q.Meta.Partial, q.Meta.Warnings)
	w = b.do(http.MethodPost, "/api/v1/metrics/query", `{"query":"sum(traces_span_metrics_calls_total)","time":"300"}`,
		"Content-Type: application/json")
	require.Contains(t, w.Body.String(), `[300,"1300"]`)

	// So does Jaeger's Monitor tab, at one call a second before and after.
	w = b.get(jaeger.Prefix + "/metrics/calls?service=web&endTs=880000&lookback=780000&step=60000&ratePer=60000")
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Empty(t, w.Header().Values(answer.WarningHeader))
	var rates struct {
		Metrics []struct {
			Points []struct {
				Gauge struct {
					Value any `json:"doubleValue"`
				} `json:"gaugeValue"`
				Timestamp time.Time
			} `json:"metricPoints"`
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &rates))
	require.Len(t, rates.Metrics, 1)
	require.Len(t, rates.Metrics[0].Points, 14)
	for _, p := range rates.Metrics[0].Points {
		edge := at(600 * time.Second) // a window over the edge is the views' only
		if p.Timestamp.Before(edge) || !p.Timestamp.Before(edge.Add(time.Minute)) {
			require.InDelta(t, 1, p.Gauge.Value, 0.01, "%v", p.Timestamp)
		}
	}

	for path, want := range map[string]string{"/labels?": `"job"`, "/label/__name__/values?": `"traces_span_metrics_calls_total"`,
		"/label/job/values?": `"collector"`,
		"/series?match[]=traces_span_metrics_calls_total&": `"job":"collector"`,
		"/series?match[]={job=\"collector\"}&":             `"job":"collector"`} {
		w := b.get("/prometheus/api/v1" + path + "start=100&end=880")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.NotContains(t, w.Body.String(), "warnings", path)
		require.Contains(t, w.Body.String(), want)
	}
	w = b.get("/api/v1/metrics/labels?start=100&end=880&name=job&match=" + url.QueryEscape(`{job=~".*"}`))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Contains(t, w.Body.String(), `"values":["collector"]`)
	require.Contains(t, w.Body.String(), `"warnings":[]`)
	for _, r := range prom.Requests() {
		require.Equal(t, http.StatusOK, r.Status, "%v", r)
	}
	w = b.get("/prometheus/api/v1/query_range?start=100&end=880&step=60&query=sum(rate(traces_service_graph_request_total[1m]))")
	require.Contains(t, w.Body.String(),
		`"warnings":["prometheus has no series of traces_service_graph_request_total for the time before the views begin (1970-01-01T00:10:00Z): nothing from before is in this answer"]`)
}

// TestExemplarsOfBoth: exemplars of the time before the views begin are the store's; one that does not answer is a warning, of both forms.
func TestExemplarsOfBoth(t *testing.T) {
	b, _ := promBench(t)
	const target = "/prometheus/api/v1/query_exemplars?start=0&end=880&query=traces_span_metrics_calls_total"
	w := b.get(target)
	require.Equal(t, http.StatusOK, w.Code)
	var body struct {
		Status   string
		Warnings []string
		Data     []struct {
			SeriesLabels map[string]string
			Exemplars    []struct {
				Labels    map[string]string
				Timestamp float64
			}
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	require.Len(t, body.Data, 2)
	for _, s := range body.Data {
		for _, e := range s.Exemplars {
			require.Equal(t, e.Timestamp < 600, s.SeriesLabels["job"] != "")
		}
	}
	gone, err := raw.OpenPrometheus("http://127.0.0.1:1",
		raw.Options{Metrics: raw.NewMetrics(prometheus.NewRegistry(), nil), Policy: raw.Policy{Retries: -1}})
	require.NoError(t, err)
	b.s.cfg.Exemplars.(*query.Sources).Older = gone
	w = b.get(target)
	require.Equal(t, http.StatusOK, w.Code)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	require.Len(t, body.Data, 1)
	require.Len(t, body.Warnings, 1)
	require.Contains(t, body.Warnings[0], "exemplars from before 1970-01-01T00:10:00Z are missing")
	require.Equal(t, body.Warnings, w.Header().Values(answer.WarningHeader))
}
