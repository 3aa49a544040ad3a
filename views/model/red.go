package model

import (
	"bytes"
	"cmp"
	"slices"
)

// The red view: calls, errors and durations of every (service, operation, kind, status), in buckets of the spans' end time.

// REDCounts is one red cell, or the sum of many.
type REDCounts struct {
	Counts
	Slowest, Latest Exemplar
}

// Observe counts n times a span. bucket is the index of its duration's histogram bucket.
func (c *REDCounts) Observe(o *Observation) {
	c.Calls += o.N
	c.Size += uint64(o.Size)
	c.Sum.AddTimes(o.Ex.Duration, o.N)
	c.Hist.AddBucket(int(o.Hist), o.N)
	if o.Ex.TraceID == ([16]byte{}) {
		return
	}
	if o.Ex.Duration >= c.Slowest.Duration {
		c.Slowest.Slower(&o.Ex)
	}
	if o.Ex.End >= c.Latest.End {
		c.Latest.Later(&o.Ex)
	}
}

// Slower keeps the exemplar with the longer duration; ids decide ties, so that the order of arrival does not.
func (e *Exemplar) Slower(o *Exemplar) {
	if cmp.Or(cmp.Compare(o.Duration, e.Duration), o.compareIDs(e)) > 0 {
		*e = *o
	}
}

// Later keeps the exemplar with the later end.
func (e *Exemplar) Later(o *Exemplar) {
	if cmp.Or(cmp.Compare(o.End, e.End), o.compareIDs(e)) > 0 {
		*e = *o
	}
}

func (e *Exemplar) compareIDs(o *Exemplar) int {
	return cmp.Or(bytes.Compare(e.TraceID[:], o.TraceID[:]), bytes.Compare(e.SpanID[:], o.SpanID[:]), cmp.Compare(e.End, o.End),
		cmp.Compare(e.Duration, o.Duration))
}

// Merge adds what o counted.
func (c *REDCounts) Merge(o *REDCounts) {
	c.Counts.Merge(&o.Counts)
	c.Slowest.Slower(&o.Slowest)
	c.Latest.Later(&o.Latest)
}

// Merge adds what o counted.
func (c *Counts) Merge(o *Counts) {
	c.Calls += o.Calls
	c.Size += o.Size
	c.Sum.Add(o.Sum)
	c.Hist.Merge(&o.Hist)
}

// Sub takes away what o counted; it must have been merged before.
func (c *Counts) Sub(o *Counts) {
	c.Calls -= o.Calls
	c.Size -= o.Size
	c.Sum.Sub(o.Sum)
	c.Hist.Sub(&o.Hist)
}

// Zero reports whether nothing is counted.
func (c *REDCounts) Zero() bool { return c.Calls == 0 }

// Reset makes the counts empty and keeps their memory.
func (c *REDCounts) Reset() {
	h := c.Hist
	h.Reset()
	*c = REDCounts{}
	c.Hist = h
}

// Append encodes the counts.
func (c *REDCounts) Append(b []byte) []byte {
	return c.Latest.Append(c.Slowest.Append(c.Counts.Append(b)))
}

// DecodeCounts is Decode without exemplars, which stay as they are.
func (c *REDCounts) DecodeCounts(d *Decoder) { c.Counts.Decode(d) }

// Decode reads what Append wrote.
func (c *REDCounts) Decode(d *Decoder) {
	c.Counts.Decode(d)
	c.Slowest.Decode(d)
	c.Latest.Decode(d)
}

// Observation is one staged span of the red and the traces view. A span of a resource without service.name has no cell.
type Observation struct {
	Cell   *REDCounts
	N      uint64
	Start  uint64
	Series uint32
	Size   uint32
	Hist   uint16
	Parent [8]byte
	Ex     Exemplar
}

// Clone copies counts that belong to the view.
func (c *Counts) Clone() Counts {
	n := *c
	n.Hist.Counts = slices.Clone(c.Hist.Counts)
	return n
}
