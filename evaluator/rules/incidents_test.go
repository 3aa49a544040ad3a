package rules

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/incident"
	"github.com/gaurav/watchingcat/storage"
)

// An alert that fires is in an incident, which its link names, from the transaction in which it fires to the one in which it resolves,
// over restarts.
func TestAlertsBelongToIncidents(t *testing.T) {
	b := &bench{t: t, r: &evaltest.Reader{}, kv: storage.NewMem(storage.MemOptions{}), ready: true, limits: &incident.Limits{},
		rules: evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, ""))}
	b.start()
	b.errors(3, 2)
	require.Empty(t, b.e.cfg.Incidents.List())
	b.errors(5, 5)
	list := b.e.cfg.Incidents.List()
	require.Len(t, list, 1)
	require.True(t, list[0].Open())
	a := b.e.Active()[0]
	require.Equal(t, list[0].ID, a.Incident)
	require.Equal(t, "https://cat.example/a/incidents/"+a.Incident, a.GeneratorURL)
	entries, err := b.e.Outbox().Pending()
	require.NoError(t, err)
	require.Equal(t, a.GeneratorURL, entries[0].Alerts[0].GeneratorURL, "who is notified gets the link")

	b.start()
	require.Equal(t, list, b.e.cfg.Incidents.List())
	b.idle(20)
	require.Equal(t, a.Incident, b.e.Active()[0].Incident)
	b.idle(100)
	list = b.e.cfg.Incidents.List()
	require.Len(t, list, 1)
	require.False(t, list[0].Open())

	b.errors(110, 5)
	require.Len(t, b.e.cfg.Incidents.List(), 1, "soon after, it is the same")
	require.Equal(t, 2, b.e.cfg.Incidents.List()[0].Fired)
}

// An alert whose state cannot be stored is in no incident; it is once it can.
func TestIncidentsAreStoredWithAlerts(t *testing.T) {
	kv := &failingKV{KV: storage.NewMem(storage.MemOptions{})}
	b := &bench{t: t, r: &evaltest.Reader{}, kv: kv, ready: true, limits: &incident.Limits{},
		rules: evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, ""))}
	b.start()
	kv.fail = true
	b.r.Span(evaltest.Failing, make5(evaltest.At(3))...)
	sub := b.r.Feed().Subscribe()
	defer sub.Close()
	b.r.Commit(evaltest.At(1))
	c := sub.Take()
	c.Frontier = b.r.Frontier()
	require.Error(t, b.e.Advance(t.Context(), c, evaltest.At(3)))
	require.Empty(t, b.e.cfg.Incidents.List())
	kv.fail = false
	b.idle(4)
	require.Len(t, b.e.cfg.Incidents.List(), 1)
	require.Equal(t, b.e.cfg.Incidents.List()[0].ID, b.e.Active()[0].Incident)
}

// Alerts beyond the limit of open incidents fire all the same, and are counted.
func TestTooManyIncidents(t *testing.T) {
	b := &bench{t: t, r: &evaltest.Reader{}, kv: storage.NewMem(storage.MemOptions{}), ready: true,
		limits: &incident.Limits{OpenOnes: 1}, rules: evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, ""))}
	b.start()
	other := evaltest.Failing
	other.Service = "web"
	b.r.Span(other, make5(evaltest.At(3))...)
	b.errors(3, 5)
	active := b.e.Active()
	require.Len(t, active, 2)
	require.NotEqual(t, active[0].Incident == "", active[1].Incident == "", "one of them has none")
	for _, a := range active {
		require.Equal(t, alert.StateFiring, a.State)
	}
	require.Positive(t, testutil.ToFloat64(b.e.metrics.apart))
	require.Len(t, b.e.cfg.Incidents.List(), 1)
}
