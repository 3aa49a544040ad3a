package query

import (
	"math"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// olderSeries is a series that ends where the views begin: with its value there, if the Store's next sample shows it, and with a marker, so
// that its last value is not seen beside that of the views for as long as the query looks back.
type olderSeries struct {
	storage.Series
	edge   int64
	ends   bool // the range goes on beyond the edge
	rebase bool // a series of the views with the same labels begins anew, as a restarted counter: the query wants increases
	flat   bool // instead of the marker there are two samples without growth, which are the newest in windows that the views answer for
}

func (s olderSeries) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	if e, ok := it.(*endedIterator); ok {
		it = e.Iterator
	}
	return &endedIterator{Iterator: s.Series.Iterator(it), edge: s.edge, marker: s.ends, flat: s.flat}
}

// endedIterator ends at an edge.
type endedIterator struct {
	chunkenc.Iterator
	edge   int64
	marker bool // the last sample is a marker
	flat   bool // see olderSeries
	stage  endStage
	lastT  int64   // of the newest sample before the edge
	last   float64 // its value, then that at the edge
	known  bool
}

type endStage uint8

const (
	endSamples endStage = iota
	endValue            // the value at the edge, a millisecond before it
	endFlat             // the same when the views may have two samples
	endMarker           // of the series at the edge, or the same a millisecond later
	endOver
)

func (i *endedIterator) Next() chunkenc.ValueType {
	switch i.stage {
	case endSamples:
		return i.took(i.Iterator.Next())
	case endValue, endFlat:
		return i.mark()
	}
	i.stage = endOver
	return chunkenc.ValNone
}

func (i *endedIterator) Seek(t int64) chunkenc.ValueType {
	out := chunkenc.ValFloat
	if i.stage == endSamples {
		out = i.took(i.Iterator.Seek(t))
	}
	for (i.stage == endValue || i.stage == endFlat) && i.AtT() < t {
		i.mark()
	}
	if i.stage == endMarker && i.AtT() < t {
		i.stage = endOver
	}
	if i.stage == endOver {
		return chunkenc.ValNone
	}
	return out
}

// took looks at the sample that the iterator has come to.
func (i *endedIterator) took(v chunkenc.ValueType) chunkenc.ValueType {
	if v == chunkenc.ValNone {
		return i.mark()
	}
	if i.Iterator.AtT() < i.edge {
		if i.known = v == chunkenc.ValFloat; i.known {
			i.lastT, i.last = i.Iterator.At()
		}
		return v
	}
	if v == chunkenc.ValFloat && i.known && i.lastT < i.edge-1 {
		if t, v := i.Iterator.At(); v >= i.last {
			i.last += (v - i.last) * float64(i.edge-i.lastT) / float64(t-i.lastT)
			i.stage = endValue
			return chunkenc.ValFloat
		}
	}
	return i.mark()
}

// mark goes on to what ends the series.
func (i *endedIterator) mark() chunkenc.ValueType {
	switch {
	case !i.marker || i.Iterator.Err() != nil:
		i.stage = endOver
		return chunkenc.ValNone
	case i.flat && i.known && i.stage != endFlat:
		i.stage = endFlat
	default:
		i.stage = endMarker
	}
	return chunkenc.ValFloat
}

func (i *endedIterator) At() (int64, float64) {
	switch {
	case i.stage == endSamples:
		return i.Iterator.At()
	case i.stage == endMarker && (!i.flat || !i.known):
		return i.edge, math.Float64frombits(value.StaleNaN)
	}
	return i.AtT(), i.last
}

func (i *endedIterator) AtT() int64 {
	switch {
	case i.stage == endSamples:
		return i.Iterator.AtT()
	case i.stage == endValue:
		return i.edge - 1
	case i.stage == endFlat:
		return i.edge + bucketMillis - 1
	case i.flat && i.known:
		return i.edge + bucketMillis
	}
	return i.edge
}

func (i *endedIterator) AtST() int64 {
	if i.stage == endSamples {
		return i.Iterator.AtST()
	}
	return 0
}
