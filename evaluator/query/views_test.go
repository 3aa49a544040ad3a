package query

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/views/model"
)

// TestViewsAnswerAsTheirSpans holds the real views to the literal ones, through PromQL.
func TestViewsAnswerAsTheirSpans(t *testing.T) {
	f, r := evaltest.NewSpanFeed(t), &evaltest.Reader{}
	for i := range 400 {
		s := float64(i) * 1.7
		k := model.REDKey{Service: []string{"cart", "web", "db"}[i%3], Operation: "GET", Kind: model.KindInternal,
			Status: model.Status(i / 7 % 3)}
		o := evaltest.Observation{At: evaltest.At(s), Duration: time.Duration(i*i) * 20 * time.Microsecond, TraceID: byte(i%250 + 1)}
		f.Span(k, o)
		r.Span(k, o)
	}
	eng := NewEngine(EngineConfig{}, nil, nil)
	ctx := context.Background()
	for _, text := range []string{
		`traces_span_metrics_calls_total`, `increase(calls_total[1m])`, `traces_spanmetrics_size_total`,
		`histogram_quantile(0.9, sum by (le) (rate(traces_span_metrics_duration_milliseconds_bucket[2m])))`,
		`histogram_quantile(0.9, sum(rate(traces_spanmetrics_latency[2m])))`, `traces_span_metrics_duration_seconds_sum`,
	} {
		got, err := eng.NewRangeQuery(ctx, &Queryable{Reader: f.Set}, nil, text, evaltest.At(-20), evaltest.At(800), 13*time.Second)
		require.NoError(t, err)
		want, err := eng.NewRangeQuery(ctx, &Queryable{Reader: r}, nil, text, evaltest.At(-20), evaltest.At(800), 13*time.Second)
		require.NoError(t, err)
		same(t, text, want.Exec(ctx), got.Exec(ctx))
	}
	lq, err := (&Queryable{Reader: f.Set}).Querier(0, evaltest.At(800).UnixMilli())
	require.NoError(t, err)
	services, _, err := lq.LabelValues(ctx, "service_name", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"cart", "db", "web"}, services)
}
