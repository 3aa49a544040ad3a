package books

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/evaluator/backtest"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/metricstest"
	viewmodel "github.com/gaurav/watchingcat/views/model"
)

const day = 24 * time.Hour

// The SRE workbook's table 5-8 and the text around it, for 99.9 % over 30 days.
func TestBurnRatesOfTheWorkbook(t *testing.T) {
	require.InDelta(t, 14.4, BurnRate(0.02, 30*day, time.Hour), 1e-12)
	require.InDelta(t, 6, BurnRate(0.05, 30*day, 6*time.Hour), 1e-12)
	require.InDelta(t, 1, BurnRate(0.10, 30*day, 3*day), 1e-12)
	s := SLO{Name: "cart", Service: "cart", Objective: 99.9, Window: model.Duration(30 * day)}
	require.NoError(t, s.Check())
	var got []string
	for _, g := range s.Groups() {
		for _, r := range g.Rules {
			if r.Alert != "" {
				got = append(got, r.Labels["severity"]+" "+r.Expr)
			}
		}
	}
	require.Equal(t, []string{
		`page slo:sli_error:ratio_rate1h{slo="cart"} > 0.0144 and slo:sli_error:ratio_rate5m{slo="cart"} > 0.0144`,
		`page slo:sli_error:ratio_rate6h{slo="cart"} > 0.006 and slo:sli_error:ratio_rate30m{slo="cart"} > 0.006`,
		`ticket slo:sli_error:ratio_rate1d{slo="cart"} > 0.003 and slo:sli_error:ratio_rate2h{slo="cart"} > 0.003`,
		`ticket slo:sli_error:ratio_rate3d{slo="cart"} > 0.001 and slo:sli_error:ratio_rate6h{slo="cart"} > 0.001`,
	}, got)
	// A week's budget of the same share goes at another rate; below 1 there is no alert.
	week := SLO{Name: "w", Service: "cart", Objective: 99, Window: model.Duration(7 * day)}
	require.Len(t, week.burns(), 2)
	require.InDelta(t, 3.36, BurnRate(0.02, 7*day, time.Hour), 1e-12)
}

func TestSLORulesAreRules(t *testing.T) {
	for name, s := range map[string]SLO{
		"availability": {Name: `a "quoted" name`, Service: `we"b`, Operation: "GET /", Objective: 99.5, Window: model.Duration(28 * day),
			Labels: map[string]string{"team": "x"}},
		"latency": {Name: "l", Service: "web", LatencyMs: 200, Objective: 95, Window: model.Duration(7 * day)},
		"promql": {Name: "p", Good: `sum(rate(http_total{code!~"5.."}[$window]))`, Total: `sum(rate(http_total[$window]))`,
			Objective: 99, Window: model.Duration(day)},
	} {
		require.NoError(t, s.Check(), name)
		text, err := yaml.Marshal(rulefmt.RuleGroups{Groups: s.Groups()})
		require.NoError(t, err)
		_, err = rules.ParseSource("slo", text, slog.New(slog.DiscardHandler))
		require.NoError(t, err, name)
	}
	for want, s := range map[string]SLO{
		"needs a name":     {Service: "a", Objective: 99, Window: model.Duration(day)},
		"no share between": {Name: "a", Service: "a", Objective: 100, Window: model.Duration(day)},
		"not between 1h":   {Name: "a", Service: "a", Objective: 99, Window: model.Duration(time.Minute)},
		"either service":   {Name: "a", Objective: 99, Window: model.Duration(day)},
		"go together":      {Name: "a", Good: "x", Objective: 99, Window: model.Duration(day)},
		"100, 200, 400":    {Name: "a", Service: "a", LatencyMs: 201, Objective: 99, Window: model.Duration(day)},
		"has no $window":   {Name: "a", Good: "x", Total: "sum(rate(x[$window]))", Objective: 99, Window: model.Duration(day)},
		"total: 1:": {Name: "a", Good: "sum(rate(x[$window]))", Total: "sum(rate(x[$window])", Objective: 99,
			Window: model.Duration(day)},
		"scalar, not a vector": {Name: "a", Good: "sum(rate(x[$window]))", Total: "scalar(rate(x[$window]))", Objective: 99,
			Window: model.Duration(day)},
	} {
		require.ErrorIs(t, s.Check(), ErrSLOInvalid)
		require.ErrorContains(t, s.Check(), want)
	}
}

