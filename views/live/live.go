package live

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/samples"
)

// Live is the Reader that outlives swaps: it reads the versions that a Layout names, joined where one ends and the next begins.
//
// The simple version: with one version every call goes to its Set. With more, a reader's range is cut into stretches, one of each
// version, and what they counted is added up before anything is derived from it (see stretch), so a splice is exact. Invariants:
//
//  1. A View is immutable. Whoever needs several reads that agree takes one View for all of them; a call on Live takes its own.
//  2. A Set is let go when no View reads it any more: Swap says when.
//  3. Versions count disjoint times for a view, so nothing counts twice.
type Live struct {
	mu      sync.Mutex
	view    *View
	feed    model.Feed
	metrics model.Feed // of OTLP metrics
}

var (
	_ views.Reader = (*Live)(nil)
	_ views.Reader = (*View)(nil)
)

// View is what readers see between two swaps.
type View struct {
	layout  model.Layout
	live    *views.Set
	sets    map[uint32]*views.Set
	seq     uint64 // added to the numbers of the live Set's checkpoints, so that they grow over swaps too
	first   uint64 // number of the live Set's checkpoint at the swap
	feed    *model.Feed
	readers sync.WaitGroup
	metrics samples.MetricVersions
	dims    model.DimFilter        // narrows what this View shows
	of      *View                  // the View that this one narrows, whose readers count
	counted samples.MetricCounters // by the metrics of earlier versions, less what the live one had counted when it became live

	red    carries[model.REDKey, model.REDTimeline]
	edges  carries[model.EdgeKey, model.EdgeTimeline]
	tables [model.Tables]carries[string, cells.TallyTimeline]
}

// NewLive shows sets, by version, and OTLP metrics as layout says.
func NewLive(layout model.Layout, sets map[uint32]*views.Set, m samples.MetricVersions) (*Live, error) {
	l := &Live{}
	v, err := l.next(layout, sets, m)
	if err != nil {
		return nil, err
	}
	l.show(v)
	return l, nil
}

func (l *Live) next(layout model.Layout, sets map[uint32]*views.Set, m samples.MetricVersions) (*View, error) {
	for _, n := range layout.Versions() {
		if sets[n] == nil {
			return nil, fmt.Errorf("views: version %d is to be read and not open", n)
		}
	}
	if err := m.Check(&layout); err != nil {
		return nil, err
	}
	return &View{layout: layout, live: sets[layout.Live], sets: sets, feed: &l.feed, metrics: m}, nil
}

func (l *Live) show(v *View) {
	old := l.view
	if old != nil {
		old.live.Feed().ForwardTo(nil)
		v.seq, v.first = old.seq, old.first
		if old.live != v.live {
			v.seq, v.first = 0, v.live.Frontier().Seq
			if was := old.Frontier().Seq; was >= v.first {
				v.seq = was + 1 - v.first
			}
		}
	}
	l.follow(old, v)
	l.mu.Lock()
	l.view = v
	l.mu.Unlock()
	v.live.Feed().ForwardTo(func(fr model.Frontier, red, edges []model.Touch, tables model.TableSet) {
		l.feed.Publish(v.frontier(fr), red, edges, tables)
	})
}

// Swap makes later reads follow the layout, and publishes that to the feed. It is called while no checkpoint is installed
// in the live Sets or Metrics. The returned function waits until what was shown before has no readers.
func (l *Live) Swap(layout model.Layout, sets map[uint32]*views.Set, m samples.MetricVersions) (wait func(), err error) {
	v, err := l.next(layout, sets, m)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	old := l.view
	l.mu.Unlock()
	l.show(v)
	l.feed.Publish(v.Frontier(), nil, nil, 0) // another version makes every reader look at everything
	if m.Live != nil {
		l.metrics.Publish(m.Live.Frontier(), nil, nil, 0)
	}
	return old.readers.Wait, nil
}

// View returns what is shown now. The caller must Release it.
func (l *Live) View() *View {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.view.readers.Add(1)
	return l.view
}

// Snapshot returns a Reader whose answers agree with each other, whatever is swapped meanwhile, and what ends its use.
func Snapshot(r views.Reader) (views.Reader, func()) {
	l, ok := r.(*Live)
	if !ok {
		return r, func() {}
	}
	v := l.View()
	return v, v.Release
}

// Release ends the use of a View.
func (v *View) Release() {
	if v.of != nil {
		v.of.Release()
		return
	}
	v.readers.Done()
}

