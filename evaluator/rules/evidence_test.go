package rules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

func edge(client, server, connection string, calls, failed uint64, mean time.Duration) model.Edge {
	e := model.Edge{EdgeKey: model.EdgeKey{Client: client, Server: server, Connection: connection, Entry: client == "user"}, Calls: calls,
		Failed: failed, LatencySum: model.NanosOf(mean * time.Duration(calls))}
	e.Latency.Add(uint64(mean), calls)
	return e
}

func pathText(list []alert.PathEdge) string {
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s>%s %.2f hops=%d own=%.0f/%.1fs", e.Client, e.Server, e.Score, e.Hops, e.OwnExcessFailed,
			e.OwnExcessSeconds))
	}
	return strings.Join(out, "; ")
}

func TestPathLeadsToWhereItBegins(t *testing.T) {
	before := []model.Edge{
		edge("user", "web", "virtual_node", 12000, 12, 50*time.Millisecond),
		edge("web", "cart", "", 12000, 12, 20*time.Millisecond), edge("web", "ads", "", 12000, 0, 5*time.Millisecond),
		edge("cart", "db", "database", 24000, 0, 4*time.Millisecond), edge("cart", "mail", "messaging_system", 12000, 0, time.Second),
		edge("other", "far", "", 100, 0, time.Millisecond),
	}
	both := [2]float64{1, 1}
	// The database fails: everything above fails with it, and only its edge keeps an excess of its own.
	now := []model.Edge{
		edge("user", "web", "virtual_node", 1000, 301, 50*time.Millisecond),
		edge("web", "cart", "", 1000, 301, 20*time.Millisecond), edge("web", "ads", "", 1000, 0, 5*time.Millisecond),
		edge("cart", "db", "database", 2000, 300, 4*time.Millisecond), edge("cart", "mail", "messaging_system", 1000, 0, time.Second),
		edge("other", "far", "", 100, 90, time.Second),
	}
	require.Equal(t, "cart>db 1.00 hops=2 own=300/0.0s", pathText(rankPath(now, before, 5*time.Minute, time.Hour, "web", both)))
	// Half of what fails in the cart begins there.
	now[3] = edge("cart", "db", "database", 2000, 150, 4*time.Millisecond)
	require.Equal(t, "cart>db 0.50 hops=2 own=150/0.0s; web>cart 0.50 hops=1 own=150/0.0s",
		pathText(rankPath(now, before, 5*time.Minute, time.Hour, "web", both)))
	// The service itself is slow: what arrives there is not explained by anything below.
	now = []model.Edge{edge("user", "web", "virtual_node", 1000, 1, 150*time.Millisecond),
		edge("web", "cart", "", 1000, 1, 20*time.Millisecond), edge("cart", "db", "database", 2000, 0, 4*time.Millisecond)}
	require.Equal(t, ">web 1.00 hops=0 own=0/100.0s", pathText(rankPath(now, before, 5*time.Minute, time.Hour, "web", both)))
	// A consumer that fails is not subtracted from its producer, and is found.
	now = []model.Edge{edge("user", "web", "virtual_node", 1000, 1, 50*time.Millisecond),
		edge("web", "cart", "", 1000, 301, 20*time.Millisecond), edge("cart", "mail", "messaging_system", 1000, 500, time.Second)}
	got := pathText(rankPath(now, before, 5*time.Minute, time.Hour, "cart", both))
	require.Equal(t, "cart>mail 1.00 hops=1 own=500/0.0s; >cart 1.00 hops=0 own=300/0.0s", got)
	// Few calls of the database are slow and all others faster, so that no mean has an excess: the edge below is named all the same.
	slow := edge("cart", "db", "database", 2000, 0, 4*time.Millisecond)
	slow.Latency = model.Histogram{}
	slow.Latency.Add(uint64(2*time.Millisecond), 1700)
	slow.Latency.Add(uint64(12*time.Millisecond), 300)
	slow.LatencySum = model.NanosOf(2000 * 35 * time.Millisecond / 10)
	now = []model.Edge{edge("user", "web", "virtual_node", 1000, 1, 49*time.Millisecond),
		edge("web", "cart", "", 1000, 1, 19*time.Millisecond), slow}
	require.Equal(t, "cart>db 1.00 hops=2 own=0/0.8s", pathText(rankPath(now, before, 5*time.Minute, time.Hour, "web", both)))
	require.Empty(t, rankPath(before, before, time.Hour, time.Hour, "web", both), "nothing changed")
	require.Empty(t, rankPath(nil, nil, time.Hour, time.Hour, "web", both))
}

