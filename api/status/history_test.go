package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/pipeline/progress"
)

func TestHistoryOf(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(1_000_000_000+s, 0) }
	sample := func(s int64, read, lag int64, behind time.Duration, spans uint64) progress.Sample {
		return progress.Sample{At: at(s), Topics: []progress.TopicState{{Topic: "spans", Read: read, Lag: lag, Behind: behind}}, Spans: spans, DiskBytes: 7}
	}
	list := []progress.Sample{sample(-10, 0, 0, 0, 0), sample(0, 100, 5, 2*time.Second, 1000), sample(10, 200, 9, 3*time.Second, 2000),
		sample(20, 300, 1, time.Second, 3000), sample(40, 310, 0, 0, 10)} // other views took over
	number := func(list []*float64) (out []any) {
		for _, v := range list {
			if v == nil {
				out = append(out, nil)
			} else {
				out = append(out, *v)
			}
		}
		return out
	}

	h := historyOf(list, answer.Range{Start: at(0), End: at(60)})
	require.Equal(t, int64(10), h.StepS)
	require.Equal(t, []int64{at(0).Unix(), at(10).Unix(), at(20).Unix(), at(30).Unix(), at(40).Unix(), at(50).Unix()}, h.Times)
	require.Equal(t, []any{100., 100., 100., nil, nil, nil}, number(h.SpansPerS))
	require.Equal(t, []any{10., 10., 10., nil, 0.5, nil}, number(h.Topics[0].RecordsPerS))
	require.Equal(t, []any{2000., 3000., 1000., nil, 0., nil}, number(h.Topics[0].BehindMs))
	require.Equal(t, int64(7), *h.DiskBytes[0])
	require.Nil(t, h.DiskBytes[3])

	// Over a long range a step has the most of its lags, and its rate.
	h = historyOf(list[:4], answer.Range{Start: at(0), End: at(3 * 3600)})
	require.Equal(t, int64(40), h.StepS)
	require.LessOrEqual(t, len(h.Times), historyPoints+1)
	require.Equal(t, int64(9), *h.Topics[0].Lag[0])
	require.InDelta(t, 100, *h.SpansPerS[0], 1e-9)

	require.Empty(t, historyOf(nil, answer.Range{Start: at(0), End: at(60)}).Topics)
}

func TestReached(t *testing.T) {
	now, day := time.Unix(1_000_000_000, 0), progress.HistoryLength
	for _, c := range []struct{ start, end, wantStart, wantEnd time.Time }{
		{now.Add(-time.Hour), now, now.Add(-time.Hour), now},
		{now.Add(-48 * time.Hour), now.Add(time.Hour), now.Add(-day), now},
		{time.Unix(1, 0), time.Unix(9_999_999_999, 0), now.Add(-day), now}, // more than a Duration can say
		{time.Unix(1, 0), time.Unix(2, 0), now.Add(-day), now.Add(-day)},
		{now.Add(time.Hour), now.Add(2 * time.Hour), now.Add(time.Hour), now.Add(time.Hour)},
	} {
		r := reached(answer.Range{Start: c.start, End: c.end}, now)
		require.Equal(t, []time.Time{c.wantStart, c.wantEnd}, []time.Time{r.Start, r.End})
		require.LessOrEqual(t, len(historyOf(nil, r).Times), historyPoints+1)
	}
}
