package live

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/views/samples"
)

// splicedSamples reads the samples of a View, which must not be released before its queriers were made. Each version answers for its
// own stretch, so no sample is seen twice. A series of deltas begins anew where a stretch begins, as a counter of a restarted process
// does; all others go on, because their values are the sender's.
type splicedSamples struct{ v *View }

// stretchMS is a stretch in Unix milliseconds, both inclusive.
type stretchMS struct {
	s        samples.SampleReader
	from, to int64
}

// stretches cuts a range along the versions. What the live version would have dropped by now is not shown of others either.
func (s *splicedSamples) stretches(mint, maxt int64) (out []stretchMS) {
	list := s.v.layout.OfSamples()
	live := s.v.metrics.Samples[s.v.layout.LiveSamples()]
	if since, ok := live.Since(); ok && len(list) > 1 {
		mint = max(mint, since.UnixMilli())
	}
	for i, p := range list {
		c := stretchMS{s.v.metrics.Samples[p.Version], mint, maxt}
		if p.From != 0 {
			c.from = max(c.from, p.From*1000)
		}
		if p.To != 0 {
			c.to = min(c.to, p.To*1000-1)
		}
		if c.from <= c.to || len(out) == 0 && i == len(list)-1 { // an empty range still asks the live version
			out = append(out, c)
		}
	}
	return out
}

// Querier implements Prometheus' storage.Queryable.
func (s *splicedSamples) Querier(mint, maxt int64) (promstorage.Querier, error) {
	var list []promstorage.Querier
	for _, p := range s.stretches(mint, maxt) {
		q, err := p.s.Querier(p.from, p.to)
		if err != nil {
			return nil, errors.Join(err, closeQueriers(list))
		}
		list = append(list, q)
	}
	s.v.readers.Add(1)
	return heldQuerier{promstorage.NewMergeQuerier(list, nil, promstorage.ChainedSeriesMerge), s.v}, nil
}

// ChunkQuerier implements Prometheus' storage.ChunkQueryable.
func (s *splicedSamples) ChunkQuerier(mint, maxt int64) (promstorage.ChunkQuerier, error) {
	var list []promstorage.ChunkQuerier
	for _, p := range s.stretches(mint, maxt) {
		q, err := p.s.ChunkQuerier(p.from, p.to)
		if err != nil {
			return nil, errors.Join(err, closeQueriers(list))
		}
		list = append(list, q)
	}
	s.v.readers.Add(1)
	merge := promstorage.NewCompactingChunkSeriesMerger(promstorage.ChainedSeriesMerge)
	return heldChunkQuerier{promstorage.NewMergeChunkQuerier(list, nil, merge), s.v}, nil
}

// heldQuerier keeps what it reads from being dropped until it is closed.
type heldQuerier struct {
	promstorage.Querier
	v *View
}

func (q heldQuerier) Close() error {
	defer q.v.Release()
	return q.Querier.Close()
}

type heldChunkQuerier struct {
	promstorage.ChunkQuerier
	v *View
}

func (q heldChunkQuerier) Close() error {
	defer q.v.Release()
	return q.ChunkQuerier.Close()
}

func closeQueriers[C interface{ Close() error }](list []C) error {
	var errs []error
	for _, c := range list {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// ExemplarQuerier implements Prometheus' storage.ExemplarQueryable.
func (s *splicedSamples) ExemplarQuerier(ctx context.Context) (promstorage.ExemplarQuerier, error) {
	return splicedExemplars{s, ctx}, nil
}

type splicedExemplars struct {
	s   *splicedSamples
	ctx context.Context
}

// Select implements Prometheus' storage.ExemplarQuerier. Series of several versions stand side by side until their exemplars are joined.
func (e splicedExemplars) Select(start, end int64, matchers ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	var out []exemplar.QueryResult
	at := map[uint64]int{}
	for _, p := range e.s.stretches(start, end) {
		q, err := p.s.ExemplarQuerier(e.ctx)
		if err != nil {
			return nil, err
		}
		if q == nil || p.from > p.to {
			continue
		}
		list, err := q.Select(p.from, p.to, matchers...)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			h := r.SeriesLabels.Hash()
			if i, ok := at[h]; ok && labels.Equal(out[i].SeriesLabels, r.SeriesLabels) {
				out[i].Exemplars = append(out[i].Exemplars, r.Exemplars...)
				continue
			}
			at[h] = len(out)
			out = append(out, r)
		}
	}
	return out, nil
}

// Range returns the times between which samples are held; false while there are none.
func (s *splicedSamples) Range() (from, to time.Time, ok bool) {
	for _, p := range s.stretches(math.MinInt64, math.MaxInt64) {
		f, t, held := p.s.Range()
		if !held {
			continue
		}
		if p.from > f.UnixMilli() {
			f = time.UnixMilli(p.from).UTC()
		}
		if p.to < t.UnixMilli() {
			t = time.UnixMilli(p.to).UTC()
		}
		if t.Before(f) {
			continue
		}
		if !ok || f.Before(from) {
			from = f
		}
		if !ok || t.After(to) {
			to = t
		}
		ok = true
	}
	return from, to, ok
}

// Since is the oldest time that is retained; false while there are no samples.
func (s *splicedSamples) Since() (time.Time, bool) {
	return s.v.metrics.Samples[s.v.layout.LiveSamples()].Since()
}

// SeriesCounts returns how many series of each name had a sample lately.
func (s *splicedSamples) SeriesCounts() map[string]int {
	return s.v.metrics.Samples[s.v.layout.LiveSamples()].SeriesCounts()
}
