package rules

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
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
	h, err := alert.OpenHistory(kv, 5)
	require.NoError(t, err)
	for n := range 9 {
		list := []alert.Transition{{RuleID: string(rune('a' + n)), Labels: labels.EmptyLabels()}}
		entries, err := h.Entries(list)
		require.NoError(t, err)
		require.NoError(t, kv.Commit(storage.Commit{Entries: entries}))
		h.Add(list)
	}
	again, err := alert.OpenHistory(kv, 5)
	require.NoError(t, err)
	require.Equal(t, h.Next, again.Next)
	var ids string
	for _, x := range again.Newest(0) {
		ids += x.RuleID
	}
	require.Equal(t, "ihgfe", ids)
	require.Len(t, h.Newest(0), 5)
}
