package model

// Applied is how much there is to commit.
func (c *Counters) Applied() uint64 { return c.Spans + c.Logs }

// Add adds what o counted.
func (c *Counters) Add(o *Counters) {
	c.Records += o.Records
	c.Spans += o.Spans
	c.Logs += o.Logs
	c.Unattributed += o.Unattributed
	c.TooLate += o.TooLate
	c.Future += o.Future
	c.Duplicates += o.Duplicates
	c.DeadLetters += o.DeadLetters
	c.Overflowed += o.Overflowed
	c.DuplicateSpans += o.DuplicateSpans
	c.DedupLost += o.DedupLost
}

// List is the counters in stored order.
func (c *Counters) List() []*uint64 {
	return []*uint64{&c.Records, &c.Spans, &c.Logs, &c.Unattributed, &c.TooLate, &c.Future, &c.Duplicates, &c.DeadLetters, &c.Overflowed}
}

// Counters are totals over all time, kept with the positions.
type Counters struct {
	Records, Spans uint64
	Logs           uint64 // log records
	Unattributed   uint64 // spans and log records of resources without service.name
	TooLate        uint64 // spans older than retention
	Future         uint64 // spans clamped because they end in the future
	Duplicates     uint64 // records recognised as sent again
	DeadLetters    uint64
	Overflowed     uint64 // spans counted in an overflow series
	DuplicateSpans uint64 // spans recognised as sent again, beside those of duplicate records
	DedupLost      uint64 // spans forgotten before the de-duplication window had passed, because too many were held
	Waiting        uint64 // span halves waiting for their other side, now
}
