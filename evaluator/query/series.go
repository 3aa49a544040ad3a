package query

import (
	"math"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

const bucketMillis = model.BucketSeconds * 1000

// A timeline is one series of a view over a range. Cell -1 is what was counted before the range.
type timeline interface {
	span() (first, last int64) // starts of the first and the newest bucket, Unix seconds
	cells() int
	bucket(i int) (start, width int64) // Unix seconds, seconds
	total(i int, f field) uint64
	sum(i int, f field) model.Nanos
	hist(i int, f field) *model.Histogram
}

type redTimeline struct{ *model.REDTimeline }

func (t redTimeline) span() (int64, int64) { return t.First, t.Last }
func (t redTimeline) cells() int           { return len(t.Cells) }
func (t redTimeline) bucket(i int) (start, width int64) {
	return t.Cells[i].Bucket, t.Cells[i].Width
}
func (t redTimeline) counts(i int) *model.Counts {
	if i < 0 {
		return &t.Base
	}
	return &t.Cells[i].Counts
}
func (t redTimeline) total(i int, f field) uint64 {
	if f == fieldSize {
		return t.counts(i).Size
	}
	return t.counts(i).Calls
}
func (t redTimeline) sum(i int, _ field) model.Nanos       { return t.counts(i).Sum }
func (t redTimeline) hist(i int, _ field) *model.Histogram { return &t.counts(i).Hist }

type edgeTimeline struct{ *model.EdgeTimeline }

func (t edgeTimeline) span() (int64, int64) { return t.First, t.Last }
func (t edgeTimeline) cells() int           { return len(t.Cells) }
func (t edgeTimeline) bucket(i int) (start, width int64) {
	return t.Cells[i].Bucket, t.Cells[i].Width
}
func (t edgeTimeline) counts(i int) *model.EdgeCounts {
	if i < 0 {
		return &t.Base
	}
	return &t.Cells[i].EdgeCounts
}
func (t edgeTimeline) total(i int, f field) uint64 {
	if f == fieldFailed {
		return t.counts(i).Failed
	}
	return t.counts(i).Calls
}
func (t edgeTimeline) sum(i int, f field) model.Nanos {
	if f == fieldClient {
		return t.counts(i).ClientSum
	}
	return t.counts(i).ServerSum
}
func (t edgeTimeline) hist(i int, f field) *model.Histogram {
	if f == fieldClient {
		return &t.counts(i).ClientHist
	}
	return &t.counts(i).ServerHist
}

type tallyTimeline struct{ *cells.TallyTimeline }

func (t tallyTimeline) span() (int64, int64) { return t.First, t.Last }
func (t tallyTimeline) cells() int           { return len(t.Cells) }
func (t tallyTimeline) bucket(i int) (start, width int64) {
	return t.Cells[i].Bucket, t.Cells[i].Width
}
func (t tallyTimeline) counts(i int) *cells.Tally {
	if i < 0 {
		return &t.Base
	}
	return &t.Cells[i].Tally
}
func (t tallyTimeline) total(i int, f field) uint64 {
	switch f {
	case fieldSize:
		return t.counts(i).Size
	case fieldFailed:
		return t.counts(i).Failed
	}
	return t.counts(i).Calls
}
func (t tallyTimeline) sum(i int, _ field) model.Nanos       { return t.counts(i).Sum }
func (t tallyTimeline) hist(i int, _ field) *model.Histogram { return &t.counts(i).Hist }

// A window says at which times a query's series have samples, Unix milliseconds.
type window struct {
	mint, maxt int64
	since      int64 // start of the oldest bucket retained
	head       int64 // extra sample that counts everything; none when past maxt
	lifetime   int64 // how long a silent series stays
}

// newWindow places the extra sample. Between reading the frontier that a query asks for and running it, commits may have moved
// the head on; then the sample is at maxt, so that the bucket in progress is never left out.
func newWindow(mint, maxt int64, fr model.Frontier, lifetime int64) window {
	w := window{mint: mint, maxt: maxt, head: math.MinInt64, lifetime: lifetime}
	if !fr.Since.IsZero() {
		w.since = fr.Since.UnixMilli()
	}
	if fr.Head.IsZero() {
		return w
	}
	w.head = CeilMillis(fr.Head)
	if w.head > maxt && w.head-maxt < bucketMillis {
		w.head = maxt
	}
	return w
}

// CeilMillis is t in Unix milliseconds, rounded up: what happened at t is counted at the result.
func CeilMillis(t time.Time) int64 {
	n := t.UnixNano()
	ms := n / 1e6
	if n%1e6 > 0 {
		ms++
	}
	return ms
}

// bounds are the times of a timeline's first and last possible sample within w.
func (w *window) bounds(t timeline) (from, to int64) {
	first, last := t.span()
	from = max(first*1000, w.since, w.mint)
	to = min((last+model.BucketSeconds)*1000+w.lifetime, w.maxt)
	return from, to
}

// A ladder holds, for each cell of a timeline, how many observations are at most each bound, and how many there are.
type ladder struct {
	of   timeline
	m    *metric
	rows [][]uint64 // row 0 is cell -1
}

// ladders keeps the ladder used last: the series of one histogram are read one after another, and one ladder serves all.
type ladders struct {
	mu   sync.Mutex
	last *ladder
}

func (c *ladders) get(t timeline, m *metric) *ladder {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && c.last.of == t && c.last.m == m {
		return c.last
	}
	l := &ladder{of: t, m: m, rows: make([][]uint64, t.cells()+1)}
	for i := range l.rows {
		h := t.hist(i-1, m.field)
		l.rows[i] = append(h.Cumulative(m.bounds), h.Count())
	}
	c.last = l
	return l
}

// series is one series of one metric. It holds no samples: its iterators compute them.
type series struct {
	lset    labels.Labels
	m       *metric
	t       timeline
	le      int // index into m.les
	w       *window
	ladders *ladders
}

func (s *series) Labels() labels.Labels { return s.lset }

func (s *series) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	i, ok := it.(*iterator)
	if !ok {
		i = &iterator{}
	}
	*i = iterator{s: s, next: -1}
	i.from, i.to = s.w.bounds(s.t)
	if s.m.part == partBucket {
		i.ladder = s.ladders.get(s.t, s.m)
	}
	return i
}

