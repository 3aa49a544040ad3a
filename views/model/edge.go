package model

// Latency is what a caller waits for: as the client sees it; as the server does, where no client did.
func (c *EdgeCounts) Latency() (h Histogram, sum Nanos) {
	if c.ClientSum.Zero() { // a side that was not seen is observed as 0
		return c.ServerHist, c.ServerSum
	}
	return c.ClientHist, c.ClientSum
}

// Merge adds what o counted.
func (c *EdgeCounts) Merge(o *EdgeCounts) {
	c.Calls += o.Calls
	c.Failed += o.Failed
	c.ClientSum.Add(o.ClientSum)
	c.ServerSum.Add(o.ServerSum)
	c.ClientHist.Merge(&o.ClientHist)
	c.ServerHist.Merge(&o.ServerHist)
	c.Transit.Merge(&o.Transit)
}

// Sub takes away what o counted; it must have been merged before.
func (c *EdgeCounts) Sub(o *EdgeCounts) {
	c.Calls -= o.Calls
	c.Failed -= o.Failed
	c.ClientSum.Sub(o.ClientSum)
	c.ServerSum.Sub(o.ServerSum)
	c.ClientHist.Sub(&o.ClientHist)
	c.ServerHist.Sub(&o.ServerHist)
	c.Transit.Sub(&o.Transit)
}

// Zero reports whether nothing is counted.
func (c *EdgeCounts) Zero() bool { return c.Calls == 0 }

// Reset makes the counts empty and keeps their memory.
func (c *EdgeCounts) Reset() {
	ch, sh, tr := c.ClientHist, c.ServerHist, c.Transit
	ch.Reset()
	sh.Reset()
	tr.Reset()
	*c = EdgeCounts{ClientHist: ch, ServerHist: sh, Transit: tr}
}

// Append encodes the counts.
func (c *EdgeCounts) Append(b []byte) []byte {
	b = AppendUvarint(AppendUvarint(b, c.Calls), c.Failed)
	b = c.ServerSum.append(c.ClientSum.append(b))
	return c.Transit.Append(c.ServerHist.Append(c.ClientHist.Append(b)))
}

// DecodeCounts is Decode without exemplars, which stay as they are.
func (c *EdgeCounts) DecodeCounts(d *Decoder) { c.Decode(d) }

// Decode reads what Append wrote.
func (c *EdgeCounts) Decode(d *Decoder) {
	c.Calls, c.Failed = d.Uvarint(), d.Uvarint()
	c.ClientSum.decode(d)
	c.ServerSum.decode(d)
	c.ClientHist.Decode(d)
	c.ServerHist.Decode(d)
	c.Transit.Decode(d)
}
