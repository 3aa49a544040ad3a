package views_test

import (
	"fmt"
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

// linesOf is a record of lines; time 0 is none.
func linesOf(t testing.TB, service string, lines map[string]time.Duration) []byte {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", service)
	sl := rl.ScopeLogs().AppendEmpty()
	for body, at := range lines {
		l := sl.LogRecords().AppendEmpty()
		l.SetTimestamp(pcommon.Timestamp(at))
		l.Body().SetStr(body)
	}
	var m plog.ProtoMarshaler
	b, err := m.MarshalLogs(ld)
	require.NoError(t, err)
	return b
}

// TestOneTimeOfALine: a line is counted, found, followed and paged at one time: its own, else its record's, and its record's where its own
// is beyond the receiver's clock.
func TestOneTimeOfALine(t *testing.T) {
	const hour = time.Hour
	now := 100 * hour
	kv := storage.NewMem(storage.MemOptions{})
	script, err := viewstest.New(kv, model.Config{LogBytes: 1 << 20, LogRetention: 24 * hour, FoldEvery: 1})
	require.NoError(t, err)
	apply := func(p int32, offset int64, ts time.Duration, lines map[string]time.Duration) {
		t.Helper()
		value := linesOf(t, "cart", lines)
		a := script.Set.Partition("otlp_logs", p)
		require.True(t, a.Begin(model.Record{Offset: offset, LeaderEpoch: -1, Timestamp: ts.Milliseconds(), Received: now.Milliseconds(),
			Value: value}))
		require.NoError(t, logs.Decode(value, nil, a.Log))
		a.End()
	}
	// one checkpoint with records of two partitions: the oldest line of all says nothing about the lines without a time
	apply(0, 0, now, map[string]time.Duration{"old": now - 2*hour, "timeless": 0})
	apply(1, 0, now-time.Minute, map[string]time.Duration{"older": now - 5*hour, "timeless too": 0, "ahead": now + hour,
		"little ahead": now + time.Second})
	_, err = script.Checkpoint(nil)
	require.NoError(t, err)
	want := map[string]time.Duration{"old": now - 2*hour, "timeless": now, "older": now - 5*hour, "timeless too": now - time.Minute,
		"ahead": now - time.Minute, "little ahead": now + time.Second}
	at := func(d time.Duration) time.Time { return time.Unix(0, int64(d)).UTC() }
	check := func() {
		t.Helper()
		found := map[string]time.Time{}
		q := views.LogQuery{From: at(now - 10*hour), To: at(now + 2*hour), Limit: 1}
		for {
			res, err := script.Set.SearchLogs(q)
			require.NoError(t, err)
			for _, l := range res.Lines {
				require.NotContains(t, found, l.Body)
				found[l.Body] = l.Time
			}
			if q.Before = res.Next; q.Before == nil {
				break
			}
		}
		require.Len(t, found, len(want))
		tailed, _, _, err := script.Set.TailLogs(views.LogQuery{}, 0, 100)
		require.NoError(t, err)
		require.Len(t, tailed, len(want))
		for _, l := range tailed {
			require.Equal(t, at(want[l.Body]), l.Time, l.Body)
			require.Equal(t, at(want[l.Body]), found[l.Body], l.Body)
			rows, err := script.Set.SelectTable(model.TableLogs, l.Time.Truncate(10*time.Second),
				l.Time.Truncate(10*time.Second).Add(10*time.Second), func([]string) bool { return true })
			require.NoError(t, err)
			counted := uint64(0)
			for _, r := range rows {
				for _, c := range r.Cells {
					counted += c.Calls
				}
			}
			inBucket := uint64(0)
			for _, w := range want {
				if at(w).Truncate(10 * time.Second).Equal(l.Time.Truncate(10 * time.Second)) {
					inBucket++
				}
			}
			require.Equal(t, inBucket, counted, "%s is counted where it is shown", l.Body)
		}
	}
	check()
	script, err = viewstest.New(kv, model.Config{LogBytes: 1 << 20, LogRetention: 24 * hour, FoldEvery: 1}) // and after a crash
	require.NoError(t, err)
	check()
}

func TestUniqueLogs(t *testing.T) {
	for i, c := range []struct {
		change func(l plog.LogRecord)
		unique bool
	}{
		{func(plog.LogRecord) {}, false},
		{func(l plog.LogRecord) { l.SetTimestamp(5e9) }, false},
		{func(l plog.LogRecord) { l.SetTimestamp(5e9 + 1) }, true},
		{func(l plog.LogRecord) { l.SetObservedTimestamp(1) }, true},
		{func(l plog.LogRecord) { l.SetObservedTimestamp(3e9) }, false},
		{func(l plog.LogRecord) { l.SetTraceID([16]byte{1}) }, true},
		{func(l plog.LogRecord) { l.SetSpanID([8]byte{1}) }, true},
		{func(l plog.LogRecord) { l.Attributes().PutStr("log.record.uid", "01J") }, true},
		{func(l plog.LogRecord) { l.Attributes().PutStr("k", "log.record.uid") }, false},
	} {
		ld := plog.NewLogs()
		list := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		list.AppendEmpty().Body().SetStr("heartbeat ok")
		l := list.AppendEmpty()
		l.Body().SetStr("heartbeat ok")
		c.change(l)
		var m plog.ProtoMarshaler
		b, err := m.MarshalLogs(ld)
		require.NoError(t, err)
		require.Equal(t, c.unique, logs.Unique(b), fmt.Sprint(i))
	}
	require.False(t, logs.Unique([]byte("no protobuf")))
}

// FuzzKeptLogRecords searches blocks of any bytes: what a record holds does not reach beyond it.
func FuzzKeptLogRecords(f *testing.F) {
	f.Add(linesOf(f, "cart", map[string]time.Duration{"a": 0}))
	f.Add([]byte("\xfa\xff\xff\xff\x0f\x11aaaaaaaaaaaaaaaa\x01"))
	f.Fuzz(func(t *testing.T, value []byte) {
		n := 0
		if logs.Decode(value, nil, func(*model.Resource, *logs.Record) { n++ }) != nil || n == 0 || n > 1000 {
			return
		}
		script, err := viewstest.New(storage.NewMem(storage.MemOptions{}), model.Config{LogBytes: 1 << 20})
		require.NoError(t, err)
		for offset := range int64(2) {
			a := script.Set.Partition("otlp_logs", 0)
			require.True(t, a.Begin(model.Record{Offset: offset, Timestamp: 5000, Value: value, Anonymous: true}))
			require.NoError(t, logs.Decode(value, nil, a.Log))
			a.End()
		}
		_, err = script.Checkpoint(nil)
		require.NoError(t, err)
		lines, dropped, _, err := script.Set.TailLogs(views.LogQuery{}, 0, 10_000)
		require.NoError(t, err)
		require.Equal(t, 2*n, len(lines)+dropped)
	})
}