// iterator walks the sample times of a series, adding up cells as it passes them.
type iterator struct {
	s        *series
	ladder   *ladder
	from, to int64
	t        int64 // of the current sample
	started  bool
	next     int // first cell not added yet
	n        uint64
	sum      model.Nanos
	hist     model.Histogram
	fh       *histogram.FloatHistogram // of hist, nil when it has changed since
}

func (i *iterator) kind() chunkenc.ValueType {
	if i.s.m.part == partNative {
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

func (i *iterator) Next() chunkenc.ValueType {
	if !i.started {
		return i.moveTo(i.from)
	}
	if i.t == math.MaxInt64 {
		return chunkenc.ValNone
	}
	return i.moveTo(i.t + 1)
}

func (i *iterator) Seek(t int64) chunkenc.ValueType {
	switch {
	case !i.started:
		return i.moveTo(max(t, i.from))
	case i.t == math.MaxInt64:
		return chunkenc.ValNone
	case t <= i.t:
		return i.kind()
	}
	return i.moveTo(max(t, i.t))
}

// moveTo stops at the first sample not before t: the end of a bucket, or the head.
func (i *iterator) moveTo(t int64) chunkenc.ValueType {
	i.started = true
	if t > i.to {
		i.t = math.MaxInt64
		return chunkenc.ValNone
	}
	at := (t + bucketMillis - 1) / bucketMillis * bucketMillis
	if h := i.s.w.head; t <= h && h < at {
		at = h
	}
	if at > i.to {
		i.t = math.MaxInt64
		return chunkenc.ValNone
	}
	i.t = at
	i.addCells()
	return i.kind()
}

// addCells adds the cells that the sample at i.t counts: those whose bucket has ended, at the head and after it all that began.
func (i *iterator) addCells() {
	if i.next < 0 {
		i.addCell(-1)
		i.next = 0
	}
	for ; i.next < i.s.t.cells(); i.next++ {
		start, width := i.s.t.bucket(i.next)
		if i.t < i.s.w.head && (start+width)*1000 > i.t || start*1000 > i.t {
			return
		}
		i.addCell(i.next)
	}
}

func (i *iterator) addCell(c int) {
	t, m := i.s.t, i.s.m
	switch m.part {
	case partCounter:
		i.n += t.total(c, m.field)
	case partSum:
		i.sum.Add(t.sum(c, m.field))
	case partCount:
		i.n += t.hist(c, m.field).Count()
	case partBucket:
		i.n += i.ladder.rows[c+1][i.s.le]
	case partNative:
		i.sum.Add(t.sum(c, m.field))
		i.hist.Merge(t.hist(c, m.field))
		i.fh = nil
	}
}

func (i *iterator) At() (int64, float64) {
	if i.s.m.part == partSum {
		return i.t, i.sum.Float() / float64(i.s.m.unit)
	}
	return i.t, float64(i.n)
}

func (i *iterator) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) { return i.t, nil }

func (i *iterator) AtFloatHistogram(fh *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	if i.fh == nil {
		i.fh = floatHistogram(&i.hist, i.sum.Float()/float64(i.s.m.unit))
	}
	if fh == nil {
		return i.t, i.fh.Copy()
	}
	i.fh.CopyTo(fh)
	return i.t, fh
}

func (i *iterator) AtT() int64 { return i.t }

// AtST is where the counter began, at its zero.
func (i *iterator) AtST() int64 {
	first, _ := i.s.t.span()
	return first * 1000
}

func (i *iterator) Err() error { return nil }

// floatHistogram turns h into a native histogram; sum is in seconds.
func floatHistogram(h *model.Histogram, sum float64) *histogram.FloatHistogram {
	zero, buckets := h.Native()
	fh := &histogram.FloatHistogram{
		Schema: model.NativeSchema, ZeroThreshold: model.NativeZeroThreshold,
		ZeroCount: float64(zero), Count: float64(zero), Sum: sum,
	}
	next := int32(0)
	for k, b := range buckets {
		n := len(fh.PositiveSpans)
		if k == 0 || b.Index != next {
			fh.PositiveSpans = append(fh.PositiveSpans, histogram.Span{Offset: b.Index - next})
			n++
		}
		fh.PositiveSpans[n-1].Length++
		fh.PositiveBuckets = append(fh.PositiveBuckets, float64(b.Count))
		fh.Count += float64(b.Count)
		next = b.Index + 1
	}
	return fh
}
