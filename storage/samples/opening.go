package samples

import (
	"context"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// opening answers while the samples are being opened.
type opening struct{}

func (opening) warning() annotations.Annotations { return annotations.New().Add(ErrOpening) }

func (o opening) Select(context.Context, bool, *promstorage.SelectHints, ...*labels.Matcher) promstorage.SeriesSet {
	return warnedSet{promstorage.EmptySeriesSet(), o.warning()}
}

func (o opening) LabelValues(context.Context, string, *promstorage.LabelHints,
	...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, o.warning(), nil
}

func (o opening) LabelNames(context.Context, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, o.warning(), nil
}

func (opening) Close() error { return nil }

type warnedSet struct {
	promstorage.SeriesSet
	w annotations.Annotations
}

func (s warnedSet) Warnings() annotations.Annotations { return s.w }

type openingChunks struct{ opening }

func (openingChunks) Select(context.Context, bool, *promstorage.SelectHints, ...*labels.Matcher) promstorage.ChunkSeriesSet {
	return promstorage.EmptyChunkSeriesSet()
}

type openingExemplars struct{}

func (openingExemplars) Select(int64, int64, ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	return nil, nil
}
