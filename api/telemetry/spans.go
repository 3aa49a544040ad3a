package telemetry

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/spans"
)

const (
	// readTime is how long an analysis reads spans, unless it says otherwise.
	readTime = 400 * time.Millisecond
	// facetValues are those of one attribute.
	facetValues = 10
)

// AnalyzeSpans implements rest.StrictServerInterface.
func (s *Traces) AnalyzeSpans(ctx context.Context, q rest.AnalyzeSpansRequestObject) (rest.AnalyzeSpansResponseObject, error) {
	m, p := s.Older.Moment(ctx), &q.Params
	r, err := m.RangeOf(p.Start, p.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	search, err := spanSearch(p, r)
	if err != nil {
		return nil, err
	}
	most := readTime
	if p.ReadTime != nil {
		if most, err = answer.ParseDuration("read_time", *p.ReadTime); err != nil {
			return nil, err
		}
	}
	a, err := newAnalysis(m, p, r)
	if err != nil {
		return nil, err
	}
	read, err := s.Older.Scan(ctx, m, search, most, a.add)
	if err != nil {
		return nil, err
	}
	out := a.answer(cmp.Or(answer.Value(p.Limit), 20))
	out.Sampled, out.ReadShare, out.Meta = read.Share < 1, read.Share, read.Meta(s.Older.Moments, m, r)
	return rest.AnalyzeSpans200JSONResponse(out), nil
}

// spanSearch is what the parameters ask of a span.
func spanSearch(p *rest.AnalyzeSpansParams, r answer.Range) (t older.TraceSearch, err error) {
	t.TraceQuery = views.TraceQuery{From: r.Start, To: r.End, Service: answer.Value(p.Service), Operation: answer.Value(p.Operation),
		Status: string(answer.Value(p.Status))}
	if t.Attributes, t.Conditions, err = older.ParseConditions(answer.Value(p.Attributes)); err != nil {
		return t, err
	}
	return t, durations(map[string]durationParam{"min_span_duration": {p.MinSpanDuration, &t.MinSpan}, "max_span_duration": {p.MaxSpanDuration, &t.MaxSpan}})
}

// durationParam is a parameter that may be given, and where it goes.
type durationParam struct {
	from *string
	to   *time.Duration
}

// durations reads those that are given.
func durations(list map[string]durationParam) (err error) {
	for name, d := range list {
		if d.from == nil {
			continue
		}
		if *d.to, err = answer.ParseDuration(name, *d.from); err != nil {
			return err
		}
	}
	return nil
}

// analysis is what is counted of spans.
type analysis struct {
	spans, failed uint64
	onlyOK        bool // spans that failed are not counted
	heatmap       *spans.Heatmap
	contrast      *spans.Contrast
	facets        *spans.Contrast
	groups        *spans.Groups
	by            string
	parts         []rest.AnalyzeSpansParamsPart
	selects       func(res pcommon.Resource, sp ptrace.Span) bool
}

func newAnalysis(m answer.Moment, p *rest.AnalyzeSpansParams, r answer.Range) (a *analysis, err error) {
	a = &analysis{parts: p.Part, by: answer.Value(p.By), onlyOK: answer.Value(p.Status) == rest.AnalyzeSpansParamsStatusOk}
	if a.has(rest.AnalyzeSpansParamsPartHeatmap) {
		a.heatmap = spans.NewHeatmap(r.Start, r.End, cmp.Or(answer.Value(p.Columns), 60))
	}
	if a.has(rest.AnalyzeSpansParamsPartGroups) {
		if a.by == "" {
			return nil, answer.Advise(answer.Problemf(answer.ErrBadRequest, "missing_parameter", "by is not given"),
				"Give the attribute whose values are the groups, as by=http.route.")
		}
		a.groups = spans.NewGroups()
	}
	if a.has(rest.AnalyzeSpansParamsPartFacets) {
		a.facets = spans.NewContrast(false)
	}
	if a.has(rest.AnalyzeSpansParamsPartDifferences) {
		// Of a region the operation may be what differs.
		a.contrast = spans.NewContrast(answer.Value(p.Select) != rest.AnalyzeSpansParamsSelectRegion)
		a.selects, err = selection(m, p, r)
	}
	return a, err
}

func (a *analysis) has(part rest.AnalyzeSpansParamsPart) bool { return slices.Contains(a.parts, part) }

func (a *analysis) add(res pcommon.Resource, sp ptrace.Span) {
	failed := spans.Failed(sp)
	if failed && a.onlyOK {
		return
	}
	a.spans++
	if failed {
		a.failed++
	}
	if a.heatmap != nil {
		a.heatmap.Add(sp)
	}
	if a.groups != nil {
		a.groups.Add(a.by, res, sp)
	}
	if a.facets != nil {
		a.facets.Add(res, sp, failed)
	}
	if a.contrast != nil {
		a.contrast.Add(res, sp, a.selects(res, sp))
	}
}

func (a *analysis) answer(limit int) rest.SpanAnalysis {
	out := rest.SpanAnalysis{Spans: int64(a.spans), Failed: int64(a.failed)}
	if a.heatmap != nil {
		out.Heatmap = heatmap(a.heatmap)
	}
	if a.groups != nil {
		list := []rest.SpanGroup{}
		for _, g := range a.groups.List(limit) {
			list = append(list, spanGroup(g))
		}
		out.Groups = &list
	}
	if a.facets != nil {
		list := []rest.SpanFacet{}
		for _, f := range a.facets.Facets(limit, facetValues) {
			list = append(list, spanFacet(&f))
		}
		out.Facets = &list
	}
	if a.contrast != nil {
		out.Differences = new(a.contrast.Differences(limit))
	}
	return out
}

func heatmap(h *spans.Heatmap) *rest.SpanHeatmap {
	out := rest.SpanHeatmap{StepMs: answer.Millis(h.Step()), Columns: []rest.SpanHeatmapColumn{}}
	for _, c := range h.Columns() {
		column := rest.SpanHeatmapColumn{Time: c.Start, Cells: make([]rest.SpanHeatmapCell, 0, len(c.Rows))}
		for _, x := range c.Rows {
			column.Cells = append(column.Cells, rest.SpanHeatmapCell{Row: x.Row, MinMs: answer.Millis(spans.ShortestIn(x.Row)),
				MaxMs: answer.Millis(spans.ShortestIn(x.Row + 1)), Spans: int64(x.Spans), Failed: int64(x.Failed)})
		}
		out.Columns = append(out.Columns, column)
	}
	return &out
}

func spanGroup(g *spans.Group) rest.SpanGroup {
	ms := func(q float64) float64 { return answer.Millis(g.Hist.Quantile(q)) }
	return rest.SpanGroup{Value: g.Value, Missing: g.Missing, Spans: int64(g.Spans), Failed: int64(g.Failed),
		ErrorRate: float64(g.Failed) / float64(g.Spans), P50Ms: ms(0.5), P95Ms: ms(0.95), P99Ms: ms(0.99)}
}

func spanFacet(f *spans.Facet) rest.SpanFacet {
	out := rest.SpanFacet{Scope: rest.SpanScope(f.Scope), Key: f.Key, Spans: int64(f.Spans), Overflow: int64(f.Overflow), Distinct: f.Distinct,
		Values: make([]rest.SpanFacetValue, 0, len(f.Values))}
	for _, v := range f.Values {
		out.Values = append(out.Values, rest.SpanFacetValue{Value: v.Value, Condition: v.Condition, Spans: int64(v.Spans), Failed: int64(v.Failed)})
	}
	return out
}

// selection says which spans the others are compared with.
func selection(m answer.Moment, p *rest.AnalyzeSpansParams, r answer.Range) (func(pcommon.Resource, ptrace.Span) bool, error) {
	switch answer.Value(p.Select) {
	case rest.AnalyzeSpansParamsSelectFailed:
		return func(_ pcommon.Resource, sp ptrace.Span) bool { return spans.Failed(sp) }, nil
	case rest.AnalyzeSpansParamsSelectSlow:
		return slow(m, p, r)
	case rest.AnalyzeSpansParamsSelectRegion:
		return region(p)
	}
	return nil, answer.Advise(answer.Problemf(answer.ErrBadRequest, "missing_parameter", "select is not given"),
		"Give select=failed, select=slow, or select=region with its bounds.")
}

// slowBaseline is how long before a range its spans are compared with.
const slowBaseline = time.Hour

// slow selects the spans that took longer than 95 % of the calls of their operation in the hour before the range, by the counts of all calls;
// where there were none, in the range.
func slow(m answer.Moment, p *rest.AnalyzeSpansParams, r answer.Range) (func(pcommon.Resource, ptrace.Span) bool, error) {
	of := spans.Limits{}
	for _, x := range []answer.Range{r, {Start: r.Start.Add(-slowBaseline), End: r.Start}} {
		list, err := m.Views.Latencies(x.Start, x.End, func(k model.REDKey) bool {
			return (p.Service == nil || k.Service == *p.Service) && (p.Operation == nil || k.Operation == *p.Operation)
		})
		if err != nil {
			return nil, err
		}
		of.Add(list, 0.95)
	}
	return func(res pcommon.Resource, sp ptrace.Span) bool { return of.Exceeds(spans.ServiceOf(res), sp) }, nil
}

// region selects the spans that start in a range and whose duration is in another.
func region(p *rest.AnalyzeSpansParams) (func(pcommon.Resource, ptrace.Span) bool, error) {
	var from, to time.Time
	var least, most time.Duration
	for _, t := range []struct {
		name string
		from *string
		to   *time.Time
	}{{"select_start", p.SelectStart, &from}, {"select_end", p.SelectEnd, &to}} {
		if t.from == nil {
			continue
		}
		var err error
		if *t.to, err = answer.ParseTime(t.name, *t.from); err != nil {
			return nil, err
		}
	}
	err := durations(map[string]durationParam{"select_min_duration": {p.SelectMinDuration, &least}, "select_max_duration": {p.SelectMaxDuration, &most}})
	if err != nil {
		return nil, err
	}
	if from.IsZero() && to.IsZero() && least == 0 && most == 0 {
		return nil, answer.Advise(answer.Problemf(answer.ErrBadRequest, "missing_parameter", "the region has no bounds"),
			"Give one or more of select_start, select_end, select_min_duration and select_max_duration.")
	}
	return func(_ pcommon.Resource, sp ptrace.Span) bool {
		start, took := sp.StartTimestamp().AsTime(), time.Duration(spans.Duration(sp))
		return !start.Before(from) && (to.IsZero() || start.Before(to)) && took >= least && (most == 0 || took < most)
	}, nil
}
