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

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

func TestReachOf(t *testing.T) {
	const errs = `calls_total{status_code="STATUS_CODE_ERROR"}`
	for _, c := range []struct {
		expr  string
		limit float64 // times extrapolation, but for ratios; negative: none
	}{
		{`increase(` + errs + `[1m]) > 32`, 32},
		{`32 < increase(` + errs + `[1m])`, 32},
		{`sum by (service_name) (rate(` + errs + `[1m])) >= 2`, 120},
		{`(sum(rate(` + errs + `[1m])) * 60) > 10`, 10},
		{`60 * max(rate(` + errs + `[1m])) / 2 > 10`, 20},
		{`sum(rate(` + errs + `[5m])) / sum(rate(calls_total[5m])) > 0.05`, extrapolation / 2},
		{`sum(rate(` + errs + `[5m])) / sum(rate(calls_total[5m])) * 100 > 5`, extrapolation / 2},
		{`histogram_quantile(0.9, sum by (le) (rate(duration_milliseconds_bucket[1m]))) > 1 and sum(rate(calls_total[1m])) > 3`, 180},
		{`sum(rate(` + errs + `[5m])) / sum(rate(calls_total[5m])) > -1`, -1},
		{`increase(` + errs + `[1m] offset 1m) > 32`, -1},
		{`increase(` + errs + `[1m]) > bool 32`, -1},
		{`increase(` + errs + `[1m]) > 32 or increase(` + errs + `[5m]) > 3`, -1},
		{`increase(` + errs + `[1m]) * -1 > 3`, -1},
		{`count(increase(` + errs + `[1m])) > 3`, -1},
		{`increase(` + errs + `[1m]) + 1 > 3`, -1},
		{`increase({__name__=~"calls_total|logs_records_total"}[1m]) > 3`, -1},
		{`increase(duration_milliseconds_count[1m]) > 3`, -1},
		{`increase(traces_service_graph_request_total[1m]) > 3`, -1},
		{`calls_total > 3`, -1},
	} {
		e, err := query.NewParser().ParseExpr(c.expr)
		require.NoError(t, err)
		r := reachOf(e)
		if c.limit < 0 {
			require.Nil(t, r, c.expr)
			continue
		}
		require.NotNil(t, r, c.expr)
		require.InDelta(t, c.limit, r.limit*extrapolation, 1e-9, c.expr)
	}
}

// Rules that are evaluated only when they may hold do what those do that are evaluated with every change, on streams with bursts, late
// data, new series, quiet times and thresholds of all sizes.
func TestReachMissesNothing(t *testing.T) {
	text := reachRules()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			far := runReach(t, seed, text, false, true)
			every := runReach(t, seed, text, true, false)
			require.Equal(t, every.history, far.history)
			require.Greater(t, every.fired, 20, "rules fire")
			require.Less(t, far.queries, every.queries*3/4, "evaluations are spared")
		})
	}
}

// A bound that does not allow for extrapolation misses alerts on these streams.
func TestReachTestFindsAPlantedBug(t *testing.T) {
	for seed := range uint64(3) {
		text := reachRules()
		far := runReach(t, seed, text, false, false, func(e *Evaluator) {
			for _, g := range *e.groups.Load() {
				for _, r := range g.reaches {
					if r != nil {
						r.limit = r.limit*extrapolation*1.2 + 1
					}
				}
			}
		})
		if every := runReach(t, seed, text, true, false); fmt.Sprint(every.history) != fmt.Sprint(far.history) {
			return
		}
	}
	t.Error("not found")
}

func reachRules() string {
	var text strings.Builder
	text.WriteString("groups:\n")
	for i, expr := range []string{
		`sum by (service_name) (increase(calls_total{service_name="s%d",status_code="STATUS_CODE_ERROR"}[1m])) > %d`,
		`increase(calls_total{service_name="s%d"}[2m]) > %d`,
		`sum(rate(traces_span_metrics_calls_total{service_name="s%d",status_code="STATUS_CODE_ERROR"}[1m])) * 60 >= %d`,
		`sum(rate(calls_total{service_name="s%[1]d",status_code="STATUS_CODE_ERROR"}[1m])) / sum(rate(calls_total{service_name="s%[1]d"}[1m])) > 0.%[2]d`,
	} {
		for s := range 4 {
			for _, limit := range []int{1, 3, 9, 27, 99, 500, 5000} {
				// each in a group of its own: what a group is evaluated for would be an occasion for the others
				fmt.Fprintf(&text, "- name: g%d-%d-%d\n  interval: 15s\n  rules:\n", i, s, limit)
				fmt.Fprintf(&text, "  - {alert: A%d, expr: '%s', for: %ds}\n", i, fmt.Sprintf(expr, s, limit), 20*(limit/3%2))
			}
		}
	}
	return text.String()
}

