package query

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"
)

// A query of a few letters must not take all memory: Prometheus' engine does so for each of these.
func TestSubqueriesAreBounded(t *testing.T) {
	eng, ctx, none := NewEngine(EngineConfig{}, nil, nil), context.Background(), &Queryable{}
	for text, steps := range map[string]string{
		"count_over_time(vector(1)[100000d:1s])":                                            "8640000000",
		"max_over_time(rate(up[5m])[400d:1s])":                                              "34560000",
		"1 + sum(max_over_time(min_over_time(vector(1)[1h:1s])[290y:1y]))":                  "9145443600",
		"min_over_time(max_over_time(vector(1)[100y:1y])[100y:10y] offset 1d)":              "",
		"max_over_time(max_over_time(max_over_time(vector(1)[290y:1s])[290y:1y])[290y:1y])": "27436320000",
		"count_over_time(vector(1)[200y:])":                                                 "105120000",
	} {
		_, err := eng.NewInstantQuery(ctx, none, nil, text, time.Unix(1_700_000_000, 0))
		if steps == "" {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, "has "+steps+" steps, at most 1000000 are evaluated: give it a wider step or a shorter range", text)
	}
	_, err := eng.NewRangeQuery(ctx, none, nil, "count_over_time(vector(1)[1h:1s])", time.Unix(0, 0), time.Unix(1_700_000_000, 0),
		24*time.Hour)
	require.ErrorContains(t, err, "has 1700003600 steps")
	_, err = eng.NewInstantQuery(ctx, none, nil, strings.Repeat("1+", 1<<15)+"1", time.Unix(1, 0))
	require.ErrorContains(t, err, "the query has 65537 bytes, at most 65536 are evaluated")
	q, err := eng.NewInstantQuery(ctx, none, nil, "count_over_time(vector(1)[7d:1s])", time.Unix(1_700_000_000, 0))
	require.NoError(t, err)
	require.Equal(t, "{} => 604800 @[1700000000000]", strings.TrimSpace(q.Exec(ctx).String()))
}

// Queries beyond the limit wait, and give up with whoever asked.
func TestQueriesWaitForAPlace(t *testing.T) {
	eng := NewEngine(EngineConfig{Concurrency: 1}, nil, nil)
	begun, goOn := make(chan struct{}), make(chan struct{})
	slow := storage.QueryableFunc(func(int64, int64) (storage.Querier, error) {
		close(begun)
		<-goOn
		return storage.NoopQuerier(), nil
	})
	first, err := eng.NewInstantQuery(t.Context(), slow, nil, "up", time.Unix(1, 0))
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- first.Exec(context.Background()).Err }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = eng.NewInstantQuery(ctx, &Queryable{}, nil, "1", time.Unix(1, 0)) // parsing takes a place too
	require.ErrorContains(t, err, "canceled")
	close(goOn)
	require.NoError(t, <-ended)
	third, err := eng.NewInstantQuery(t.Context(), &Queryable{}, nil, "1", time.Unix(1, 0))
	require.NoError(t, err)
	require.NoError(t, third.Exec(t.Context()).Err)
}