// Narrow returns a Reader that shows only what has the values of dimensions that f names. r is a View or a Set; releasing the View is
// releasing what is returned.
func Narrow(r views.Reader, f model.DimFilter) views.Reader {
	if len(f) == 0 {
		return r
	}
	switch r := r.(type) {
	case *View:
		return r.narrow(f)
	case *views.Set:
		version := r.Config().Version
		v := &View{layout: model.Layout{Version: version, Live: version}, live: r, sets: map[uint32]*views.Set{version: r}, feed: r.Feed()}
		return v.narrow(f)
	}
	return r
}

// whole is the View without its filter.
func (v *View) whole() *View {
	if v.of != nil {
		return v.of
	}
	return v
}

func (v *View) narrow(f model.DimFilter) *View {
	return &View{layout: v.layout, live: v.live, sets: v.sets, seq: v.seq, first: v.first, feed: v.feed, metrics: v.metrics,
		counted: v.counted, dims: f, of: v.whole()}
}

// Set is the version that goes on with the topic.
func (v *View) Set() *views.Set { return v.live }

// Layout says which versions are read.
func (v *View) Layout() model.Layout { return v.layout }

// Frontier says for which times the views speak.
func (v *View) Frontier() model.Frontier { return v.frontier(v.live.Frontier()) }

func (v *View) frontier(f model.Frontier) model.Frontier {
	f.Version = v.layout.Version
	f.Seq += v.seq
	if len(v.sets) == 1 {
		return f
	}
	for _, n := range v.layout.Versions() {
		if s := v.sets[n]; s != v.live {
			if since := s.Frontier().Since; !since.IsZero() && (f.Since.IsZero() || since.Before(f.Since)) {
				f.Since = since
			}
		}
	}
	// What the live version would have dropped by now is not shown of others either.
	if oldest := f.Levels[model.Levels-1].Since; !oldest.IsZero() && f.Since.Before(oldest) {
		f.Since = oldest
	}
	return f
}

// stretches cuts a range along the versions of a view.
func (v *View) stretches(view string, r model.Range) []views.VersionRange {
	list := v.layout.Of(view)
	out := make([]views.VersionRange, 0, len(list))
	for _, s := range list {
		c := r
		c.From = max(c.From, s.From)
		if s.To != 0 {
			c.To = min(c.To, s.To)
		}
		if c.From < c.To || len(list) == 1 {
			out = append(out, views.VersionRange{Set: v.sets[s.Version], Range: c, Dims: v.dims})
		}
	}
	if len(out) == 0 { // an empty range still asks what is known
		out = append(out, views.VersionRange{Set: v.live, Range: r, Dims: v.dims})
	}
	return out
}

// Services returns every service with spans in the range.
func (v *View) Services(from, to time.Time) ([]model.Service, error) {
	return views.Services(v.stretches(model.ViewRED, views.RangeOf(from, to)))
}

// ServiceCounts is Services with what was counted.
func (v *View) ServiceCounts(from, to time.Time) ([]model.ServiceCounts, error) {
	return views.ServiceCounts(v.stretches(model.ViewRED, views.RangeOf(from, to)))
}

// ServiceTrends returns the incoming requests of every service in steps.
func (v *View) ServiceTrends(from, to time.Time, step time.Duration) ([]model.ServiceTrend, error) {
	fr := v.Frontier()
	return views.ServiceTrends(func(r model.Range) []views.VersionRange { return v.stretches(model.ViewRED, r) }, from, to,
		views.StepWidth(&fr, from, step))
}

// Service sums up a service over all its dimensions.
func (v *View) Service(name string, from, to time.Time) (model.Service, bool, error) {
	return views.OneService(v.stretches(model.ViewRED, views.RangeOf(from, to)), name)
}

// Operations returns every (name, kind) of a service with spans in the range.
func (v *View) Operations(service string, from, to time.Time) ([]model.Operation, bool, error) {
	ops, ok, err := views.Operations(v.stretches(model.ViewRED, views.RangeOf(from, to)), service)
	return ops, ok || v.known(service, ""), err
}

// Latencies returns the operations that match accepts, with their histograms.
func (v *View) Latencies(from, to time.Time, match func(k model.REDKey) bool) ([]model.OperationLatency, error) {
	return views.Latencies(v.stretches(model.ViewRED, views.RangeOf(from, to)), match)
}

// known reports whether any version knows a service (and operation).
func (v *View) known(service, operation string) bool {
	for _, s := range v.layout.Of(model.ViewRED) {
		set := v.sets[s.Version]
		if set.Knows(service, operation, v.dims) {
			return true
		}
	}
	return false
}

// ServicePoints returns a chart.
func (v *View) ServicePoints(service, operation string, from, to time.Time, step time.Duration) ([]model.Point, bool, error) {
	fr := v.Frontier()
	if !v.known(service, operation) {
		return nil, false, nil
	}
	return views.ServicePoints(func(r model.Range) []views.VersionRange { return v.stretches(model.ViewRED, r) }, service, operation, from,
		to, views.StepWidth(&fr, from, step))
}