type reachRun struct {
	history []string
	fired   int
	queries int
}

// requireOutOfReach asks about each rule that is said to be far from holding, as of the head and of times after it.
func requireOutOfReach(t *testing.T, e *Evaluator, rnd *rand.Rand) {
	t.Helper()
	for _, g := range *e.groups.Load() {
		for i, r := range g.reaches {
			if r == nil || r.left <= 0 {
				continue
			}
			ts := roundUp(e.cfg.Reader.Frontier().Head).Add(time.Duration(rnd.IntN(3)*rnd.IntN(20_000)) * time.Millisecond)
			q, err := e.cfg.Engine.NewInstantQuery(context.Background(), e.queryable, nil, g.Rules()[i].Query().String(), ts)
			require.NoError(t, err)
			v, err := q.Exec(context.Background()).Vector()
			require.NoError(t, err)
			require.Empty(t, v, "%v with %v left", g.Rules()[i].Query(), r.left)
			q.Close()
		}
	}
}

func runReach(t *testing.T, seed uint64, text string, every, check bool, plant ...func(*Evaluator)) (out reachRun) {
	t.Helper()
	rnd, later := rand.New(rand.NewPCG(seed, 11)), rand.New(rand.NewPCG(seed, 12))
	kv := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(kv, model.Config{Version: 1, DedupWindow: -1})
	require.NoError(t, err)
	e, err := New(Config{Reader: set, KV: kv, Floor: 1, Query: func(q rules.QueryFunc) rules.QueryFunc {
		return func(ctx context.Context, text string, at time.Time) (promql.Vector, error) {
			out.queries++
			return q(ctx, text, at)
		}
	}})
	require.NoError(t, err)
	src, err := ParseSource("r.yml", []byte(text), nil)
	require.NoError(t, err)
	require.NoError(t, e.Load(context.Background(), []Source{src}, evaltest.At(0)))
	for _, f := range plant {
		f(e)
	}
	sub := set.Feed().Subscribe()
	defer sub.Close()
	acc, now, n := set.Partition("otlp_spans", 0), evaltest.At(1000), uint64(0)
	failing := map[int]time.Time{}
	for range 400 {
		now = now.Add(time.Duration(200+rnd.IntN(1000)) * time.Millisecond)
		if rnd.IntN(150) == 0 {
			now = now.Add(3 * time.Minute)
		}
		if rnd.IntN(25) == 0 {
			failing[rnd.IntN(4)] = now.Add(time.Duration(rnd.IntN(20)) * time.Second)
		}
		n++
		require.True(t, acc.Begin(model.Record{Offset: int64(n), Timestamp: now.UnixMilli(), Value: binary.BigEndian.AppendUint64(nil, n)}))
		for k := range rnd.IntN(5) {
			service := rnd.IntN(4)
			s := model.Span{TraceID: [16]byte(binary.BigEndian.AppendUint64(make([]byte, 8), n)), SpanID: [8]byte{byte(k)},
				Name: fmt.Appendf(nil, "op%d", rnd.IntN(1+int(n/100))), Kind: model.KindInternal, End: uint64(now.UnixNano()),
				Start: uint64(now.UnixNano()) - 1e6}
			if rnd.IntN(10) == 0 {
				s.End -= uint64(rnd.IntN(90)) * 1e9
				s.Start = s.End
			}
			if now.Before(failing[service]) || rnd.IntN(60) == 0 {
				s.Status = model.StatusError
			}
			acc.Span(&model.Resource{Service: fmt.Appendf(nil, "s%d", service), HasService: true}, &s)
		}
		acc.End()
		c, err := set.Collect(nil)
		require.NoError(t, err)
		require.NoError(t, kv.Commit(c.Commit))
		require.NoError(t, set.Install(c))
		change := sub.Take()
		if every {
			for _, touched := range []map[uint32]model.Touched{change.RED, change.Edges} {
				for id, t := range touched {
					touched[id] = model.Touched{Bucket: t.Bucket}
				}
			}
			for _, g := range *e.groups.Load() {
				for _, r := range g.reaches {
					r.lose()
				}
			}
		}
		for _, g := range *e.groups.Load() {
			for _, p := range g.passes {
				p.cost = 0 // how long an evaluation took must not matter here
			}
		}
		require.NoError(t, e.Advance(context.Background(), change, now))
		if check && n%4 == 0 {
			requireOutOfReach(t, e, later)
		}
	}
	for _, h := range e.history.List {
		if h.To == alert.StateFiring {
			out.fired++
		}
		out.history = append(out.history, fmt.Sprint(h.Time, h.RuleID, h.Labels, h.From, h.To))
	}
	slices.Sort(out.history)
	return out
}
