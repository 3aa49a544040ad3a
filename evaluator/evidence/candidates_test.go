package evidence

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// paired is an edge of which both sides are known: how long calls take for the client, and for the server.
func paired(client, server string, calls uint64, mean, atServer time.Duration) model.Edge {
	e := edge(client, server, "", calls, 0, mean)
	e.ServerSum = model.NanosOf(atServer * time.Duration(calls))
	return e
}

// spread replaces some calls of an edge by slower ones.
func spread(e model.Edge, slow uint64, each time.Duration) model.Edge {
	mean := time.Duration(e.LatencySum.Seconds() * 1e9 / float64(e.Calls))
	e.Latency = model.Histogram{}
	e.Latency.Add(uint64(mean), e.Calls-slow)
	e.Latency.Add(uint64(each), slow)
	e.LatencySum = model.NanosOf(mean*time.Duration(e.Calls-slow) + each*time.Duration(slow))
	return e
}

func ranked(now, before []model.Edge) string {
	s := suspects{}
	in := reach("web", now, before, func(*model.Edge) bool { return true })
	s.calls(now, before, time.Minute, time.Minute, in, [2]float64{1, 1})
	s.stopped(now, before, in)
	s.discount(reach("web", now, before, waitedFor))
	return candidatesText(s)
}

func candidatesText(s suspects) string {
	list, confidence := s.ranked()
	var out []string
	for _, c := range list {
		var terms []string
		for _, t := range c.Terms {
			terms = append(terms, strings.TrimSpace(fmt.Sprintf("%s %s", t.Signal, t.Subject)))
		}
		out = append(out, fmt.Sprintf("%s %.2f (%s)", c.Name, c.Score, strings.Join(terms, ", ")))
	}
	return fmt.Sprintf("%s: %.2f", strings.Join(out, "; "), confidence)
}

const tick = time.Millisecond

func TestTimeBetweenClientAndServer(t *testing.T) {
	before := []model.Edge{edge("user", "web", "virtual_node", 1000, 0, 40*tick), paired("web", "cart", 1000, 10*tick, 9*tick),
		paired("web", "ads", 1000, 10*tick, 9*tick), paired("web", "mail", 1000, 10*tick, 9*tick), paired("cart", "ads", 500, 10*tick, 9*tick)}
	// The network to one service is slow: it is that service.
	now := []model.Edge{edge("user", "web", "virtual_node", 1000, 0, 140*tick), paired("web", "cart", 1000, 110*tick, 9*tick),
		paired("web", "ads", 1000, 10*tick, 9*tick), paired("web", "mail", 1000, 10*tick, 9*tick), paired("cart", "ads", 500, 10*tick, 9*tick)}
	require.Equal(t, "cart 0.90 (latency): 0.90", ranked(now, before))
	// Every call that a service makes waits, and its servers are as fast as before: it is the caller, for want of CPU as an example.
	now = []model.Edge{edge("user", "web", "virtual_node", 1000, 0, 340*tick), paired("web", "cart", 1000, 110*tick, 9*tick),
		paired("web", "ads", 1000, 110*tick, 9*tick), paired("web", "mail", 1000, 110*tick, 9*tick), paired("cart", "ads", 500, 10*tick, 9*tick)}
	require.Equal(t, "web 0.90 (latency): 0.90", ranked(now, before))
}

// A consumer that is slower is a candidate by its own time. No one waits for it, so it ranks behind a callee that is as much slower.
func TestSlowConsumer(t *testing.T) {
	consumed := func(mean time.Duration) model.Edge {
		e := paired("web", "mail", 1000, tick, mean)
		e.Connection = "messaging_system"
		return e
	}
	before := []model.Edge{edge("user", "web", "virtual_node", 1000, 0, 40*tick), consumed(10 * tick), paired("web", "cart", 1000, 10*tick, 9*tick)}
	now := []model.Edge{edge("user", "web", "virtual_node", 1000, 0, 40*tick), consumed(200 * tick), paired("web", "cart", 1000, 10*tick, 9*tick)}
	require.Equal(t, "mail 0.45 (latency): 0.45", ranked(now, before))
	now[2] = paired("web", "cart", 1000, 201*tick, 200*tick)
	require.Equal(t, "cart 0.45 (latency); mail 0.22 (latency): 0.30", ranked(now, before))
	now[1], now[2] = consumed(10*tick+tick/10), before[2]
	require.Equal(t, ": 0.00", ranked(now, before), "a little slower by chance")
}