func TestOperandsOfAnExpression(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		e, err := query.NewParser().ParseExpr(text)
		require.NoError(t, err)
		var got []string
		for _, o := range operandsOf(e) {
			got = append(got, o.String())
		}
		require.Equal(t, want, got)
	}
	f("sum(a) / sum(b) > 0.1", "sum(a) / sum(b)", "sum(a)", "sum(b)")
	f("(a > 1) and (b < 2)", "a > 1", "a", "b < 2", "b")
	f("histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m]))) > scalar(y)", "histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m])))",
		"scalar(y)")
	f("a", "a")
}

// A condition that looks at no calls is explained by none.
func TestNoCallsNoCause(t *testing.T) {
	for expr, explained := range map[string]bool{
		"vector(1)": false, "vector(time()) > 0": false, `label_replace(vector(1), "service_name", "cart", "", "")`: false,
		"absent(vector(1) > 2)": false, "up == 0 or vector(1)": false, `sum(queue_length) >= 0 or vector(1)`: false,
		`sum(traces_span_metrics_calls_total) > 0`: true, `sum by (service_name) (traces_span_metrics_calls_total) > 0`: true,
		"calls:sum > 0": true, `absent(no_such{service_name="cart"})`: true,
	} {
		kv := storage.NewMem(storage.MemOptions{})
		s, err := viewstest.New(kv, model.Config{FoldEvery: 1})
		require.NoError(t, err)
		var rec viewstest.Record
		for i := range 8 {
			for _, l := range []string{fmt.Sprintf("310.%02ds 20ms cart server GET/cart id=t%d/a error", i, i+1),
				fmt.Sprintf("310.%02ds 10ms cart client SELECT id=t%d/b<a db.name=orders error", i, i+1)} {
				span, err := viewstest.ParseLine(l)
				require.NoError(t, err)
				rec.Spans = append(rec.Spans, span)
			}
		}
		s.Topic[0] = append(s.Topic[0], rec)
		s.Apply(0, 0)
		_, err = s.Checkpoint(nil)
		require.NoError(t, err)
		e, err := New(Config{Reader: s.Set, KV: kv, Floor: 1, Evidence: func() time.Time { return time.Unix(0, 0) }})
		require.NoError(t, err)
		require.NoError(t, e.Load(t.Context(),
			parsed(t, "groups:\n- name: g\n  interval: 10s\n  rules:\n  - {record: 'calls:sum', expr: sum(traces_span_metrics_calls_total)}\n"+evaltest.Rule("A", expr, "")), time.Unix(0, 0)))
		for at := int64(311); at < 400 && len(e.Active()) == 0; at += 20 {
			fr := s.Set.Frontier()
			fr.Complete = time.Unix(at, 0)
			require.NoError(t, e.Advance(t.Context(), model.Change{Frontier: fr}, time.Unix(at, 0)))
		}
		a := e.Active()
		require.NotEmpty(t, a, expr)
		v := a[0].Evidence
		require.NotNil(t, v, expr)
		if explained {
			require.NotEmpty(t, v.Traces, expr)
			continue
		}
		require.Empty(t, v.Path, expr)
		require.Empty(t, v.Traces, expr)
		require.Empty(t, v.Text(), expr)
	}
}

// An alert explains itself from real views, keeps what it said while it fires and over a restart.
func TestEvidenceIsFixedWhenTheAlertFires(t *testing.T) {
	kv := storage.NewMem(storage.MemOptions{})
	s, err := viewstest.New(kv, model.Config{FoldEvery: 1})
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
			out = append(out, fmt.Sprintf("%d.%02ds 20ms cart server GET/cart id=%s/a%s", at, i, id, more),
				fmt.Sprintf("%d.%02ds 10ms cart client SELECT id=%s/b<a db.name=orders%s", at, i, id, more))
		}
		return out
	}
	for at := 10; at < 300; at += 10 {
		apply(call(at, 3, ""), []string{fmt.Sprintf("%ds cart INFO | fine", at)})
	}
	e, err := New(Config{Reader: s.Set, KV: kv, Floor: 1, Evidence: time.Now})
	require.NoError(t, err)
	src := parsed(t, evaltest.AlertRules(evaltest.Rule("Errors",
		`sum by (service_name) (increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR",span_kind="SPAN_KIND_SERVER"}[1m])) / 1 > 3`, "")))
	require.NoError(t, e.Load(context.Background(), src, time.Unix(0, 0)))
	apply(call(310, 8, " error"), []string{"310s cart ERROR exception=IOError:disk_7 | disk 7 is full"})
	require.NoError(t, e.Advance(context.Background(), model.Change{Frontier: s.Set.Frontier()}, time.Unix(311, 0)))
	a := e.Active()
	require.Len(t, a, 1)
	v := a[0].Evidence
	require.NotNil(t, v)
	require.Empty(t, v.Missing)
	require.Equal(t, "cart", v.Service)
	require.Equal(t, []alert.OperandSample{{Labels: labels.FromStrings("service_name", "cart"), Value: a[0].Value}}, v.Operands[0].Values)
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
	require.NoError(t, e.Advance(context.Background(), model.Change{Frontier: s.Set.Frontier()}, time.Unix(321, 0)))
	require.Same(t, v, e.Active()[0].Evidence)
	again, err := New(Config{Reader: s.Set, KV: kv, Floor: 1, Evidence: time.Now})
	require.NoError(t, err)
	require.Equal(t, v.Path, again.Active()[0].Evidence.Path)
	require.NoError(t, again.Load(context.Background(), src, time.Unix(322, 0)))
	require.Equal(t, v.At.UTC(), again.Active()[0].Evidence.At.UTC())
}

