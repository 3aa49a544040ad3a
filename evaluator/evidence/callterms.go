package evidence

import (
	"math"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
)

// From which change on a term of calls has its full strength: a share of calls that fails more, and how often a mean has doubled.
const (
	fullErrors  = 0.05
	fullLatency = 3
)

// changed is what the calls to one node do now, and what they did before: those of each edge as often as now, so that a change of who calls
// is no change of the node.
type changed struct {
	calls, failed, seconds  float64
	wasFailed, wasSeconds   float64
	excessFailed, ownFailed float64
	ownSeconds, uncertain   float64 // uncertain is the variance of ownSeconds
	server, waits           float64 // seconds that its spans take longer, and that it waits longer for what it calls
	failing                 bool
}

// calls adds the terms of errors and latency of the nodes in reach. It returns which share of what fails too much at each of them begins
// below it.
//
// What a call takes longer is divided: what the span of the server takes longer is the server's, less what it waits longer for the calls
// that it makes; the rest, between both spans, is of the network or of queues at one end. It is the client's where most of the services that
// it calls show it, else the server's.
func (s suspects) calls(now, before []model.Edge, span, baseline time.Duration, in map[model.Node]bool, weights [2]float64) map[place]float64 {
	list := edges.Compare(now, before, span, baseline)
	flows, _ := flowsOf(list)
	by, atClient := map[place]*changed{}, waitingClients(list)
	of := func(p place) *changed {
		if by[p] == nil {
			by[p] = &changed{}
		}
		return by[p]
	}
	total := [2]float64{}
	for i := range list {
		c := &list[i]
		if c.Now == nil || !in[c.ServerNode()] {
			continue
		}
		e := flows[c.EdgeKey]
		x := of(placeOf(c.EdgeKey))
		x.arrived(e, c)
		if slices.Contains(c.What, edges.ChangeErrors) || c.Before == nil && e.Failed > 0 {
			x.failing = true
			x.excessFailed += e.excess[signalErrors]
			x.ownFailed += e.own[signalErrors]
			total[signalErrors] += e.own[signalErrors]
		}
		if e.async { // no client waits for it; what it takes longer itself is its own
			if c.Before != nil && !c.Now.ServerSum.Zero() && !c.Before.ServerSum.Zero() {
				t := slowerBy(c)
				x.server += t.server
				x.uncertain += asyncVariance(c)
			}
			continue
		}
		if c.Before == nil {
			if client := c.ClientNode(); client.Type == model.NodeService && in[client] {
				of(place{client.Name, ""}).waits += c.Now.LatencySum.Seconds()
			}
			continue
		}
		t := slowerBy(c)
		x.server += t.server
		x.uncertain += t.uncertain
		if client := c.ClientNode(); client.Type == model.NodeService && in[client] {
			y := of(place{client.Name, ""})
			y.waits += t.server + t.between
			if atClient[client] {
				y.ownSeconds += t.between
				y.uncertain += t.uncertain
				continue
			}
		}
		x.ownSeconds += t.between
	}
	for _, c := range by {
		c.ownSeconds += max(0, c.server-max(0, c.waits-c.ownSeconds))
		total[signalTime] += c.ownSeconds * c.growth()
	}
	return s.changes(by, total, weights)
}

// changes adds the terms of what changed at each place, of which total is all. It returns which share of what fails too much begins below it.
func (s suspects) changes(by map[place]*changed, total, weights [2]float64) map[place]float64 {
	below := map[place]float64{}
	for p, c := range by {
		if c.excessFailed > 0 {
			below[p] = 1 - c.ownFailed/c.excessFailed
		}
		if c.failing && total[signalErrors] > 0 {
			share, rate, was := c.ownFailed/total[signalErrors], c.failed/c.calls, c.wasFailed/c.calls
			s.add(p, alert.Term{Signal: alert.TermErrors, Before: was, Now: rate, Unit: "ratio", Share: share,
				Score: weights[signalErrors] * share * min(1, max(0, rate-was)/fullErrors)})
		}
		if c.growth() > 0 {
			share := c.ownSeconds * c.growth() / total[signalTime]
			s.add(p, alert.Term{Signal: alert.TermLatency, Before: c.wasSeconds * 1e3 / c.calls, Now: c.seconds * 1e3 / c.calls, Unit: "ms",
				Share: share, Score: weights[signalTime] * share * c.growth() *
					sure(c.ownSeconds/math.Sqrt(c.uncertain), leastSure, fullSure)})
		}
	}
	return below
}

// From how many standard errors on a mean counts as longer, and from how many on it does so fully.
const (
	leastSure = 2
	fullSure  = 5
)

// growth is how much slower calls have become, 0 to 1: many calls that are a little slower matter less than few that are much slower.
func (x *changed) growth() float64 {
	if x.wasSeconds <= 0 {
		return 0
	}
	return min(1, math.Log2(1+x.ownSeconds/x.wasSeconds)/fullLatency)
}

// arrived adds calls over an edge.
func (x *changed) arrived(e *flow, c *edges.Change) {
	calls := float64(e.Calls)
	x.calls, x.failed, x.seconds = x.calls+calls, x.failed+float64(e.Failed), x.seconds+calls*e.MeanMs/1e3
	x.wasFailed += calls * e.BaselineErrorRate
	if c.Before == nil {
		x.wasSeconds += calls * e.MeanMs / 1e3
	} else {
		x.wasSeconds += calls * e.BaselineMeanMs / 1e3
	}
}

// slower is what the calls over an edge take longer than before, in seconds: as their server sees it, and beside that. uncertain is the
// variance of both together.
type slower struct{ server, between, uncertain float64 }