// Few calls that are slow by chance, as by a new connection, do not make a service a candidate, whatever their mean.
func TestFewSlowCallsAreNoChange(t *testing.T) {
	before := []model.Edge{edge("user", "web", "virtual_node", 100, 0, 40*tick), spread(paired("web", "cart", 50, 6*tick, 5*tick), 1, 237*tick)}
	now := []model.Edge{edge("user", "web", "virtual_node", 100, 0, 40*tick), spread(paired("web", "cart", 50, 6*tick, 5*tick), 4, 237*tick)}
	require.Equal(t, ": 0.00", ranked(now, before))
	now[1] = spread(paired("web", "cart", 50, 6*tick, 5*tick), 40, 237*tick)
	require.Equal(t, "cart 0.90 (latency): 0.90", ranked(now, before))
}

// Many calls that are a little slower matter less than few that are much slower.
func TestSlownessCountsByHowOftenItDoubled(t *testing.T) {
	before := []model.Edge{edge("user", "web", "virtual_node", 4000, 0, 40*tick), paired("web", "catalog", 4000, 7*tick, 6*tick),
		paired("web", "mail", 40, 12*tick, 11*tick)}
	now := []model.Edge{edge("user", "web", "virtual_node", 4000, 0, 48*tick), paired("web", "catalog", 4000, 12*tick, 11*tick),
		paired("web", "mail", 40, 300*tick, 299*tick)}
	require.True(t, strings.HasPrefix(ranked(now, before), "mail "), ranked(now, before))
}

// A caller waits for what it did not call before: that is no slowness of its own.
func TestNewCallIsNoSlownessOfItsCaller(t *testing.T) {
	before := []model.Edge{paired("web", "cart", 1000, 10*tick, 9*tick)}
	now := []model.Edge{paired("web", "cart", 1000, 110*tick, 109*tick), paired("cart", "ads", 1000, 100*tick, 99*tick)}
	require.Equal(t, ": 0.00", ranked(now, before))
}

func TestCallsThatStopped(t *testing.T) {
	before := []model.Edge{edge("user", "web", "virtual_node", 1000, 0, 40*tick), paired("web", "cart", 2000, 6*tick, 5*tick),
		paired("web", "ads", 500, 6*tick, 5*tick)}
	// Half the traffic makes half the calls: nothing has changed.
	now := []model.Edge{edge("user", "web", "virtual_node", 500, 0, 40*tick), paired("web", "cart", 1000, 6*tick, 5*tick),
		paired("web", "ads", 250, 6*tick, 5*tick)}
	require.Equal(t, ": 0.00", ranked(now, before))
	now = []model.Edge{edge("user", "web", "virtual_node", 1000, 0, 40*tick), paired("web", "cart", 1990, 6*tick, 5*tick)}
	s := suspects{}
	s.stopped(now, before, reach("web", now, before, func(*model.Edge) bool { return true }))
	require.Equal(t, "web 0.16 (stopped ads): 0.16", candidatesText(s))
	require.Equal(t, 0.5, s[place{"web", ""}][0].Before)
	// The calls go to something that sends no spans: they have not stopped.
	now = append(now, edge("web", "ads", "virtual_node", 500, 0, 6*tick))
	s = suspects{}
	s.stopped(now, before, reach("web", now, before, func(*model.Edge) bool { return true }))
	require.Empty(t, s)
}

// A rare operation made one call with each of its requests, and makes none any more: few numbers suffice where they were a rule.
func TestRareCallsThatStopped(t *testing.T) {
	before := []model.Edge{paired("web", "menu", 12, 40*tick, 39*tick), paired("menu", "kitchen", 12, 6*tick, 5*tick)}
	stopped := func(now ...model.Edge) string {
		s := suspects{}
		s.stopped(now, before, reach("web", now, before, func(*model.Edge) bool { return true }))
		return candidatesText(s)
	}
	require.Equal(t, "menu 0.80 (stopped kitchen): 0.80", stopped(paired("web", "menu", 14, 10*tick, 9*tick)))
	require.Equal(t, ": 0.00", stopped(paired("web", "menu", 14, 10*tick, 9*tick), paired("menu", "kitchen", 8, 6*tick, 5*tick)), "fewer by chance")
	require.Equal(t, ": 0.00", stopped(paired("web", "menu", 4, 10*tick, 9*tick)), "too few requests to say")
	before[1] = paired("menu", "kitchen", 6, 6*tick, 5*tick)
	require.Equal(t, ": 0.00", stopped(paired("web", "menu", 14, 10*tick, 9*tick)), "it never came with every request")
}

