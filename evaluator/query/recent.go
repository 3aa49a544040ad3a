package query

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// Recent is the newest part of the series that rules select, kept between evaluations.
//
// The simple version: a thousand rules that each ask the views for ten of ten thousand series look through all of them a thousand
// times. So what rules select is read once when it changed: a commit says which series changed and from which bucket on, and that is
// read again, for all of them together. Rules then find their series by the text of their selectors.
//
// What it does not hold (longer windows, tables, selectors of templates) is read from the views as ever. It belongs to one evaluation at
// a time.
type Recent struct {
	keep      int64 // seconds before the head that are held
	from      int64 // start of the oldest bucket held, 0: nothing is
	version   uint32
	selectors map[string]*resolved // by the text of their matchers
	// ofRED and ofEdges find the selectors that may take a series.
	ofRED, ofEdges ServiceIndex[*resolved]
	red            map[uint32]*recentSeries
	edges          map[uint32]*recentSeries
	cells          int // held
}

const (
	maxRecent      = 16 * time.Minute // longest window that is held
	maxRecentCells = 3_000_000        // some 200 MB; beyond that rules ask the views
	recentSlack    = 60               // seconds by which cells may be older than asked before they are dropped
)

// resolved is a selector of a rule and its series, ordered by labels.
type resolved struct {
	ms         []*labels.Matcher
	red, edges []*metric
	list       []recentPart
}

// recentPart is one series that a metric shows of a timeline.
type recentPart struct {
	lset labels.Labels
	m    *metric
	le   int
	t    *recentSeries
}

// recentSeries is a timeline that holds what metrics show of it, without exemplars.
type recentSeries struct {
	first, last int64
	base        recentCell
	list        []recentCell
	hists       bool // a metric shows its histograms
	edge        bool
}

// recentCell is a bucket: the counts that fields name, and histograms where they are shown.
type recentCell struct {
	start, width int64
	calls, other uint64 // other: size of spans, failed calls of an edge
	sums         [2]model.Nanos
	hists        [2]*model.Histogram
}

func (t *recentSeries) span() (int64, int64) { return t.first, t.last }
func (t *recentSeries) cells() int           { return len(t.list) }
func (t *recentSeries) bucket(i int) (start, width int64) {
	return t.list[i].start, t.list[i].width
}
func (t *recentSeries) at(i int) *recentCell {
	if i < 0 {
		return &t.base
	}
	return &t.list[i]
}

func (t *recentSeries) total(i int, f field) uint64 {
	if f == fieldCalls {
		return t.at(i).calls
	}
	return t.at(i).other
}

// side is which of the two latencies of an edge a field names.
func side(f field) int {
	if f == fieldServer {
		return 1
	}
	return 0
}

func (t *recentSeries) sum(i int, f field) model.Nanos { return t.at(i).sums[side(f)] }

func (t *recentSeries) hist(i int, f field) *model.Histogram {
	if h := t.at(i).hists[side(f)]; h != nil {
		return h
	}
	return &model.Histogram{}
}

func (c *recentCell) add(o *recentCell) {
	c.calls += o.calls
	c.other += o.other
	for i := range c.sums {
		c.sums[i].Add(o.sums[i])
		if o.hists[i] == nil {
			continue
		}
		h := &model.Histogram{}
		if c.hists[i] != nil {
			h.Merge(c.hists[i])
		}
		h.Merge(o.hists[i])
		c.hists[i] = h
	}
}

// NewRecent holds what fits of the series that selectors of these expressions select.
func NewRecent(exprs []parser.Expr, selectors []Selector) *Recent {
	r := &Recent{selectors: map[string]*resolved{}, red: map[uint32]*recentSeries{}, edges: map[uint32]*recentSeries{}}
	longest := 5 * time.Minute // the lookback
	for _, e := range exprs {
		longest = max(longest, longestLook(e))
	}
	for _, s := range selectors {
		if s.any() && len(s.tables) == 0 {
			r.hold(s)
		}
	}
	r.keep = int64(min(longest, maxRecent)/time.Second) + 2*model.BucketSeconds
	return r
}

// hold adds a selector.
func (r *Recent) hold(s Selector) {
	text := s.Text()
	if r.selectors[text] != nil {
		return
	}
	x := &resolved{ms: s.Matchers, red: s.red, edges: s.edges}
	r.selectors[text] = x
	if len(s.red) > 0 {
		r.ofRED.Put(s.Matchers, x, "service_name", "service")
	}
	if len(s.edges) > 0 {
		r.ofEdges.Put(s.Matchers, x, "client", "server")
	}
}

// longestLook is how far an expression looks back, up to what is held; subqueries are not held.
func longestLook(e parser.Expr) (longest time.Duration) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			if d := n.Range + n.VectorSelector.(*parser.VectorSelector).OriginalOffset; d <= maxRecent {
				longest = max(longest, d)
			}
		case *parser.VectorSelector:
			if d := 5*time.Minute + n.OriginalOffset; d <= maxRecent {
				longest = max(longest, d)
			}
		}
		return nil
	})
	return longest
}