func slowerBy(c *edges.Change) (t slower) {
	n, b := float64(c.Now.Calls), float64(c.Before.Calls)
	if n == 0 || b == 0 {
		return t
	}
	all := c.Now.LatencySum.Seconds() - n*c.Before.LatencySum.Seconds()/b
	t.server = max(0, all)
	if !c.Now.ServerSum.Zero() && !c.Before.ServerSum.Zero() {
		t.server = max(0, c.Now.ServerSum.Seconds()-n*c.Before.ServerSum.Seconds()/b)
		t.between = max(0, all-t.server)
	}
	t.uncertain = n * n * (c.Now.Latency.Variance()/n + c.Before.Latency.Variance()/b)
	return t
}

// asyncVariance is the variance of what the servers of messages take longer, whose durations are only known as sums: they are taken to vary as
// much as they last.
func asyncVariance(c *edges.Change) float64 {
	n, b := float64(c.Now.Calls), float64(c.Before.Calls)
	now, before := c.Now.ServerSum.Seconds()/n, c.Before.ServerSum.Seconds()/b
	return n * n * (now*now/n + before*before/b)
}

// At how many of the services that a client calls, and at which share of them, its calls have to wait for the client to be the reason.
const (
	leastCallees = 3
	mostCallees  = 0.6
)

// waitingClients are the services whose calls take longer before or after the span of the server at most of the services that they call.
func waitingClients(list []edges.Change) map[model.Node]bool {
	callees, waiting := map[model.Node]float64{}, map[model.Node]float64{}
	for i := range list {
		c := &list[i]
		if c.Now == nil || c.Before == nil || c.ClientNode().Type != model.NodeService || c.Now.ServerSum.Zero() || c.Before.ServerSum.Zero() {
			continue
		}
		t := slowerBy(c)
		callees[c.ClientNode()]++
		if t.between > leastSure*math.Sqrt(t.uncertain) {
			waiting[c.ClientNode()]++
		}
	}
	out := map[model.Node]bool{}
	for n, all := range callees {
		out[n] = all >= leastCallees && waiting[n] >= mostCallees*all
	}
	return out
}

// placeOf is the server of an edge.
func placeOf(k model.EdgeKey) place {
	if n := k.ServerNode(); n.Type != model.NodeService {
		return place{n.Name, k.Connection}
	}
	return place{k.Server, ""}
}

// When calls have stopped: so many standard errors fewer than before for each call to their client, and that share of them.
const (
	stoppedErrors = 4
	stoppedShare  = 0.4
	leastCalls    = 5 // to the client, in either range
)

// fewer is by how many standard errors things that came with calls are fewer than before: was of b calls, is of a calls. Such numbers vary as
// independent ones do; what came with nearly every call is a share of them, which varies less.
func fewer(was, b, is, a float64) float64 {
	want := was / b * a
	z := (want - is) / math.Sqrt(want+want*a/b+1)
	if was >= b*eachCall {
		z = max(z, apart(min(was, b), b, min(is, a), a))
	}
	return z
}

// apart is by how many standard errors a share of a whole is larger than one of another. Half a thing is added to each, so that few things say
// little.
func apart(n, of, m, among float64) float64 {
	p, q, both := (n+0.5)/(of+1), (m+0.5)/(among+1), (n+m+0.5)/(of+among+1)
	return (p - q) / math.Sqrt(both*(1-both)*(1/(of+1)+1/(among+1)))
}

// eachCall is from which share of calls on something came with each of them.
const eachCall = 0.9

// stopped adds services that make fewer calls for each call to them: one that returns early, or fails before it calls.
func (s suspects) stopped(now, before []model.Edge, in map[model.Node]bool) {
	arrived, wasArrived := callsTo(now), callsTo(before)
	type key struct{ from, to model.Node }
	count := func(list []model.Edge) (by map[key]float64, all map[model.Node]float64) {
		by, all = map[key]float64{}, map[model.Node]float64{}
		for i := range list {
			k := key{list[i].ClientNode(), list[i].ServerNode()}
			by[k] += float64(list[i].Calls)
			all[k.from] += float64(list[i].Calls)
		}
		return by, all
	}
	is, all := count(now)
	was, wasAll := count(before)
	lost, expected, worst := map[model.Node]float64{}, map[model.Node]float64{}, map[model.Node]key{}
	for k, n := range was {
		a, b := arrived[k.from], wasArrived[k.from]
		if !in[k.from] || k.from.Type != model.NodeService || a < leastCalls || b < leastCalls {
			continue
		}
		want := n / b * a
		expected[k.from] += want
		missing := want - is[k]
		if fewer(n, b, is[k], a) < stoppedErrors || missing < stoppedShare*want {
			continue
		}
		if lost[k.from] += missing; missing > was[worst[k.from]]/b*a-is[worst[k.from]] || worst[k.from] == (key{}) {
			worst[k.from] = k
		}
	}
	total := 0.0
	for n := range lost {
		// Calls that go elsewhere now, as to a peer that sends no spans any more, have not stopped.
		if fewer := wasAll[n]/wasArrived[n]*arrived[n] - all[n]; fewer < lost[n]/2 {
			delete(lost, n)
		}
		total += lost[n]
	}
	for n, l := range lost {
		k := worst[n]
		s.add(place{n.Name, ""}, alert.Term{Signal: alert.TermStopped, Subject: k.to.Name, Before: was[k] / wasArrived[n],
			Now: is[k] / arrived[n], Unit: "calls per call", Share: l / total, Score: l / total * min(1, l/expected[n])})
	}
}

// callsTo is how many calls arrive at each node.
func callsTo(list []model.Edge) map[model.Node]float64 {
	by := map[model.Node]float64{}
	for i := range list {
		by[list[i].ServerNode()] += float64(list[i].Calls)
	}
	return by
}
