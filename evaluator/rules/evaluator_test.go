package rules

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	webapi "github.com/prometheus/prometheus/web/api/v1"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/incident"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// Prometheus' web API serves the rules from the evaluator as it is.
var _ webapi.RulesRetriever = (*Evaluator)(nil)

// bench is an evaluator over a fake reader and a store in memory; time is moved by hand, the wall clock equal to event time.
type bench struct {
	t     *testing.T
	r     *evaltest.Reader
	kv    storage.KV
	e     *Evaluator
	ready bool
	rules string
	// limits are those of incidents; nil: there are none.
	limits *incident.Limits
}

func newBench(t *testing.T, rules string) *bench {
	b := &bench{t: t, r: &evaltest.Reader{}, kv: storage.NewMem(storage.MemOptions{}), ready: true, rules: rules}
	b.start()
	return b
}

// start makes a new evaluator on the same store, as after a crash.
func (b *bench) start() {
	b.t.Helper()
	c := Config{Reader: b.r, KV: b.kv, Floor: time.Second, Ready: func() bool { return b.ready }}
	var err error
	if b.limits != nil {
		c.Incidents, err = incident.Open(b.kv, *b.limits)
		require.NoError(b.t, err)
		c.ExternalURL, err = url.Parse("https://cat.example/a/")
		require.NoError(b.t, err)
	}
	e, err := New(c)
	require.NoError(b.t, err)
	b.e = e
	src, err := ParseSource("rules.yml", []byte(b.rules), e.cfg.Logger)
	require.NoError(b.t, err)
	require.NoError(b.t, e.Load(context.Background(), []Source{src}, b.r.Frontier().Head))
}

// errors counts n errors at s seconds and commits them.
func (b *bench) errors(s float64, n int) {
	obs := make([]evaltest.Observation, n)
	for i := range obs {
		obs[i].At = evaltest.At(s)
	}
	sub := b.r.Feed().Subscribe()
	defer sub.Close()
	b.r.Span(evaltest.Failing, obs...)
	b.r.Commit(evaltest.At(s - 2))
	b.advance(sub.Take(), s)
}

func (b *bench) advance(c model.Change, s float64) {
	b.t.Helper()
	c.Frontier = b.r.Frontier()
	require.NoError(b.t, b.e.Advance(context.Background(), c, evaltest.At(s)))
}

// idle lets time pass without data.
func (b *bench) idle(s float64) {
	b.t.Helper()
	b.r.Complete(evaltest.At(s - 2))
	b.advance(model.Change{}, s)
}

// notified takes what is in the outbox as "state alertname", oldest first.
func (b *bench) notified() string {
	b.t.Helper()
	entries, err := b.e.Outbox().Pending()
	require.NoError(b.t, err)
	var out []string
	for _, e := range entries {
		for _, a := range e.Alerts {
			out = append(out, a.State+" "+a.Labels.Get("alertname"))
		}
		require.NoError(b.t, b.e.Outbox().Done(e.Seq))
	}
	return strings.Join(out, ", ")
}

func TestFiresAtTheHeadAndResolvesWhenTheWindowDrains(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
	b.errors(3, 2)
	require.Empty(t, b.notified())
	b.errors(5, 2)
	require.Equal(t, "firing Errors", b.notified())
	a := b.e.Active()
	require.Len(t, a, 1)
	require.Equal(t, "cart has 4", a[0].Annotations.Get("summary"))
	require.Equal(t, "page", a[0].Labels.Get("severity"))
	require.Equal(t, evaltest.At(5), a[0].ActiveAt)
	for s := 10.0; s < 64; s += 3 {
		b.idle(s)
		require.Empty(t, b.notified())
	}
	b.idle(80)
	require.Equal(t, "resolved Errors", b.notified())
	require.Empty(t, b.e.Active())
	h := b.e.History(0)
	require.Equal(t, []string{"resolved", "firing"}, []string{h[0].To, h[1].To})
	require.Equal(t, query.Head, b.e.Rules()[0].Class.Frontier)
	require.Equal(t, "ok", b.e.Rules()[0].Health)
}

