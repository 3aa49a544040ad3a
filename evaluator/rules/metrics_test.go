package rules

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
)

// TestBehind: a group whose inputs changed within its floor waits, and says since when.
func TestBehind(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
	b.errors(3, 4)
	require.Zero(t, b.e.behind(evaltest.At(60)), "nothing has changed since")
	b.errors(3.2, 1)
	require.Equal(t, 300*time.Millisecond, b.e.behind(evaltest.At(3.5)))
	b.errors(3.6, 1)
	require.Equal(t, 700*time.Millisecond, b.e.behind(evaltest.At(3.9)), "since the first of them")
	b.idle(4.1)
	require.Zero(t, b.e.behind(evaltest.At(60)))
}

func TestOutboxAsMetrics(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(b.e.Outbox())
	value := func(i int) float64 {
		got, err := reg.Gather()
		require.NoError(t, err)
		return got[i].GetMetric()[0].GetGauge().GetValue()
	}
	require.Zero(t, value(0))
	require.Zero(t, value(1))
	b.errors(3, 4)
	require.Equal(t, 1.0, value(0))
	require.Greater(t, value(1), time.Hour.Seconds(), "the clock of the test began in 1970")
	b.notified()
	require.Zero(t, value(0))
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}
