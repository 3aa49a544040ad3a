package evaluator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/viewstest"
)

func edge(client, server, connection string, calls, failed uint64, mean time.Duration) views.Edge {
	e := views.Edge{EdgeKey: views.EdgeKey{Client: client, Server: server, Connection: connection}, Calls: calls, Failed: failed, LatencySum: mean * time.Duration(calls)}
	e.Latency.Add(uint64(mean), calls)
	return e
}

func pathText(list []PathEdge) string {
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s>%s %.2f hops=%d own=%.0f/%.1fs", e.Client, e.Server, e.Score, e.Hops, e.OwnExcessFailed, e.OwnExcessSeconds))
	}
	return strings.Join(out, "; ")
}

func TestPathLeadsToWhereItBegins(t *testing.T) {
	before := []views.Edge{
		edge("user", "web", "virtual_node", 12000, 12, 50*time.Millisecond),
		edge("web", "cart", "", 12000, 12, 20*time.Millisecond), edge("web", "ads", "", 12000, 0, 5*time.Millisecond),
		edge("cart", "db", "database", 24000, 0, 4*time.Millisecond), edge("cart", "mail", "messaging_system", 12000, 0, time.Second),
		edge("other", "far", "", 100, 0, time.Millisecond),
	}
	both := [2]float64{1, 1}
	// The database fails: everything above fails with it, and only its edge keeps an excess of its own.
	now := []views.Edge{
		edge("user", "web", "virtual_node", 1000, 301, 50*time.Millisecond),
		edge("web", "cart", "", 1000, 301, 20*time.Millisecond), edge("web", "ads", "", 1000, 0, 5*time.Millisecond),
		edge("cart", "db", "database", 2000, 300, 4*time.Millisecond), edge("cart", "mail", "messaging_system", 1000, 0, time.Second),
		edge("other", "far", "", 100, 90, time.Second),
	}
	require.Equal(t, "cart>db 1.00 hops=2 own=300/0.0s", pathText(rankPath(now, before, 5*time.Minute, time.Hour, "web", both)))
	// Half of what fails in the cart begins there.
	now[3] = edge("cart", "db", "database", 2000, 150, 4*time.Millisecond)
	require.Equal(t, "cart>db 0.50 hops=2 own=150/0.0s; web>cart 0.50 hops=1 own=150/0.0s", pathText(rankPath(now, before, 5*time.Minute, time.Hour, "web", both)))
	// The service itself is slow: what arrives there is not explained by anything below.
	now = []views.Edge{edge("user", "web", "virtual_node", 1000, 1, 150*time.Millisecond), edge("web", "cart", "", 1000, 1, 20*time.Millisecond), edge("cart", "db", "database", 2000, 0, 4*time.Millisecond)}
	require.Equal(t, ">web 1.00 hops=0 own=0/100.0s", pathText(rankPath(now, before, 5*time.Minute, time.Hour, "web", both)))
	// A consumer that fails is not subtracted from its producer, and is found.
	now = []views.Edge{edge("user", "web", "virtual_node", 1000, 1, 50*time.Millisecond), edge("web", "cart", "", 1000, 301, 20*time.Millisecond), edge("cart", "mail", "messaging_system", 1000, 500, time.Second)}
	got := pathText(rankPath(now, before, 5*time.Minute, time.Hour, "cart", both))
	require.Equal(t, "cart>mail 1.00 hops=1 own=500/0.0s; >cart 1.00 hops=0 own=300/0.0s", got)
	require.Empty(t, rankPath(before, before, time.Hour, time.Hour, "web", both), "nothing changed")
	require.Empty(t, rankPath(nil, nil, time.Hour, time.Hour, "web", both))
}

func TestOperandsOfAnExpression(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		e, err := NewParser().ParseExpr(text)
		require.NoError(t, err)
		var got []string
		for _, o := range operandsOf(e) {
			got = append(got, o.String())
		}
		require.Equal(t, want, got)
	}
	f("sum(a) / sum(b) > 0.1", "sum(a) / sum(b)", "sum(a)", "sum(b)")
	f("(a > 1) and (b < 2)", "a > 1", "a", "b < 2", "b")
	f("histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m]))) > scalar(y)", "histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m])))", "scalar(y)")
	f("a", "a")
}

