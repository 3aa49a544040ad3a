package evidence

import (
	"slices"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
)

// How far back the beginning of a fault is looked for, and how many buckets without it may lie within.
const (
	maxOnset  = time.Hour
	onsetGaps = 3
)

const (
	// leastShare is below which share of what is too much naming one cause would be a guess, leastSlower by how much its calls have to take
	// longer where none of them fails.
	leastShare  = 0.3
	leastSlower = 1.1
)

// cause says what is wrong at the end of the path: at the server of its first edge, over all calls to it. There is none where that is too
// little to be named.
func (q *Inquiry) cause(r views.Reader, v *alert.Evidence) error {
	if len(v.Path) == 0 || v.Path[0].Score < leastShare {
		return nil
	}
	top := &v.Path[0]
	c := &alert.Cause{Name: top.Server, Connection: top.Connection, Share: top.Score, Versions: []string{}}
	now, err := q.serviceMap(r, v.From, v.At.Add(1))
	if err != nil {
		return err
	}
	before, err := q.serviceMap(r, v.Baseline, v.BaselineEnd)
	if err != nil {
		return err
	}
	c.Calls, c.Failed, c.ErrorRate, c.MeanMs = arrivals(now.Edges, top)
	_, _, c.BaselineErrorRate, c.BaselineMeanMs = arrivals(before.Edges, top)
	if c.Signal = signalOf(top); c.Signal == alert.CauseLatency && c.MeanMs < leastSlower*c.BaselineMeanMs {
		return nil
	}
	v.Cause = c
	for _, e := range v.Path {
		for _, version := range e.NewVersions {
			if e.Server == c.Name && !slices.Contains(c.Versions, version) {
				c.Versions = append(c.Versions, version)
			}
		}
	}
	if c.Since, err = onset(r, v); err != nil {
		return err
	}
	c.Operation, err = worstOperation(r, v)
	return err
}

// manyFail is which share of the calls fails beside what failed before that is wrong whatever little the baseline holds.
const manyFail = 0.05

// signalOf is what is wrong with the calls over an edge.
func signalOf(e *alert.PathEdge) string {
	switch {
	case slices.Contains(e.Changed, edges.ChangeErrors) && e.ErrorRate > e.BaselineErrorRate,
		e.OwnExcessFailed >= manyFail*float64(e.Calls) && e.OwnExcessFailed > 0:
		return alert.CauseErrors
	case slices.Contains(e.Changed, edges.ChangeLatency):
		return alert.CauseLatency
	}
	return alert.CauseNew
}

// arrivals adds up the calls to the server of an edge: over one of its type, and not through brokers unless it is one.
func arrivals(list []model.Edge, to *alert.PathEdge) (calls, failed uint64, rate, meanMs float64) {
	seconds := 0.0
	for i := range list {
		if e := &list[i]; leadsTo(e.EdgeKey, to) {
			calls += e.Calls
			failed += e.Failed
			seconds += e.LatencySum.Seconds()
		}
	}
	n := float64(max(1, calls))
	return calls, failed, rounded(float64(failed) / n), rounded(seconds * 1e3 / n)
}

// leadsTo reports whether an edge is one of the calls that a row of a path is about: all to that server where it is a service, also those
// from outside.
func leadsTo(k model.EdgeKey, to *alert.PathEdge) bool {
	outside := k.Connection == model.ConnectionVirtual && k.Entry
	return k.Server == to.Server && (k.Connection == to.Connection || isService(to) && (k.Connection == "" || outside))
}

// isService reports whether the server of a row of a path is a service that sends spans.
func isService(e *alert.PathEdge) bool {
	return e.Client == "" || e.Connection == ""
}

// onset is when what is wrong with the calls to the cause began: the first bucket since which it has been wrong with short gaps at most;
// zero where no bucket is worse than the baseline.
func onset(r views.Reader, v *alert.Evidence) (time.Time, error) {
	from := newer(v.At.Add(-maxOnset), v.BaselineEnd)
	lines, err := r.SelectEdges(from, v.At.Add(1), func(_ uint32, k model.EdgeKey) bool { return leadsTo(k, &v.Path[0]) })
	if err != nil {
		return time.Time{}, err
	}
	type sums struct{ calls, failed, seconds float64 }
	buckets := map[int64]*sums{}
	for i := range lines {
		for _, c := range lines[i].Cells {
			b := buckets[c.Bucket]
			if b == nil {
				b = &sums{}
				buckets[c.Bucket] = b
			}
			b.calls += float64(c.Calls)
			b.failed += float64(c.Failed)
			b.seconds += callSeconds(lines[i].Key, &c.EdgeCounts)
		}
	}
	wrong := func(b *sums) bool {
		if b == nil || b.calls == 0 {
			return false
		}
		if v.Cause.Signal == alert.CauseLatency {
			return b.seconds*1e3/b.calls > 1.5*v.Cause.BaselineMeanMs
		}
		return b.failed >= 1 && b.failed/b.calls > max(2*v.Cause.BaselineErrorRate, v.Cause.BaselineErrorRate+0.02)
	}
	const width = model.BucketSeconds
	var first time.Time
	gaps := 0
	for at := v.At.Unix() / width * width; at >= from.Unix()/width*width && gaps <= onsetGaps; at -= width {
		if gaps++; wrong(buckets[at]) {
			first, gaps = time.Unix(at, 0).UTC(), 0
		}
	}
	return first, nil
}

// callSeconds is how long the calls in a cell took, as their server measured where it did.
func callSeconds(k model.EdgeKey, c *model.EdgeCounts) float64 {
	if s := c.ServerSum.Seconds(); s > 0 && k.Connection == "" {
		return s
	}
	return max(c.ClientSum.Seconds(), c.ServerSum.Seconds())
}

// worstOperation is the operation of the cause, among those that answer calls, that has the most excess; "" where it sends no spans.
func worstOperation(r views.Reader, v *alert.Evidence) (string, error) {
	if !isService(&v.Path[0]) {
		return "", nil
	}
	list, err := operationsOf(r, v, v.Cause.Name)
	if err != nil {
		return "", err
	}
	for _, o := range list {
		if o.Kind == model.KindServer.String() || o.Kind == model.KindConsumer.String() {
			return o.Name, nil
		}
	}
	return "", nil
}
