package query

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/gaurav/watchingcat/views"
)

// Store is a Prometheus that holds what is older. *raw.Prometheus is one.
type Store interface {
	storage.SampleAndChunkQueryable
	storage.ExemplarQueryable
	Name() string
}

// older is what a Store is asked for a query over a range, Unix milliseconds.
type older struct {
	store        Store
	mint, maxt   int64
	views, names int64 // where the views and the samples of other names begin; the Store answers for what lies before
}

func (s *Sources) older(r views.Reader, mint, maxt int64) *older {
	o := &older{store: s.Older, mint: mint, maxt: maxt, views: math.MaxInt64, names: math.MaxInt64}
	if since := r.Frontier().Since; !since.IsZero() {
		o.views = since.UnixMilli()
	}
	if samples := s.samples(r); samples != nil {
		if from, _, ok := samples.Range(); ok {
			o.names = from.UnixMilli()
		}
	}
	return o
}

// older implements storage.Queryable's Close for what reads it.
func (o *older) Close() error { return nil }

// read selects what lies before an edge, of a range that goes on beyond it also what lies a bit after; false when nothing of the range is
// before.
func (o *older) read(ctx context.Context, edge, ahead int64, hints *storage.SelectHints, ms []*labels.Matcher) (storage.SeriesSet, bool) {
	mint, maxt := o.mint, o.maxt
	if hints != nil {
		mint, maxt = max(mint, hints.Start), min(maxt, hints.End)
		// Where the first step lies behind the edge, there is no older sample that a selector of an instant shows.
		if l := lookbackOf(ctx); l > 0 && hints.Range == 0 && hints.Start+l > edge {
			return nil, false
		}
	}
	if mint >= edge || mint > maxt {
		return nil, false
	}
	if maxt >= edge {
		maxt = edge - 1 + ahead
	}
	q, err := o.store.Querier(mint, maxt)
	if err != nil {
		return storage.ErrSeriesSet(err), true
	}
	if hints != nil {
		h := *hints
		h.Start, h.End = mint, maxt
		hints = &h
	}
	return closingSet{q.Select(ctx, true, hints, ms...), q}, true
}

// closingSet closes its querier with its last series.
type closingSet struct {
	storage.SeriesSet
	q storage.Querier
}

func (s closingSet) Next() bool {
	if s.SeriesSet.Next() {
		return true
	}
	_ = s.q.Close() // a read by HTTP holds nothing
	return false
}

// lookbackKey is the lookback of a query in its context, Unix milliseconds.
type lookbackKey struct{}

func withLookback(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, lookbackKey{}, d.Milliseconds())
}

func lookbackOf(ctx context.Context) int64 {
	l, _ := ctx.Value(lookbackKey{}).(int64)
	return l
}

// otherNames accepts every name that is none of the views' metrics.
var otherNames = sync.OnceValue(func() *labels.Matcher {
	var names []string
	for i := range metrics {
		names = append(names, regexp.QuoteMeta(metrics[i].name))
	}
	return labels.MustNewMatcher(labels.MatchNotRegexp, labels.MetricName, strings.Join(names, "|"))
})

