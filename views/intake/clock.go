package intake

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// Whose clock counts.
//
// A sender's clock may be wrong, and so may that of whoever wrote the record. The receiver's clock when the record was read is the
// only one that all data has in common: nothing is counted more than FutureTolerance beyond it. What claims to be is shifted, start and
// end together, to the record's timestamp, which is never beyond the receiver's clock either. So one clock that is ahead moves neither
// the newest time, by which data is shown, evaluated and expired, nor the time of anybody else's data. A record that is behind is left
// alone, whatever its timestamp says: topics that are read again are never ahead.

// ceiling is the time, in Unix nanoseconds, beyond which nothing of the record may be; 0: no clock is known.
func (a *Accumulator) ceiling() uint64 {
	now := a.record.Received
	if now <= 0 {
		now = a.record.Timestamp
	}
	if now <= 0 {
		return 0
	}
	return uint64(now)*1e6 + uint64(a.shared.Config.FutureTolerance)
}

// lineClock is the clock of the record's lines.
func (a *Accumulator) lineClock() logs.Clock {
	return logs.Clock{Arrived: a.arrived(), Ceiling: a.ceiling()}
}

// arrived is the time that the record stands for, Unix nanoseconds: its timestamp, else the receiver's clock; 0: neither is known.
func (a *Accumulator) arrived() uint64 {
	at := a.record.Timestamp
	if at <= 0 {
		at = a.record.Received
	}
	return uint64(max(0, at)) * 1e6
}

// timeShift is by how much a span, by its number in the record, was shifted into the past.
type timeShift struct {
	span uint64
	by   uint64 // nanoseconds
	set  uint64 // not 0: times were missing, this is what they are
}

// times are the start and the end that a span counts with: no end is its start, neither is the record's time, an end before the start
// makes its duration 0, and what lies beyond the clock is shifted.
func (a *Accumulator) times(s *model.Span) (start, end uint64) {
	start, end = s.Start, s.End
	if end > start && end-start > uint64(maxSpan) && a.ahead(end) > 0 {
		end = 0 // it names no end: what it says is as far away as can be written
		if start > 0 {
			a.shifted = append(a.shifted, timeShift{span: a.counts.Spans, set: start})
		}
	}
	switch {
	case end == 0 && start == 0:
		if start = a.arrived(); start != 0 {
			a.shifted = append(a.shifted, timeShift{span: a.counts.Spans, set: start})
		}
		return start, start
	case end == 0:
		end = start
	}
	if by := a.ahead(max(start, end)); by > 0 {
		a.counts.Future++
		a.shifted = append(a.shifted, timeShift{span: a.counts.Spans, by: by})
		start, end = start-min(start, by), end-min(end, by)
	}
	return min(start, end), end
}

// maxSpan is the longest span that may end beyond the clock.
const maxSpan = 365 * 24 * time.Hour

// ahead is by how much a time has to be shifted into the past.
func (a *Accumulator) ahead(t uint64) uint64 {
	if limit := a.ceiling(); limit == 0 || t <= limit {
		return 0
	}
	return t - a.arrived()
}

// spansAsCounted is the record with the times of its spans as they were counted, so that a trace shows what lists and charts show.
func (a *Accumulator) spansAsCounted() []byte {
	if len(a.shifted) == 0 || a.second && len(a.again) > 0 {
		return a.record.Value
	}
	var um ptrace.ProtoUnmarshaler
	td, err := um.UnmarshalTraces(a.record.Value)
	if err != nil {
		return a.record.Value // a record that the scan accepts and pdata does not: it is shown as it came
	}
	n, next := uint64(0), a.shifted
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				n++
				if len(next) > 0 && next[0].span == n {
					next[0].apply(sp)
					next = next[1:]
				}
			}
		}
	}
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	if err != nil {
		return a.record.Value
	}
	return b
}

func (t *timeShift) apply(sp ptrace.Span) {
	if t.set != 0 {
		sp.SetStartTimestamp(pcommon.Timestamp(t.set))
		sp.SetEndTimestamp(pcommon.Timestamp(t.set))
		return
	}
	back := func(at pcommon.Timestamp) pcommon.Timestamp { return at - min(at, pcommon.Timestamp(t.by)) }
	sp.SetStartTimestamp(back(sp.StartTimestamp()))
	if sp.EndTimestamp() != 0 {
		sp.SetEndTimestamp(back(sp.EndTimestamp()))
	}
	for _, e := range sp.Events().All() {
		e.SetTimestamp(back(e.Timestamp()))
	}
}
