package backlog

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/views/model"
)

// TestShape: a backlog is what its shape says, or the figures of benchmarks are of something else.
func TestShape(t *testing.T) {
	end := time.Unix(1e9, 0)
	for _, s := range []Shape{{Spans: 50_000, Covers: time.Minute}, {Spans: 50_000, Covers: time.Minute, Shops: 3, Padding: 500},
		{Spans: 50_000, Covers: 10 * time.Minute, Shops: 2, PerRecord: 1000}} {
		series := map[string]int{}
		first, last, spans, bytes, records := end, time.Time{}, 0, 0, 0
		total, err := s.Each(end, func(key, value []byte, n int) error {
			require.Equal(t, s.PerRecord > 0, key == nil)
			spans, bytes, records = spans+n, bytes+len(value), records+1
			return otlp.ScanSpans(value, 100_000, func(r *model.Resource, sp *model.Span) {
				series[fmt.Sprintf("%s|%s|%d|%d", r.Service, sp.Name, sp.Kind, sp.Status)]++
				at := time.Unix(0, int64(sp.End))
				if at.Before(first) {
					first = at
				}
				if at.After(last) {
					last = at
				}
			})
		})
		require.NoError(t, err)
		require.Equal(t, total, spans)
		require.InDelta(t, s.Spans, spans, 2000, s)
		require.InDelta(t, s.Series(), len(series), float64(s.Series())/5, s)
		require.InDelta(t, s.Covers.Seconds(), last.Sub(first).Seconds(), 3, s)
		require.False(t, last.After(end))
		require.Greater(t, bytes/spans, s.Padding)
		if s.PerRecord > 0 {
			require.InDelta(t, s.PerRecord, spans/records, 60)
		}
	}
}
