package storage

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/annotations"
)

// OpenPrometheus returns what a Prometheus at base holds from before the time that start gives, read by its remote read API; all
// of it while start gives none. Nothing is asked before a query needs it.
func OpenPrometheus(base string, start func() (time.Time, bool)) (promstorage.SampleAndChunkQueryable, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("storage: address of Prometheus: %w", err)
	}
	c, err := remote.NewReadClient("prometheus", &remote.ClientConfig{
		URL: &promconfig.URL{URL: u.JoinPath("api/v1/read")}, Timeout: model.Duration(20 * time.Second),
		HTTPClientConfig: promconfig.DefaultHTTPClientConfig, ChunkedReadLimit: config.DefaultChunkedReadLimit,
	})
	if err != nil {
		return nil, fmt.Errorf("storage: client of Prometheus: %w", err)
	}
	return olderQueryable{remote.NewSampleAndChunkQueryableClient(c, labels.EmptyLabels(), nil, false, func() (int64, error) {
		t, ok := start()
		if !ok {
			return math.MaxInt64, nil
		}
		return t.UnixMilli() - 1, nil
	})}, nil
}

// olderQueryable knows no labels: the remote read API cannot be asked for them.
type olderQueryable struct {
	promstorage.SampleAndChunkQueryable
}

func (o olderQueryable) Querier(mint, maxt int64) (promstorage.Querier, error) {
	q, err := o.SampleAndChunkQueryable.Querier(mint, maxt)
	return olderQuerier{q}, err
}

func (o olderQueryable) ChunkQuerier(mint, maxt int64) (promstorage.ChunkQuerier, error) {
	q, err := o.SampleAndChunkQueryable.ChunkQuerier(mint, maxt)
	return olderChunks{q}, err
}

type olderQuerier struct{ promstorage.Querier }

func (olderQuerier) LabelValues(context.Context, string, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}
func (olderQuerier) LabelNames(context.Context, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

type olderChunks struct{ promstorage.ChunkQuerier }

func (olderChunks) LabelValues(context.Context, string, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}
func (olderChunks) LabelNames(context.Context, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}
