// Package backlog makes the records of a topic as the benchmarks want them: how many spans share a cell decides what a span costs, so the
// time that a backlog covers, its series, what a record holds and the size of a span are all given.
package backlog

import (
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/cmd/watchingcat/shop"
)

// SeriesOfShop is about how many series the spans of one shop make.
const SeriesOfShop = 100

// A Shape says what is in a backlog.
type Shape struct {
	Spans     int           // about; a trace is never cut
	Covers    time.Duration // event time from the first span to the last
	Shops     int           // systems that share nothing, each with SeriesOfShop series; 0: one
	PerRecord int           // spans of a record; 0: one trace
	Padding   int           // bytes of an attribute that each span has beside its own
	Seed      uint64
}

// Density is how many spans share a series and 10 s.
func (s Shape) Density() float64 {
	return float64(s.Spans) / float64(s.Series()) / (s.Covers.Seconds() / 10)
}

// Series is about how many series the spans make.
func (s Shape) Series() int { return SeriesOfShop * max(1, s.Shops) }

// String names the shape.
func (s Shape) String() string {
	record := "one trace a record"
	if s.PerRecord > 0 {
		record = fmt.Sprint(s.PerRecord, " spans a record")
	}
	return fmt.Sprintf("%d spans over %v, %d series, %.0f spans per series and 10 s, %s", s.Spans, s.Covers, s.Series(), s.Density(), record)
}

// Each calls fn for each record in the order of event time, which ends at a time; key is the trace ID, nil when a record holds several
// traces. It returns how many spans there are.
func (s Shape) Each(end time.Time, fn func(key, value []byte, spans int) error) (total int, err error) {
	shops := make([]*shop.Shop, max(1, s.Shops))
	for i := range shops {
		shops[i] = shop.New(s.Seed + uint64(i))
		shops[i].Padding = s.Padding
		if i > 0 {
			shops[i].Suffix = fmt.Sprint("-", i)
		}
	}
	take := func(sh *shop.Shop) error {
		n := sh.Spans()
		if n == 0 {
			return nil
		}
		id := sh.TraceID()
		values, err := sh.Take(1)
		if err != nil {
			return err
		}
		key := id[:]
		if s.PerRecord > 0 {
			key = nil
		}
		return fn(key, values[0], n)
	}
	begin := end.Add(-s.Covers)
	for i := 0; total < s.Spans; i++ {
		sh := shops[i%len(shops)]
		total += sh.Request(begin.Add(time.Duration(float64(s.Covers) * float64(total) / float64(s.Spans))))
		if sh.Spans() < s.PerRecord {
			continue
		}
		if err := take(sh); err != nil {
			return total, err
		}
	}
	for _, sh := range shops {
		if err := take(sh); err != nil {
			return total, err
		}
	}
	return total, nil
}
