package rules

import (
	"context"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/query"
)

// The scenarios of https://github.com/prometheus/compliance/tree/main/alert_generator, whose rules read samples that its suite writes, over
// series of the views: the life of an alert, its ALERTS series, the order of rules, small and no `for`, templates.

// generated is a bench whose services fail twenty times in half a minute or not at all.
type generated struct {
	*bench
	now float64
}

// half is half a minute in which services fail.
func (g *generated) half(services ...string) {
	g.t.Helper()
	g.now += 30
	for _, s := range services {
		k := evaltest.Failing
		k.Service = s
		obs := make([]evaltest.Observation, 20)
		for i := range obs {
			obs[i].At = evaltest.At(g.now)
		}
		g.r.Span(k, obs...)
	}
	if len(services) == 0 {
		g.idle(g.now + 1)
		return
	}
	sub := g.r.Feed().Subscribe()
	defer sub.Close()
	g.r.Commit(evaltest.At(g.now))
	g.advance(sub.Take(), g.now)
}

// series are those that a query finds now.
func (g *generated) series(expr string) string {
	g.t.Helper()
	q, err := query.NewEngine(query.EngineConfig{}, nil, nil).NewInstantQuery(context.Background(), g.e.Queryable(), nil, expr,
		evaltest.At(g.now+1))
	require.NoError(g.t, err)
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	require.NoError(g.t, err)
	return vectorText(v)
}

func (g *generated) state(name string) string {
	g.t.Helper()
	for _, r := range g.e.Rules() {
		if r.Name == name {
			return r.State
		}
	}
	return "no rule"
}

const generatedGroup = "groups:\n- name: g\n  interval: 30s\n  rules:\n"

const fails = `sum by (service_name, variant) (label_replace(increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[30s]), "variant", "of $1", "service_name", "(.*)")) > 10`

func TestGeneratorPendingFiringResolved(t *testing.T) {
	g := &generated{now: 3, bench: newBench(t, generatedGroup+`  - alert: Simple
    expr: '`+fails+`'
    for: 6m
    labels: {foo: bar, service_name: overridden}
    annotations: {description: Simple is firing, summary: 'The value is {{$value}} {{.Value}}'}
`)}
	for round := range 2 { // the second time it is a new alert
		begin := g.now + 30
		for range 12 {
			g.half("cart")
			require.Equal(t, alert.StatePending, g.state("Simple"), "at %v", g.now)
			require.Empty(t, g.notified(), "at %v", g.now)
			require.Equal(t, `{__name__="ALERTS", alertname="Simple", alertstate="pending", foo="bar", service_name="overridden", variant="of cart"}`, g.series("ALERTS"))
		}
		g.half("cart")
		require.Equal(t, "firing Simple", g.notified(), "as soon as the difference is for, at %v", g.now)
		a := g.e.Active()
		require.Len(t, a, 1)
		require.Equal(t, evaltest.At(begin), a[0].ActiveAt)
		require.Equal(t, evaltest.At(g.now), a[0].FiredAt)
		value := strconv.FormatFloat(float64(a[0].Value), 'g', -1, 64)
		require.Equal(t, "The value is "+value+" "+value, a[0].Annotations.Get("summary"))
		require.Equal(t, labels.FromStrings("alertname", "Simple", "foo", "bar", "service_name", "overridden", "variant", "of cart"),
			a[0].Labels)
		require.Equal(t, `{__name__="ALERTS", alertname="Simple", alertstate="firing", foo="bar", service_name="overridden", variant="of cart"}`, g.series("ALERTS"))
		g.half("cart", "cart")
		require.NotEqual(t, "The value is "+value+" "+value, g.e.Active()[0].Annotations.Get("summary"), "annotations follow the value")
		require.Empty(t, g.notified())
		g.half()
		g.half()
		require.Equal(t, "resolved Simple", g.notified(), "round %d", round)
		require.Equal(t, "inactive", g.state("Simple"))
		require.Empty(t, g.series("ALERTS"))
	}
}

func TestGeneratorPendingResolvedAndAlwaysInactive(t *testing.T) {
	g := &generated{now: 3, bench: newBench(t, generatedGroup+`  - {alert: Pending, for: 3m, expr: '`+fails+`'}
  - {alert: Inactive, for: 3m, expr: '`+fails+` > 99'}
`)}
	for range 5 {
		g.half("cart")
		require.Equal(t, []string{alert.StatePending, "inactive"}, []string{g.state("Pending"), g.state("Inactive")})
	}
	g.half()
	g.half()
	require.Equal(t, []string{"inactive", "inactive"}, []string{g.state("Pending"), g.state("Inactive")})
	require.Empty(t, g.notified(), "no notification for an alert that was only pending")
	require.Empty(t, g.series("ALERTS"))
	for _, h := range g.e.History(0) {
		require.Equal(t, "Pending", h.Labels.Get("alertname"))
	}
}

