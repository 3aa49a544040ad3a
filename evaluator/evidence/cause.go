package evidence

import (
	"slices"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// How far back the beginning of a fault is looked for, and how many buckets without it may lie within.
const (
	maxOnset  = time.Hour
	onsetGaps = 3
)

// leastConfidence is the confidence below which naming one cause would be a guess.
const leastConfidence = 0.2

// cause says what is wrong at the first candidate, over all calls to it. There is none where the candidates are too weak or too close to each
// other.
func (q *Inquiry) cause(r views.Reader, v *alert.Evidence) error {
	if len(v.Candidates) == 0 || v.Confidence < leastConfidence {
		return nil
	}
	top := &v.Candidates[0]
	at, term := place{top.Name, top.Connection}, top.Terms[0]
	c := &alert.Cause{Name: top.Name, Connection: top.Connection, Signal: causeOf[term.Signal], Subject: term.Subject, Before: term.Before,
		Now: term.Now, Share: term.Share, Versions: []string{}}
	now, before, _, err := q.mapsOf(r, v)
	if err != nil {
		return err
	}
	c.Calls, c.Failed, c.ErrorRate, c.MeanMs = arrivals(now.Edges, at)
	_, _, c.BaselineErrorRate, c.BaselineMeanMs = arrivals(before.Edges, at)
	v.Cause = c
	for _, d := range v.Deployments {
		if d.Service == c.Name && at.isService() && !slices.Contains(c.Versions, d.Version) {
			c.Versions = append(c.Versions, d.Version)
		}
	}
	if c.Signal == alert.CauseErrors || c.Signal == alert.CauseLatency {
		if c.Since, err = onset(r, v, at); err != nil {
			return err
		}
	}
	c.Operation, err = worstOperation(r, v, at)
	return err
}

// causeOf is what is wrong at a cause by its first term.
var causeOf = map[string]string{alert.TermErrors: alert.CauseErrors, alert.TermLatency: alert.CauseLatency,
	alert.TermStopped: alert.CauseStopped, alert.TermSkipped: alert.CauseSkipped, alert.TermBegan: alert.CauseBegan, alert.TermSeverity: alert.CauseSeverity,
	alert.TermCPU: alert.CauseCPU, alert.TermMemory: alert.CauseMemory}

// arrivals adds up the calls to a place: over edges of its type, and not through brokers unless it is one.
func arrivals(list []model.Edge, to place) (calls, failed uint64, rate, meanMs float64) {
	seconds := 0.0
	for i := range list {
		if e := &list[i]; to.isCalledBy(e.EdgeKey) {
			calls += e.Calls
			failed += e.Failed
			seconds += e.LatencySum.Seconds()
		}
	}
	n := float64(max(1, calls))
	return calls, failed, rounded(float64(failed) / n), rounded(seconds * 1e3 / n)
}

// isCalledBy reports whether an edge is one of the calls to a place; to a service also those from outside.
func (p place) isCalledBy(k model.EdgeKey) bool {
	outside := k.Connection == model.ConnectionVirtual && k.Entry
	return k.Server == p.name && (k.Connection == p.connection || p.isService() && (k.Connection == "" || outside))
}

// isService reports whether a place is a service that sends spans.
func (p place) isService() bool { return p.connection == "" }

// onset is when what is wrong with the calls to the cause began: the first bucket since which it has been wrong with short gaps at most;
// zero where no bucket is worse than the baseline.
func onset(r views.Reader, v *alert.Evidence, to place) (time.Time, error) {
	from := newer(v.At.Add(-maxOnset), v.BaselineEnd)
	lines, err := r.SelectEdges(from, v.At.Add(1), func(_ uint32, k model.EdgeKey) bool { return to.isCalledBy(k) })
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
func worstOperation(r views.Reader, v *alert.Evidence, of place) (string, error) {
	if !of.isService() {
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
