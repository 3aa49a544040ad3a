package evaltest

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// Reader counts observations in exact 10 s cells and answers SelectRED, SelectEdges and Frontier. It is safe for concurrent use.
type Reader struct {
	views.Reader // not there: what is not implemented below panics
	mu           sync.Mutex
	fr           model.Frontier
	feed         model.Feed
	red          []*model.REDTimeline
	edges        []*model.EdgeTimeline
}

// Observation is one span, or one call over an edge.
type Observation struct {
	At       time.Time // end
	Duration time.Duration
	TraceID  byte
}

// Span counts spans of key.
func (r *Reader) Span(k model.REDKey, obs ...Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.red, func(t *model.REDTimeline) bool { return t.Key == k })
	if i < 0 {
		i = len(r.red)
		r.red = append(r.red, &model.REDTimeline{ID: uint32(i + 1), Key: k, First: bucketOf(obs[0].At)})
	}
	t := r.red[i]
	for _, o := range obs {
		c := cell(&t.Cells, o.At, func(c *model.REDCell) *int64 { return &c.Bucket })
		c.Width = model.BucketSeconds
		c.Calls++
		c.Size += 100
		c.Sum.Add(model.NanosOf(o.Duration))
		c.Hist.Add(uint64(o.Duration), 1)
		e := model.Exemplar{TraceID: [16]byte{o.TraceID}, SpanID: [8]byte{o.TraceID}, End: uint64(o.At.UnixNano()),
			Duration: uint64(o.Duration)}
		if e.Duration >= c.Slowest.Duration {
			c.Slowest = e
		}
		if e.End >= c.Latest.End {
			c.Latest = e
		}
		t.First, t.Last = min(t.First, c.Bucket), max(t.Last, c.Bucket)
		r.seen(o.At)
	}
}

// Call counts calls over an edge.
func (r *Reader) Call(k model.EdgeKey, failed bool, obs ...Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.edges, func(t *model.EdgeTimeline) bool { return t.Key == k })
	if i < 0 {
		i = len(r.edges)
		r.edges = append(r.edges, &model.EdgeTimeline{ID: uint32(i + 1), Key: k, First: bucketOf(obs[0].At)})
	}
	t := r.edges[i]
	for _, o := range obs {
		c := cell(&t.Cells, o.At, func(c *model.EdgeCell) *int64 { return &c.Bucket })
		c.Width = model.BucketSeconds
		c.Calls++
		if failed {
			c.Failed++
		}
		c.ClientSum.Add(model.NanosOf(o.Duration))
		c.ServerSum.Add(model.NanosOf(o.Duration))
		c.ClientHist.Add(uint64(o.Duration), 1)
		c.ServerHist.Add(uint64(o.Duration), 1)
		t.First, t.Last = min(t.First, c.Bucket), max(t.Last, c.Bucket)
		r.seen(o.At)
	}
}

func bucketOf(t time.Time) int64 { return t.Unix() - t.Unix()%model.BucketSeconds }

func (r *Reader) seen(at time.Time) {
	if at.After(r.fr.Head) {
		r.fr.Head = at
	}
	if b := time.Unix(bucketOf(at), 0); r.fr.Since.IsZero() || b.Before(r.fr.Since) {
		r.fr.Since = b
	}
}

func cell[T any](cells *[]T, at time.Time, bucket func(*T) *int64) *T {
	b := bucketOf(at)
	i, ok := slices.BinarySearchFunc(*cells, b, func(c T, b int64) int { return cmp.Compare(*bucket(&c), b) })
	if !ok {
		var c T
		*bucket(&c) = b
		*cells = slices.Insert(*cells, i, c)
	}
	return &(*cells)[i]
}

// Commit makes complete the time up to which every partition has been read, and publishes a change of all series.
func (r *Reader) Commit(complete time.Time) {
	r.mu.Lock()
	r.fr.Seq++
	r.fr.Complete = complete
	fr, red, edges := r.fr, []model.Touch{}, []model.Touch{}
	for _, t := range r.red {
		red = append(red, model.Touch{ID: t.ID, Touched: model.Touched{Bucket: t.First}})
	}
	for _, t := range r.edges {
		edges = append(edges, model.Touch{ID: t.ID, Touched: model.Touched{Bucket: t.First}})
	}
	r.mu.Unlock()
	r.feed.Publish(fr, red, edges, 0)
}

// Complete moves the complete frontier alone, as idle partitions do.
func (r *Reader) Complete(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fr.Complete = t
}

// SelectRED implements views.Reader.
func (r *Reader) SelectRED(from, to time.Time, match func(uint32, model.REDKey) bool) ([]model.REDTimeline, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []model.REDTimeline
	for _, t := range r.red {
		if !match(t.ID, t.Key) {
			continue
		}
		n := model.REDTimeline{ID: t.ID, Key: t.Key, First: t.First, Last: t.Last}
		for _, c := range t.Cells {
			switch {
			case c.Bucket < from.Unix():
				n.Base.Calls += c.Calls
				n.Base.Size += c.Size
				n.Base.Sum.Add(c.Sum)
				n.Base.Hist.Merge(&c.Hist)
			case c.Bucket < to.Unix():
				c.Hist.Counts = slices.Clone(c.Hist.Counts)
				n.Cells = append(n.Cells, c)
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// SelectEdges implements views.Reader.
func (r *Reader) SelectEdges(from, to time.Time, match func(uint32, model.EdgeKey) bool) ([]model.EdgeTimeline, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []model.EdgeTimeline
	for _, t := range r.edges {
		if !match(t.ID, t.Key) {
			continue
		}
		n := model.EdgeTimeline{ID: t.ID, Key: t.Key, First: t.First, Last: t.Last}
		for _, c := range t.Cells {
			switch {
			case c.Bucket < from.Unix():
				n.Base.Calls += c.Calls
				n.Base.Failed += c.Failed
				n.Base.ClientSum.Add(c.ClientSum)
				n.Base.ServerSum.Add(c.ServerSum)
				n.Base.ClientHist.Merge(&c.ClientHist)
				n.Base.ServerHist.Merge(&c.ServerHist)
			case c.Bucket < to.Unix():
				c.ClientHist.Counts = slices.Clone(c.ClientHist.Counts)
				c.ServerHist.Counts = slices.Clone(c.ServerHist.Counts)
				n.Cells = append(n.Cells, c)
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// Frontier implements views.Reader.
func (r *Reader) Frontier() model.Frontier {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fr
}

// SelectTable implements views.Reader: there are no tables.
func (r *Reader) SelectTable(model.Table, time.Time, time.Time, func([]string) bool) ([]cells.TallyTimeline, error) {
	return nil, nil
}

// Feed implements views.Reader.
func (r *Reader) Feed() *model.Feed { return &r.feed }
