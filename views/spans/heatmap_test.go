package spans

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestHeatmap(t *testing.T) {
	from := time.Unix(1_750_000_000, 0)
	h := NewHeatmap(from, from.Add(time.Minute), 6)
	require.Equal(t, 10*time.Second, h.Step())
	add := func(after, took time.Duration, failed bool) {
		_, sp := resourceWith(nil, func(sp ptrace.Span) {
			sp.SetStartTimestamp(pcommon.NewTimestampFromTime(from.Add(after)))
			sp.SetEndTimestamp(pcommon.NewTimestampFromTime(from.Add(after + took)))
			if failed {
				sp.Status().SetCode(ptrace.StatusCodeError)
			}
		})
		h.Add(sp)
	}
	add(-time.Nanosecond, time.Second, false) // before
	add(time.Minute, time.Second, false)      // after
	add(0, time.Millisecond, false)
	add(10*time.Second-1, time.Millisecond, true)
	add(59*time.Second, 400*time.Hour, false)
	columns := h.Columns()
	require.Len(t, columns, 2)
	require.Equal(t, []Row{{rowOf(1e6), Count{2, 1}}}, columns[0].Rows)
	require.Equal(t, from.Add(50*time.Second).UTC(), columns[1].Start)
	require.Equal(t, maxRow, columns[1].Rows[0].Row)
}

func TestRows(t *testing.T) {
	for row := 1; row < maxRow; row++ {
		least := ShortestIn(row)
		if ShortestIn(row+1) == least { // the first rows are not wider than a microsecond
			continue
		}
		require.Equal(t, row, rowOf(uint64(least)), "%v", least)
		require.Less(t, rowOf(uint64(least-time.Microsecond)), row, "%v", least)
	}
	require.Zero(t, rowOf(999))
	require.Zero(t, ShortestIn(0))
}

func TestGroups(t *testing.T) {
	g := NewGroups()
	for i := range 10 {
		res, sp := resourceWith(map[string]string{"region": "eu"}, func(sp ptrace.Span) {
			sp.SetEndTimestamp(pcommon.Timestamp(1e9 + 1e6*(i+1)))
			sp.SetStartTimestamp(1e9)
			if i < 3 {
				sp.Attributes().PutStr("region", "us") // the span's own wins
				sp.Status().SetCode(ptrace.StatusCodeError)
			}
		})
		g.Add("region", res, sp)
		g.Add("nowhere", res, sp)
	}
	list := g.List(10)
	require.Len(t, list, 3)
	require.True(t, list[0].Missing)
	require.Equal(t, "eu", list[1].Value)
	require.EqualValues(t, 7, list[1].Spans)
	require.Equal(t, "us", list[2].Value)
	require.EqualValues(t, 3, list[2].Failed)
	require.Len(t, g.List(1), 1)
	for i := range 2 * maxValues {
		res, sp := resourceWith(map[string]string{"id": fmt.Sprint(i)}, nil)
		g.Add("id", res, sp)
	}
	require.Len(t, g.by, maxValues)
	require.Positive(t, g.Overflow)
}
