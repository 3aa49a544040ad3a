package query

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/samples"
)

// Sources is everything that PromQL sees, as one: the views, the samples of OTLP metrics, and what is older than those from a Prometheus.
//
// An application may name its metrics as the views name theirs (calls, exceptions, logs.records): both are shown, and differ in their
// labels, job above all. Where even the labels are the same, the series is the view's.
//
// The Prometheus answers for the names of the views up to where these begin (a collector's connectors counted the same spans there), and
// for all other names up to the first sample. Each sample of an answer comes from one of them, by its time: older.go.
type Sources struct {
	Views   *Queryable
	Samples samples.SampleReader // nil: those that are shown with the views, if any
	Older   Store                // nil: none; its errors are warnings
	// Unread says from when on the topics were read, where something before was not, and why; nil, or zero: nothing is missing. It is a
	// warning of queries that begin before, where there is no Older.
	Unread func() (at time.Time, why string)
}

// samples are those that a reader of the views sees at the same moment; nil: none.
func (s *Sources) samples(r views.Reader) samples.SampleReader {
	if s.Samples != nil {
		return s.Samples
	}
	if v, ok := r.(*live.View); ok {
		return v.Samples()
	}
	return nil
}

var (
	_ storage.SampleAndChunkQueryable = (*Sources)(nil)
	_ storage.ExemplarQueryable       = (*Sources)(nil)
)

// Querier implements storage.Queryable.
func (s *Sources) Querier(mint, maxt int64) (storage.Querier, error) {
	v := s.Views.querier(mint, maxt)
	first, second := []storage.Querier{v}, []storage.Querier(nil)
	if samples := s.samples(v.r); samples != nil {
		q, err := samples.Querier(mint, maxt)
		if err != nil {
			return nil, errors.Join(err, closeAll(first))
		}
		first = append(first, q)
	}
	if s.Older != nil {
		o := s.older(v.r, mint, maxt)
		second = append(second, olderNames{o}, olderViews{o})
	} else if u, ok := s.unread(mint, maxt); ok {
		second = append(second, u)
	}
	return storage.NewMergeQuerier(first, second, viewsFirst), nil
}

// ChunkQuerier implements storage.ChunkQueryable.
func (s *Sources) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	v := s.Views.querier(mint, maxt)
	first, second := []storage.ChunkQuerier{chunkQuerier{v}}, []storage.ChunkQuerier(nil)
	if samples := s.samples(v.r); samples != nil {
		q, err := samples.ChunkQuerier(mint, maxt)
		if err != nil {
			return nil, errors.Join(err, closeAll(first))
		}
		first = append(first, q)
	}
	if s.Older != nil {
		o := s.older(v.r, mint, maxt)
		second = append(second, olderChunks{olderNames{o}}, olderChunks{olderViews{o}})
	}
	return storage.NewMergeChunkQuerier(first, second, viewChunksFirst(storage.NewCompactingChunkSeriesMerger(storage.ChainedSeriesMerge))),
		nil
}

// viewsFirst merges series of the same labels: the view's is whole, but for what is older.
func viewsFirst(list ...storage.Series) storage.Series {
	for _, s := range list {
		if v, ok := s.(*series); ok {
			return v.after(list)
		}
	}
	return storage.ChainedSeriesMerge(list...)
}

func viewChunksFirst(merge storage.VerticalChunkSeriesMergeFunc) storage.VerticalChunkSeriesMergeFunc {
	return func(list ...storage.ChunkSeries) storage.ChunkSeries {
		for _, s := range list {
			if v, ok := s.(viewChunks); ok {
				for _, o := range list {
					if _, ok := o.(olderViewChunks); ok {
						return merge(o, v)
					}
				}
				return s
			}
		}
		return merge(list...)
	}
}

func closeAll[C interface{ Close() error }](list []C) error {
	var errs []error
	for _, c := range list {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// ExemplarQuerier implements storage.ExemplarQueryable.
func (s *Sources) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return exemplarSources{ctx, s}, nil
}

type exemplarSources struct {
	ctx context.Context
	s   *Sources
}

// Select reads one moment of views and samples.
func (e exemplarSources) Select(start, end int64, sets ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	r, release := live.Snapshot(e.s.Views.Reader)
	defer release()
	v := exemplarQuerier{e.ctx, &Queryable{Reader: r, Lifetime: e.s.Views.Lifetime}}
	out, err := v.Select(start, end, sets...)
	if err != nil {
		return nil, err
	}
	if samples := e.s.samples(r); samples != nil {
		q, err := samples.ExemplarQuerier(e.ctx)
		if err != nil {
			return nil, err
		}
		more, err := q.Select(start, end, sets...)
		if err != nil {
			return nil, err
		}
		known := map[string]bool{}
		for _, x := range out {
			known[x.SeriesLabels.String()] = true
		}
		for _, x := range more {
			if !known[x.SeriesLabels.String()] {
				out = append(out, x)
			}
		}
	}
	if e.s.Older != nil {
		old, err := e.s.older(r, start, end).exemplars(e.ctx, sets)
		if err != nil {
			if e.ctx.Err() != nil {
				return nil, err
			}
			raw.Warn(e.ctx, err.Error())
		}
		out = addExemplars(out, old)
	}
	slices.SortFunc(out, func(a, b exemplar.QueryResult) int { return labels.Compare(a.SeriesLabels, b.SeriesLabels) })
	return out, nil
}

// IsView says whether the views have a metric of this name.
func IsView(name string) bool { return counters[name] }

// SeriesCounts returns how many series the views show under each name.
func (q *Queryable) SeriesCounts() (map[string]int, error) {
	out := map[string]int{}
	r := q.querier(0, math.MaxInt64)
	defer r.release()
	err := r.eachSeries(context.Background(), nil, func(m *metric, _ seriesLabels) { out[m.name] += max(len(m.les), 1) })
	return out, err
}

// FamilyMetadata describes metric families of OTLP metrics as MetricMetadata describes those of the views.
func FamilyMetadata(families []samples.Family) []Metadata {
	var out []Metadata
	for _, f := range families {
		known := slices.ContainsFunc(described, func(m Metadata) bool { return m.Name == f.Name })
		if !known && !IsView(f.Name) {
			out = append(out, Metadata{Name: f.Name, Type: f.Type, Help: f.Help, Unit: f.Unit})
		}
	}
	return out
}
