package older

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// Scanned says how much of the spans that the views keep was read.
type Scanned struct {
	Share float64 // of what is kept of the range, by bytes: 1 is all of it
	Provenance
}

// Scan calls fn for the kept spans that t selects by its conditions on spans, for as long as most and no longer than a search may take. It
// reads in an order that spreads over the range: where the time was too short for all, what fn got is a sample.
func (s *Traces) Scan(ctx context.Context, m answer.Moment, t TraceSearch, most time.Duration,
	fn func(res pcommon.Resource, sp ptrace.Span)) (out Scanned, err error) {
	match := newSpanMatch(&t)
	every := func(ptrace.Span) bool { return true }
	res, err := m.Views.ScanSpans(views.SpanScan{From: t.From, To: t.To, Tokens: match.tokens, Dims: t.Dims,
		Proceed: inTime(ctx, min(most, s.SearchTime))},
		func(block []byte, dims model.DimFilter) error { return match.each(block, dims, every, fn) })
	if err == nil {
		err = ctx.Err()
	}
	out.Share = 1
	if res.Read < res.Of {
		out.Share = float64(res.Read) / float64(res.Of)
		out.warn(fmt.Sprintf("%.3g %% of the spans that are kept of this range were read: the counts are those of a sample", out.Share*100))
	}
	if !res.SpansSince.IsZero() {
		out.warn(spansNotKept(res.SpansSince) + " and not counted")
	}
	if res.Sifted {
		out.warn("only slow and failed traces and a sample of the others keep their spans: of the rest, no span is counted")
	}
	return out, err
}