// What an alert is compared with leaves out when its rule had fired before, and when what made it fire may have begun.
func TestBaselineIsQuiet(t *testing.T) {
	seconds := func(s int) time.Time { return time.Unix(int64(s), 0) }
	type span = [2]int
	for name, c := range map[string]struct {
		fired []span // seconds; a negative begin is not remembered
		want  span
	}{
		"never": {nil, span{0, 3600}},
		"once":  {[]span{{660, 1260}}, span{1260, 3600}},
		// a window before 960
		"every ten minutes": {[]span{{360, 480}, {960, 1080}, {1560, 1680}, {2160, 2880}, {3360, 3480}}, span{480, 900}},
		// half of the rest
		"every three minutes":        {faults(180, 34, 145)[:19], span{3385, 3600}},
		"hardly ever at rest":        {faults(60, 10, 50), span{}},
		"two at once":                {[]span{{660, 1860}, {1260, 1560}}, span{1860, 3600}},
		"since before what is known": {[]span{{-1, 2460}}, span{2460, 3600}},
		"all the time":               {[]span{{-5, 3660}}, span{}},
		"another hour":               {[]span{{-6000, -5400}, {4200, 4800}}, span{0, 3600}},
		"still, from before":         {[]span{{1860, 9999}}, span{0, 1800}},
	} {
		var changes []alert.Transition
		for i, f := range c.fired {
			l := labels.FromStrings("n", fmt.Sprint(i))
			if f[0] != -1 {
				changes = append(changes, alert.Transition{Time: seconds(f[0]), RuleID: "r", Labels: l, To: alert.StateFiring})
			}
			if f[1] != 9999 {
				changes = append(changes,
					alert.Transition{Time: seconds(f[1]), RuleID: "r", Labels: l, From: alert.StateFiring, To: alert.StateResolved})
			}
			changes = append(changes, alert.Transition{Time: seconds(f[0]), RuleID: "other", To: alert.StateFiring})
		}
		slices.SortStableFunc(changes, func(a, b alert.Transition) int { return a.Time.Compare(b.Time) })
		e := &Evaluator{history: &alert.History{List: changes}}
		list := e.quiet("r", seconds(0), seconds(3660), time.Minute) // active a minute after what is looked at begins
		require.Equal(t, c.want != span{}, len(list) > 0, name)
		if len(list) > 0 {
			require.Equal(t, c.want, span{int(list[0].begin.Unix()), int(list[0].end.Unix())}, name)
		}
	}
}

// faults are those of an hour that come again every so many seconds.
func faults(every, from, to int) (out [][2]int) {
	for at := 0; at < 3600; at += every {
		out = append(out, [2]int{at + from, at + to})
	}
	return out
}

