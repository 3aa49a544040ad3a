package rules

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// What is held between evaluations answers as the views do, whatever comes: late data, new series, edges that are taken back,
// quiet times, histograms.
func TestRecentAnswersAsTheViews(t *testing.T) {
	exprs := []string{
		`sum by (service_name) (increase(traces_span_metrics_calls_total{service_name="s1"}[5m]))`,
		`rate(calls_total{status_code="STATUS_CODE_ERROR"}[1m])`,
		`calls_total{service_name=~"s1|s2"}`,
		`histogram_quantile(0.9, sum by (le, service_name) (rate(traces_span_metrics_duration_milliseconds_bucket[2m])))`,
		`histogram_quantile(0.9, sum(rate(traces_spanmetrics_latency[2m])))`,
		`sum(rate(traces_span_metrics_duration_seconds_count[1m]))`,
		`sum(rate(traces_span_metrics_duration_seconds_sum[1m]))`,
		`sum by (client, server) (increase(traces_service_graph_request_total[3m]))`,
		`increase(traces_service_graph_request_failed_total[3m])`,
		`histogram_quantile(0.5, sum by (le) (rate(traces_service_graph_request_server_seconds_bucket[3m])))`,
		`rate(traces_spanmetrics_size_total[1m] offset 2m)`,
	}
	var text strings.Builder
	text.WriteString("groups:\n- name: g\n  rules:\n")
	for i, x := range exprs {
		fmt.Fprintf(&text, "  - {alert: A%d, expr: '%s > 1e9'}\n", i, x)
	}
	src, err := ParseSource("r.yml", []byte(text.String()), nil)
	require.NoError(t, err)
	for seed := range uint64(3) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		kv := storage.NewMem(storage.MemOptions{})
		set, err := views.Open(kv, model.Config{Version: 1, DedupWindow: -1, FoldEvery: 5, PairingWindow: 10 * time.Second,
			Compensation: time.Minute})
		require.NoError(t, err)
		e, err := New(Config{Reader: set, KV: kv, Floor: 1})
		require.NoError(t, err)
		require.NoError(t, e.Load(context.Background(), []Source{src}, evaltest.At(0)))
		sub := set.Feed().Subscribe()
		defer sub.Close()
		acc, now, n := set.Partition("otlp_spans", 0), evaltest.At(1000), uint64(0)
		served := 0
		for range 120 {
			now = now.Add(time.Duration(rnd.IntN(12_000)) * time.Millisecond)
			if rnd.IntN(20) == 0 {
				now = now.Add(4 * time.Minute)
			}
			for range rnd.IntN(3) {
				n++
				require.True(t, acc.Begin(model.Record{Offset: int64(n), Timestamp: now.UnixMilli(),
					Value: binary.BigEndian.AppendUint64(nil, n)}))
				for range rnd.IntN(8) {
					end := now.Add(-time.Duration(rnd.IntN(3000)) * time.Millisecond)
					if rnd.IntN(8) == 0 { // late
						end = end.Add(-time.Duration(rnd.IntN(400)) * time.Second)
					}
					trace := [16]byte{byte(rnd.IntN(40)), byte(n / 20)}
					s := model.Span{TraceID: trace, SpanID: [8]byte{1}, Name: []byte("op" + string(rune('a'+rnd.IntN(2)))),
						Kind: model.KindClient, End: uint64(end.UnixNano()), Start: uint64(end.UnixNano()) - uint64(rnd.IntN(900))*1e6,
						Status: model.Status(rnd.IntN(3))}
					service := fmt.Sprintf("s%d", rnd.IntN(1+int(min(n/10, 3))))
					if rnd.IntN(2) == 0 {
						s.Kind, s.SpanID, s.ParentID = model.KindServer, [8]byte{2, byte(rnd.IntN(3))}, [8]byte{1}
					}
					acc.Span(&model.Resource{Service: []byte(service), HasService: true}, &s)
				}
				acc.End()
			}
			c, err := set.Collect(nil)
			require.NoError(t, err)
			if c != nil {
				require.NoError(t, kv.Commit(c.Commit))
				require.NoError(t, set.Install(c))
			}
			require.NoError(t, e.Advance(context.Background(), sub.Take(), now))
			if set.Frontier().Head.IsZero() {
				continue
			}
			e.catchUp(everyPass(e))
			ts := roundUp(set.Frontier().Head)
			for _, x := range exprs {
				ask := func(ctx context.Context) string {
					q, err := e.cfg.Engine.NewInstantQuery(ctx, e.queryable, nil, x, ts)
					require.NoError(t, err)
					defer q.Close()
					res := q.Exec(ctx)
					require.NoError(t, res.Err)
					v, err := res.Vector()
					require.NoError(t, err)
					lines := strings.Split(v.String(), "\n")
					slices.Sort(lines)
					return strings.Join(lines, "\n")
				}
				require.Equal(t, ask(context.Background()), ask(query.WithRecent(context.Background(), e.recent)), "seed %d, %s at %v",
					seed, x, ts)
			}
			for _, d := range everyPass(e) {
				for _, x := range d.p.selectors {
					if calls, ok := e.recent.Counted(x.Text(), ts.Add(-5*time.Minute)); ok {
						served += int(calls)
					}
				}
			}
		}
		require.Greater(t, served, 1000, "seed %d: it holds something", seed)
	}
}

// everyPass asks for what any pass reads.
func everyPass(e *Evaluator) (out []duePass) {
	for _, g := range *e.groups.Load() {
		for _, p := range g.passes {
			out = append(out, duePass{g: g, p: p})
		}
	}
	return out
}
