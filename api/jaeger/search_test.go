package jaeger

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/apitest"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/evaluator/query"
)

// FuzzSearches: what Jaeger's parameters are read as is within bounds, whatever they are.
func FuzzSearches(f *testing.F) {
	for _, q := range []string{"service=web&tags={\"a\":\"b\"}&tag=c:d:e&minDuration=1ms&maxDuration=2s&limit=3&start=1&end=60000000",
		"tags=null&tag=a:b", "limit=-1", "start=9223372036854775807", "start=5&end=4",
		"query.start_time_min=1970-01-01T00:00:00 02:00&query.startTimeMax=9999-12-31T23:59:59Z&query.attributes=null&query.num_traces=99999&query.durationMin=1s",
		"service=a.b%22%5C&service=%ff&spanKind=client&spanKind=server&endTs=60000&lookback=60000&step=1&ratePer=1&quantile=0.5&groupByOperation=true", "service=%ff", "service=a&quantile=NaN", "service=a&endTs=253402300799000&lookback=9999999"} {
		f.Add(q)
	}
	m := answer.Moment{Now: time.Unix(60, 0).UTC()}
	parse := query.NewParser()
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		check := func(s older.TraceSearch, err error) {
			if err != nil {
				apitest.Refused(t, err, "bad_request")
				return
			}
			require.False(t, s.To.Before(s.From), "%v to %v", s.From, s.To)
			require.GreaterOrEqual(t, s.Limit, 1)
			require.LessOrEqual(t, s.Limit, maxTraces)
			require.GreaterOrEqual(t, s.From.Unix(), -int64(history/time.Second))
			require.LessOrEqual(t, s.To.Unix(), int64(answer.MaxUnixSeconds)+1)
			require.Contains(t, []string{"", "ok", "error"}, s.Status)
			require.NotContains(t, s.Attributes, "error")
		}
		check(parseSearch(q, m))
		check(parseV3Search(q))
		for _, kind := range []string{"latencies", "calls", "errors"} {
			s, err := parseSpanMetrics(q, m.Now, kind)
			if err != nil {
				apitest.Refused(t, err, "bad_request")
				continue
			}
			require.LessOrEqual(t, int64(s.lookback/s.step), int64(answer.MaxPoints))
			text, _, _ := s.expr(kind)
			expr, err := parse.ParseExpr(text)
			require.NoError(t, err, text)
			onlyServices(t, expr, q["service"])
		}
	})
}

// onlyServices: each selector of an expression takes the services that were asked for and no other.
func onlyServices(t *testing.T, expr parser.Expr, services []string) {
	t.Helper()
	selectors := 0
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		selectors++
		i := slices.IndexFunc(s.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == "service_name" })
		require.GreaterOrEqual(t, i, 0)
		for _, name := range services {
			require.True(t, s.LabelMatchers[i].Matches(name), "%q", name)
		}
		require.False(t, s.LabelMatchers[i].Matches(strings.Join(services, "")+"another"))
		return nil
	})
	require.Positive(t, selectors)
}
