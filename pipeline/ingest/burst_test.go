package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// TestBursts: whatever waits, checkpoints get through and everything is counted, also after the state is opened again: many small spans
// of many series, spans that do not compress, long lines, many partitions at once, in a store whose transactions are small.
func TestBursts(t *testing.T) {
	for seed, memtable := range []int64{storage.MinMemTableBytes, 8 << 20, storage.MinMemTableBytes} {
		t.Run(fmt.Sprint("memtable ", memtable, " seed ", seed),
			func(t *testing.T) { burst(t, rand.New(rand.NewPCG(uint64(seed), 5)), memtable) })
	}
}

func burst(t *testing.T, r *rand.Rand, memtable int64) {
	dir := t.TempDir()
	open := func() (*storage.DB, *Ingest, *views.Set) {
		db, err := storage.Open(dir, storage.Options{MemTableBytes: memtable, MinFreeBytes: 1})
		require.NoError(t, err)
		set, err := views.Open(db, model.Config{TraceBytes: 1 << 30, LogBytes: 1 << 30, FoldEvery: 2,
			Dimensions: []string{"deployment.environment.name"}})
		require.NoError(t, err)
		return db, New(Config{Set: set, KV: db, Logs: kafka.TopicsOf("logs"),
			DeadLetter: func(context.Context, *kgo.Record, string) error { t.Error("dead letter"); return nil }}), set
	}
	db, g, set := open()
	partitions := 1 + r.IntN(64)
	offsets := map[source.PartitionID]int64{}
	now := time.Now()
	spans, lines := uint64(0), uint64(0)
	junk := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	put := func(topic string, value []byte) {
		id := source.PartitionID{Topic: topic, Partition: int32(r.IntN(partitions))}
		rec := model.Record{Offset: offsets[id], Timestamp: now.UnixMilli(), Received: now.UnixMilli(), Value: value}
		offsets[id]++
		require.NoError(t, g.apply(set.Partition(topic, id.Partition), &kgo.Record{Topic: topic, Value: value}, rec))
	}
	traces := func(n int, each func(i int, sp ptrace.Span)) {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprint("s", r.IntN(50)))
		ss := rs.ScopeSpans().AppendEmpty()
		for i := range n {
			sp := ss.Spans().AppendEmpty()
			sp.SetTraceID(pcommon.TraceID(junk(16)))
			sp.SetSpanID(pcommon.SpanID(junk(8)))
			sp.SetKind(ptrace.SpanKind(r.IntN(6)))
			sp.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(r.IntN(600)) * time.Second)))
			sp.SetEndTimestamp(sp.StartTimestamp() + 1e6)
			each(i, sp)
		}
		spans += uint64(n)
		var m ptrace.ProtoMarshaler
		b, err := m.MarshalTraces(td)
		require.NoError(t, err)
		put(pipelinetest.Topic, b)
	}
	for range 3 {
		for range 20 { // sparse: a series or two for each span
			traces(500, func(i int, sp ptrace.Span) {
				sp.SetName(fmt.Sprint("op", r.IntN(400)))
				sp.SetParentSpanID(pcommon.SpanID(junk(8)))
			})
		}
		for range 30 { // fat
			traces(1, func(_ int, sp ptrace.Span) {
				sp.SetName("fat")
				sp.Attributes().PutEmptyBytes("blob").FromRaw(junk(50_000))
			})
		}
		traces(1, func(_ int, sp ptrace.Span) {
			sp.SetName("huge")
			sp.Attributes().PutEmptyBytes("blob").FromRaw(junk(4 << 20))
		})
		for range 10 {
			ld := plog.NewLogs()
			ls := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
			for range 100 {
				l := ls.LogRecords().AppendEmpty()
				l.SetTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(r.IntN(600)) * time.Second)))
				l.Body().SetStr(fmt.Sprintf("%x", junk(500)))
				lines++
			}
			var m plog.ProtoMarshaler
			b, err := m.MarshalLogs(ld)
			require.NoError(t, err)
			put("logs", b)
		}
		for set.Pending() > 0 {
			require.NoError(t, g.Checkpoint(t.Context(), now))
		}
		require.Equal(t, [2]uint64{spans, lines}, [2]uint64{set.Counters().Spans, set.Counters().Logs})
		require.NoError(t, db.Close())
		db, g, set = open()
		require.Equal(t, [2]uint64{spans, lines}, [2]uint64{set.Counters().Spans, set.Counters().Logs})
		list, err := set.Services(now.Add(-time.Hour), now.Add(time.Hour))
		require.NoError(t, err)
		calls := uint64(0)
		for _, s := range list {
			calls += s.Calls
		}
		require.Equal(t, spans, calls)
	}
	require.NoError(t, db.Close())
}
