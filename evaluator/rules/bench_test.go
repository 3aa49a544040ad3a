package rules

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// BenchmarkThousandRules evaluates a thousand rules, each on up to ten of 10,000 series, while 10K spans/s are committed four times a
// second. An operation is a second of event time; ms/s is the time spent evaluating in it, a tenth of which is a percent of a core.
func BenchmarkThousandRules(b *testing.B) {
	const services, operations, commits = 1000, 10, 4
	kv := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(kv, model.Config{Version: 1, DedupWindow: -1})
	require.NoError(b, err)
	var names [services][]byte
	var text strings.Builder
	text.WriteString("groups:\n")
	for i := range services {
		names[i] = fmt.Appendf(nil, "service-%d", i)
		if i%10 == 0 {
			fmt.Fprintf(&text, "- name: g%d\n  rules:\n", i/10)
		}
		fmt.Fprintf(&text, "  - {alert: A%d, expr: 'sum(increase(traces_span_metrics_calls_total{service_name=\"service-%d\"}[5m])) > 1e6'}\n", i, i)
	}
	e, err := New(Config{Reader: set, KV: kv, Ready: func() bool { return true }})
	require.NoError(b, err)
	src, err := ParseSource("r.yml", []byte(text.String()), nil)
	require.NoError(b, err)
	require.NoError(b, e.Load(context.Background(), []Source{src}, evaltest.At(0)))
	sub := set.Feed().Subscribe()
	defer sub.Close()
	acc, now, n := set.Partition("otlp_spans", 0), evaltest.At(0), uint64(0)
	var ops [operations][]byte
	for i := range ops {
		ops[i] = fmt.Appendf(nil, "op-%d", i)
	}
	second := func(evaluate bool) (spent time.Duration) {
		for range commits {
			now = now.Add(time.Second / commits)
			require.True(b, acc.Begin(model.Record{Offset: int64(n), Timestamp: now.UnixMilli(),
				Value: binary.BigEndian.AppendUint64(nil, n)}))
			for range 10_000 / commits {
				n++
				k := n * 2654435761 % (services * operations)
				acc.Span(&model.Resource{Service: names[k/operations], HasService: true},
					&model.Span{TraceID: [16]byte(binary.BigEndian.AppendUint64(make([]byte, 8), n)),
						SpanID: [8]byte{1}, Name: ops[k%operations], Start: uint64(now.UnixNano()) - 1e6, End: uint64(now.UnixNano()),
						Kind: model.KindInternal})
			}
			acc.End()
			c, err := set.Collect(nil)
			require.NoError(b, err)
			require.NoError(b, kv.Commit(c.Commit))
			require.NoError(b, set.Install(c))
			if evaluate {
				began := time.Now()
				require.NoError(b, e.Advance(context.Background(), sub.Take(), now))
				spent += time.Since(began)
			}
		}
		return spent
	}
	for range 310 {
		second(false)
	}
	second(true)
	b.ResetTimer()
	var spent time.Duration
	for range b.N {
		spent += second(true)
	}
	b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "ms/s")
}
