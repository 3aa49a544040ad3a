package telemetry

import (
	"cmp"
	"context"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views/spans"
)

// GetTraceHeatmap implements rest.StrictServerInterface.
func (s *Traces) GetTraceHeatmap(ctx context.Context, q rest.GetTraceHeatmapRequestObject) (rest.GetTraceHeatmapResponseObject, error) {
	p := q.Params
	t := traceQuery{service: p.Service, operation: p.Operation, status: (*string)(p.Status), minDuration: p.MinDuration, maxDuration: p.MaxDuration,
		minSpan: p.MinSpanDuration, maxSpan: p.MaxSpanDuration, start: p.Start, end: p.End}
	var err error
	if t.attributes, t.conditions, err = older.ParseConditions(answer.Value(p.Attributes)); err != nil {
		return nil, err
	}
	m := s.Older.Moment(ctx)
	search, r, err := t.search(m)
	if err != nil {
		return nil, err
	}
	h := spans.NewHeatmap(r.Start, r.End, cmp.Or(answer.Value(p.Columns), 60))
	out := rest.TraceHeatmap{Start: r.Start.UTC(), End: r.End.UTC(), Columns: []rest.TraceHeatmapColumn{}}
	counted, err := s.Older.Count(ctx, m, search, func(start, end time.Time, failed bool) {
		out.Traces++
		if failed {
			out.Failed++
		}
		h.Count(max(start.UnixNano(), r.Start.UnixNano()), uint64(max(0, end.Sub(start))), failed)
	})
	if err != nil {
		return nil, err
	}
	out.StepMs, out.WholeFrom, out.Meta = answer.Millis(h.Step()), counted.WholeFrom.UTC(), counted.Meta(s.Older.Moments, m, r)
	for _, c := range h.Columns() {
		column := rest.TraceHeatmapColumn{Time: c.Start, Cells: make([]rest.TraceHeatmapCell, 0, len(c.Rows))}
		for _, x := range c.Rows {
			column.Cells = append(column.Cells, rest.TraceHeatmapCell{Row: x.Row, MinMs: answer.Millis(spans.ShortestIn(x.Row)),
				MaxMs: answer.Millis(spans.ShortestIn(x.Row + 1)), Traces: int64(x.Spans), Failed: int64(x.Failed)})
		}
		out.Columns = append(out.Columns, column)
	}
	return rest.GetTraceHeatmap200JSONResponse(out), nil
}