// Refresh reads what c says has changed. red and edges name all series.
func (r *Recent) Refresh(reader views.Reader, c model.Change, red map[uint32]model.REDKey, edges map[uint32]model.EdgeKey) error {
	if len(r.selectors) == 0 || c.Frontier.Head.IsZero() {
		return nil
	}
	if c.Frontier.Version != r.version || r.from == 0 {
		r.reset(c.Frontier)
		c.RED, c.Edges = nil, nil // all are new
	}
	r.advance(c.Frontier.Head.Unix())
	if r.from == 0 {
		return nil // too much to hold
	}
	if err := r.refreshRED(reader, c.RED, red); err != nil {
		r.from = 0
		return err
	}
	if err := r.refreshEdges(reader, c.Edges, edges); err != nil {
		r.from = 0
		return err
	}
	if r.cells > maxRecentCells {
		r.reset(c.Frontier)
		r.from = 0
	}
	return nil
}

func (r *Recent) reset(fr model.Frontier) {
	clear(r.red)
	clear(r.edges)
	for _, s := range r.selectors {
		s.list = nil
	}
	r.version, r.cells = fr.Version, 0
	r.from = bucketOf(fr.Head.Unix() - r.keep)
}

func bucketOf(t int64) int64 { return max(1, t-t%model.BucketSeconds) }

// advance drops cells that no window reaches any more.
func (r *Recent) advance(head int64) {
	from := bucketOf(head - r.keep)
	if from-r.from < recentSlack {
		return
	}
	r.from = from
	for _, by := range []map[uint32]*recentSeries{r.red, r.edges} {
		for _, t := range by {
			n := 0
			for t != nil && n < len(t.list) && t.list[n].start+t.list[n].width <= from {
				t.base.add(&t.list[n])
				n++
			}
			if n > 0 {
				t.list = slices.Delete(t.list, 0, n)
				r.cells -= n
			}
		}
	}
}

// batches splits the series that changed by where they have to be read from: those that changed lately, and those with late data. Series
// that no selector takes are left out.
func (r *Recent) batches(changed map[uint32]model.Touched, have map[uint32]*recentSeries) map[int64]map[uint32]*recentSeries {
	newest := int64(0)
	for _, c := range changed {
		newest = max(newest, c.Bucket)
	}
	near, nearly := max(r.from, newest-model.BucketSeconds), max(r.from, newest-6*model.BucketSeconds)
	out := map[int64]map[uint32]*recentSeries{}
	for id, c := range changed {
		t := have[id]
		if t == nil {
			continue // no selector takes it, or it has no name yet
		}
		from := r.from
		switch {
		case c.Bucket >= near:
			from = near
		case c.Bucket >= nearly: // of rules that are evaluated at their interval
			from = nearly
		}
		if out[from] == nil {
			out[from] = map[uint32]*recentSeries{}
		}
		out[from][id] = t
	}
	return out
}

// adoptNew adds the series that were named since the last refresh to have, nil where no selector takes one, and lets them be read as far
// back as is held.
func adoptNew[K any](changed map[uint32]model.Touched, keys map[uint32]K, have map[uint32]*recentSeries,
	adopt func(K) *recentSeries) map[uint32]model.Touched {
	if len(have) == len(keys) {
		return changed
	}
	changed = maps.Clone(changed)
	if changed == nil {
		changed = map[uint32]model.Touched{}
	}
	for id, k := range keys {
		if _, ok := have[id]; !ok {
			have[id] = adopt(k)
			changed[id] = model.Touched{}
		}
	}
	return changed
}

func (r *Recent) refreshRED(reader views.Reader, changed map[uint32]model.Touched, keys map[uint32]model.REDKey) error {
	changed = adoptNew(changed, keys, r.red, func(k model.REDKey) *recentSeries {
		var t *recentSeries
		r.ofRED.Each(func(s *resolved) {
			t = s.adopt(t, false, s.red, func(m *metric) bool { return m.matchRED(s.ms, k) },
				func(m *metric) seriesLabels { return m.redLabels(k) })
		}, k.Service)
		return t
	})
	for from, batch := range r.batches(changed, r.red) {
		lines, err := reader.SelectRED(time.Unix(from, 0), farFuture, func(id uint32, _ model.REDKey) bool { return batch[id] != nil })
		if err != nil {
			return err
		}
		for i := range lines {
			l, t := &lines[i], batch[lines[i].ID]
			t.first, t.last = l.First, l.Last
			r.replace(t, from, cellOf(&l.Base, t.hists), len(l.Cells), func(i int) recentCell {
				c := cellOf(&l.Cells[i].Counts, t.hists)
				c.start, c.width = l.Cells[i].Bucket, l.Cells[i].Width
				return c
			})
		}
	}
	return nil
}

var farFuture = time.Unix(math.MaxInt32*100, 0)

