package books

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/backtest"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/views/model"
)

func sourceOf(g rulefmt.RuleGroup) []rules.Source {
	return []rules.Source{{Name: "t", Groups: []rulefmt.RuleGroup{g}}}
}

// One of two operations stops: the alert names it, and ends when it is back.
func TestNoDataNamesTheSeries(t *testing.T) {
	r := &evaltest.Reader{}
	for s := 0; s < 3600; s += 10 {
		for _, op := range []string{"GET", "PUT"} {
			if op == "GET" || s < 1200 || s > 2400 {
				r.Span(model.REDKey{Service: "cart", Operation: op, Kind: model.KindServer},
					evaltest.Observation{At: evaltest.At(float64(s))})
			}
		}
	}
	r.Commit(evaltest.At(3600))
	g, err := NoData("Silent", `calls_total{service_name="cart"}`, 5*time.Minute, time.Hour)
	require.NoError(t, err)
	res, err := backtest.Spec{Sources: sourceOf(g), Start: evaltest.At(600), End: evaltest.At(3500), Reader: r}.Run(context.Background())
	require.NoError(t, err)
	require.Len(t, res.Series, 1)
	require.Equal(t, "PUT", res.Series[0].Labels.Get("span_name"))
	require.InDelta(t, 1500, res.Transitions[0].Time.Sub(evaltest.At(0)).Seconds(), 20)
	require.InDelta(t, 2410, res.Transitions[1].Time.Sub(evaltest.At(0)).Seconds(), 20)
	g, err = NoData("Silent", `queue_length{queue=~"a|b"}`, 5*time.Minute, time.Hour)
	require.NoError(t, err)
	require.Equal(t, `last_over_time(queue_length{queue=~"a|b"}[1h]) unless last_over_time(queue_length{queue=~"a|b"}[5m])`,
		g.Rules[0].Expr)
	for _, text := range []string{"rate(x[5m])", "x offset 5m", "x{"} {
		_, err = NoData("Silent", text, time.Minute, time.Hour)
		require.ErrorIs(t, err, ErrTemplate)
	}
}

// Traffic with the shape of a day; on the eighth day twice as much for two hours, and noise that the days have too.
func TestBaselineKnowsTheTimeOfDay(t *testing.T) {
	r := &evaltest.Reader{}
	k := model.REDKey{Service: "cart", Operation: "GET", Kind: model.KindServer}
	burst := 7*24*3600 + 12*3600
	for s := 0; s < 8*24*3600; s += 600 {
		n := 20 + int(15*math.Sin(float64(s%86400)/86400*2*math.Pi)) + s/86400%3
		if s >= burst && s < burst+7200 {
			n *= 2
		}
		o := make([]evaltest.Observation, n)
		for i := range o {
			o[i].At = evaltest.At(float64(s))
		}
		r.Span(k, o...)
	}
	r.Commit(evaltest.At(8 * 24 * 3600))
	g, err := Baseline("Unusual traffic", `sum by (service_name) (rate(calls_total[1h]))`, BaselineDays, 4)
	require.NoError(t, err)
	res, err := backtest.Spec{Sources: sourceOf(g), Start: evaltest.At(7*24*3600 + 3600), End: evaltest.At(8*24*3600 - 60),
		Step: time.Minute, Reader: r}.Run(context.Background())
	require.NoError(t, err)
	require.Len(t, res.Series, 1)
	require.Equal(t, 1, res.Series[0].Summary.Fired)
	var fired alert.Transition
	for _, x := range res.Transitions {
		if x.To == alert.StateFiring {
			fired = x
		}
	}
	require.InDelta(t, float64(burst), fired.Time.Sub(evaltest.At(0)).Seconds(), 2400)
	require.Equal(t, "baseline:Unusual_traffic:median", g.Rules[1].Record)
	require.Contains(t, g.Rules[1].Expr, "calls_total[1h] offset 1w")
	_, err = Baseline("x", "vector(1)", BaselineDays, 4)
	require.ErrorIs(t, err, ErrTemplate)
}
