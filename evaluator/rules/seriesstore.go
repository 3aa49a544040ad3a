package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/gaurav/watchingcat/evaluator/expand"
	"github.com/gaurav/watchingcat/evaluator/query"
)

// A SeriesStore keeps what rules write (recorded series, ALERTS, ALERTS_FOR_STATE) in memory, bounded in series, samples and time.
// It is not persisted: a restart evaluates the rules again, and alerts have their own state.
type SeriesStore struct {
	retention  int64 // ms before a series' newest sample
	maxSeries  int
	maxSamples int // of one series

	mu     sync.RWMutex
	series map[string]*ruleSeries
	newest int64
}

type ruleSeries struct {
	lset    labels.Labels
	samples []ruleSample // ascending
}

// maxSeriesLabels bounds the labels of one series that a rule gets or writes, in bytes.
const maxSeriesLabels = 64 << 10

// checkSeries refuses results whose labels are too large to keep.
func checkSeries(v promql.Vector) error {
	for i := range v {
		if n := v[i].Metric.ByteSize(); n > maxSeriesLabels {
			return fmt.Errorf("%w: a series of the result has %d bytes of labels, at most %d are kept: shorten what label_replace and label_join make", expand.ErrBound, n, maxSeriesLabels)
		}
	}
	return nil
}

// errTooManySeries is returned when rules write more series than the store may hold.
var errTooManySeries = errors.New("evaluator: rules write more series than the limit")

// NewSeriesStore makes a store of at most maxSeries series. A series keeps samples within retention of its newest one, at most maxSamples.
func NewSeriesStore(retention time.Duration, maxSeries, maxSamples int) *SeriesStore {
	return &SeriesStore{retention: retention.Milliseconds(), maxSeries: maxSeries, maxSamples: maxSamples, series: map[string]*ruleSeries{}}
}

// AppenderV2 implements storage.AppendableV2. Samples count at once; there is nothing to roll back to.
func (s *SeriesStore) AppenderV2(context.Context) storage.AppenderV2 { return ruleAppender{s} }

type ruleAppender struct{ s *SeriesStore }

func (ruleAppender) Commit() error   { return nil }
func (ruleAppender) Rollback() error { return nil }

func (a ruleAppender) Append(_ storage.SeriesRef, l labels.Labels, st, t int64, v float64, h *histogram.Histogram,
	fh *histogram.FloatHistogram, _ storage.AppendV2Options) (storage.SeriesRef, error) {
	switch {
	case h != nil:
		fh = h.ToFloat(nil)
	case fh != nil:
		fh = fh.Copy() // the query that made it uses its memory again
	}
	return 0, a.s.append(l, ruleSample{t, v, fh, st})
}

// Append adds a sample at t, Unix milliseconds: v, or a histogram where h is not nil.
func (s *SeriesStore) Append(l labels.Labels, t int64, v float64, h *histogram.FloatHistogram) error {
	return s.append(l, ruleSample{t: t, v: v, h: h})
}

