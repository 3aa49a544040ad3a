package evidence

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views/edges"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views/model"
)

// Where errors and slowness come from.
//
// The simple version: what goes wrong far down shows on every edge above it, so the edge that changed most is not the culprit. Each
// edge is compared with its own baseline; what it has too much (failed calls, time spent) is its excess, and what the calls that its
// server makes have too much is taken away from it in proportion. What is left is the excess that begins there. Edges are ranked by
// the share that their own excess has in what arrives at the service that the alert is about.
//
// No caller waits for calls through a broker, so their excess is their own and not taken away from who published.

// flow is an edge while it is ranked.
type flow struct {
	alert.PathEdge
	from, to           model.Node
	excess, own        [2]float64 // by signal
	tail               float64    // seconds that its slowest twentieth has too much, where its mean has none
	significant, async bool
}

// signals of an excess.
const (
	signalErrors = iota
	signalTime
)

// maxPath is how many edges evidence shows.
const maxPath = 10

// A ranking is the edges below a service: those on the path to where what is too much begins, the best first, and those that the first of
// them calls where nothing is wrong, those with the most calls first.
type ranking struct{ path, cleared []alert.PathEdge }

// rankPath ranks the edges below root by what they did in span against what they did in the baseline before it. An empty root means all
// that is called from outside. weights says how much errors and time count, 0 to 1: an alert on errors asks for errors first.
func rankPath(now, before []model.Edge, span, baseline time.Duration, root string, weights [2]float64) ranking {
	flows, next := flowsOf(edges.Compare(now, before, span, baseline))
	list := below(next, root)
	entry := entryOf(flows, root)
	total := entry.excess
	if root != "" && entry.Calls > 0 {
		list = append(list, &entry)
	}
	list = slices.DeleteFunc(list, func(e *flow) bool { return !e.significant })
	if !scored(list, total) {
		// What arrives at the service has no excess, as when few calls are slow and the others faster: the edges below are ranked among
		// themselves.
		total = [2]float64{}
		for _, e := range list {
			e.own[signalTime] = max(e.own[signalTime], e.tail)
			for s := range 2 {
				total[s] += e.own[s]
			}
		}
	}
	for _, e := range list {
		e.finish(total, weights)
	}
	list = slices.DeleteFunc(list, func(e *flow) bool { return e.Score <= 0 })
	slices.SortFunc(list, func(a, b *flow) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Hops, a.Hops), cmp.Compare(a.Client, b.Client),
			cmp.Compare(a.Server, b.Server))
	})
	ranked := ranking{path: []alert.PathEdge{}}
	for _, e := range list[:min(len(list), maxPath)] {
		ranked.path = append(ranked.path, e.PathEdge)
	}
	if len(list) > 0 {
		ranked.cleared = cleared(next, list)
	}
	return ranked
}

// flowsOf returns edges that were compared by key and by where they begin, each with what it has too much of its own.
func flowsOf(list []edges.Change) (flows map[model.EdgeKey]*flow, next map[model.Node][]*flow) {
	flows, next = map[model.EdgeKey]*flow{}, map[model.Node][]*flow{}
	for i := range list {
		if c := &list[i]; c.Now != nil {
			flows[c.EdgeKey] = excessOf(c)
		}
	}
	in, out := map[model.Node][2]float64{}, map[model.Node][2]float64{}
	for _, e := range flows {
		next[e.from] = append(next[e.from], e)
		for s := range 2 {
			in[e.to] = add(in[e.to], s, e.excess[s])
			if !e.async {
				out[e.from] = add(out[e.from], s, e.excess[s])
			}
		}
	}
	for _, e := range flows {
		for s := range 2 {
			if i := in[e.to][s]; i > 0 {
				e.own[s] = e.excess[s] * (1 - min(1, out[e.to][s]/i))
			}
		}
	}
	return flows, next
}

// maxCleared is how many edges evidence shows at which nothing is wrong.
const maxCleared = 5

// cleared are the edges from where the path leads that are not on the path, those with the most calls first.
func cleared(next map[model.Node][]*flow, path []*flow) (out []alert.PathEdge) {
	for n, edges := range next {
		for _, e := range edges {
			if isRoot(n, path[0].Server) && e.Calls > 0 && !slices.Contains(path, e) {
				e.finish([2]float64{}, [2]float64{})
				out = append(out, e.PathEdge)
			}
		}
	}
	slices.SortFunc(out, func(a, b alert.PathEdge) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Connection, b.Connection))
	})
	return out[:min(len(out), maxCleared)]
}

// scored reports whether an edge has a share in what arrives.
func scored(list []*flow, total [2]float64) bool {
	return slices.ContainsFunc(list, func(e *flow) bool {
		return e.own[signalErrors] > 0 && total[signalErrors] > 0 || e.own[signalTime] > 0 && total[signalTime] > 0
	})
}

func add(v [2]float64, s int, x float64) [2]float64 {
	v[s] += x
	return v
}