// A service logs a warning with each of its requests that it never logged before.
func TestLinesThatBegan(t *testing.T) {
	answers := func(name string, calls uint64) model.OperationLatency {
		return model.OperationLatency{Service: "cart", Name: name, Kind: model.KindServer, Calls: calls}
	}
	was := []model.OperationLatency{answers("GET /cart", 10)}
	patterns := func(lines ...views.LogPattern) map[string]map[string]float64 {
		for i := range lines {
			lines[i].Services = []string{"cart"}
		}
		return severePatterns(lines, map[string]bool{"cart": true})
	}
	began := func(now map[string]map[string]float64, is ...model.OperationLatency) string {
		s := suspects{}
		s.began(is, was, now, map[string]map[string]float64{"cart": {"cache is cold": 3}})
		return candidatesText(s)
	}
	missing := views.LogPattern{Pattern: "no stock", Count: 12, Severe: 12}
	require.Equal(t, "cart 0.58 (began no stock): 0.58", began(patterns(missing), answers("GET /cart", 12)))
	require.Equal(t, ": 0.00", began(patterns(views.LogPattern{Pattern: "no stock", Count: 12, Severe: 2}), answers("GET /cart", 12)), "it is no warning")
	require.Equal(t, ": 0.00", began(patterns(views.LogPattern{Pattern: "cache is cold", Count: 12, Severe: 12}), answers("GET /cart", 12)), "it came before")
	require.Equal(t, ": 0.00", began(patterns(missing), answers("GET /cart", 12), answers("POST /order", 12)), "requests of a new kind explain it")
	require.Equal(t, ": 0.00", began(patterns(missing), answers("GET /cart", 1200)), "few of the requests")
	require.Equal(t, ": 0.00", began(patterns(views.LogPattern{Pattern: "no stock", Count: 3, Severe: 3}), answers("GET /cart", 12)), "too few")
}

// What is wrong in one half of the range shows in it; a term is listed once, as strong as where it is strongest.
func TestHalvesOfTheRange(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	require.Equal(t, []stretch{{at, at.Add(50 * time.Second)}}, halves(at, at.Add(50*time.Second)))
	require.Equal(t, []stretch{{at, at.Add(2 * time.Minute)}, {at, at.Add(time.Minute)}, {at.Add(time.Minute), at.Add(2 * time.Minute)}},
		halves(at, at.Add(2*time.Minute)))
	cart, s := place{"cart", ""}, suspects{}
	for _, score := range []float64{0.2, 0.8, 0.1} {
		part := suspects{}
		part.add(cart, alert.Term{Signal: alert.TermStopped, Subject: "ads", Score: score})
		s.join(part)
	}
	require.Equal(t, "cart 0.64 (stopped ads): 0.64", candidatesText(s))
}

func TestSeverityOfLines(t *testing.T) {
	s := suspects{}
	s.severity(map[string]linesOf{"cart": {100, 20}, "mail": {1000, 55}, "new": {10, 10}},
		map[string]linesOf{"cart": {100, 0}, "mail": {1000, 50}}, nil)
	require.Equal(t, "cart 0.57 (severity): 0.57", candidatesText(s), "mail is within noise; of what is new nothing is known")
}

// A service logs that calls fail which it makes: that speaks for the service that fails them.
func TestSeverityOfLinesAboutFailuresBelow(t *testing.T) {
	before := []model.Edge{edge("user", "web", "virtual_node", 1000, 0, 40*tick), edge("web", "cart", "", 1000, 0, 6*tick)}
	now := []model.Edge{edge("user", "web", "virtual_node", 1000, 300, 40*tick), edge("web", "cart", "", 1000, 300, 6*tick)}
	s := suspects{}
	below := s.calls(now, before, time.Minute, time.Minute, reach("web", now, before, func(*model.Edge) bool { return true }), [2]float64{1, 1})
	s.severity(map[string]linesOf{"web": {1000, 300}, "cart": {1000, 300}}, map[string]linesOf{"web": {1000, 0}, "cart": {1000, 0}}, below)
	require.Equal(t, "cart 0.97 (errors, severity): 0.97", candidatesText(s))
}