func TestFloorAndInterval(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
	evals := func() time.Time { return b.e.RuleGroups()[0].GetLastEvalTimestamp() }
	b.errors(3, 1)
	require.Equal(t, evaltest.At(3), evals().UTC())
	b.errors(3.5, 9)
	require.Equal(t, evaltest.At(3), evals().UTC(), "within the floor of 1 s")
	require.Equal(t, evaltest.At(4), b.e.wake)
	b.advance(model.Change{}, 4)
	require.Equal(t, evaltest.At(3.5), evals().UTC())
	require.Equal(t, "firing Errors", b.notified())
	b.idle(13)
	require.Equal(t, evaltest.At(3.5), evals().UTC())
	b.idle(14.5)
	require.Equal(t, evaltest.At(12.5), evals().UTC(), "the interval has passed")
}

func TestForCountsEventTime(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "    for: 30s\n")))
	b.errors(3, 9)
	require.Equal(t, alert.StatePending, b.e.Active()[0].State)
	b.idle(32)
	require.Empty(t, b.notified())
	b.idle(36) // complete is 34: due without waiting for the interval
	require.Equal(t, "firing Errors", b.notified())
}

func TestWaitsForCompleteUnlessDataOnlyStrengthens(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Quiet", `sum(increase(traces_span_metrics_calls_total[30s])) < 5`, "")))
	b.r.Span(evaltest.Failing, evaltest.Observation{At: evaltest.At(0)})
	b.r.Span(evaltest.Failing, evaltest.Observation{At: evaltest.At(40)})
	b.r.Commit(time.Time{})
	b.advance(model.Change{}, 41)
	require.Empty(t, b.notified())
	require.Equal(t, "unknown", b.e.Rules()[0].Health)
	b.r.Complete(evaltest.At(20))
	b.advance(model.Change{}, 42)
	require.Equal(t, "firing Quiet", b.notified())
	require.Equal(t, evaltest.At(20), b.e.Active()[0].ActiveAt)
}

func TestResolvedWaitsForASlowPartition(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
	b.errors(3, 9)
	require.Equal(t, "firing Errors", b.notified())
	ok := evaltest.Failing
	ok.Service, ok.Status = "web", model.StatusOK
	for s := 10.0; s < 100; s += 10 { // others move the head on, one partition stands at 5
		b.r.Span(ok, evaltest.Observation{At: evaltest.At(s)})
		b.r.Commit(evaltest.At(5))
		b.advance(model.Change{RED: map[uint32]model.Touched{2: {}}}, s)
	}
	require.Empty(t, b.notified())
	b.idle(110)
	require.Equal(t, "resolved Errors", b.notified())
}

func TestKilledAtEachStage(t *testing.T) {
	rules := evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "    for: 20s\n    keep_firing_for: 30s\n"))
	life := func(kill float64) (notified []string, when []float64) {
		b := newBench(t, rules)
		b.errors(3, 9)
		for s := 6.0; s < 140; s++ {
			if s-1 < kill && kill <= s {
				b.start()
			}
			b.idle(s)
			if x := b.notified(); x != "" {
				notified, when = append(notified, x), append(when, s)
			}
		}
		return notified, when
	}
	_, control := life(1000)
	for _, kill := range []float64{6, 10, 22, 25, 26, 40, 64, 70, 90, 95, 96, 101, 120} {
		notified, when := life(kill)
		require.Equal(t, []string{"firing Errors", "resolved Errors"}, notified, "killed at %v", kill)
		require.InDelta(t, control[0], when[0], 0.01, "for drifts, killed at %v", kill)
		require.InDelta(t, control[1], when[1], 10, "more than an interval, killed at %v", kill)
	}
}

