package views_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/lines"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// TestLinesOfAServiceAreThoseOfAll: a search that leaves the ResourceLogs of others undecoded finds the same lines, in the same places, as
// one that decodes everything, page by page.
func TestLinesOfAServiceAreThoseOfAll(t *testing.T) {
	script, err := viewstest.New(storage.NewMem(storage.MemOptions{}), model.Config{LogBytes: 1 << 30})
	require.NoError(t, err)
	set, offset := script.Set, int64(0)
	r := rand.New(rand.NewPCG(1, 1))
	begin := time.Unix(1_700_000_000, 0)
	services := []string{"cart", "cart-db", "checkout", "mail"}
	for range 6 {
		for range 20 {
			ld := plog.NewLogs()
			for range 1 + r.IntN(4) {
				rl := ld.ResourceLogs().AppendEmpty()
				rl.Resource().Attributes().PutStr("service.name", services[r.IntN(len(services))])
				for range r.IntN(3) {
					sl := rl.ScopeLogs().AppendEmpty()
					for range r.IntN(4) {
						l := sl.LogRecords().AppendEmpty()
						// many at one time: places decide
						l.SetTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(r.IntN(50)) * time.Second)))
						l.Body().SetStr(fmt.Sprint("line ", r.Uint64()))
					}
				}
			}
			if r.IntN(3) == 0 { // others may name a service too
				ld.ResourceLogs().AppendEmpty().Resource().Attributes().PutStr("peer", "cart")
			}
			var m plog.ProtoMarshaler
			value, err := m.MarshalLogs(ld)
			require.NoError(t, err)
			a := set.Partition("otlp_logs", 0)
			if a.Begin(model.Record{Offset: offset, LeaderEpoch: -1, Value: value}) {
				require.NoError(t, logs.Decode(value, nil, a.Log))
				a.End()
			}
			offset++
		}
		if _, err := script.Checkpoint(nil); err != nil {
			t.Fatal(err)
		}
	}
	all := pages(t, set, "", 1000)
	if len(all) < 300 {
		t.Fatalf("%d lines", len(all))
	}
	counts, err := set.CountLogs(views.LogQuery{Text: "line"}, 20*time.Second)
	require.NoError(t, err)
	counted := map[string]int{}
	for _, c := range counts.Counts {
		counted[fmt.Sprint(c.At, c.Service)] += int(c.Lines)
	}
	for _, l := range all {
		counted[fmt.Sprint(l.Time.Unix()-l.Time.Unix()%20, l.Service)]--
	}
	for step, n := range counted {
		require.Zero(t, n, step)
	}
	for _, service := range services {
		var want []string
		for _, l := range all {
			if l.Service == service {
				want = append(want, l.Place()+" "+l.Body)
			}
		}
		var got []string
		for _, l := range pages(t, set, service, 7) {
			got = append(got, l.Place()+" "+l.Body)
		}
		slices.Reverse(want)
		require.Equal(t, want, forth(t, set, service, 7), service)
		slices.Reverse(want)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %d lines, want %d\n got %.300v\nwant %.300v", service, len(got), len(want), got, want)
		}
	}
}

func pages(t *testing.T, set *views.Set, service string, limit int) (list []views.LogLine) {
	t.Helper()
	for q := (views.LogQuery{Service: service, Limit: limit}); ; {
		res, err := set.SearchLogs(q)
		require.NoError(t, err)
		list = append(list, res.Lines...)
		if q.Before = res.Next; q.Before == nil {
			return list
		}
	}
}

// forth reads the lines of a service page by page, oldest first.
func forth(t *testing.T, set *views.Set, service string, limit int) (list []string) {
	t.Helper()
	for after := (views.LogPlace{}); ; {
		res, err := set.LogsAfter(views.LogQuery{Service: service, Limit: limit}, after)
		require.NoError(t, err)
		for _, l := range res.Lines {
			list = append(list, l.Place()+" "+l.Body)
		}
		if len(res.Lines) < limit {
			return list
		}
		var ok bool
		after, ok = lines.ParsePlace(res.Lines[limit-1].Place())
		require.True(t, ok)
	}
}

// TestCountsBackToTheBudget: where the budget ends, steps that may lack lines are left out, and the others are whole.
func TestCountsBackToTheBudget(t *testing.T) {
	script, err := viewstest.New(storage.NewMem(storage.MemOptions{}), model.Config{LogBytes: 1 << 30})
	require.NoError(t, err)
	begin := time.Unix(1_700_000_000, 0)
	for i := range 40 {
		ld := plog.NewLogs()
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("service.name", "cart")
		l := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		l.SetTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(i) * time.Second)))
		l.Body().SetStr(fmt.Sprint("line ", i))
		var m plog.ProtoMarshaler
		value, err := m.MarshalLogs(ld)
		require.NoError(t, err)
		a := script.Set.Partition("otlp_logs", 0)
		if a.Begin(model.Record{Offset: int64(i), LeaderEpoch: -1, Value: value}) {
			require.NoError(t, logs.Decode(value, nil, a.Log))
			a.End()
		}
		_, err = script.Checkpoint(nil)
		require.NoError(t, err)
	}
	whole, err := script.Set.CountLogs(views.LogQuery{Text: "line"}, 10*time.Second)
	require.NoError(t, err)
	require.False(t, whole.Exhausted)
	require.Len(t, whole.Counts, 4)
	part, err := script.Set.CountLogs(views.LogQuery{Text: "line", Budget: 800}, 10*time.Second)
	require.NoError(t, err)
	require.True(t, part.Exhausted)
	require.NotEmpty(t, part.Counts)
	require.Less(t, len(part.Counts), 4)
	require.Equal(t, whole.Counts[4-len(part.Counts):], part.Counts)
	require.Equal(t, part.Counts[0].At, part.From.Unix())
}
