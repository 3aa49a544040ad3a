package query

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// after is s, with what is older of the same labels before it.
func (s *series) after(list []storage.Series) storage.Series {
	for _, x := range list {
		if o, ok := x.(olderSeries); ok {
			return &continued{s, o}
		}
	}
	return s
}

// continued is a series of the views with what a Store knows of the time before.
type continued struct {
	*series
	before olderSeries
}

// Iterator goes from the older samples to those of the views. A counter of the views counts from elsewhere: to functions that see increases
// it is a counter that was restarted where the views begin, so that the difference of the two counters is no increase.
func (c *continued) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	first := c.series.Iterator(nil)
	kind := first.Next()
	if kind == chunkenc.ValNone {
		return c.before.Iterator(it)
	}
	var now storage.Series = c.series
	if c.before.rebase {
		now = &rebased{c.series, kind, first}
	}
	before := c.before
	before.ends, before.flat = before.ends && first.AtT() > before.edge, false
	return storage.ChainedSeriesMerge(before, now).Iterator(it)
}

// rebased is a series less its first sample.
type rebased struct {
	*series
	kind  chunkenc.ValueType
	first chunkenc.Iterator // at the first sample
}

func (r *rebased) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	out := &rebasedIterator{Iterator: r.series.Iterator(nil)}
	if r.kind == chunkenc.ValFloatHistogram {
		_, out.hist = r.first.AtFloatHistogram(nil)
	} else {
		_, out.base = r.first.At()
	}
	return out
}

type rebasedIterator struct {
	chunkenc.Iterator
	base float64
	hist *histogram.FloatHistogram
}

func (i *rebasedIterator) At() (int64, float64) {
	t, v := i.Iterator.At()
	return t, v - i.base
}

func (i *rebasedIterator) AtFloatHistogram(*histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	t, h := i.Iterator.AtFloatHistogram(nil)
	h, hint := h.Copy(), h.CounterResetHint
	if _, _, _, err := h.Sub(i.hist); err != nil {
		return t, &histogram.FloatHistogram{} // both are of one schema: it does not happen
	}
	h.CounterResetHint = hint
	return t, h
}