// oneName is the name that matchers select, "" where they may select several.
func oneName(ms []*labels.Matcher) string {
	for _, m := range ms {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// olderNames reads the names that are not the views'.
type olderNames struct{ *older }

func (q olderNames) Select(ctx context.Context, _ bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	if name := oneName(ms); IsView(name) {
		return storage.EmptySeriesSet()
	} else if name == "" {
		ms = append(slices.Clip(ms), otherNames())
	}
	set, ok := q.read(ctx, q.names, 0, hints, ms)
	if !ok {
		return storage.EmptySeriesSet()
	}
	return set
}

// labels are asked once for all names. A name or value may belong to a series of the views that the Store is not asked for.
func (q olderNames) labels(ms []*labels.Matcher,
	ask func(storage.Querier) ([]string, annotations.Annotations, error)) ([]string, annotations.Annotations, error) {
	edge := max(q.views, q.names)
	if name := oneName(ms); IsView(name) {
		edge = q.views
	} else if name != "" {
		edge = q.names
	}
	maxt := min(q.maxt, edge-1)
	if q.mint > maxt {
		return nil, nil, nil
	}
	sq, err := q.store.Querier(q.mint, maxt)
	if err != nil {
		return nil, nil, err
	}
	list, warnings, err := ask(sq)
	if e := sq.Close(); err == nil {
		err = e
	}
	return list, warnings, err
}

func (q olderNames) LabelValues(ctx context.Context, name string, hints *storage.LabelHints,
	ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels(ms, func(sq storage.Querier) ([]string, annotations.Annotations, error) {
		return sq.LabelValues(ctx, name, hints, ms...)
	})
}

func (q olderNames) LabelNames(ctx context.Context, hints *storage.LabelHints,
	ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels(ms, func(sq storage.Querier) ([]string, annotations.Annotations, error) {
		return sq.LabelNames(ctx, hints, ms...)
	})
}

// olderViews reads the names of the views: what the connectors of a collector counted before these begin.
type olderViews struct{ *older }

// namesOf narrows matchers to names of the views; false when they select none.
func namesOf(ms []*labels.Matcher) ([]*labels.Matcher, bool) {
	if name := oneName(ms); name != "" {
		return ms, IsView(name)
	}
	var names []string
next:
	for i := range metrics {
		for _, m := range ms {
			if m.Name == labels.MetricName && !m.Matches(metrics[i].name) {
				continue next
			}
		}
		names = append(names, regexp.QuoteMeta(metrics[i].name))
	}
	if len(names) == 0 {
		return nil, false
	}
	return append(slices.Clip(ms), labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, strings.Join(names, "|"))), true
}

func (q olderViews) Select(ctx context.Context, _ bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	narrowed, ok := namesOf(ms)
	if !ok {
		return storage.EmptySeriesSet()
	}
	out := &olderSet{edge: q.views, maxt: q.maxt}
	ahead := int64(nextSample)
	if hints != nil {
		out.maxt = min(q.maxt, hints.End)
		out.rebase, out.flat = slices.Contains(increases, hints.Func), slices.Contains(newestTwo, hints.Func)
		if slices.Contains(newest, hints.Func) {
			out.edge, ahead = q.views-hints.Range+1, 0
		}
	}
	if out.SeriesSet, ok = q.read(ctx, out.edge, ahead, hints, narrowed); !ok {
		return storage.EmptySeriesSet()
	}
	if name := oneName(ms); name != "" { // a selector of several names is satisfied with some
		out.none = fmt.Errorf("%s has no series of %s for the time before the views begin (%s): nothing from before is in this answer",
			q.store.Name(), selectorOf(ms), time.UnixMilli(q.views).UTC().Format(time.RFC3339))
		if q.views == math.MaxInt64 || slices.ContainsFunc(ms, isOwn) {
			out.none = nil
		}
	}
	return out
}

// LabelValues and LabelNames are olderNames'.
func (olderViews) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (olderViews) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// isOwn reports whether a matcher selects the series of the views beside those of applications, which have a job, under the same name.
func isOwn(m *labels.Matcher) bool {
	return m.Name == model.JobLabel && m.Type == labels.MatchEqual && m.Value == ""
}

// selectorOf is matchers as PromQL writes them.
func selectorOf(ms []*labels.Matcher) string {
	name := oneName(ms)
	var rest []string
	for _, m := range ms {
		if m.Name != labels.MetricName || m.Value != name {
			rest = append(rest, m.String())
		}
	}
	if len(rest) == 0 {
		return name
	}
	return name + "{" + strings.Join(rest, ",") + "}"
}

// Functions look at a window in ways of their own.
var (
	increases = []string{"rate", "irate", "increase", "resets"} // see how a counter grows, not its value
	newestTwo = []string{"irate", "idelta"}                     // see the growth between the newest two samples
	// They see the newest sample; of another series than the views' there must be none.
	newest = []string{"last_over_time"}
)

// nextSample is how far beyond the edge the Store's next sample is looked for, milliseconds. With it the value at the edge is known.
const nextSample = 2 * 60 * 1000

// olderSet is series of the views' names from before the views begin.
type olderSet struct {
	storage.SeriesSet
	edge, maxt int64
	rebase     bool // see olderSeries
	flat       bool
	none       error // the warning when there is no series
	any        bool
}

func (s *olderSet) Next() bool {
	ok := s.SeriesSet.Next()
	s.any = s.any || ok
	return ok
}

func (s *olderSet) At() storage.Series {
	return olderSeries{s.SeriesSet.At(), s.edge, s.maxt >= s.edge, s.rebase, s.flat}
}

func (s *olderSet) Warnings() annotations.Annotations {
	w := s.SeriesSet.Warnings()
	if !s.any && s.none != nil && s.Err() == nil {
		w = w.Add(s.none)
	}
	return w
}

// olderChunks is a querier of older samples as one of chunks.
type olderChunks struct{ storage.Querier }

func (q olderChunks) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.ChunkSeriesSet {
	set := storage.NewSeriesSetToChunkSet(q.Querier.Select(ctx, sorted, hints, ms...))
	if _, ok := q.Querier.(olderViews); ok {
		return olderChunkSet{set}
	}
	return set
}

type olderChunkSet struct{ storage.ChunkSeriesSet }

func (s olderChunkSet) At() storage.ChunkSeries { return olderViewChunks{s.ChunkSeriesSet.At()} }

type olderViewChunks struct{ storage.ChunkSeries }

// exemplars are those from before the views and the samples begin.
func (o *older) exemplars(ctx context.Context, sets [][]*labels.Matcher) ([]exemplar.QueryResult, error) {
	var ofViews, ofOthers [][]*labels.Matcher
	for _, ms := range sets {
		if narrowed, ok := namesOf(ms); ok {
			ofViews = append(ofViews, narrowed)
		}
		if name := oneName(ms); name == "" {
			ofOthers = append(ofOthers, append(slices.Clip(ms), otherNames()))
		} else if !IsView(name) {
			ofOthers = append(ofOthers, ms)
		}
	}
	q, err := o.store.ExemplarQuerier(ctx)
	if err != nil {
		return nil, err
	}
	var out []exemplar.QueryResult
	for _, part := range []struct {
		edge int64
		sets [][]*labels.Matcher
	}{{o.views, ofViews}, {o.names, ofOthers}} {
		if maxt := min(o.maxt, part.edge-1); o.mint <= maxt && len(part.sets) > 0 {
			list, err := q.Select(o.mint, maxt, part.sets...)
			if err != nil {
				return nil, fmt.Errorf("%w; exemplars from before %s are missing", err,
					time.UnixMilli(part.edge).UTC().Format(time.RFC3339))
			}
			out = append(out, list...)
		}
	}
	return out, nil
}

// addExemplars adds older exemplars to those of the same series.
func addExemplars(list, old []exemplar.QueryResult) []exemplar.QueryResult {
	at := map[string]int{}
	for i := range list {
		at[list[i].SeriesLabels.String()] = i
	}
	for _, x := range old {
		if i, ok := at[x.SeriesLabels.String()]; ok {
			list[i].Exemplars = append(slices.Clip(x.Exemplars), list[i].Exemplars...)
			continue
		}
		list = append(list, x)
	}
	return list
}
