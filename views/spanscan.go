package views

import (
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// SpanScan selects kept spans by the blocks that they are in.
type SpanScan struct {
	From, To time.Time // blocks in which a span may start in [From, To)
	Tokens   []traces.SpanToken
	Dims     model.DimFilter // handed to fn, which decides
	// Proceed is called before each block; false ends the scan. nil: it reads all.
	Proceed func() bool
}

// SpanScanResult says how much of the kept spans a scan has read.
type SpanScanResult struct {
	// Read and Of are bytes of checkpoints as they are stored: those that were looked at, and all of the range.
	Read, Of int64
	// SpansSince is from when on all spans of the range are kept; zero: all are.
	SpansSince time.Time
	Sifted     bool // spans of traces that are neither slow nor failed were taken out of some blocks
}

// Merge adds what another scan has read.
func (r *SpanScanResult) Merge(o SpanScanResult) {
	r.Read, r.Of, r.Sifted = r.Read+o.Read, r.Of+o.Of, r.Sifted || o.Sifted
	if o.SpansSince.After(r.SpansSince) {
		r.SpansSince = o.SpansSince
	}
}

// ScanSpans calls fn with blocks of raw records, OTLP TracesData, that may have spans with the tokens. Checkpoints are read in an order that
// spreads over the range, so that a scan which ends early has read a sample of all of it.
func (s *Set) ScanSpans(q SpanScan, fn func(block []byte, dims model.DimFilter) error) (out SpanScanResult, err error) {
	from, to := model.UnixNano(q.From, 0), model.UnixNano(q.To, 1<<63)
	s.mu.RLock()
	metas := slices.Clone(s.rawSpans.Kept)
	out.SpansSince = s.spansSince(from)
	s.mu.RUnlock()
	metas = slices.DeleteFunc(metas, func(m traces.RawMeta) bool { return m.End < from || m.Starts && m.Begin >= to })
	for i := range metas {
		out.Of += metas[i].Bytes
	}
	tokens := traces.HashesOf(q.Tokens)
	for _, i := range traces.Spread(len(metas)) {
		m := &metas[i]
		out.Sifted = out.Sifted || m.Sifted
		refs, err := s.rawSpans.BlocksWith(s.kv, m, tokens)
		if err != nil {
			return out, err
		}
		for _, r := range refs {
			if q.Proceed != nil && !q.Proceed() {
				return out, nil
			}
			b, kept, err := s.rawSpans.Get(s.kv, r)
			if err != nil {
				return out, err
			}
			if !kept {
				continue
			}
			if err := fn(b, q.Dims); err != nil {
				return out, err
			}
		}
		out.Read += m.Bytes
	}
	return out, nil
}