func TestLinesThatCameTogether(t *testing.T) {
	pattern := func(name string, n uint64, services ...string) views.LogPattern {
		return views.LogPattern{Pattern: name, Count: n, Services: services}
	}
	in := map[string]bool{"cart": true, "mail": true}
	before := patternsOf([]views.LogPattern{pattern("begin", 50, "cart"), pattern("end", 50, "cart"), pattern("ping", 50, "cart", "mail"),
		pattern("sent", 40, "mail"), pattern("queued", 90, "mail"), pattern("far", 90, "far")}, in)
	s := suspects{}
	s.skipped(patternsOf([]views.LogPattern{pattern("begin", 120, "cart"), pattern("sent", 1, "mail"), pattern("queued", 90, "mail")}, in),
		before)
	require.Equal(t, "cart 0.70 (skipped end): 0.70", candidatesText(s), "mail never sent as often as it queued")
	s = suspects{}
	s.skipped(patternsOf([]views.LogPattern{pattern("begin", 3, "cart"), pattern("end", 3, "cart")}, in), before)
	require.Empty(t, s, "less traffic is both lines less often")
}

func TestResources(t *testing.T) {
	for name, c := range map[string]struct {
		of          int
		before, now float64
		want        float64
	}{
		"at its limit":        {0, 0.1, 1, 1},
		"busy as before":      {0, 0.84, 0.86, 0},
		"far from its limit":  {0, 0.01, 0.23, 0},
		"ten times the cores": {1, 0.05, 0.75, 2.0 / 3},
		"idle":                {1, 0.001, 0.004, 0},
		"memory at its limit": {2, 0.5, 1, 1},
		"memory as before":    {2, 0.97, 0.98, 0},
	} {
		require.InDelta(t, c.want, resources[c.of].strength(c.before, c.now), 1e-6, name)
	}
	s := suspects{}
	s.grown(resources[0], "k8s_pod_cpu_limit_utilization_ratio", map[string]float64{"cart": 0.1, "mail": 0.2}, map[string]float64{"cart": 1, "mail": 0.2, "new": 1})
	require.Equal(t, "cart 0.90 (cpu k8s_pod_cpu_limit_utilization_ratio): 0.90", candidatesText(s))
}

func TestServiceOfAMetric(t *testing.T) {
	in := map[string]bool{"cart": true, "cart-db": true, "mail": true}
	for want, l := range map[string]labels.Labels{
		"mail":    labels.FromStrings("service_name", "mail", "k8s_pod_name", "cart-579f59597d-wc2lz"),
		"cart":    labels.FromStrings("k8s_pod_name", "cart-579f59597d-wc2lz"),
		"cart-db": labels.FromStrings("k8s_pod_name", "cart-db-0"),
		"":        labels.FromStrings("k8s_pod_name", "far-579f59597d-wc2lz", "service_name", "other"),
	} {
		require.Equal(t, want, ownerOf(l, in))
	}
	require.Equal(t, "cart", ownerOf(labels.FromStrings("k8s_deployment_name", "cart", "k8s_pod_name", "x"), in))
}

func TestScoreOfACandidate(t *testing.T) {
	s := suspects{}
	s.add(place{"cart", ""}, alert.Term{Signal: alert.TermErrors, Score: 0.5})
	s.add(place{"cart", ""}, alert.Term{Signal: alert.TermCPU, Score: 0.5})
	s.add(place{"cart", ""}, alert.Term{Signal: alert.TermCPU, Subject: "same signal", Score: 0.4})
	s.add(place{"db", "database"}, alert.Term{Signal: alert.TermErrors, Score: 0.5})
	s.add(place{"mail", ""}, alert.Term{Signal: alert.TermErrors})
	list, confidence := s.ranked()
	require.Len(t, list, 2)
	require.InDelta(t, 1-(1-0.45)*(1-0.45), list[0].Score, 1e-5)
	require.InDelta(t, list[0].Score*list[0].Score/(list[0].Score+0.45), confidence, 1e-5)
	require.Len(t, list[0].Terms, 3)
}

// A statement that logs a list makes a pattern for each length of it: together they come as often as the operation, and stop together.
func TestLinesOfOneStatementStop(t *testing.T) {
	pattern := func(text string, n uint64) views.LogPattern {
		return views.LogPattern{Pattern: text, Services: []string{"price"}, Count: n}
	}
	did := []views.LogPattern{pattern("query price of routes and <*>", 24), pattern("query price of routes and <*> <*>", 11), pattern("ready", 3)}
	names := map[string]bool{"price": true}
	was, is := patternsOf(did, names), patternsOf([]views.LogPattern{pattern("ready", 4)}, names)
	was["price"]["operation query"], is["price"]["operation query"] = 36, 30
	s := suspects{}
	s.skipped(is, was)
	require.Equal(t, "price 0.70 (skipped query price of routes and …): 0.70", candidatesText(s))
}
