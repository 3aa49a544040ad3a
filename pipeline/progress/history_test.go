package progress

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHistoryKeepsADay(t *testing.T) {
	h, at := &History{}, time.Unix(0, 0)
	require.Empty(t, h.Between(at, at.Add(time.Hour)))
	for range historySamples + 3 { // three beyond the limit
		h.Add(Sample{At: at})
		at = at.Add(HistoryStep)
	}
	all := h.Between(time.Unix(0, 0), at)
	require.Len(t, all, historySamples)
	require.Equal(t, time.Unix(0, 0).Add(3*HistoryStep), all[0].At)
	require.Equal(t, at.Add(-HistoryStep), all[len(all)-1].At)
	for i := range all[1:] {
		require.Equal(t, HistoryStep, all[i+1].At.Sub(all[i].At))
	}
	require.Len(t, h.Between(at.Add(-time.Minute), at.Add(-HistoryStep)), 5)
}

func TestTopicsOf(t *testing.T) {
	now := time.Unix(1000, 0)
	parts := []Partition{
		{Topic: "spans", Partition: 0, Position: 70, Lag: 5, Watermark: now.Add(-time.Minute)},
		{Topic: "spans", Partition: 1, Position: 30, Lag: -1, Watermark: now.Add(-time.Hour)}, // the end is unknown
		{Topic: "spans", Partition: 2, Position: 1, Lag: 0, Idle: true, Watermark: now.Add(-time.Hour)},
		{Topic: "logs", Position: 9, Lag: 2}, // nothing read yet
	}
	require.Equal(t, []TopicState{{"logs", 9, 2, 0}, {"spans", 101, 5, time.Minute}}, TopicsOf(parts, now))
}
