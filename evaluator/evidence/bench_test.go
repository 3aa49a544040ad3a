package evidence

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// BenchmarkExplain gathers the evidence about the entry of a system of 200 services, of which one begins to fail: half an hour of 10 s buckets, with
// 50 calls and five kinds of log lines of each service in each of them.
func BenchmarkExplain(b *testing.B) {
	const services, ticks, calls = 200, 180, 50
	kv := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(kv, model.Config{Version: 1, DedupWindow: -1})
	require.NoError(b, err)
	begun := time.Unix(1_750_000_000, 0)
	spans, lines := set.Partition("otlp_spans", 0), set.Partition("otlp_logs", 0)
	resource := func(i int) *model.Resource {
		return &model.Resource{Service: fmt.Appendf(nil, "service-%d", i), HasService: true}
	}
	id := uint64(0)
	for tick := range ticks {
		at := begun.Add(time.Duration(tick) * 10 * time.Second)
		record := model.Record{Offset: int64(tick), Timestamp: at.UnixMilli(), Value: fmt.Append(nil, tick)}
		require.True(b, spans.Begin(record))
		for i := 1; i < services; i++ {
			for c := range calls {
				id++
				s := model.Span{TraceID: [16]byte{8: byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}, SpanID: [8]byte{1}, Name: []byte("call"),
					Start: uint64(at.UnixNano()), End: uint64(at.Add(20 * time.Millisecond).UnixNano()), Kind: model.KindClient, Size: 100}
				if i == 150 && tick > ticks-12 && c%3 == 0 {
					s.Status = model.StatusError
				}
				spans.Span(resource((i-1)/3), &s)
				s.ParentID, s.SpanID, s.Kind = s.SpanID, [8]byte{2}, model.KindServer
				spans.Span(resource(i), &s)
			}
		}
		spans.End()
		record.Value = fmt.Append(nil, "lines", tick)
		require.True(b, lines.Begin(record))
		for i := range services {
			for k := range 5 {
				lines.Log(resource(i), &logs.Record{Time: uint64(at.UnixNano()), Severity: logs.SeverityOf(9, ""), Body: fmt.Appendf(nil, "service %d does thing %c", i, 'a'+k)})
			}
		}
		lines.End()
		c, err := set.Collect(nil)
		require.NoError(b, err)
		require.NoError(b, kv.Commit(c.Commit))
		require.NoError(b, set.Install(c))
	}
	g := &Gatherer{Reader: set, Query: func(context.Context, string, time.Time) (promql.Vector, error) { return nil, nil }}
	end := begun.Add(ticks * 10 * time.Second)
	q := Question{Service: "service-0", From: end.Add(-2 * time.Minute), At: end}
	for b.Loop() {
		v := g.Inquire(b.Context()).Explain(q)
		require.Empty(b, v.Missing)
		require.NotNil(b, v.Cause)
		require.Equal(b, "service-150", v.Cause.Name)
	}
}
