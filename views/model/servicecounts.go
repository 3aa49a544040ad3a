package model

import "time"

// SpanCounts is what spans count for: how many, how many failed, and how long they took.
type SpanCounts struct {
	Calls, Errors uint64
	Hist          Histogram
}

// Merge adds what o counts.
func (c *SpanCounts) Merge(o *SpanCounts) {
	c.Calls += o.Calls
	c.Errors += o.Errors
	c.Hist.Merge(&o.Hist)
}

// Share is the failed share of the calls, from 0 to 1.
func (c *SpanCounts) Share() float64 {
	if c.Calls == 0 {
		return 0
	}
	return float64(c.Errors) / float64(c.Calls)
}

// ServiceCounts is what a service did in a range, as it was counted: counts of several ranges can be added up.
type ServiceCounts struct {
	Name     string
	Dims     Dims
	All      SpanCounts
	Entry    SpanCounts // of its SERVER and CONSUMER spans alone
	LastSeen time.Time
	Active   time.Duration // width of the buckets in which it has spans
}

// Merge adds what the service did in another range.
func (s *ServiceCounts) Merge(o *ServiceCounts) {
	s.All.Merge(&o.All)
	s.Entry.Merge(&o.Entry)
	s.Active += o.Active
	if o.LastSeen.After(s.LastSeen) {
		s.LastSeen = o.LastSeen
	}
}

// ServiceTrend is a service's incoming requests (its SERVER and CONSUMER spans) step by step.
type ServiceTrend struct {
	Name   string
	Dims   Dims
	Points []TrendPoint
}

// TrendPoint is one step of a trend.
type TrendPoint struct {
	Calls, Errors uint64
	P95           time.Duration
}
