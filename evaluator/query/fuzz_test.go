package query

import (
	"context"
	"math"
	"math/rand"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cortexproject/promqlsmith"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/views/model"
)

// FuzzPromQL asks the views and a real TSDB that holds the same samples what a generator makes of a seed: each answer is the same, or an
// error of both.
func FuzzPromQL(f *testing.F) {
	for seed := range int64(60) {
		f.Add(seed)
	}
	r := shop(2)
	// within the newest bucket the views show all that it counts at once, so that nothing of a commit is missing; a TSDB has no such place
	r.Span(model.REDKey{Service: "later", Operation: "op", Kind: model.KindServer, Status: model.StatusOK},
		evaltest.Observation{At: evaltest.At(15_000)})
	q := &Queryable{Reader: r}
	db := copyToTSDB(f, q, evaltest.At(-100), evaltest.At(20_000)) // offsets may lie ahead
	var series []labels.Labels
	for _, s := range expand(f, q, evaltest.At(0), evaltest.At(700),
		labels.MustNewMatcher(labels.MatchRegexp, "__name__", "traces_.*|calls_total|duration_milliseconds_.*")) {
		series = append(series, s.Metric)
	}
	eng := NewEngine(EngineConfig{}, nil, nil)
	f.Fuzz(func(t *testing.T, seed int64) {
		rnd := rand.New(rand.NewSource(seed)) //nolint:gosec // the generator takes this kind
		smith := promqlsmith.New(rnd, series, promqlsmith.WithEnableOffset(true), promqlsmith.WithEnableAtModifier(true),
			promqlsmith.WithAtModifierMaxTimestamp(evaltest.At(900).UnixMilli()), promqlsmith.WithEnableVectorMatching(true),
			promqlsmith.WithMaxDepth(4),
			// which of equal values topk and bottomk choose is not said
			promqlsmith.WithEnabledAggrs([]parser.ItemType{parser.SUM, parser.MIN, parser.MAX, parser.AVG, parser.COUNT,
				parser.COUNT_VALUES, parser.QUANTILE, parser.STDDEV, parser.STDVAR, parser.GROUP}))
		ctx := context.Background()
		text, start := smith.WalkInstantQuery().String(), evaltest.At(float64(rnd.Intn(900))).
			Add(time.Duration(rnd.Intn(1000))*time.Millisecond)
		got, err := eng.NewInstantQuery(ctx, q, nil, text, start)
		require.NoError(t, err, text)
		defer got.Close()
		want, err := eng.NewInstantQuery(ctx, db, nil, text, start)
		require.NoError(t, err)
		defer want.Close()
		alike(t, text, want.Exec(ctx), got.Exec(ctx))

		text = smith.WalkRangeQuery().String()
		step := time.Duration(1+rnd.Intn(90_000)) * time.Millisecond
		got, err = eng.NewRangeQuery(ctx, q, nil, text, start.Add(-10*step), start, step)
		require.NoError(t, err, text)
		defer got.Close()
		want, err = eng.NewRangeQuery(ctx, db, nil, text, start.Add(-10*step), start, step)
		require.NoError(t, err)
		defer want.Close()
		alike(t, text, want.Exec(ctx), got.Exec(ctx))
	})
}

// alike compares results but for the order of series and the last digits of sums, which depend on it, also where they became labels.
func alike(t *testing.T, text string, want, got *promql.Result) {
	t.Helper()
	if want.Err != nil || got.Err != nil {
		require.Equal(t, want.Err == nil, got.Err == nil, "%s: %v, %v", text, want.Err, got.Err)
		return
	}
	for _, r := range []*promql.Result{want, got} {
		switch v := r.Value.(type) {
		case promql.Vector:
			for i := range v {
				v[i].Metric = roundedValues(v[i].Metric)
			}
			slices.SortFunc(v, func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) })
		case promql.Matrix:
			for i := range v {
				v[i].Metric = roundedValues(v[i].Metric)
			}
			slices.SortFunc(v, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
		}
	}
	diff := cmp.Diff(want.Value, got.Value, cmp.Comparer(labels.Equal), cmp.Comparer(nearly), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b *histogram.FloatHistogram) bool {
			if a == nil || b == nil {
				return a == b
			}
			a, b = a.Copy().Compact(0), b.Copy().Compact(0)
			return nearly(a.Sum, b.Sum) && nearly(a.Count, b.Count) && cmp.Equal(a.PositiveSpans, b.PositiveSpans, cmpopts.EquateEmpty()) &&
				slices.EqualFunc(a.PositiveBuckets, b.PositiveBuckets, nearly)
		}))
	require.Empty(t, diff, text)
}

// roundedValues leaves out the last digits of numbers in labels: count_values makes labels of values.
func roundedValues(l labels.Labels) labels.Labels {
	b := labels.NewBuilder(l)
	l.Range(func(x labels.Label) {
		if f, err := strconv.ParseFloat(x.Value, 64); err == nil && len(x.Value) > 10 {
			b.Set(x.Name, strconv.FormatFloat(f, 'g', 9, 64))
		}
	})
	return b.Labels()
}

func nearly(a, b float64) bool {
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1e-6)
}