func TestGeneratorNewAlertsAndOrder(t *testing.T) {
	g := &generated{now: 3, bench: newBench(t, generatedGroup+`  - {alert: Rule1, for: 1m, expr: '`+fails+`', labels: {foo: bar}}
  - alert: Rule2
    expr: '(ALERTS{alertstate="firing", alertname="Rule1", variant="of cart"} + ignoring(variant, service_name) ALERTS{alertstate="firing", alertname="Rule1", variant="of web"}) == 2'
    labels: {ba_dum: tss, foo: baz}
    annotations: {description: 'Based on ALERTS. Old alertname was {{$labels.alertname}}. foo was {{.Labels.foo}}.'}
`)}
	g.half("cart")
	g.half("cart")
	g.half("cart")
	require.Equal(t, "firing Rule1", g.notified())
	g.half("cart", "web") // another alert of a rule that fires
	require.Empty(t, g.notified())
	g.half("cart", "web")
	g.half("cart", "web")
	g.idle(g.now + 3) // Rule2 is no counter of the views: it waits until everything is there
	notified := g.notified()
	require.Contains(t, notified, "firing Rule1")
	require.Contains(t, notified, "firing Rule2", "rules see what those before them wrote")
	for _, a := range g.e.Active() {
		if a.Labels.Get("alertname") == "Rule2" {
			require.Equal(t, []string{"tss", "baz"}, []string{a.Labels.Get("ba_dum"), a.Labels.Get("foo")})
			require.Equal(t, "Based on ALERTS. Old alertname was Rule1. foo was bar.", a.Annotations.Get("description"))
		}
	}
}

func TestGeneratorZeroForAndSmallFor(t *testing.T) {
	g := &generated{now: 3, bench: newBench(t, generatedGroup+`  - alert: Zero
    expr: '`+fails+`'
    annotations:
      humanize: '{{humanize 1048576}} {{humanize1024 1048576}} {{humanizeDuration 135.3563}} {{humanizePercentage 0.959}} {{humanizeTimestamp 1643114203}}'
      query: '{{ define "t" }}{{.arg0}} {{.arg1}}: {{ range $v := query "sum by (service_name) (traces_span_metrics_calls_total)" | sortByLabel "service_name" }}{{ . | label "service_name" }}={{ . | value }},{{end}}{{ end }}{{ template "t" (args "foo" 99) }}'
  - alert: Small
    expr: '`+fails+`'
    for: 15s
    annotations:
      text: '{{title "this part"}} {{toUpper "is testing"}} {{toLower "THE STRINGS"}}. {{ stripPort "[::1]:6006"}} {{ stripPort "127.0.0.1:4004"}}. {{parseDuration "2h10m15s"}}. {{if match "[0-9]+" "1234"}}{{reReplaceAll "r.*d" "replaced" "rpld text"}}{{end}}. {{if match "[0-9]+$" "1234a"}}WRONG{{end}}.'
`)}
	g.half("cart", "web")
	require.Equal(t, "firing Zero, firing Zero", g.notified(), "without for it is never pending")
	require.Equal(t, alert.StatePending, g.state("Small"))
	for _, h := range g.e.History(0) {
		require.True(t, h.Labels.Get("alertname") != "Zero" || h.To == alert.StateFiring)
	}
	g.half("cart", "web")
	require.Equal(t, "firing Small, firing Small", g.notified(), "with the next evaluation")
	texts := map[string]string{}
	for _, a := range g.e.Active() {
		a.Annotations.Range(func(l labels.Label) { texts[l.Name] = l.Value })
	}
	require.Equal(t, map[string]string{
		"humanize": "1.049M 1Mi 2m 15s 95.9% 2022-01-25 12:36:43 +0000 UTC",
		"query":    "foo 99: cart=40,web=40,",
		"text":     "This Part IS TESTING the strings. ::1 127.0.0.1. 7815. replaced text. .",
	}, texts)
}

func TestGeneratorRefusesEqualLabels(t *testing.T) {
	g := &generated{now: 3, bench: newBench(t,
		generatedGroup+`  - {alert: Same, expr: '`+fails+`', labels: {service_name: same, variant: same}}
`)}
	g.half("cart", "web")
	require.Empty(t, g.notified())
	r := g.e.Rules()[0]
	require.Equal(t, "err", r.Health)
	require.Contains(t, r.LastError, "same labelset")
	require.Empty(t, g.series("ALERTS"))
}
