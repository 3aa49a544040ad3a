package evaluator

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage"
)

func TestHistorySurvivesAndIsBounded(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
	b.errors(5, 4)
	b.idle(80)
	b.idle(90)
	was := b.e.History(0)
	require.Len(t, was, 2)
	b.start()
	got := b.e.History(0)
	require.Len(t, got, 2)
	for i := range was {
		require.True(t, was[i].Time.Equal(got[i].Time))
		require.Equal(t, []string{was[i].From, was[i].To, was[i].Labels.String()}, []string{got[i].From, got[i].To, got[i].Labels.String()})
	}

	kv := storage.NewMem(storage.MemOptions{})
	h, err := openHistory(kv, 5)
	require.NoError(t, err)
	for n := range 9 {
		list := []Transition{{RuleID: string(rune('a' + n)), Labels: labels.EmptyLabels()}}
		entries, err := h.entries(list)
		require.NoError(t, err)
		require.NoError(t, kv.Commit(storage.Commit{Entries: entries}))
		h.add(list)
	}
	again, err := openHistory(kv, 5)
	require.NoError(t, err)
	require.Equal(t, h.next, again.next)
	var ids string
	for _, x := range again.newest(0) {
		ids += x.RuleID
	}
	require.Equal(t, "ihgfe", ids)
	require.Len(t, h.newest(0), 5)
}
