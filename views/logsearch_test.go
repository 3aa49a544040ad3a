package views_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
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
