package views_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// TestTrendsAreCharts holds the trends of all services to the chart of each, also when spans come late to steps that are remembered.
func TestTrendsAreCharts(t *testing.T) {
	s, err := viewstest.New(storage.NewMem(storage.MemOptions{}), model.Config{})
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(3, 3))
	n := 0
	add := func(spans int) {
		for range spans {
			status := []string{"", " error"}[r.IntN(2)]
			l, err := viewstest.ParseLine(fmt.Sprintf("%v %dms s%d %s op id=t%d/a%s", time.Duration(r.Int64N(int64(3*time.Hour))),
				1+r.IntN(500), r.IntN(4), []string{"server", "internal"}[r.IntN(2)], n, status))
			require.NoError(t, err)
			s.Topic[0] = append(s.Topic[0], viewstest.Record{Spans: []viewstest.Line{l}})
			s.Apply(0, int64(n))
			n++
		}
		_, err := s.Checkpoint(nil)
		require.NoError(t, err)
	}
	for _, spans := range []int{2000, 40, 1, 300} {
		add(spans)
		for _, step := range []time.Duration{10 * time.Second, 20 * time.Second, time.Minute, 90 * time.Second, time.Hour} {
			from, to := time.Unix(13*60+7, 0), time.Unix(2*3600+11*60+41, 0)
			trends, err := s.Set.ServiceTrends(from, to, step)
			require.NoError(t, err)
			require.Len(t, trends, 4)
			counts, err := s.Set.ServiceCounts(from, to)
			require.NoError(t, err)
			services, err := s.Set.Services(from, to)
			require.NoError(t, err)
			for i, trend := range trends {
				chart, _, err := s.Set.ServicePoints(trend.Name, "", from, to, step)
				require.NoError(t, err)
				want := make([]model.TrendPoint, len(chart))
				for j, p := range chart {
					want[j] = model.TrendPoint{Calls: p.Entry.Calls, Errors: p.Entry.Errors, P95: p.Entry.Latency.P95}
				}
				require.Equal(t, want, trend.Points, "%s, step %v", trend.Name, step)

				c, v := counts[i], services[i]
				require.Equal(t, v.Name, c.Name)
				require.Equal(t, v.RED, model.RED{Calls: c.All.Calls, Errors: c.All.Errors, Latency: c.All.Hist.Latency()})
				require.Equal(t, v.Entry, model.RED{Calls: c.Entry.Calls, Errors: c.Entry.Errors, Latency: c.Entry.Hist.Latency()})
				require.Equal(t, v.LastSeen, c.LastSeen)
			}
		}
	}
}
