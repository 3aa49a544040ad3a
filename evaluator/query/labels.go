package query

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

// eachSeries calls fn for each metric and series that the matchers accept; label gives a series' labels but le. It reads names
// only, never cells, so a series may have no sample in the querier's range; a range that ends before the views begin has no series.
func (q *querier) eachSeries(ctx context.Context, ms []*labels.Matcher, fn func(m *metric, l seriesLabels)) error {
	c := candidates(ms)
	red, edges := c.red, c.edges
	f := q.r.Frontier()
	if !f.Since.IsZero() && q.maxt < f.Since.UnixMilli()-bucketMillis { // a series' first sample is a zero, a bucket before
		return nil
	}
	head := f.Head
	query := matching{ctx: ctx}
	if len(red) > 0 {
		_, err := q.r.SelectRED(head, head, func(_ uint32, k model.REDKey) bool {
			if query.over() {
				return false
			}
			for _, m := range red {
				if m.matchRED(ms, k) {
					fn(m, m.redLabels(k))
				}
			}
			return false
		})
		if err != nil {
			return err
		}
	}
	if len(edges) > 0 {
		_, err := q.r.SelectEdges(head, head, func(_ uint32, k model.EdgeKey) bool {
			if query.over() {
				return false
			}
			for _, m := range edges {
				if m.matchEdge(ms, k) {
					fn(m, m.edgeLabels(k))
				}
			}
			return false
		})
		if err != nil {
			return err
		}
	}
	return byTable(c.tables, func(t model.Table, of []*metric) error {
		_, err := q.q.Reader.SelectTable(t, head, head, func(values []string) bool {
			if query.over() {
				return false
			}
			for _, m := range of {
				if m.matchTable(ms, values) {
					fn(m, m.tableLabels(values))
				}
			}
			return false
		})
		return errors.Join(err, ctx.Err())
	})
}

// LabelValues implements storage.LabelQuerier.
func (q *querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints,
	ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	seen := map[string]struct{}{}
	err := q.eachSeries(ctx, ms, func(m *metric, l seriesLabels) {
		for _, le := range m.les {
			if name == labels.BucketLabel && matchLE(ms, le) {
				seen[le] = struct{}{}
			}
		}
		if v := l.get(name); v != "" && m.anyLE(ms) {
			seen[v] = struct{}{}
		}
	})
	return Limited(seen, hints), nil, err
}

// LabelNames implements storage.LabelQuerier.
func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints,
	ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	seen := map[string]struct{}{}
	err := q.eachSeries(ctx, ms, func(m *metric, l seriesLabels) {
		if !m.anyLE(ms) {
			return
		}
		for _, n := range l.names {
			if l.get(n) != "" {
				seen[n] = struct{}{}
			}
		}
		if len(m.les) > 0 {
			seen[labels.BucketLabel] = struct{}{}
		}
	})
	return Limited(seen, hints), nil, err
}

// anyLE reports whether the matchers on le accept one of m's series.
func (m *metric) anyLE(ms []*labels.Matcher) bool {
	if len(m.les) == 0 {
		return matchLE(ms, "")
	}
	return slices.ContainsFunc(m.les, func(le string) bool { return matchLE(ms, le) })
}

// Limited returns names or values of labels in order, as many as the hints allow.
func Limited(seen map[string]struct{}, hints *storage.LabelHints) []string {
	out := make([]string, 0, len(seen))
	for v := range seen {
		out = append(out, v)
	}
	slices.Sort(out)
	if hints != nil && hints.Limit > 0 && len(out) > hints.Limit {
		out = out[:hints.Limit]
	}
	return out
}

// ExemplarQuerier implements storage.ExemplarQueryable: the slowest and the latest span of each bucket, by trace_id and span_id.
func (q *Queryable) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return &exemplarQuerier{ctx, q}, nil
}

type exemplarQuerier struct {
	ctx context.Context
	q   *Queryable
}

// Select returns exemplars with start <= time <= end, in Unix milliseconds.
func (q *exemplarQuerier) Select(start, end int64, sets ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	r, release := live.Snapshot(q.q.Reader)
	defer release()
	out := []exemplar.QueryResult{} // clients distinguish an empty list from null
	seen := map[uint64]bool{}
	for _, ms := range sets {
		s := selection{matching: matching{ctx: q.ctx}, ms: ms}
		s.w = newWindow(start, end, r.Frontier(), q.q.lifetime())
		if err := s.run(r); err != nil {
			return nil, err
		}
		for _, x := range s.out {
			t, ok := x.t.(redTimeline)
			if h := x.lset.Hash(); !ok || seen[h] {
				continue
			} else if es := x.exemplars(t, start, end); len(es) > 0 {
				seen[h] = true
				out = append(out, exemplar.QueryResult{SeriesLabels: x.lset, Exemplars: es})
			}
		}
	}
	slices.SortFunc(out, func(a, b exemplar.QueryResult) int { return labels.Compare(a.SeriesLabels, b.SeriesLabels) })
	return out, nil
}

// exemplars are those of the cells that belong to the series: a bucket has those that fell into it alone.
func (s *series) exemplars(t redTimeline, start, end int64) []exemplar.Exemplar {
	var out []exemplar.Exemplar
	for i := range t.Cells {
		c := &t.Cells[i]
		for k, e := range [...]model.Exemplar{c.Slowest, c.Latest} {
			at := int64(e.End / 1e6)
			if e.TraceID == [16]byte{} || k == 1 && e == c.Slowest || at < start || at > end || !s.holds(e.Duration) {
				continue
			}
			out = append(out, exemplar.Exemplar{
				Labels: labels.FromStrings("span_id", hex.EncodeToString(e.SpanID[:]), "trace_id", hex.EncodeToString(e.TraceID[:])),
				Value:  s.exemplarValue(e.Duration), Ts: at, HasTs: true,
			})
		}
	}
	slices.SortFunc(out, exemplar.Compare)
	return out
}

func (s *series) holds(duration uint64) bool {
	if s.m.part != partBucket {
		return true
	}
	above := s.le == 0 || duration > uint64(s.m.bounds[s.le-1])
	return above && (s.le == len(s.m.bounds) || duration <= uint64(s.m.bounds[s.le]))
}

// exemplarValue is the duration in the metric's unit; a counter's exemplar stands for one call.
func (s *series) exemplarValue(duration uint64) float64 {
	if s.m.part == partCounter {
		return 1
	}
	return float64(duration) / float64(s.m.unit)
}