// excessOf compares one edge with its baseline.
func excessOf(c *edges.Change) *flow {
	e := &flow{from: c.ClientNode(), to: c.ServerNode(), async: c.Connection == "messaging_system",
		PathEdge: alert.PathEdge{Client: c.Client, Server: c.Server, Connection: c.Connection, Calls: c.Now.Calls,
			Failed: c.Now.Failed, Changed: c.What, NewVersions: []string{}}}
	calls := float64(e.Calls)
	if calls == 0 {
		return e
	}
	e.ErrorRate, e.MeanMs = float64(e.Failed)/calls, c.Now.LatencySum.Seconds()*1e3/calls
	if b := c.Before; b != nil && b.Calls > 0 {
		e.BaselineErrorRate, e.BaselineMeanMs = float64(b.Failed)/float64(b.Calls), b.LatencySum.Seconds()*1e3/float64(b.Calls)
	}
	e.ExcessFailed = max(0, float64(e.Failed)-calls*e.BaselineErrorRate)
	e.ExcessSeconds = max(0, calls*(e.MeanMs-e.BaselineMeanMs)/1e3)
	if slices.Contains(c.What, edges.ChangeLatency) && e.ExcessSeconds == 0 {
		_, now, _ := c.Now.Latency.QuantileBounds(0.95, 0)
		_, was, _ := c.Before.Latency.QuantileBounds(0.95, 0)
		e.tail = max(0, calls/20*(now-was).Seconds())
	}
	if e.async {
		e.ExcessSeconds, e.tail = 0, 0 // it is waiting in the broker, see messaging
	}
	e.excess = [2]float64{e.ExcessFailed, e.ExcessSeconds}
	e.significant = slices.ContainsFunc(c.What, func(w string) bool {
		return w == edges.ChangeErrors || w == edges.ChangeLatency || w == edges.ChangeAdded
	})
	return e
}

// below are the edges that can be reached from root, with their distance.
func below(next map[model.Node][]*flow, root string) []*flow {
	var list []*flow
	seen := map[model.Node]bool{}
	var at []model.Node
	for n := range next {
		if isRoot(n, root) {
			at = append(at, n)
			seen[n] = true
		}
	}
	for hop := 1; len(at) > 0; hop++ {
		var then []model.Node
		for _, n := range at {
			for _, e := range next[n] {
				e.Hops = hop
				list = append(list, e)
				if !seen[e.to] {
					seen[e.to] = true
					then = append(then, e.to)
				}
			}
		}
		at = then
	}
	return list
}

// isRoot reports whether a node is where a path begins: the service of that name in each environment, or without one what calls from
// outside.
func isRoot(n model.Node, root string) bool {
	if root == "" {
		return n.Type == model.NodeVirtual
	}
	return n.Name == root && n.Type == model.NodeService
}

// entryOf adds up all calls to root, or without one all from outside.
func entryOf(edges map[model.EdgeKey]*flow, root string) flow {
	sum := flow{PathEdge: alert.PathEdge{Server: root, Changed: []string{}, NewVersions: []string{}}}
	for _, e := range edges {
		if e.async || root != "" && !isRoot(e.to, root) || root == "" && !isRoot(e.from, root) {
			continue
		}
		calls, was := float64(e.Calls), float64(sum.Calls)
		mean := func(a, b float64) float64 { return (a*was + b*calls) / max(1, was+calls) }
		sum.BaselineErrorRate, sum.BaselineMeanMs = mean(sum.BaselineErrorRate, e.BaselineErrorRate),
			mean(sum.BaselineMeanMs, e.BaselineMeanMs)
		sum.ErrorRate, sum.MeanMs = mean(sum.ErrorRate, e.ErrorRate), mean(sum.MeanMs, e.MeanMs)
		sum.Calls += e.Calls
		sum.Failed += e.Failed
		sum.significant = sum.significant || e.significant
		for _, w := range e.Changed {
			if !slices.Contains(sum.Changed, w) {
				sum.Changed = append(sum.Changed, w)
			}
		}
		for s := range 2 {
			sum.excess = add(sum.excess, s, e.excess[s])
			sum.own = add(sum.own, s, e.own[s])
		}
	}
	slices.Sort(sum.Changed)
	sum.ExcessFailed, sum.ExcessSeconds = sum.excess[signalErrors], sum.excess[signalTime]
	return sum
}

// finish computes the score from what arrives at the alert's service.
func (e *flow) finish(total, weights [2]float64) {
	e.OwnExcessFailed, e.OwnExcessSeconds = e.own[signalErrors], e.own[signalTime]
	for s := range 2 {
		if total[s] > 0 {
			e.Score = max(e.Score, weights[s]*min(1, e.own[s]/total[s]))
		}
	}
	for _, f := range []*float64{&e.ErrorRate, &e.BaselineErrorRate, &e.MeanMs, &e.BaselineMeanMs, &e.ExcessFailed, &e.OwnExcessFailed,
		&e.ExcessSeconds, &e.OwnExcessSeconds, &e.Score} {
		*f = rounded(*f)
	}
}

// rounded keeps six significant digits: what is shown is not the noise of additions.
func rounded(f float64) float64 {
	if f == 0 || math.IsNaN(f) || math.IsInf(f, 0) {
		return f
	}
	m := math.Pow(10, 5-math.Floor(math.Log10(math.Abs(f))))
	return math.Round(f*m) / m
}
