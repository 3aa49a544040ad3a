package evaluator

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/gaurav/watchingcat/views"
)

// Sources is everything that PromQL sees, as one: the names of the views' families come from the views, all other names from the
// samples of OTLP metrics, and what is older than those from a Prometheus.
type Sources struct {
	Views   *Queryable
	Samples views.SampleReader              // nil: those that are shown with the views, if any
	Older   storage.SampleAndChunkQueryable // nil: none; its errors are warnings
}

// samples are those that a reader of the views sees at the same moment; nil: none.
func (s *Sources) samples(r views.Reader) views.SampleReader {
	if s.Samples != nil {
		return s.Samples
	}
	if v, ok := r.(*views.View); ok {
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
		first = append(first, othersQuerier{q})
	}
	if s.Older != nil {
		q, err := s.Older.Querier(mint, maxt)
		if err != nil {
			return nil, errors.Join(err, closeAll(first))
		}
		second = append(second, othersQuerier{q})
	}
	return storage.NewMergeQuerier(first, second, storage.ChainedSeriesMerge), nil
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
		first = append(first, othersChunks{q})
	}
	if s.Older != nil {
		q, err := s.Older.ChunkQuerier(mint, maxt)
		if err != nil {
			return nil, errors.Join(err, closeAll(first))
		}
		second = append(second, othersChunks{q})
	}
	return storage.NewMergeChunkQuerier(first, second, storage.NewCompactingChunkSeriesMerger(storage.ChainedSeriesMerge)), nil
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
	r, release := views.Snapshot(e.s.Views.Reader)
	defer release()
	v := exemplarQuerier{e.ctx, &Queryable{Reader: r, Lifetime: e.s.Views.Lifetime}}
	out, err := v.Select(start, end, sets...)
	if err != nil {
		return nil, err
	}
	var others [][]*labels.Matcher
	for _, ms := range sets {
		if ms, any := otherNames(ms); any {
			others = append(others, ms)
		}
	}
	samples := e.s.samples(r)
	if len(others) == 0 || samples == nil {
		return out, nil
	}
	q, err := samples.ExemplarQuerier(e.ctx)
	if err != nil {
		return nil, err
	}
	more, err := q.Select(start, end, others...)
	if err != nil {
		return nil, err
	}
	out = append(out, more...)
	slices.SortFunc(out, func(a, b exemplar.QueryResult) int { return labels.Compare(a.SeriesLabels, b.SeriesLabels) })
	return out, nil
}

// isView says whether the views have a metric of this name.
func isView(name string) bool { return counters[name] }

// notViews accepts every name that is none of the views' metrics.
var notViews = sync.OnceValue(func() *labels.Matcher {
	var names []string
	for i := range metrics {
		names = append(names, regexp.QuoteMeta(metrics[i].name))
	}
	return labels.MustNewMatcher(labels.MatchNotRegexp, labels.MetricName, strings.Join(names, "|"))
})

// otherNames narrows matchers to names that are not the views'; false when there are none.
func otherNames(ms []*labels.Matcher) ([]*labels.Matcher, bool) {
	for _, m := range ms {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return ms, !isView(m.Value)
		}
	}
	return append(slices.Clip(ms), notViews()), true
}

// othersQuerier sees all but the views' metrics, which somebody may have exported as OTLP metrics too.
type othersQuerier struct{ storage.Querier }

func (q othersQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	ms, any := otherNames(ms)
	if !any {
		return storage.EmptySeriesSet()
	}
	return q.Querier.Select(ctx, sorted, hints, ms...)
}

func (q othersQuerier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	ms, any := otherNames(ms)
	if !any {
		return nil, nil, nil
	}
	return q.Querier.LabelValues(ctx, name, hints, ms...)
}

func (q othersQuerier) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	ms, any := otherNames(ms)
	if !any {
		return nil, nil, nil
	}
	return q.Querier.LabelNames(ctx, hints, ms...)
}

type othersChunks struct{ storage.ChunkQuerier }

func (q othersChunks) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.ChunkSeriesSet {
	ms, any := otherNames(ms)
	if !any {
		return storage.EmptyChunkSeriesSet()
	}
	return q.ChunkQuerier.Select(ctx, sorted, hints, ms...)
}

func (q othersChunks) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	ms, any := otherNames(ms)
	if !any {
		return nil, nil, nil
	}
	return q.ChunkQuerier.LabelValues(ctx, name, hints, ms...)
}

func (q othersChunks) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	ms, any := otherNames(ms)
	if !any {
		return nil, nil, nil
	}
	return q.ChunkQuerier.LabelNames(ctx, hints, ms...)
}

// SeriesCounts returns how many series the views show under each name.
func (q *Queryable) SeriesCounts() (map[string]int, error) {
	out := map[string]int{}
	r := q.querier(0, 0)
	defer r.release()
	err := r.eachSeries(nil, func(m *metric, _ func(string) string) { out[m.name] += max(len(m.les), 1) })
	return out, err
}

// FamilyMetadata describes metric families of OTLP metrics as MetricMetadata describes those of the views.
func FamilyMetadata(families []views.Family) []Metadata {
	var out []Metadata
	for _, f := range families {
		known := slices.ContainsFunc(metadata, func(m Metadata) bool { return m.Name == f.Name })
		if !known && !isView(f.Name) {
			out = append(out, Metadata{Name: f.Name, Type: f.Type, Help: f.Help, Unit: f.Unit})
		}
	}
	return out
}
