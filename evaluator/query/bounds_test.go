package query

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"
)

// Nested subqueries multiply: each of these kept a core busy for minutes, or took all memory.
func TestWorkIsBoundedBeforeItBegins(t *testing.T) {
	eng, none := NewEngine(EngineConfig{}, nil, nil), &Queryable{}
	for text, want := range map[string]string{
		"quantile_over_time(0.5, quantile_over_time(0.5, vector(1)[500000s:1s])[400000s:1s])":       "look at 200001300002 steps",
		"1 + sum(max_over_time((min_over_time(vector(1)[5d:1s]))[5d:1s]))":                          "look at",
		"avg_over_time(deriv(rate(vector(1)[1d:1s])[6d:1s])[1d:1s])":                                "look at",
		"absent_over_time(last_over_time(vector(1)[500000s:1s])[400000s:1s])":                       "look at",
		"quantile_over_time(0.5, (quantile_over_time(0.5, vector(1)[500000s:1s] @ 0))[400000s:1s])": "",
		"max_over_time(rate(up[5m])[7d:1m])":                                                        "",
		`up{a=~"` + strings.Repeat("a{1000}", 200) +
			`"}`: "more than 100000 steps",
		`{__name__=~"(((x{10}){10}){10}y){1}", b!~"` + strings.Repeat("[a-z]{900}", 150) +
			`"}`: "more than 100000 steps",
		`label_replace(up, "a", "$1", "b", "` + strings.Repeat("(.?){500}", 6) +
			`")`: "regular expression of label_replace has",
		nested(7, `label_replace(%s, "a", "$1$1", "a", "(.*)")`):          "repeat a label more than 64 times",
		nested(7, `label_replace(%s, "a", "$1$2", "a", "((.*))")`):        "repeat a label more than 64 times",
		nested(7, `label_replace(%s, "a", "${x}${x}", "a", "(?P<x>.*)")`): "repeat a label more than 64 times",
		nested(4, `label_join(%s, "a", ",", "a", "a", "a")`):              "repeat a label more than 64 times",
		nested(30, `label_replace(%s, "a", "$1-$2", "b", "(.*)-(.*)")`):   "",
		`label_replace(up, "a", "` + strings.Repeat("x", 5000) +
			`", "", "")`: "writes a text of 5000 bytes",
		`label_join(up, "a", "` + strings.Repeat("x", 2000) +
			`", "a", "b", "c", "d")`: "writes a text of 6000 bytes",
		`label_replace(label_join(up, "x", "/", "namespace", "pod", "container"), "y", "$1", "x", "(.*)")`: "",
		`sum by (service_name) (rate(traces_span_metrics_calls_total{service_name=~"` + strings.Repeat("service-with-a-long-name|", 500) +
			`"}[5m]))`: "",
	} {
		_, err := eng.NewInstantQuery(t.Context(), none, nil, text, time.Unix(1_700_000_000, 0))
		if want == "" {
			require.NoError(t, err, text)
		} else {
			require.ErrorContains(t, err, want, text)
		}
	}
	_, err := eng.NewRangeQuery(t.Context(), none, nil, "max_over_time(vector(1)[2d:1s])", time.Unix(0, 0), time.Unix(700_000, 0),
		time.Minute)
	require.ErrorContains(t, err, "look at")
	_, err = eng.NewRangeQuery(t.Context(), none, nil, "1", time.Unix(0, 0), time.Unix(2_000_000, 0), time.Second)
	require.ErrorContains(t, err, "the query has 2000000 steps")
	_, err = NewParser().ParseMetricSelectors([]string{"up", `{a=~"` + strings.Repeat("a{1000}", 200) + `"}`})
	require.ErrorContains(t, err, "more than 100000 steps")
}

func nested(n int, call string) string {
	text := "up"
	for range n {
		text = fmt.Sprintf(call, text)
	}
	return text
}

// A query whose context ends stops in the midst of a series: what it looks at from then on is counted.
func TestCancelledQueryStops(t *testing.T) {
	const length = 6000
	var looked func(samples int)
	before := maps.Clone(promql.FunctionCalls)
	t.Cleanup(func() { maps.Copy(promql.FunctionCalls, before) })
	for name, f := range before {
		promql.FunctionCalls[name] = func(v []promql.Vector, m promql.Matrix, args parser.Expressions,
			enh *promql.EvalNodeHelper) (promql.Vector, annotations.Annotations) {
			for i := range m {
				looked(len(m[i].Floats))
			}
			return f(v, m, args, enh)
		}
	}
	source := oneSeries(length)
	for _, text := range []string{"quantile_over_time(0.5, up[2h])", "sum_over_time(up[2h])", "1 + max(rate(up[2h]))",
		"absent_over_time(up[2h])", "predict_linear(up[2h], 3600)", "max_over_time((up + 1)[2h:1s])"} {
		for name, stop := range map[string]func(context.CancelFunc, promql.Query){
			"context": func(cancel context.CancelFunc, _ promql.Query) { cancel() },
			"Cancel":  func(_ context.CancelFunc, q promql.Query) { q.Cancel() },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			q, err := NewEngine(EngineConfig{}, nil, nil).NewRangeQuery(ctx, source, nil, text, time.Unix(0, 0), time.Unix(length, 0),
				time.Second)
			require.NoError(t, err)
			seen, after := 0, 0
			looked = func(n int) {
				if seen += n; seen > 1<<20 {
					stop(cancel, q)
					after += n
				}
			}
			res := q.Exec(ctx)
			require.ErrorAs(t, res.Err, new(promql.ErrQueryCanceled), "%s by %s", text, name)
			require.Less(t, after, lookEvery+2*length, "%s by %s", text, name)
			q.Close()
			cancel()
		}
	}
	working.Range(func(any, any) bool {
		t.Error("a query that has ended is still watched")
		return false
	})
}

// onceSet is a set of one series.
type onceSet struct {
	storage.SeriesSet
	read bool
}

func (s *onceSet) Next() bool {
	first := !s.read
	s.read = true
	return first
}

// oneSeries has n samples, one a second.
func oneSeries(n int) storage.Queryable {
	s := promql.Series{Metric: labels.FromStrings(labels.MetricName, "up")}
	for i := range n {
		s.Floats = append(s.Floats, promql.FPoint{T: int64(i) * 1000, F: float64(i * 7919 % 1000)})
	}
	return storage.QueryableFunc(func(int64, int64) (storage.Querier, error) {
		return &storage.MockQuerier{SelectMockFunction: func(bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
			return &onceSet{SeriesSet: storage.TestSeriesSet(promql.NewStorageSeries(s))}
		}}, nil
	})
}