func TestClearedWhileDown(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
	b.errors(3, 9)
	require.Equal(t, "firing Errors", b.notified())
	b.start()
	require.Len(t, b.e.Notified(), 1)
	b.idle(500)
	require.Equal(t, "resolved Errors", b.notified())
	b.start()
	b.idle(600)
	require.Empty(t, b.notified())
}

func TestRuleRemoved(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
	b.errors(3, 9)
	require.Equal(t, "firing Errors", b.notified())
	b.rules = evaltest.AlertRules(evaltest.Rule("Other", evaltest.ErrorsRule, ""))
	src, err := ParseSource("rules.yml", []byte(b.rules), nil)
	require.NoError(t, err)
	require.NoError(t, b.e.Load(context.Background(), []Source{src}, evaltest.At(4)))
	require.Equal(t, "resolved Errors", b.notified())
	b.idle(7)
	require.Equal(t, "firing Other", b.notified())
}

func TestReloadKeepsPending(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "    for: 30s\n")))
	b.errors(3, 9)
	b.rules = evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "    for: 20s\n") + evaltest.Rule("Other",
		evaltest.ErrorsRule, "    for: 1h\n"))
	src, err := ParseSource("rules.yml", []byte(b.rules), nil)
	require.NoError(t, err)
	require.NoError(t, b.e.Load(context.Background(), []Source{src}, evaltest.At(4)))
	b.idle(25)
	require.Equal(t, "firing Errors", b.notified())
}

func TestHeldWhileBehind(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, "")))
	b.ready = false
	b.errors(3, 9)
	require.Equal(t, alert.StateFiring, b.e.Active()[0].State)
	b.idle(100) // over before the pipeline has caught up: no one is paged
	b.errors(200, 9)
	require.Empty(t, b.notified())
	b.ready = true
	b.idle(201)
	require.Equal(t, "firing Errors", b.notified())
	b.ready = false
	b.idle(300)
	require.Empty(t, b.notified())
	b.ready = true
	b.idle(301)
	require.Equal(t, "resolved Errors", b.notified())
}

// failingKV fails commits while fail is set.
type failingKV struct {
	storage.KV
	fail bool
}

func (k *failingKV) Commit(c storage.Commit) error {
	if k.fail {
		return errors.New("disk on fire")
	}
	return k.KV.Commit(c)
}

func TestNotNotifiedBeforeDurable(t *testing.T) {
	kv := &failingKV{KV: storage.NewMem(storage.MemOptions{})}
	b := &bench{t: t, r: &evaltest.Reader{}, kv: kv, ready: true,
		rules: evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, ""))}
	b.start()
	kv.fail = true
	b.r.Span(evaltest.Failing, make5(evaltest.At(3))...)
	b.r.Commit(evaltest.At(1))
	require.ErrorContains(t, b.e.Advance(context.Background(), model.Change{Frontier: b.r.Frontier()}, evaltest.At(3)), "disk on fire")
	require.Empty(t, b.notified())
	require.Empty(t, b.e.Active())
	kv.fail = false
	b.idle(4)
	require.Equal(t, "firing Errors", b.notified())
}

func make5(t time.Time) []evaltest.Observation {
	return []evaltest.Observation{{At: t}, {At: t}, {At: t}, {At: t}, {At: t}}
}