// ServiceMap returns the edges of a range.
func (v *View) ServiceMap(from, to time.Time) (model.Map, error) {
	return views.ServiceMap(v.stretches(model.ViewServiceMap, views.RangeOf(from, to)))
}

// SelectRED returns the series that match accepts. Their ids are those of the live version; series that it does not have get ids
// that it will not give.
func (v *View) SelectRED(from, to time.Time, match func(id uint32, k model.REDKey) bool) ([]model.REDTimeline, error) {
	if f := v.dims; len(f) > 0 {
		all := match
		match = func(id uint32, k model.REDKey) bool { return f.Accepts(k.Dims) && all(id, k) }
	}
	return selectSpliced(v, model.ViewRED, &v.whole().red, views.RangeOf(from, to), match, (*views.Set).SelectREDIn)
}

// SelectEdges returns the edges that match accepts, as SelectRED.
func (v *View) SelectEdges(from, to time.Time, match func(id uint32, k model.EdgeKey) bool) ([]model.EdgeTimeline, error) {
	if f := v.dims; len(f) > 0 {
		all := match
		match = func(id uint32, k model.EdgeKey) bool { return f.AcceptsEdge(&k) && all(id, k) }
	}
	return selectSpliced(v, model.ViewServiceMap, &v.whole().edges, views.RangeOf(from, to), match, (*views.Set).SelectEdgesIn)
}

// SelectTable returns the series of a table that match accepts, as SelectRED.
func (v *View) SelectTable(t model.Table, from, to time.Time, match func(labels []string) bool) ([]cells.TallyTimeline, error) {
	match = v.dims.Rows(match)
	return selectSpliced(v, t.LayoutName(), &v.whole().tables[t], views.RangeOf(from, to),
		func(_ uint32, key string) bool { return match(cells.SplitLabels(key)) },
		func(s *views.Set, r model.Range, match func(uint32, string) bool) ([]cells.TallyTimeline, error) {
			return s.SelectTableIn(t, r, func(l []string) bool { return match(0, cells.LabelsKey(l)) })
		})
}

// TableRows returns the series of a table with anything in the range.
func (v *View) TableRows(t model.Table, from, to time.Time, match func(labels []string) bool) ([]cells.TallyRow, error) {
	rows, err := views.TableRows(v.stretches(t.LayoutName(), views.RangeOf(from, to)), t, match)
	if list := v.layout.Of(t.LayoutName()); len(list) > 1 {
		for i := range rows {
			for _, s := range list {
				v.sets[s.Version].WidenRow(t, &rows[i])
			}
		}
	}
	return rows, err
}

// LogPatterns returns the patterns of a range.
func (v *View) LogPatterns(from, to time.Time, service string) ([]views.LogPattern, error) {
	return views.LogPatterns(v.stretches(model.TableLogs.LayoutName(), views.RangeOf(from, to)), service)
}

// since is where a search begins: not before its stretch, nor before what the live version retains, because a version that is no longer
// written forgets nothing.
func (v *View) since(from time.Time, s model.Stretch, retention time.Duration) time.Time {
	if edge := time.Unix(s.From, 0).UTC(); s.From != 0 && edge.After(from) {
		from = edge
	}
	if s.Version == v.layout.Live {
		return from
	}
	if oldest := v.live.Before(retention); oldest.After(from) {
		from = oldest
	}
	return from
}

// tracesOf is the part of a range of traces that a stretch answers; a zero to is its end. ok is false where that is empty.
func (v *View) tracesOf(s model.Stretch, from, to time.Time) (_, _ time.Time, ok bool) {
	from = v.since(from, s, v.live.Config().TraceRetention)
	if edge := time.Unix(s.To, 0); s.To != 0 && (to.IsZero() || edge.Before(to)) {
		to = edge
	}
	return from, to, to.IsZero() || from.Before(to)
}

