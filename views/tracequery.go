package views

import (
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// TraceSummary is what is known of a trace without its spans.
type TraceSummary struct {
	ID                         [16]byte
	RootService, RootOperation string // of the first span, while the root has not been seen
	Start, End                 time.Time
	Spans, Errors              uint64
	Services                   []TraceService // by name
}

// TraceService is a service's part in a trace. Spans of resources without service.name count under the empty name.
type TraceService struct {
	Name          string
	Spans, Errors uint64
}

// Duration is from the first start to the last end.
func (t *TraceSummary) Duration() time.Duration { return t.End.Sub(t.Start) }

// TraceQuery selects traces. Zero fields select everything.
//
// Conditions are of two kinds. Those of the trace: MinDuration, MaxDuration, Status "ok". Those of a span, which one span must fulfil
// together: Service, Operation, Dims, Status "error", a start in [From, To), and whatever Find looks at.
type TraceQuery struct {
	From, To                 time.Time // a span starts in it
	Service, Operation       string
	Dims                     model.DimFilter
	Status                   string        // "error": the span has failed; "ok": no span of Service, Operation and Dims has
	MinDuration, MaxDuration time.Duration // from the trace's first start to its last end
	Slowest                  bool          // order by duration, longest first; else by start, newest first
	Limit                    int           // at least 1
	// After continues after a trace of an earlier answer with the same order.
	After *TraceSummary
	// Find returns the traces with a span in a block of raw records, OTLP TracesData, that fulfils all conditions of a span. Summaries
	// do not hold the times of spans: it decides about traces that reach beyond the range, and with Each about all, because it has
	// conditions that summaries know nothing of. Without it, a trace that overlaps the range is in the range.
	Find func(block []byte, dims model.DimFilter) ([][16]byte, error)
	Each bool
	// Tokens are what a block has in which Find finds anything; others are not read. Nothing here may stand for a value of another type.
	Tokens []traces.SpanToken
	// Proceed is called before each block that is read for Find, or for Visit; false ends the search. nil: it is read to its end.
	Proceed func() bool
	// Visit is called with every trace that is selected, in no order and once for each; there is then no page.
	Visit func(start, end time.Time, failed bool)
}

// maxVisited bounds the traces that Visit is called with where their spans decide: their ids are remembered. A search that reaches it has ended.
const maxVisited = 1 << 20

// TraceResult is a page of traces.
type TraceResult struct {
	Traces []TraceSummary
	More   bool
	// Ended is set when Proceed ended the search; spans from SearchedTo on were looked at, zero where that is not known.
	Ended      bool
	SearchedTo time.Time
	// SpansSince is from when on all spans are kept for Find; zero: no conditions needed them, or all are.
	SpansSince time.Time
	// Sifted is set when spans of traces that are neither slow nor failed were taken out of what Find looked at.
	Sifted bool
}

func (q *TraceQuery) rank(t *traces.Trace) traces.Rank {
	if q.Slowest {
		return traces.Rank{Value: t.End - t.Start, ID: t.ID}
	}
	return traces.Rank{Value: t.Start, ID: t.ID}
}

// ranked is a found trace in its place.
type ranked struct {
	traces.Rank
	t TraceSummary
}

// tracePage holds the best traces of a search, one more than asked for: it shows whether there are more.
type tracePage struct {
	limit int
	found []ranked // best first
	has   map[[16]byte]bool
}

// place is where a trace belongs; ok is false when it is not among the best or, with another rank, there already: it changed since the
// search began.
func (p *tracePage) place(r traces.Rank) (at int, ok bool) {
	if p.has[r.ID] {
		return 0, false
	}
	at, _ = slices.BinarySearchFunc(p.found, r, func(a ranked, b traces.Rank) int {
		if a.Before(&b) {
			return -1
		}
		return 1
	})
	return at, at <= p.limit
}

func (p *tracePage) insert(at int, r ranked) {
	p.found, p.has[r.ID] = slices.Insert(p.found, at, r), true
	if last := len(p.found) - 1; last > p.limit {
		delete(p.has, p.found[last].ID)
		p.found = p.found[:last]
	}
}

// worst is the trace that others must rank before; nil while there is room.
func (p *tracePage) worst() *traces.Rank {
	if len(p.found) <= p.limit {
		return nil
	}
	return &p.found[p.limit].Rank
}

func (p *tracePage) result(out *TraceResult) {
	out.More = len(p.found) > p.limit
	for _, r := range p.found[:min(len(p.found), p.limit)] {
		out.Traces = append(out.Traces, r.t)
	}
}
