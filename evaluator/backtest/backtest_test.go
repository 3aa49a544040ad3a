package backtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

func source(t *testing.T, text string) []rules.Source {
	src, err := rules.ParseSource("rules.yml", []byte(text), nil)
	require.NoError(t, err)
	return []rules.Source{src}
}

// script is "seconds from->to" of each transition, by alert.
func script(r *Result) string {
	var b strings.Builder
	for _, s := range r.Series {
		fmt.Fprintf(&b, "%s:", s.Labels.Get("alertname"))
		for _, t := range s.Transitions {
			fmt.Fprintf(&b, " %d %s->%s(%.1f)", t.Time.Unix()-evaltest.At(0).Unix(), t.From, t.To, float64(t.Value))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestBacktestReportsPastAlerts(t *testing.T) {
	r := &evaltest.Reader{}
	for s := range 60 { // ten minutes of calls, errors in the third and the sixth minute
		o := evaltest.Observation{At: evaltest.At(float64(s * 10))}
		r.Span(model.REDKey{Service: "cart", Operation: "GET", Kind: model.KindServer}, o)
		if s/6 == 2 || s/6 == 5 {
			r.Span(evaltest.Failing, o, o)
		}
	}
	r.Commit(evaltest.At(600))
	rules := evaltest.AlertRules(evaltest.Rule("Errors",
		`increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m]) > 5`, "    for: 30s\n"))
	res, err := Spec{Sources: source(t, rules), Start: evaltest.At(0), End: evaltest.At(3600), Reader: r}.Run(context.Background())
	require.NoError(t, err)
	require.Equal(t, "Errors: 150 ->pending(6.0) 180 pending->firing(12.0) 210 firing->resolved(7.2) 330 resolved->pending(7.2) 360 pending->firing(12.0) 390 firing->resolved(7.2)\n", script(res))
	require.Equal(t, evaltest.At(600), res.End, "cut to what is known")
	require.Equal(t, Summary{Fired: 2, Firing: time.Minute, Longest: 30 * time.Second, Pending: time.Minute, Flaps: 1},
		res.Series[0].Summary)
	require.Equal(t, "page", res.Series[0].Labels.Get("severity"))
	require.Equal(t, "cart has 12", res.Transitions[1].Annotations.Get("summary"))

	// A range that begins while the alert fires shows it as inherited, because the backtest begins earlier.
	res, err = Spec{Sources: source(t, rules), Start: evaltest.At(190), End: evaltest.At(300), Reader: r}.Run(context.Background())
	require.NoError(t, err)
	require.Equal(t, "Errors: 190 ->firing(12.0) 210 firing->resolved(7.2)\n", script(res))

	// What never held long enough stays pending and ends inactive.
	res, err = Spec{Sources: source(t, strings.Replace(rules, "for: 30s", "for: 5m", 1)), Start: evaltest.At(0), End: evaltest.At(300),
		Reader: r}.Run(context.Background())
	require.NoError(t, err)
	require.Equal(t, "Errors: 150 ->pending(6.0) 210 pending->inactive(7.2)\n", script(res))
}

func TestBacktestRefuses(t *testing.T) {
	r := &evaltest.Reader{}
	r.Span(evaltest.Failing, evaltest.Observation{At: evaltest.At(5)})
	r.Commit(evaltest.At(20))
	for text, b := range map[string]Spec{
		"no whole step": {Sources: source(t, evaltest.AlertRules(evaltest.Rule("A", "vector(1) > 0", ""))), Start: evaltest.At(100),
			End: evaltest.At(200)},
		"longer step": {Sources: source(t, evaltest.AlertRules(evaltest.Rule("A", "vector(1) > 0", "    for: 30d\n"))),
			Start: evaltest.At(0), End: evaltest.At(20)},
		"many-to-many": {Sources: source(t,
			evaltest.AlertRules(evaltest.Rule("A",
				`sum(calls_total) + on() group_left() {__name__=~"calls_total|traces_span_metrics_calls_total"} > 0`, ""))),
			Start: evaltest.At(0), End: evaltest.At(20)},
	} {
		b.Reader = r
		_, err := b.Run(context.Background())
		require.ErrorIs(t, err, ErrInvalid, text)
		require.ErrorContains(t, err, text)
	}
}

// What a backtest reads ahead by range queries is what asking at each moment gives.
func TestBacktestReadsAhead(t *testing.T) {
	text := `groups:
- name: g
  query_offset: 10s
  rules:
  - record: service:errors:increase1m
    expr: sum by (service_name) (increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m]))
  - {alert: Recorded, expr: 'service:errors:increase1m > 2', for: 20s}
  - {alert: Windowed, expr: 'max_over_time(service:errors:increase1m[2m]) > 3'}
- name: h
  rules:
  - {alert: Quantile, expr: 'histogram_quantile(0.9, sum by (le) (rate(traces_span_metrics_duration_seconds_bucket[1m]))) > 0.1', keep_firing_for: 30s}
  - {alert: Native, expr: 'histogram_quantile(0.9, sum(rate(traces_spanmetrics_latency[1m]))) > 0.1'}
  - {alert: Ratio, expr: 'sum(rate(calls_total{status_code="STATUS_CODE_ERROR"}[1m])) / sum(rate(calls_total[1m])) > 0.3'}
  - {alert: Gone, expr: 'absent(calls_total{service_name="cart"})'}
  - {alert: Shifted, expr: 'calls_total > calls_total offset 1m'}
`
	for seed := range uint64(20) {
		r, rnd := &evaltest.Reader{}, rand.New(rand.NewPCG(seed, 1))
		for s := 100.0; s < 2100; s += 1 + rnd.Float64()*40 {
			k := evaltest.Failing
			if rnd.IntN(3) > 0 {
				k.Status = model.StatusUnset
			}
			r.Span(k, evaltest.Observation{At: evaltest.At(s), Duration: time.Duration(rnd.IntN(300)) * time.Millisecond})
		}
		r.Commit(evaltest.At(2200))
		b := Spec{Sources: source(t, text), Start: evaltest.At(40), End: evaltest.At(2050), Reader: r}
		quick, err := b.Run(context.Background())
		require.NoError(t, err)
		b.Step, b.Engine, b.Queryable = 10*time.Second, query.NewEngine(query.EngineConfig{}, nil, nil), &query.Queryable{Reader: r}
		slow, err := b.open(context.Background())
		require.NoError(t, err)
		for q := range rules.AllRules(b.Sources) {
			expr, err := query.NewParser().ParseExpr(q.Expr)
			require.NoError(t, err)
			slow.past.ahead[expr.String()] = &ahead{alone: true}
		}
		want, err := slow.run(context.Background())
		require.NoError(t, err)
		require.Equal(t, script(want), script(quick), "seed %d", seed)
		require.NotEmpty(t, quick.Series)
	}
}

// live is an evaluator that evaluates as commits arrive; the wall clock is equal to event time.
type live struct {
	t *testing.T
	r *evaltest.Reader
	e *rules.Evaluator
}

func newLive(t *testing.T, text string) *live {
	l := &live{t: t, r: &evaltest.Reader{}}
	var err error
	l.e, err = rules.New(rules.Config{Reader: l.r, KV: storage.NewMem(storage.MemOptions{}), Floor: time.Second})
	require.NoError(t, err)
	require.NoError(t, l.e.Load(context.Background(), source(t, text), l.r.Frontier().Head))
	return l
}

// errors counts n errors at s seconds and commits them.
func (l *live) errors(s float64, n int) {
	l.t.Helper()
	sub := l.r.Feed().Subscribe()
	defer sub.Close()
	l.r.Span(evaltest.Failing, slices.Repeat([]evaltest.Observation{{At: evaltest.At(s)}}, n)...)
	l.r.Commit(evaltest.At(s - 2))
	l.advance(sub.Take(), s)
}

// idle lets time pass without data.
func (l *live) idle(s float64) {
	l.t.Helper()
	l.r.Complete(evaltest.At(s - 2))
	l.advance(model.Change{}, s)
}

func (l *live) advance(c model.Change, s float64) {
	l.t.Helper()
	c.Frontier = l.r.Frontier()
	require.NoError(l.t, l.e.Advance(context.Background(), c, evaltest.At(s)))
}

// The live evaluator and a backtest over the same views agree within one bucket.
func TestBacktestAgreesWithLive(t *testing.T) {
	rules := evaltest.AlertRules(evaltest.Rule("Errors",
		`sum by (service_name) (increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m])) > 4`,
		"    for: 20s\n    keep_firing_for: 15s\n") +
		evaltest.Rule("Quiet", `sum by (service_name) (increase(traces_span_metrics_calls_total[1m])) < 3`, "") +
		evaltest.Rule("Any", `sum by (service_name) (increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[30s])) > 0`,
			""))
	for seed := range uint64(6) {
		b, rnd := newLive(t, rules), rand.New(rand.NewPCG(seed, 2))
		busy, until := false, 10.0
		for s := 10.0; s < 1500; s++ {
			if s > until { // windows fill and drain between two turns: what is shorter than a bucket may be missed
				busy, until = !busy, s+120+rnd.Float64()*100
			}
			if busy { // so many that no threshold is crossed slowly: there the rates of two moments differ
				b.errors(s, 8)
			} else {
				b.idle(s)
			}
		}
		was := b.e.History(0)
		res, err := Spec{Sources: source(t, rules), Start: evaltest.At(10), End: evaltest.At(1490), Reader: b.r}.Run(context.Background())
		require.NoError(t, err)
		compareWithinBucket(t, seed, was, res)
	}
}

// compareWithinBucket asks at each moment: what fired live all around it fires in the backtest there or a bucket away, and what did
// not does not.
func compareWithinBucket(t *testing.T, seed uint64, live []alert.Transition, res *Result) {
	t.Helper()
	const around = 2 * model.BucketSeconds // a bucket, and how far complete stands behind
	firing := func(ts []alert.Transition) map[string][]bool {
		out := map[string][]bool{}
		for _, x := range ts {
			name := x.Labels.Get("alertname")
			if out[name] == nil {
				out[name] = make([]bool, 1500)
			}
			for s := max(0, int(x.Time.Sub(evaltest.At(0)).Seconds())); s < 1500; s++ {
				out[name][s] = x.To == alert.StateFiring
			}
		}
		return out
	}
	slices.Reverse(live) // it is newest first
	want, got := firing(live), firing(res.Transitions)
	checked := 0
	for name, w := range want {
		g := got[name]
		if g == nil {
			g = make([]bool, 1500)
		}
		for s := 40; s < 1460; s += model.BucketSeconds {
			if around := w[s-around : s+around]; !slices.Contains(around, !w[s]) {
				require.Contains(t, []bool{g[s-model.BucketSeconds], g[s], g[s+model.BucketSeconds]}, w[s], "seed %d: %s at %d", seed, name,
					s)
				checked++
			}
		}
	}
	require.Greater(t, checked, 100, "seed %d", seed)
}