// Where the hour before has no quiet stretch, an older one is taken; a rule that never rests is compared with the day before.
func TestBaselineFallsBack(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	restless := func(since time.Duration) *Evaluator {
		return &Evaluator{history: &alert.History{List: []alert.Transition{{Time: now.Add(-since), RuleID: "r", To: alert.StateFiring}}}}
	}
	list, why := restless(3*time.Hour).baselines("r", now.Add(-time.Minute), now, now.Add(-100*time.Hour), time.Minute)
	require.Equal(t, []any{now.Add(-6*time.Hour - time.Minute), now.Add(-3*time.Hour - time.Minute), alert.BaselineQuiet},
		[]any{list[0].begin, list[0].end, why})
	list, why = restless(3*time.Hour).baselines("r", now.Add(-time.Minute), now, now.Add(-4*time.Hour), time.Minute)
	require.Equal(t, []any{now.Add(-4 * time.Hour), now.Add(-3*time.Hour - time.Minute), alert.BaselineQuiet},
		[]any{list[0].begin, list[0].end, why})
	list, why = restless(90*time.Hour).baselines("r", now.Add(-time.Minute), now, now.Add(-100*time.Hour), time.Minute)
	require.Equal(t, []any{now.Add(-25*time.Hour - time.Minute), now.Add(-24*time.Hour - time.Minute), alert.BaselineDayBefore},
		[]any{list[0].begin, list[0].end, why})
	list, why = restless(9*time.Hour).baselines("r", now.Add(-time.Minute), now, now.Add(-9*time.Hour), time.Minute)
	require.Equal(t, []any{now.Add(-time.Hour - time.Minute), now.Add(-time.Minute), alert.BaselineHourBefore},
		[]any{list[0].begin, list[0].end, why})
}

// brokenReader panics where evidence is read, as a reader with a fault would.
type brokenReader struct {
	views.Reader
	broken *bool
}

func (r brokenReader) ServiceMap(start, end time.Time) (model.Map, error) {
	if *r.broken {
		panic("planted")
	}
	return r.Reader.ServiceMap(start, end)
}

// A panic while evidence is gathered costs the alert its evidence: it fires, the others too, and the panic is counted.
func TestPanicInEvidence(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("A", evaltest.ErrorsRule, "")+evaltest.Rule("B", "vector(1)", "")))
	broken := true
	b.e.cfg.Reader = brokenReader{b.e.cfg.Reader, &broken}
	b.e.cfg.Evidence = func() time.Time { return time.Unix(0, 0) }
	b.errors(3, 5)
	require.Len(t, b.e.Active(), 2)
	for _, a := range b.e.Active() {
		if a.Labels.Get("alertname") == "A" {
			require.Nil(t, a.Evidence)
		}
	}
	require.Positive(t, testutil.ToFloat64(b.e.metrics.panics))
	require.Equal(t, "ok", b.e.Rules()[0].Health)
}

// A rule over a window of 290 years gets evidence from what the views hold. Gathering ends with the context of the request, and the
// evidence names what is missing.
func TestRunawayInEvidence(t *testing.T) {
	const long = `sum by (service_name) (increase(traces_span_metrics_calls_total[1m])) > 0 and on () sum_over_time(vector(1)[290y:1y]) >= 0`
	kv := storage.NewMem(storage.MemOptions{})
	s, err := viewstest.New(kv, model.Config{})
	require.NoError(t, err)
	e, err := New(Config{Reader: s.Set, KV: kv, Floor: 1, Evidence: time.Now})
	require.NoError(t, err)
	require.NoError(t, e.Load(t.Context(), parsed(t, evaltest.AlertRules(evaltest.Rule("Long", long, ""))), time.Unix(0, 0)))
	for _, at := range []int{100, 110} {
		l, err := viewstest.ParseLine(fmt.Sprintf("%ds 20ms cart server GET/cart id=t%d/a", at, at))
		require.NoError(t, err)
		s.Topic[0] = append(s.Topic[0], viewstest.Record{Spans: []viewstest.Line{l}})
		s.Apply(0, int64(len(s.Topic[0])-1))
		_, err = s.Checkpoint(nil)
		require.NoError(t, err)
	}
	require.NoError(t, e.Advance(t.Context(), model.Change{Frontier: s.Set.Frontier()}, time.Unix(111, 0)))
	require.Equal(t, "ok", e.Rules()[0].Health, e.Rules()[0].LastError)
	require.Len(t, e.Active(), 1)
	a := e.Active()[0]
	require.NotNil(t, a.Evidence)
	require.Len(t, a.Evidence.Operands, 4)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v := e.Explain(ctx, &a)
	require.NotNil(t, v)
	require.Empty(t, v.Operands)
	require.Condition(t, func() bool {
		return slices.ContainsFunc(v.Missing, func(m string) bool { return strings.HasPrefix(m, "operands: ") })
	}, "%v", v.Missing)
}

// parsed is a file of rules.
func parsed(t *testing.T, text string) []Source {
	t.Helper()
	src, err := ParseSource("rules.yml", []byte(text), nil)
	require.NoError(t, err)
	return []Source{src}
}
