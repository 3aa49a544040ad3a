package views

import (
	"bytes"
	"cmp"
)

// The red view: calls, errors and durations of every (service, operation, kind, status), in buckets of the spans' end time.

// redCounts is one red cell, or the sum of many.
type redCounts struct {
	Counts
	Slowest, Latest Exemplar
}

// observe counts n times a span. bucket is the index of its duration's histogram bucket.
func (c *redCounts) observe(o *observation) {
	c.Calls += o.n
	c.Size += uint64(o.size)
	c.Sum.AddTimes(o.ex.Duration, o.n)
	c.Hist.addBucket(int(o.hist), o.n)
	if o.ex.TraceID == ([16]byte{}) {
		return
	}
	if o.ex.Duration >= c.Slowest.Duration {
		c.Slowest.slower(&o.ex)
	}
	if o.ex.End >= c.Latest.End {
		c.Latest.later(&o.ex)
	}
}

// slower keeps the exemplar with the longer duration; ids decide ties, so that the order of arrival does not.
func (e *Exemplar) slower(o *Exemplar) {
	if cmp.Or(cmp.Compare(o.Duration, e.Duration), o.compareIDs(e)) > 0 {
		*e = *o
	}
}

// later keeps the exemplar with the later end.
func (e *Exemplar) later(o *Exemplar) {
	if cmp.Or(cmp.Compare(o.End, e.End), o.compareIDs(e)) > 0 {
		*e = *o
	}
}

func (e *Exemplar) compareIDs(o *Exemplar) int {
	return cmp.Or(bytes.Compare(e.TraceID[:], o.TraceID[:]), bytes.Compare(e.SpanID[:], o.SpanID[:]), cmp.Compare(e.End, o.End), cmp.Compare(e.Duration, o.Duration))
}

func (c *redCounts) merge(o *redCounts) {
	c.Counts.merge(&o.Counts)
	c.Slowest.slower(&o.Slowest)
	c.Latest.later(&o.Latest)
}

func (c *Counts) merge(o *Counts) {
	c.Calls += o.Calls
	c.Size += o.Size
	c.Sum.Add(o.Sum)
	c.Hist.Merge(&o.Hist)
}

// sub takes away what o counted; it must have been merged before.
func (c *Counts) sub(o *Counts) {
	c.Calls -= o.Calls
	c.Size -= o.Size
	c.Sum.Sub(o.Sum)
	c.Hist.Sub(&o.Hist)
}

func (c *redCounts) zero() bool { return c.Calls == 0 }

func (c *redCounts) reset() {
	h := c.Hist
	h.reset()
	*c = redCounts{}
	c.Hist = h
}

func (c *redCounts) append(b []byte) []byte {
	return c.Latest.append(c.Slowest.append(c.Counts.append(b)))
}

func (c *redCounts) decodeCounts(d *decoder) { c.Counts.decode(d) }

func (c *redCounts) decode(d *decoder) {
	c.Counts.decode(d)
	c.Slowest.decode(d)
	c.Latest.decode(d)
}
