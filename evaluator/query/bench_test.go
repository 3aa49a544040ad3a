package query

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/views/model"
)

// BenchmarkQuery asks 100 series of 6 h with a span in every bucket.
func BenchmarkQuery(b *testing.B) {
	r := &evaltest.Reader{}
	for i := range 100 {
		var obs []evaltest.Observation
		for s := 0; s < 6*3600; s += 10 {
			obs = append(obs, evaltest.Observation{At: evaltest.At(float64(s + 5)), Duration: time.Duration(s) * time.Millisecond})
		}
		r.Span(model.REDKey{Service: fmt.Sprintf("s%d", i), Operation: "GET", Kind: model.KindServer}, obs...)
	}
	eng, q, ctx := NewEngine(EngineConfig{}, nil, nil), &Queryable{Reader: r}, context.Background()
	for _, text := range []string{
		`sum(rate(traces_span_metrics_calls_total[5m]))`,
		`histogram_quantile(0.95, sum by (le) (rate(traces_span_metrics_duration_milliseconds_bucket[5m])))`,
		`histogram_quantile(0.95, sum(rate(traces_spanmetrics_latency[5m])))`,
	} {
		b.Run("range "+text, func(b *testing.B) {
			for b.Loop() {
				qry, err := eng.NewRangeQuery(ctx, q, nil, text, evaltest.At(0), evaltest.At(6*3600), time.Minute)
				require.NoError(b, err)
				require.NoError(b, qry.Exec(ctx).Err)
			}
		})
		b.Run("instant "+text, func(b *testing.B) {
			for b.Loop() {
				qry, err := eng.NewInstantQuery(ctx, q, nil, text, evaltest.At(6*3600))
				require.NoError(b, err)
				require.NoError(b, qry.Exec(ctx).Err)
			}
		})
	}
}
