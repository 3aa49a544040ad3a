//go:build !race

package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/cmd/watchingcat/shop"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/spans"
	"github.com/gaurav/watchingcat/views/traces"
)

// BenchmarkDifferences compares the failed spans of one service of 22 with its others among a million kept spans, made by 80 requests a
// checkpoint. %read/op is the share of the kept bytes that an answer within 400 ms reads.
func BenchmarkDifferences(b *testing.B) {
	kv := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(kv, model.Config{Version: 1, DedupWindow: -1, TraceBytes: 4 << 30, TraceRetention: 48 * time.Hour})
	require.NoError(b, err)
	s, now := shop.New(1), time.Unix(1_750_000_000, 0)
	s.Break(&shop.Fault{Service: "payment", ErrorRate: 0.2, Slower: 1, Currency: "JPY"})
	in, made := ingested{set: set, kv: kv, part: set.Partition("otlp_spans", 0)}, 0
	for made < 1_000_000 {
		for range 80 {
			made += s.Request(now)
			now = now.Add(20 * time.Millisecond)
		}
		in.take(b, s, now)
		in.commit(b)
	}
	share := 0.0
	for b.Loop() {
		c, begun := spans.NewContrast(true), time.Now()
		res, err := set.ScanSpans(views.SpanScan{Tokens: []traces.SpanToken{{Key: "service.name", Value: "payment"}},
			Proceed: func() bool { return time.Since(begun) < 400*time.Millisecond }},
			func(block []byte, _ model.DimFilter) error {
				return spans.EachOf(block, "payment", func(res pcommon.Resource, sp ptrace.Span) { c.Add(res, sp, spans.Failed(sp)) })
			})
		require.NoError(b, err)
		require.Equal(b, "app.currency", c.Differences(5).List[0].Key)
		share = float64(res.Read) / float64(res.Of)
	}
	b.ReportMetric(share*100, "%read/op")
	b.ReportMetric(float64(made), "spans")
}
