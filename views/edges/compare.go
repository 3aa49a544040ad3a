package edges

import (
	"math"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// Change is one edge in two ranges. Before or Now is nil where the edge is not in that range.
type Change struct {
	model.EdgeKey
	Before, Now *model.Edge
	What        []string // ChangeAdded, ...; empty: nothing changed beyond noise
}

// How an edge can change.
const (
	ChangeAdded   = "added"
	ChangeGone    = "gone"
	ChangeRate    = "rate"
	ChangeErrors  = "errors"
	ChangeLatency = "latency"
)

// What counts as a change: so many standard errors, and so much that it matters.
const (
	noiseErrors     = 3
	minRelative     = 0.2
	minErrorRate    = 0.005
	minErrorsEither = 5
)

// Compare says how the edges of two ranges of the given lengths differ, ordered as Map.Edges.
//
// Rates: two Poisson counts n1, n2 over t1, t2 differ when |n1/t1-n2/t2| > 3 sqrt(n1/t1^2+n2/t2^2). Error rates: two proportions, by
// the pooled standard error. Latency: the 95th percentile lies, with 3 standard errors, between the order statistics of rank
// 0.95 n +- 3 sqrt(0.95 0.05 n); it changed when those intervals do not overlap.
func Compare(now, before []model.Edge, nowSpan, beforeSpan time.Duration) []Change {
	by := map[model.EdgeKey]*Change{}
	for i := range now {
		by[now[i].EdgeKey] = &Change{EdgeKey: now[i].EdgeKey, Now: &now[i]}
	}
	for i := range before {
		c := by[before[i].EdgeKey]
		if c == nil {
			c = &Change{EdgeKey: before[i].EdgeKey}
			by[c.EdgeKey] = c
		}
		c.Before = &before[i]
	}
	out := make([]Change, 0, len(by))
	for _, c := range by {
		c.What = c.changes(nowSpan.Seconds(), beforeSpan.Seconds())
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Change) int {
		return a.EdgeKey.Compare(b.EdgeKey)
	})
	return out
}

func (c *Change) changes(t1, t2 float64) []string {
	switch {
	case c.Before == nil:
		return []string{ChangeAdded}
	case c.Now == nil:
		return []string{ChangeGone}
	}
	what := []string{}
	if ratesDiffer(float64(c.Now.Calls), float64(c.Before.Calls), t1, t2) {
		what = append(what, ChangeRate)
	}
	if sharesDiffer(c.Now.Failed, c.Now.Calls, c.Before.Failed, c.Before.Calls) {
		what = append(what, ChangeErrors)
	}
	l1, p1, h1 := c.Now.Latency.QuantileBounds(0.95, noiseErrors)
	l2, p2, h2 := c.Before.Latency.QuantileBounds(0.95, noiseErrors)
	if (l1 > h2 || l2 > h1) && relative(float64(p1), float64(p2)) >= minRelative {
		what = append(what, ChangeLatency)
	}
	return what
}

func ratesDiffer(n1, n2, t1, t2 float64) bool {
	r1, r2 := n1/t1, n2/t2
	return math.Abs(r1-r2) > noiseErrors*math.Sqrt(n1/(t1*t1)+n2/(t2*t2)) && relative(r1, r2) >= minRelative
}

func sharesDiffer(f1, n1, f2, n2 uint64) bool {
	if n1 == 0 || n2 == 0 || f1+f2 < minErrorsEither {
		return false
	}
	p1, p2 := float64(f1)/float64(n1), float64(f2)/float64(n2)
	p := float64(f1+f2) / float64(n1+n2)
	se := math.Sqrt(p * (1 - p) * (1/float64(n1) + 1/float64(n2)))
	return math.Abs(p1-p2) > noiseErrors*se && math.Abs(p1-p2) >= minErrorRate
}

func relative(a, b float64) float64 {
	if m := max(a, b); m > 0 {
		return math.Abs(a-b) / m
	}
	return 0
}
