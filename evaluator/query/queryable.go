package query

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	viewmodel "github.com/gaurav/watchingcat/views/model"
)

// DefaultLifetime is how long a series that counts nothing more stays visible: the retention of the 1 min level.
const DefaultLifetime = 72 * time.Hour

// Queryable shows views as Prometheus series: the three families of span metrics and the service graph. Counters behave as a
// connector's without its restarts: cumulative since the view began, with samples at the ends of 10 s buckets and one at the
// newest event time, and a zero sample before a series' first bucket, without which the rate of a first error would be nothing.
type Queryable struct {
	Reader   views.Reader
	Lifetime time.Duration // of a silent series; 0 means DefaultLifetime
}

var (
	_ storage.SampleAndChunkQueryable = (*Queryable)(nil)
	_ storage.ExemplarQueryable       = (*Queryable)(nil)
)

// Querier implements storage.Queryable; times are Unix milliseconds, both inclusive.
func (q *Queryable) Querier(mint, maxt int64) (storage.Querier, error) {
	return q.querier(mint, maxt), nil
}

// querier reads one version of the views until it is closed.
func (q *Queryable) querier(mint, maxt int64) *querier {
	r, release := live.Snapshot(q.Reader)
	return &querier{q: q, r: r, release: sync.OnceFunc(release), mint: mint, maxt: maxt}
}

// ChunkQuerier implements storage.ChunkQueryable.
func (q *Queryable) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	return chunkQuerier{q.querier(mint, maxt)}, nil
}

func (q *Queryable) lifetime() int64 {
	if q.Lifetime > 0 {
		return q.Lifetime.Milliseconds()
	}
	return DefaultLifetime.Milliseconds()
}

type querier struct {
	q          *Queryable
	r          views.Reader
	release    func()
	mint, maxt int64
}

func (q *querier) Close() error {
	q.release()
	return nil
}

func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	mint, maxt, limit := q.mint, q.maxt, 0
	if hints != nil {
		mint, maxt, limit = max(mint, hints.Start), min(maxt, hints.End), hints.Limit
	}
	s := selection{matching: matching{ctx: ctx}, ms: ms, limit: limit}
	s.w = newWindow(mint, maxt, q.r.Frontier(), q.q.lifetime())
	if parts, ok := recentOf(ctx).series(ms, mint-mint%bucketMillis); ok {
		s.take(parts)
		sorted = false
	} else if err := s.run(q.r); err != nil {
		return storage.ErrSeriesSet(err)
	}
	if sorted {
		slices.SortFunc(s.out, func(a, b *series) int { return labels.Compare(a.lset, b.lset) })
	}
	if limit > 0 && len(s.out) > limit {
		s.out = s.out[:limit]
	}
	return &seriesSet{series: s.out, at: -1}
}