// An alert explains itself from real views, keeps what it said while it fires and over a restart.
func TestEvidenceIsFixedWhenTheAlertFires(t *testing.T) {
	kv := storage.NewMem(storage.MemOptions{})
	s, err := viewstest.New(kv, views.Config{FoldEvery: 1})
	require.NoError(t, err)
	apply := func(spans, logs []string) {
		var rec viewstest.Record
		for _, l := range spans {
			span, err := viewstest.ParseLine(l)
			require.NoError(t, err)
			rec.Spans = append(rec.Spans, span)
		}
		for _, l := range logs {
			line, err := viewstest.ParseLog(l)
			require.NoError(t, err)
			rec.Logs = append(rec.Logs, line)
		}
		s.Topic[0] = append(s.Topic[0], rec)
		s.Apply(0, int64(len(s.Topic[0])-1))
		_, err := s.Checkpoint(nil)
		require.NoError(t, err)
	}
	call := func(at, n int, more string) (out []string) {
		for i := range n {
			id := fmt.Sprintf("t%d", at*100+i+1)
			out = append(out, fmt.Sprintf("%d.%02ds 20ms cart server GET/cart id=%s/a%s", at, i, id, more), fmt.Sprintf("%d.%02ds 10ms cart client SELECT id=%s/b<a db.name=orders%s", at, i, id, more))
		}
		return out
	}
	for at := 10; at < 300; at += 10 {
		apply(call(at, 3, ""), []string{fmt.Sprintf("%ds cart INFO | fine", at)})
	}
	e, err := New(Config{Reader: s.Set, KV: kv, Floor: 1, Evidence: time.Now})
	require.NoError(t, err)
	src := source(t, alertRules(rule("Errors", `sum by (service_name) (increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR",span_kind="SPAN_KIND_SERVER"}[1m])) / 1 > 3`, "")))
	require.NoError(t, e.Load(context.Background(), src, time.Unix(0, 0)))
	apply(call(310, 8, " error"), []string{"310s cart ERROR exception=IOError:disk_7 | disk 7 is full"})
	require.NoError(t, e.Advance(context.Background(), views.Change{Frontier: s.Set.Frontier()}, time.Unix(311, 0)))
	a := e.Active()
	require.Len(t, a, 1)
	v := a[0].Evidence
	require.NotNil(t, v)
	require.Empty(t, v.Missing)
	require.Equal(t, "cart", v.Service)
	require.Equal(t, []OperandSample{{labels.FromStrings("service_name", "cart"), a[0].Value}}, v.Operands[0].Values)
	require.Equal(t, "GET/cart", v.Operations[0].Name)
	require.InDelta(t, 8.0/23, v.Operations[0].ErrorRate, 1e-5)
	require.Equal(t, "STATUS_CODE_ERROR", v.Traces[0].Status)
	require.Equal(t, "orders", v.Path[0].Server)
	require.Contains(t, v.Path[0].Changed, "errors")
	require.Equal(t, "IOError", v.Errors[0].Type)
	require.Len(t, v.Patterns, 1)
	require.Contains(t, v.Text(), "cart -> orders (100 %): errors 0 % ->")

	// More of it changes nothing of what was said; a restart keeps it.
	apply(call(320, 8, " error"), nil)
	require.NoError(t, e.Advance(context.Background(), views.Change{Frontier: s.Set.Frontier()}, time.Unix(321, 0)))
	require.Same(t, v, e.Active()[0].Evidence)
	again, err := New(Config{Reader: s.Set, KV: kv, Floor: 1, Evidence: time.Now})
	require.NoError(t, err)
	require.Equal(t, v.Path, again.Active()[0].Evidence.Path)
	require.NoError(t, again.Load(context.Background(), src, time.Unix(322, 0)))
	require.Equal(t, v.At.UTC(), again.Active()[0].Evidence.At.UTC())
}

// What an alert is compared with leaves out when its rule had fired before.
func TestBaselineIsQuiet(t *testing.T) {
	minute := func(m int) time.Time { return time.Unix(int64(60*m), 0) }
	type span [2]int
	for name, c := range map[string]struct {
		fired []span // minutes; a negative begin is not remembered
		want  span
	}{
		"never":                        {nil, span{0, 60}},
		"once":                         {[]span{{11, 21}}, span{20, 60}}, // a window of a minute earlier
		"every ten minutes":            {[]span{{6, 8}, {16, 18}, {26, 28}, {36, 48}, {56, 58}}, span{7, 15}},
		"two at once":                  {[]span{{11, 31}, {21, 26}}, span{30, 60}},
		"since before what is known":   {[]span{{-1, 41}}, span{40, 60}},
		"all the time":                 {[]span{{-5, 61}}, span{0, 60}},
		"another hour":                 {[]span{{-100, -90}, {70, 80}}, span{0, 60}},
		"still, from before the range": {[]span{{31, 99}}, span{0, 30}},
	} {
		var list []Transition
		for i, f := range c.fired {
			l := labels.FromStrings("n", fmt.Sprint(i))
			if f[0] != -1 {
				list = append(list, Transition{Time: minute(f[0]), RuleID: "r", Labels: l, To: StateFiring})
			}
			if f[1] != 99 {
				list = append(list, Transition{Time: minute(f[1]), RuleID: "r", Labels: l, From: StateFiring, To: StateResolved})
			}
			list = append(list, Transition{Time: minute(f[0]), RuleID: "other", To: StateFiring})
		}
		slices.SortStableFunc(list, func(a, b Transition) int { return a.Time.Compare(b.Time) })
		e := &Evaluator{history: &history{list: list}}
		begin, end := e.quiet("r", minute(0), minute(60), time.Minute)
		require.Equal(t, c.want, span{int(begin.Unix() / 60), int(end.Unix() / 60)}, name)
	}
}