// SearchTraces returns the traces that q selects. Each version looks for spans in its part of the range; a trace on the edge between
// two is the one of the version that holds more of it.
func (v *View) SearchTraces(q views.TraceQuery) (views.TraceResult, error) {
	list := v.layout.Of(model.ViewTraces)
	if q.Dims == nil {
		q.Dims = v.dims
	}
	if len(list) == 1 {
		return v.sets[list[0].Version].SearchTraces(q)
	}
	var out views.TraceResult
	q.Limit = max(1, q.Limit)
	for _, s := range slices.Backward(list) {
		from, to, ok := v.tracesOf(s, q.From, q.To)
		if !ok {
			continue
		}
		part := q
		part.From, part.To = from, to
		if q.Visit != nil && from.After(q.From) { // one that began before is visited in the version before
			part.Visit = func(start, end time.Time, failed bool) {
				if !start.Before(from) {
					q.Visit(start, end, failed)
				}
			}
		}
		r, err := v.sets[s.Version].SearchTraces(part)
		if err != nil {
			return out, err
		}
		for _, t := range r.Traces {
			i := slices.IndexFunc(out.Traces, func(o views.TraceSummary) bool { return o.ID == t.ID })
			switch {
			case i < 0:
				out.Traces = append(out.Traces, t)
			case t.Spans > out.Traces[i].Spans:
				out.Traces[i] = t
			}
		}
		out.More, out.Ended, out.Sifted = out.More || r.More, out.Ended || r.Ended, out.Sifted || r.Sifted
		out.SearchedTo, out.SpansSince = laterOf(out.SearchedTo, r.SearchedTo), laterOf(out.SpansSince, r.SpansSince)
	}
	slices.SortFunc(out.Traces, func(a, b views.TraceSummary) int {
		by := cmp.Compare(b.Start.UnixNano(), a.Start.UnixNano())
		if q.Slowest {
			by = cmp.Compare(b.Duration(), a.Duration())
		}
		return cmp.Or(by, slices.Compare(b.ID[:], a.ID[:]))
	})
	if len(out.Traces) > q.Limit {
		out.Traces, out.More = out.Traces[:q.Limit], true
	}
	return out, nil
}

// ScanSpans calls fn with blocks that may have the spans that q selects, version after version from the newest.
func (v *View) ScanSpans(q views.SpanScan, fn func(block []byte, dims model.DimFilter) error) (out views.SpanScanResult, err error) {
	if q.Dims == nil {
		q.Dims = v.dims
	}
	for _, s := range slices.Backward(v.layout.Of(model.ViewTraces)) {
		from, to, ok := v.tracesOf(s, q.From, q.To)
		if !ok {
			continue
		}
		part := q
		part.From, part.To = from, to
		r, err := v.sets[s.Version].ScanSpans(part, fn)
		if out.Merge(r); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Trace returns a trace from the version that holds most of it.
func (v *View) Trace(id [16]byte) (t views.TraceSummary, raw [][]byte, missing int, ok bool, err error) {
	return views.WholeTrace(id, v.EachTraceBlock)
}

// SearchLogs returns the newest lines that q selects, version after version from the newest.
func (v *View) SearchLogs(q views.LogQuery) (views.LogResult, error) {
	list := v.layout.Of(model.TableLogs.LayoutName())
	if q.Dims == nil {
		q.Dims = v.dims
	}
	if len(list) == 1 {
		return v.sets[list[0].Version].SearchLogs(q)
	}
	var out views.LogResult
	q.Limit = max(1, q.Limit)
	for i, s := range slices.Backward(list) {
		part := q
		part.Limit = q.Limit - len(out.Lines)
		part.From = v.since(part.From, s, v.live.Config().LogRetention)
		if s.To != 0 {
			edge := time.Unix(s.To, 0)
			if part.To.IsZero() || edge.Before(part.To) {
				part.To = edge
			}
			if q.Before != nil && q.Before.At >= uint64(edge.UnixNano()) {
				part.Before = nil // the cursor lies in a later version
			}
		}
		if s.From != 0 && q.Before != nil && q.Before.At <= uint64(time.Unix(s.From, 0).UnixNano()) {
			continue
		}
		r, err := v.sets[s.Version].SearchLogs(part)
		if err != nil {
			return out, err
		}
		out.Lines = append(out.Lines, r.Lines...)
		out.Since, out.Next, out.Exhausted = r.Since, r.Next, r.Exhausted
		if r.Next != nil {
			return out, nil
		}
		if len(out.Lines) == q.Limit && i > 0 {
			out.Next = &views.LogPlace{At: uint64(time.Unix(s.From, 0).UnixNano())}
			return out, nil
		}
	}
	return out, nil
}

// TailLogs returns lines of new checkpoints. Those of before a swap are not returned again.
func (v *View) TailLogs(q views.LogQuery, after uint64, limit int) (lines []views.LogLine, dropped int, seq uint64, err error) {
	if after >= v.seq {
		after -= v.seq
	} else {
		after = 0
	}
	if v.seq > 0 {
		after = max(after, v.first)
	}
	if q.Dims == nil {
		q.Dims = v.dims
	}
	lines, dropped, seq, err = v.live.TailLogs(q, after, limit)
	return lines, dropped, seq + v.seq, err
}

// Counters are those of the version that goes on with the topic.
func (v *View) Counters() model.Counters { return v.live.Counters() }

// Feed publishes checkpoints and swaps.
func (v *View) Feed() *model.Feed { return v.feed }