// "Detection time ... with 100 % errors: (1 - SLO) x window x burn rate / error ratio": for the first row 0.001 x 3600 s x 14.4 = 52 s;
// the short window ends it 5 min after the errors do, less what a burn rate of 14.4 leaves over.
func TestSLOFiresAndEndsAsTheWorkbookSays(t *testing.T) {
	r := &evaltest.Reader{}
	ok := viewmodel.REDKey{Service: "cart", Operation: "GET", Kind: viewmodel.KindServer}
	bad := ok
	bad.Status = viewmodel.StatusError
	const begin, end = 3 * 3600, 3*3600 + 600 // ten minutes of nothing but errors after three good hours
	for s := 0; s < 5*3600; s += 10 {
		o := make([]evaltest.Observation, 10)
		for i := range o {
			o[i].At = evaltest.At(float64(s) + float64(i)/2)
		}
		if s >= begin && s < end {
			r.Span(bad, o...)
		} else {
			r.Span(ok, o...)
		}
	}
	r.Commit(evaltest.At(5 * 3600))
	src := SLOSource([]SLO{{Name: "cart", Service: "cart", Objective: 99.9, Window: model.Duration(30 * day)}})
	res, err := backtest.Spec{Sources: []rules.Source{src}, Start: evaltest.At(3600), End: evaltest.At(5 * 3600),
		Reader: r}.Run(context.Background())
	require.NoError(t, err)
	fired := map[string][2]float64{}
	for _, s := range res.Series {
		if s.Labels.Get("severity") != "page" {
			continue // days long: it still fires
		}
		require.Len(t, s.Transitions, 2, s.Labels)
		fired[s.Labels.Get("long_window")] = [2]float64{s.Transitions[0].Time.Sub(evaltest.At(begin)).Seconds(),
			s.Transitions[1].Time.Sub(evaltest.At(end)).Seconds()}
	}
	page := fired["1h"]
	require.InDelta(t, 52, page[0], 12, "detected")
	require.InDelta(t, 300, page[1], 15, "reset")
	// 6 h at burn rate 6 would take 0.001 x 6 x 21600 s = 130 s, here of the three hours that there are: half of it.
	require.InDelta(t, 65, fired["6h"][0], 15)
}

// A metric of an application that has the name and the labels of span metrics, as a collector's connector exports them, is not counted with
// the spans: it has a job.
func TestSLOCountsNoMetricOfAnApplication(t *testing.T) {
	r := &evaltest.Reader{}
	ok := viewmodel.REDKey{Service: "cart", Operation: "GET", Kind: viewmodel.KindServer}
	bad := ok
	bad.Status = viewmodel.StatusError
	f := evaltest.NewMetricsFeed(t, storage.NewMem(storage.MemOptions{}))
	for i := range 30 {
		when := evaltest.At(float64(100 + i*10))
		for n := range 4 {
			k := ok
			if n == 0 {
				k = bad
			}
			r.Span(k, evaltest.Observation{At: when, Duration: 300 * time.Millisecond, TraceID: byte(i)})
		}
		f.Commit(when, func(ms pmetric.MetricSlice, ts pcommon.Timestamp) {
			put := func(m pcommon.Map, status string) {
				m.PutStr("span.name", "GET")
				m.PutStr("span.kind", "SPAN_KIND_SERVER")
				m.PutStr("status.code", status)
			}
			for _, status := range []string{"STATUS_CODE_UNSET", "STATUS_CODE_ERROR"} {
				d := metricstest.Sum(ms, "traces.span.metrics.calls", pmetric.AggregationTemporalityCumulative, ts, ts)
				d.SetIntValue(int64(i * 100))
				put(d.Attributes(), status)
			}
			h := metricstest.Histogram(ms, "traces.span.metrics.duration", pmetric.AggregationTemporalityCumulative, ts, ts)
			ms.At(ms.Len() - 1).SetUnit("ms")
			h.ExplicitBounds().FromRaw([]float64{200})
			h.BucketCounts().FromRaw([]uint64{uint64(i * 100), 0})
			h.SetCount(uint64(i * 100))
			put(h.Attributes(), "STATUS_CODE_UNSET")
		})
	}
	s := &query.Sources{Views: &query.Queryable{Reader: r}, Samples: f.Samples}
	eng := query.NewEngine(query.EngineConfig{}, nil, nil)
	value := func(expr string) float64 {
		t.Helper()
		q, err := eng.NewInstantQuery(context.Background(), s, nil, expr, evaltest.At(390))
		require.NoError(t, err)
		defer q.Close()
		v, err := q.Exec(context.Background()).Vector()
		require.NoError(t, err)
		require.Len(t, v, 1, expr)
		return v[0].F
	}
	require.Greater(t, value(`sum(rate(traces_span_metrics_calls_total{span_kind="SPAN_KIND_SERVER"}[1m]))`), 10.0,
		"the application's are there")
	require.InDelta(t, 0.25, value((&SLO{Service: "cart"}).ErrorRatio("1m")), 1e-9)
	require.InDelta(t, 0.25, value((&SLO{Service: "cart", Operation: "GET"}).ErrorRatio("1m")), 1e-9)
	require.InDelta(t, 1, value((&SLO{Service: "cart", LatencyMs: 200}).ErrorRatio("1m")), 1e-9)
}