// append adds a sample; one at the time of the newest replaces it, since a rule may be evaluated again at the same frontier.
func (s *SeriesStore) append(l labels.Labels, p ruleSample) error {
	if n := l.ByteSize(); n > maxSeriesLabels+expand.MaxTemplate {
		return fmt.Errorf("%w: the series has %d bytes of labels", expand.ErrBound, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := string(l.Bytes(nil))
	r := s.series[key]
	if r == nil {
		if len(s.series) >= s.maxSeries && !s.drop() {
			return errTooManySeries
		}
		r = &ruleSeries{lset: l.Copy()}
		s.series[key] = r
	}
	if p.h != nil {
		var before *histogram.FloatHistogram
		if n := len(r.samples); n > 0 {
			before = r.samples[n-1].h
		}
		p.hint(before)
	}
	switch n := len(r.samples); {
	case n > 0 && p.t < r.samples[n-1].t:
		return storage.ErrOutOfOrderSample
	case n > 0 && p.t == r.samples[n-1].t:
		// A reader may hold the old array.
		r.samples = append(slices.Clone(r.samples[:n-1]), p)
	default:
		r.samples = append(r.samples, p)
	}
	s.newest = max(s.newest, p.t)
	if old := len(r.samples) - s.maxSamples; old > 0 || r.samples[0].t < p.t-2*s.retention {
		i, _ := slices.BinarySearchFunc(r.samples, p.t-s.retention, ruleSample.compare)
		r.samples = slices.Clone(r.samples[max(i, old+s.maxSamples/10, 0):])
	}
	return nil
}

// drop forgets series without a sample within the retention and reports whether there were any.
func (s *SeriesStore) drop() bool {
	n := len(s.series)
	for k, r := range s.series {
		if r.samples[len(r.samples)-1].t < s.newest-s.retention {
			delete(s.series, k)
		}
	}
	return len(s.series) < n
}

// hint says of a counter's histogram that it was not reset since the one before, where that is so, as Prometheus' TSDB does; whoever
// reads looks for himself at one that was.
func (p *ruleSample) hint(before *histogram.FloatHistogram) {
	if p.h.CounterResetHint == histogram.GaugeType {
		return
	}
	hint := histogram.UnknownCounterReset
	if before != nil && before.CounterResetHint != histogram.GaugeType && p.h.CounterResetHint != histogram.CounterReset &&
		!p.h.DetectReset(before) {
		hint = histogram.NotCounterReset
	}
	p.h = p.h.Copy()
	p.h.CounterResetHint = hint
}

type ruleSample struct {
	t int64
	v float64
	h *histogram.FloatHistogram
	// st is when the counter began, 0 where that is not known.
	st int64
}

func (p ruleSample) compare(t int64) int {
	switch {
	case p.t < t:
		return -1
	case p.t > t:
		return 1
	}
	return 0
}

func (p ruleSample) ST() int64               { return p.st }
func (p ruleSample) T() int64                { return p.t }
func (p ruleSample) F() float64              { return p.v }
func (p ruleSample) H() *histogram.Histogram { return nil }

// FH returns a copy: the engine changes what it is given in place.
func (p ruleSample) FH() *histogram.FloatHistogram {
	if p.h == nil {
		return nil
	}
	return p.h.Copy()
}
func (p ruleSample) Copy() chunks.Sample { return p }
func (p ruleSample) Type() chunkenc.ValueType {
	if p.h != nil {
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

// Querier implements storage.Queryable over what the store holds in [mint, maxt], Unix milliseconds.
func (s *SeriesStore) Querier(mint, maxt int64) (storage.Querier, error) {
	return &ruleQuerier{s, mint, maxt}, nil
}

// ChunkQuerier implements storage.ChunkQueryable.
func (s *SeriesStore) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	return ruleChunks{&ruleQuerier{s, mint, maxt}}, nil
}

type ruleQuerier struct {
	s          *SeriesStore
	mint, maxt int64
}

func (q *ruleQuerier) Close() error { return nil }

// seenEvery is after how many series the context of a query is looked at.
const seenEvery = 64

// each calls fn for every series that matches and has samples in the range.
func (q *ruleQuerier) each(ctx context.Context, ms []*labels.Matcher, fn func(l labels.Labels, samples []ruleSample)) {
	q.s.mu.RLock()
	defer q.s.mu.RUnlock()
	seen := 0
next:
	for _, r := range q.s.series {
		if seen++; seen%seenEvery == 0 && ctx.Err() != nil {
			return
		}
		for _, m := range ms {
			if !m.Matches(r.lset.Get(m.Name)) {
				continue next
			}
		}
		from, _ := slices.BinarySearchFunc(r.samples, q.mint, ruleSample.compare)
		to, _ := slices.BinarySearchFunc(r.samples, q.maxt+1, ruleSample.compare)
		if from < to {
			fn(r.lset, r.samples[from:to])
		}
	}
}

func (q *ruleQuerier) Select(ctx context.Context, _ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	var out []storage.Series
	q.each(ctx, ms, func(l labels.Labels, samples []ruleSample) {
		list := make([]chunks.Sample, len(samples))
		for i, p := range samples {
			list[i] = p
		}
		out = append(out, storage.NewListSeries(l, list))
	})
	if err := ctx.Err(); err != nil {
		return storage.ErrSeriesSet(err)
	}
	slices.SortFunc(out, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &listSet{out, -1}
}

type listSet struct {
	series []storage.Series
	at     int
}

func (s *listSet) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *listSet) At() storage.Series                { return s.series[s.at] }
func (s *listSet) Err() error                        { return nil }
func (s *listSet) Warnings() annotations.Annotations { return nil }

func (q *ruleQuerier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints,
	ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	seen := map[string]struct{}{}
	q.each(ctx, ms, func(l labels.Labels, _ []ruleSample) {
		if v := l.Get(name); v != "" {
			seen[v] = struct{}{}
		}
	})
	return query.Limited(seen, hints), nil, ctx.Err()
}

func (q *ruleQuerier) LabelNames(ctx context.Context, hints *storage.LabelHints,
	ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	seen := map[string]struct{}{}
	q.each(ctx, ms, func(l labels.Labels, _ []ruleSample) {
		l.Range(func(x labels.Label) { seen[x.Name] = struct{}{} })
	})
	return query.Limited(seen, hints), nil, ctx.Err()
}

// Over shows the series of the store beside q.
func (s *SeriesStore) Over(q storage.SampleAndChunkQueryable) storage.SampleAndChunkQueryable {
	return joined{q, s}
}

// joined is a queryable beside which the rules' own series are seen.
type joined struct {
	storage.SampleAndChunkQueryable
	rules *SeriesStore
}

func (j joined) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := j.SampleAndChunkQueryable.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return storage.NewMergeQuerier([]storage.Querier{q, &ruleQuerier{j.rules, mint, maxt}}, nil, storage.ChainedSeriesMerge), nil
}

func (j joined) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	q, err := j.SampleAndChunkQueryable.ChunkQuerier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return storage.NewMergeChunkQuerier([]storage.ChunkQuerier{q, ruleChunks{&ruleQuerier{j.rules, mint, maxt}}}, nil,
		storage.NewCompactingChunkSeriesMerger(storage.ChainedSeriesMerge)), nil
}

type ruleChunks struct{ *ruleQuerier }

func (q ruleChunks) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.ChunkSeriesSet {
	return storage.NewSeriesSetToChunkSet(q.ruleQuerier.Select(ctx, sorted, hints, ms...))
}