type seriesSet struct {
	series []*series
	at     int
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *seriesSet) At() storage.Series                { return s.series[s.at] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// A selection is one Select while it runs.
type selection struct {
	matching
	ms      []*labels.Matcher
	w       window
	limit   int
	ladders ladders
	out     []*series
}

// matching ends with its query: regular expressions of matchers may take long.
type matching struct {
	ctx  context.Context
	seen int // series
}

// matchEvery is after how many series the context is looked at.
const matchEvery = 64

// over counts one more series and reports whether the query has ended; matching then selects nothing more.
func (m *matching) over() bool {
	m.seen++
	return m.seen%matchEvery == 0 && m.ctx.Err() != nil
}

// metricsOf are metrics, split by the view that they show.
type metricsOf struct{ red, edges, tables []*metric }

func (c *metricsOf) any() bool { return len(c.red)+len(c.edges)+len(c.tables) > 0 }

// NotOfViews reports whether matchers ask for a label that series of the views never have: those of an application's metrics have it.
func NotOfViews(ms []*labels.Matcher) bool {
	return slices.ContainsFunc(ms, func(m *labels.Matcher) bool {
		return (m.Name == model.JobLabel || m.Name == model.InstanceLabel) && !m.Matches("")
	})
}

// candidates returns the metrics that the matchers on the name accept.
func candidates(ms []*labels.Matcher) (c metricsOf) {
	if NotOfViews(ms) {
		return c
	}
next:
	for i := range metrics {
		m := &metrics[i]
		for _, x := range ms {
			if x.Name == labels.MetricName && !x.Matches(m.name) {
				continue next
			}
		}
		switch {
		case m.table != nil:
			c.tables = append(c.tables, m)
		case m.service != "":
			c.red = append(c.red, m)
		default:
			c.edges = append(c.edges, m)
		}
	}
	return c
}

// accepts reports whether the matchers but those on the name and on le accept a series with these labels.
func accepts(ms []*labels.Matcher, label func(name string) string) bool {
	for _, x := range ms {
		if x.Name != labels.MetricName && x.Name != labels.BucketLabel && !x.Matches(label(x.Name)) {
			return false
		}
	}
	return true
}

func (m *metric) matchRED(ms []*labels.Matcher, k viewmodel.REDKey) bool {
	return accepts(ms, func(name string) string { return m.redLabel(k, name) })
}

func (m *metric) matchEdge(ms []*labels.Matcher, k viewmodel.EdgeKey) bool {
	_, unpaired := k.Unpaired()
	return unpaired == m.unpaired && accepts(ms, func(name string) string { return m.edgeLabel(k, name) })
}

func (m *metric) matchTable(ms []*labels.Matcher, values []string) bool {
	return accepts(ms, func(name string) string { return m.tableLabel(values, name) })
}

// byTable calls fn for each table that metrics show, with those metrics.
func byTable(ms []*metric, fn func(t viewmodel.Table, of []*metric) error) error {
	of := map[viewmodel.Table][]*metric{}
	for _, m := range ms {
		of[m.table.table] = append(of[m.table.table], m)
	}
	for t, list := range of {
		if err := fn(t, list); err != nil {
			return err
		}
	}
	return nil
}

// run reads the views for the window. The range begins at the bucket edge at or before mint, so that whatever ended before the
// first sample is in the timelines' base.
func (s *selection) run(r views.Reader) error {
	c := candidates(s.ms)
	red, edges := c.red, c.edges
	from, to := s.cells()
	if len(red) > 0 {
		lines, err := r.SelectRED(from, to, func(_ uint32, k viewmodel.REDKey) bool {
			return !s.over() && slices.ContainsFunc(red, func(m *metric) bool { return m.matchRED(s.ms, k) })
		})
		if err != nil {
			return err
		}
		for i := range lines {
			for _, m := range red {
				if m.matchRED(s.ms, lines[i].Key) {
					s.add(m, redTimeline{&lines[i]}, m.redLabels(lines[i].Key))
				}
			}
		}
	}
	if len(edges) > 0 {
		lines, err := r.SelectEdges(from, to, func(_ uint32, k viewmodel.EdgeKey) bool {
			return !s.over() && slices.ContainsFunc(edges, func(m *metric) bool { return m.matchEdge(s.ms, k) })
		})
		if err != nil {
			return err
		}
		for i := range lines {
			for _, m := range edges {
				if m.matchEdge(s.ms, lines[i].Key) {
					s.add(m, edgeTimeline{&lines[i]}, m.edgeLabels(lines[i].Key))
				}
			}
		}
	}
	err := byTable(c.tables, func(t viewmodel.Table, of []*metric) error {
		lines, err := r.SelectTable(t, from, to, func(values []string) bool {
			return !s.over() && slices.ContainsFunc(of, func(m *metric) bool { return m.matchTable(s.ms, values) })
		})
		for i := range lines {
			for _, m := range of {
				if m.matchTable(s.ms, lines[i].Labels) {
					s.add(m, tallyTimeline{&lines[i]}, m.tableLabels(lines[i].Labels))
				}
			}
		}
		return err
	})
	return errors.Join(err, s.ctx.Err())
}

// cells is the range of buckets that the samples of the window need, to exclusive.
func (s *selection) cells() (from, to time.Time) {
	const lowest, highest = 0, math.MaxInt64/int64(time.Millisecond) - bucketMillis // what UnixNano can hold
	mint, maxt := min(max(s.w.mint, lowest), highest), min(max(s.w.maxt, lowest), highest)
	mint -= mint % bucketMillis
	return time.UnixMilli(mint), time.UnixMilli(maxt - maxt%bucketMillis + bucketMillis)
}

// add appends the series of one timeline that m shows, unless it has no sample in the window.
func (s *selection) add(m *metric, t timeline, l seriesLabels) {
	if from, to := s.w.bounds(t); from > to {
		return
	}
	for _, p := range m.shown(s.ms, l) {
		s.out = append(s.out, &series{lset: p.lset, m: m, t: t, le: p.le, w: &s.w, ladders: &s.ladders})
	}
}

// take appends the series of parts that have samples in the window.
func (s *selection) take(parts []recentPart) {
	for i := range parts {
		p := &parts[i]
		if from, to := s.w.bounds(p.t); from <= to {
			s.out = append(s.out, &series{lset: p.lset, m: p.m, t: p.t, le: p.le, w: &s.w, ladders: &s.ladders})
		}
	}
}

// shownSeries is one series that a metric shows of a timeline.
type shownSeries struct {
	lset labels.Labels
	le   int
}

// shown are the series that m shows of a timeline with these labels, those that the matchers on le accept.
func (m *metric) shown(ms []*labels.Matcher, l seriesLabels) (out []shownSeries) {
	b := labels.NewScratchBuilder(6)
	for le := range max(len(m.les), 1) {
		if len(m.les) > 0 && !matchLE(ms, m.les[le]) || len(m.les) == 0 && !matchLE(ms, "") {
			continue
		}
		b.Reset()
		for _, n := range l.names {
			if v := l.get(n); v != "" {
				b.Add(n, v)
			}
		}
		if len(m.les) > 0 {
			b.Add(labels.BucketLabel, m.les[le])
		}
		b.Sort()
		out = append(out, shownSeries{b.Labels(), le})
	}
	return out
}

func matchLE(ms []*labels.Matcher, le string) bool {
	for _, x := range ms {
		if x.Name == labels.BucketLabel && !x.Matches(le) {
			return false
		}
	}
	return true
}

type chunkQuerier struct{ *querier }

func (q chunkQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.ChunkSeriesSet {
	return viewChunkSet{storage.NewSeriesSetToChunkSet(q.querier.Select(ctx, sorted, hints, ms...))}
}

// viewChunkSet marks its series as those of the views.
type viewChunkSet struct{ storage.ChunkSeriesSet }

func (s viewChunkSet) At() storage.ChunkSeries { return viewChunks{s.ChunkSeriesSet.At()} }

type viewChunks struct{ storage.ChunkSeries }
