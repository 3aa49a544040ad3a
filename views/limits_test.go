package views_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

var labelSets = flag.Int("limits.n", 30_000, "how many distinct label sets to send; memory is looked at from a million on")

// TestLimitsHold sends many times more services, operations, peers, databases, exceptions, versions and log patterns than may be
// kept apart: totals stay exact, what is kept stays within its limits, and the overflow is visible.
func TestLimitsHold(t *testing.T) {
	n := *labelSets
	kv := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(kv, model.Config{Limits: model.Limits{Services: n / 100, OperationsPerService: 50, Series: n / 5, Edges: n / 50,
		ErrorGroups: n / 100, Patterns: 20}})
	require.NoError(t, err)
	a, base := set.Partition("otlp_spans", 0), uint64(time.Hour)
	for i := range n {
		if !a.Begin(model.Record{Offset: int64(i), LeaderEpoch: -1, Value: binary.BigEndian.AppendUint64(nil, uint64(i))}) {
			t.Fatalf("record %d was not taken", i)
		}
		res := model.Resource{Service: fmt.Appendf(nil, "service-%d", i%(n/10)), HasService: true, Version: fmt.Appendf(nil, "v%d", i)}
		s := model.Span{Name: fmt.Appendf(nil, "operation-%d", i), Kind: model.KindClient, Start: base, End: base + uint64(i), Size: 100,
			DBSystem: []byte("pg"), DBName: fmt.Appendf(nil, "db-%d", i),
			Exceptions: []model.Exception{{Type: fmt.Appendf(nil, "Error%c%d", 'a'+i%26, i)}}}
		binary.BigEndian.PutUint64(s.TraceID[8:], uint64(i)+1)
		binary.BigEndian.PutUint64(s.SpanID[:], uint64(i)+1)
		a.Span(&res, &s)
		a.Log(&res, &logs.Record{Time: base, Severity: logs.SeverityInfo,
			Body: fmt.Appendf(nil, "word%c word%c line", 'a'+i%26, 'a'+i/26%26)})
		a.End()
		if i%10_000 == 9_999 {
			checkpoint(t, set, kv)
		}
	}
	checkpoint(t, set, kv)
	from, to := time.Unix(0, 0), time.Unix(1e6, 0)
	all := func([]string) bool { return true }
	services, err := set.Services(from, to)
	require.NoError(t, err)
	calls := uint64(0)
	for _, s := range services {
		calls += s.Calls
	}
	if calls != uint64(n) || len(services) > n/100+1 {
		t.Errorf("%d calls of %d, %d services", calls, n, len(services))
	}
	m, err := set.ServiceMap(from, to)
	require.NoError(t, err)
	calls = 0
	for _, e := range m.Edges {
		calls += e.Calls
	}
	if calls != uint64(n) || len(m.Edges) > n/50+5 {
		t.Errorf("%d calls over edges of %d, %d edges", calls, n, len(m.Edges))
	}
	for _, table := range []struct {
		model.Table
		limit int
	}{{model.TableErrors, n / 100}, {model.TableDatabases, n / 5}, {model.TableVersions, n / 5}, {model.TableLogs, n / 5},
		{model.TablePatterns, 2000}} {
		rows, err := set.TableRows(table.Table, from, to, all)
		require.NoError(t, err)
		calls, over := uint64(0), false
		for _, r := range rows {
			calls += r.Calls
			over = over || r.Labels[0] == model.Other
		}
		if calls != uint64(n) || len(rows) > table.limit+1 {
			t.Errorf("table %s: %d of %d in %d rows of at most %d", table.Table, calls, n, len(rows), table.limit)
		}
		if len(rows) > table.limit && !over {
			t.Errorf("table %s: the overflow is not visible", table.Table)
		}
	}
	if set.Counters().Overflowed == 0 {
		t.Error("no overflow was counted")
	}
	var mem runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&mem)
	t.Logf("%d label sets: %d MB of heap", n, mem.HeapAlloc>>20)
	if n >= 1_000_000 && mem.HeapAlloc > 4<<30 {
		t.Errorf("%d MB of heap", mem.HeapAlloc>>20)
	}
	runtime.KeepAlive(kv)
}

func checkpoint(t testing.TB, set *views.Set, kv storage.KV) {
	t.Helper()
	c, err := set.Collect(nil)
	require.NoError(t, err)
	if c == nil {
		return
	}
	for _, part := range append(c.Before, c.Commit) {
		require.NoError(t, kv.Commit(part))
	}
	require.NoError(t, set.Install(c))
}