func cellOf(c *model.Counts, hists bool) recentCell {
	out := recentCell{calls: c.Calls, other: c.Size, sums: [2]model.Nanos{c.Sum}}
	if hists {
		h := c.Hist
		out.hists[0] = &h
	}
	return out
}

func edgeCellOf(c *model.EdgeCounts, hists bool) recentCell {
	out := recentCell{calls: c.Calls, other: c.Failed, sums: [2]model.Nanos{c.ClientSum, c.ServerSum}}
	if hists {
		client, server := c.ClientHist, c.ServerHist
		out.hists = [2]*model.Histogram{&client, &server}
	}
	return out
}

func (r *Recent) refreshEdges(reader views.Reader, changed map[uint32]model.Touched, keys map[uint32]model.EdgeKey) error {
	changed = adoptNew(changed, keys, r.edges, func(k model.EdgeKey) *recentSeries {
		var t *recentSeries
		r.ofEdges.Each(func(s *resolved) {
			t = s.adopt(t, true, s.edges, func(m *metric) bool { return m.matchEdge(s.ms, k) },
				func(m *metric) seriesLabels { return m.edgeLabels(k) })
		}, k.Client, k.Server)
		return t
	})
	for from, batch := range r.batches(changed, r.edges) {
		lines, err := reader.SelectEdges(time.Unix(from, 0), farFuture, func(id uint32, _ model.EdgeKey) bool { return batch[id] != nil })
		if err != nil {
			return err
		}
		seen := map[uint32]bool{}
		for i := range lines {
			l, t := &lines[i], batch[lines[i].ID]
			seen[l.ID] = true
			t.first, t.last = l.First, l.Last
			r.replace(t, from, edgeCellOf(&l.Base, t.hists), len(l.Cells), func(i int) recentCell {
				c := edgeCellOf(&l.Cells[i].EdgeCounts, t.hists)
				c.start, c.width = l.Cells[i].Bucket, l.Cells[i].Width
				return c
			})
		}
		for id, t := range batch {
			if !seen[id] { // all its calls were taken back: such an edge is not shown
				r.replace(t, 0, recentCell{}, 0, nil)
				t.first, t.last = math.MaxInt32, math.MinInt32
			}
		}
	}
	return nil
}

// adopt adds a series to the selector if it takes it, and makes its timeline if t is nil.
func (s *resolved) adopt(t *recentSeries, edge bool, metrics []*metric, match func(*metric) bool,
	labelsOf func(*metric) seriesLabels) *recentSeries {
	grown := false
	for _, m := range metrics {
		if !match(m) {
			continue
		}
		if t == nil {
			t = &recentSeries{edge: edge}
		}
		t.hists = t.hists || m.part != partCounter && m.part != partSum
		for _, p := range m.shown(s.ms, labelsOf(m)) {
			s.list = append(s.list, recentPart{p.lset, m, p.le, t})
			grown = true
		}
	}
	if grown {
		slices.SortFunc(s.list, func(a, b recentPart) int { return labels.Compare(a.lset, b.lset) })
	}
	return t
}

// replace puts cells in place of those from a bucket on; base is all that was counted before it.
func (r *Recent) replace(t *recentSeries, from int64, base recentCell, n int, cell func(int) recentCell) {
	keep := 0
	for keep < len(t.list) && t.list[keep].start < from {
		keep++
	}
	r.cells += n - (len(t.list) - keep)
	t.list = t.list[:keep]
	if keep == 0 {
		t.base = base
	}
	for i := range n {
		t.list = append(t.list, cell(i))
	}
}

// series returns those of a selector from a time on, Unix milliseconds; false when the views have to be asked.
func (r *Recent) series(ms []*labels.Matcher, mint int64) ([]recentPart, bool) {
	if r == nil || r.from == 0 || mint < r.from*1000 {
		return nil, false
	}
	s := r.selectors[selectorText(ms)]
	if s == nil {
		return nil, false
	}
	return s.list, true
}

// Counted is how many calls the series of a selector counted from a time on, and in the bucket before; false when that is not held.
func (r *Recent) Counted(selector string, from time.Time) (calls uint64, ok bool) {
	since := from.Unix() - model.BucketSeconds
	if r == nil || r.from == 0 || since < r.from || r.selectors[selector] == nil {
		return 0, false
	}
	for _, p := range r.selectors[selector].list {
		for i := len(p.t.list) - 1; i >= 0 && p.t.list[i].start+p.t.list[i].width > since; i-- {
			calls += p.t.list[i].calls
		}
	}
	return calls, true
}

type recentKey struct{}

// WithRecent lets queries under ctx find what is held. Only an evaluation may do so.
func WithRecent(ctx context.Context, r *Recent) context.Context {
	return context.WithValue(ctx, recentKey{}, r)
}

func recentOf(ctx context.Context) *Recent {
	r, _ := ctx.Value(recentKey{}).(*Recent)
	return r
}