func TestRecordingRulesAndALERTS(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(`  - record: service:errors:increase1m
    expr: sum by (service_name) (increase(traces_span_metrics_calls_total[1m]))
    labels: {by: rule}
`+evaltest.Rule("Recorded", `service:errors:increase1m > 3`, "")+evaltest.Rule("Errors", evaltest.ErrorsRule, "    for: 5m\n")))
	b.errors(3, 9)
	b.idle(14)
	require.Equal(t, "firing Recorded", b.notified())
	q := func(text string, s float64) string {
		t.Helper()
		query, err := query.NewEngine(query.EngineConfig{}, nil, nil).NewInstantQuery(context.Background(), b.e.Queryable(), nil, text,
			evaltest.At(s))
		require.NoError(t, err)
		res := query.Exec(context.Background())
		require.NoError(t, res.Err)
		v, err := res.Vector()
		require.NoError(t, err)
		return vectorText(v)
	}
	require.Equal(t, `{__name__="service:errors:increase1m", by="rule", service_name="cart"}`, q(`service:errors:increase1m`, 13))
	require.Equal(t, `{__name__="ALERTS", alertname="Errors", alertstate="pending", service_name="cart", severity="page", span_kind="SPAN_KIND_SERVER", span_name="GET", status_code="STATUS_CODE_ERROR"}`,
		q(`ALERTS{alertname="Errors"}`, 13))
	require.NotEmpty(t, q(`ALERTS_FOR_STATE`, 13))
	b.idle(200)
	require.Empty(t, q(`ALERTS{alertname="Errors"}`, 199), "stale once it is gone")
}

func vectorText(v promql.Vector) string {
	var out []string
	for _, s := range v {
		out = append(out, s.Metric.String())
	}
	return strings.Join(out, "\n")
}

func TestTemplatedLabelsAreRestored(t *testing.T) {
	b := newBench(t, evaltest.AlertRules("  - alert: Errors\n    expr: '"+evaltest.ErrorsRule+
		"'\n    labels: {service_name: 'team {{ $labels.service_name }}'}\n    for: 20s\n"))
	b.errors(3, 9)
	b.start()
	b.idle(24)
	require.Empty(t, b.notified())
	b.idle(26)
	require.Equal(t, "firing Errors", b.notified())
	require.Len(t, b.e.Active(), 1)
	require.Equal(t, "team cart", b.e.Active()[0].Labels.Get("service_name"))
}

func TestLimitedGroupResolves(t *testing.T) {
	b := newBench(t, "groups:\n- name: g\n  limit: 1\n  rules:\n"+evaltest.Rule("Errors", evaltest.ErrorsRule, ""))
	b.errors(3, 9)
	require.Equal(t, "firing Errors", b.notified())
	other := evaltest.Failing
	other.Service = "web"
	b.r.Span(other, make5(evaltest.At(5))...)
	b.errors(6, 1)
	require.Equal(t, "err", b.e.Rules()[0].Health)
	require.Equal(t, "resolved Errors", b.notified())
}

func TestLoadFilesNamesTheRule(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("good.yml", evaltest.AlertRules(evaltest.Rule("A", "up > 1", "")))
	src, err := LoadFiles([]string{filepath.Join(dir, "*.yml"), filepath.Join(dir, "g*.yml"), filepath.Join(dir, "none-*")}, nil)
	require.NoError(t, err)
	require.Len(t, src, 1)
	write("bad.yml", evaltest.AlertRules(evaltest.Rule("B", "up >", "")))
	_, err = LoadFiles([]string{filepath.Join(dir, "*.yml")}, nil)
	require.ErrorContains(t, err, "bad.yml")
	require.ErrorContains(t, err, `group "g", rule 1, "B"`)
}

// The page finds the rule of an alert by its link, also when the alert is over and however the rule's expression is written.
func TestRulesHaveTheLinkOfTheirAlerts(t *testing.T) {
	b := newBench(t, "groups:\n- {name: g, rules: [{alert: A, expr: 'vector( 1 )   >0'}, {record: r, expr: 'vector(1)'}]}\n")
	b.errors(1, 1)
	active, list := b.e.Active(), b.e.Rules()
	require.Len(t, active, 1)
	require.Contains(t, active[0].GeneratorURL, "/graph?g0.expr=vector%281%29+%3E+0&g0.tab=1")
	require.Equal(t, active[0].GeneratorURL, list[0].GeneratorURL)
	require.Empty(t, list[1].GeneratorURL)
}
