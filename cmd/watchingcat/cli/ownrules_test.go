package cli

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
)

// The rules that come with the program count the spans, not what an application exports under the names of span metrics.
func TestOwnRulesSelectTheViews(t *testing.T) {
	for _, file := range []string{"demo/rules.yml", "../../../deploy/compose/rules.yml"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		src, err := rules.ParseSource(file, text, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		seen := 0
		for _, g := range src.Groups {
			for _, r := range g.Rules {
				e, err := query.NewParser().ParseExpr(r.Expr)
				require.NoError(t, err)
				for _, ms := range parser.ExtractSelectors(e) {
					own, view := false, false
					for _, m := range ms {
						view = view || m.Name == labels.MetricName && strings.HasPrefix(m.Value, "traces_")
						own = own || m.Name == "job" && m.Type == labels.MatchEqual && m.Value == ""
					}
					require.Equal(t, view, own, "%s: %s", file, r.Expr)
					seen++
				}
			}
		}
		require.Positive(t, seen)
	}
}

// TestMixinRules runs the tests of the mixin's rules.
func TestMixinRules(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"rules", "test", "../../../deploy/mixin/alerts_test.yml"}, &out, &out); code != exitOK {
		t.Errorf("alerts_test.yml: exit code %d\n%s", code, &out)
	}
}
