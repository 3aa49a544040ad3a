package kept

import (
	"encoding/binary"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// A reason for which a trace is kept.
type reason string

const (
	isError  reason = "error"
	isSlow   reason = "slow"
	isSample reason = "sample"
)

const (
	// traceOverhead is what a trace costs in memory beside its spans, settledTraces how many are remembered after they were decided.
	traceOverhead = 200
	settledTraces = 100_000
	// droppedTraces is how many of each of two generations of dropped traces are remembered, for spans with errors that come later.
	droppedTraces = 250_000
)

// Keep says which traces are kept.
type Keep struct {
	Slow   time.Duration // traces at least so long; 0: none for that
	Sample float64       // share of the others
	// Wait is how long the spans of a trace are collected before it is decided; MaxBytes bounds what is collected.
	Wait     time.Duration
	MaxBytes int
}

// waiting is a trace that is not decided, or is kept and remembered.
type waiting struct {
	id       pcommon.TraceID
	since    time.Time
	chunks   [][]byte
	spans    int
	bytes    int
	min, max uint64
	kept     reason // "": not decided
	// randomness decides whether it is in the sample.
	randomness sampling.Randomness
}

// out is spans to be written.
type out struct {
	id     pcommon.TraceID
	reason reason
	chunks [][]byte
	spans  int
	first  bool // of the trace
	// earlier: spans of the trace were dropped before.
	earlier bool
}

// buffer collects spans by trace. Time is an argument.
type buffer struct {
	keep      Keep
	sampled   bool // there is a sample
	threshold sampling.Threshold
	traces    map[pcommon.TraceID]*waiting
	undecided []*waiting // by since; those that were decided before stay until their turn
	settled   []*waiting // kept, by when they were decided
	bytes     int
	dropped   [2]map[uint64]struct{}
	rotated   time.Time
	early     int // traces that were decided before their time
	seen      int // traces
}

func newBuffer(k Keep) *buffer {
	b := &buffer{keep: k, traces: map[pcommon.TraceID]*waiting{}, dropped: [2]map[uint64]struct{}{{}, {}}}
	if th, err := sampling.ProbabilityToThreshold(k.Sample); err == nil { // 0 is none
		b.sampled, b.threshold = true, th
	}
	return b
}

// add takes the spans of one trace, and returns what is to be written because of them.
func (b *buffer) add(p *piece, now time.Time) (list []out) {
	t := b.traces[p.id]
	if t == nil {
		t = &waiting{id: p.id, since: now, min: ^uint64(0), randomness: p.randomness}
		b.traces[p.id] = t
		b.undecided = append(b.undecided, t)
		b.bytes += traceOverhead
		b.seen++
	}
	if t.kept != "" {
		return []out{{id: t.id, reason: t.kept, chunks: p.chunks, spans: p.spans}}
	}
	for _, c := range p.chunks {
		t.bytes += len(c)
		b.bytes += len(c)
	}
	t.chunks, t.spans = append(t.chunks, p.chunks...), t.spans+p.spans
	t.min, t.max = min(t.min, p.min), max(t.max, p.max)
	switch {
	case p.failed:
		list = append(list, b.settle(t, isError, now))
	case b.keep.Slow > 0 && t.max > t.min && t.max-t.min >= uint64(b.keep.Slow):
		list = append(list, b.settle(t, isSlow, now))
	}
	for b.bytes > b.keep.MaxBytes && len(b.undecided) > 0 {
		if o, ok := b.next(now); ok {
			list = append(list, o)
		}
	}
	return list
}

// expire decides about the traces whose time has come, and forgets those that were decided long enough ago.
func (b *buffer) expire(now time.Time) (list []out) {
	for len(b.undecided) > 0 && (b.undecided[0].kept != "" || now.Sub(b.undecided[0].since) >= b.keep.Wait) {
		if o, ok := b.next(now); ok {
			list = append(list, o)
		}
	}
	for len(b.settled) > 0 && (now.Sub(b.settled[0].since) >= 2*b.keep.Wait || len(b.settled) > settledTraces) {
		b.forget(b.settled[0])
		b.settled = b.settled[1:]
	}
	if now.Sub(b.rotated) >= 5*time.Minute {
		b.rotate(now)
	}
	return list
}

// next decides about the oldest undecided trace.
func (b *buffer) next(now time.Time) (out, bool) {
	t := b.undecided[0]
	b.undecided = b.undecided[1:]
	if t.kept != "" { // by an error
		return out{}, false
	}
	if now.Sub(t.since) < b.keep.Wait {
		b.early++
	}
	if b.sampled && b.threshold.ShouldSample(t.randomness) {
		return b.settle(t, isSample, now), true
	}
	b.forget(t)
	if len(b.dropped[0]) >= droppedTraces {
		b.rotate(now)
	}
	b.dropped[0][short(t.id)] = struct{}{}
	return out{}, false
}

func (b *buffer) settle(t *waiting, why reason, now time.Time) out {
	o := out{id: t.id, reason: why, chunks: t.chunks, spans: t.spans, first: true, earlier: b.wasDropped(t.id)}
	b.bytes -= t.bytes
	t.kept, t.chunks, t.bytes, t.since = why, nil, 0, now
	b.settled = append(b.settled, t)
	return o
}

func (b *buffer) forget(t *waiting) {
	b.bytes -= t.bytes + traceOverhead
	delete(b.traces, t.id)
}

func (b *buffer) rotate(now time.Time) {
	b.dropped[0], b.dropped[1], b.rotated = map[uint64]struct{}{}, b.dropped[0], now
}

func (b *buffer) wasDropped(id pcommon.TraceID) bool {
	for _, g := range b.dropped {
		if _, ok := g[short(id)]; ok {
			return true
		}
	}
	return false
}

func short(id pcommon.TraceID) uint64 { return binary.BigEndian.Uint64(id[8:]) }
