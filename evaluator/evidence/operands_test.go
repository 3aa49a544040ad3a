package evidence

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/query"
)

func TestOperandsOfAnExpression(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		e, err := query.NewParser().ParseExpr(text)
		require.NoError(t, err)
		var got []string
		for _, o := range operandsOf(e) {
			got = append(got, o.String())
		}
		require.Equal(t, want, got)
	}
	f("sum(a) / sum(b) > 0.1", "sum(a) / sum(b)", "sum(a)", "sum(b)")
	f("(a > 1) and (b < 2)", "a > 1", "a", "b < 2", "b")
	f("histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m]))) > scalar(y)", "histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m])))",
		"scalar(y)")
	f("a", "a")
}
