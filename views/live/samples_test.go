package live_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

// splicedTest is two versions of samples, the second from second 1,000 on.
type splicedTest struct {
	t        *testing.T
	live     *live.Live
	old, new *samples.Store
}

func newSplicedTest(t *testing.T) *splicedTest {
	t.Helper()
	s := &splicedTest{t: t}
	open := func(list ...int64) *samples.Store {
		x := samples.Open(t.TempDir(), samples.Options{Retention: time.Hour, MinFreeBytes: 1})
		t.Cleanup(func() { require.NoError(t, x.Close()) })
		var out []samples.Sample
		for _, at := range list {
			p := samples.Sample{Labels: labels.FromStrings("__name__", "depth"), T: at * 1000, V: float64(at)}
			p.Exemplars = []exemplar.Exemplar{{Labels: labels.FromStrings("trace_id", fmt.Sprint(at)), Value: 1, Ts: at * 1000,
				HasTs: true}}
			out = append(out, p)
		}
		_, err := x.Append(t.Context(), out)
		require.NoError(t, err)
		return x
	}
	s.old, s.new = open(900, 950, 999, 1000, 1010), open(990, 1000, 1010, 1020)
	kv := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(kv, model.Config{})
	require.NoError(t, err)
	m, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{})
	require.NoError(t, err)
	layout := model.Layout{Next: 1}
	s.live, err = live.NewLive(layout, map[uint32]*views.Set{0: set},
		viewsamples.MetricVersions{Live: m, Samples: map[uint32]viewsamples.SampleReader{0: s.old}})
	require.NoError(t, err)
	require.Equal(t, []int64{900, 950, 999, 1000, 1010}, s.times(0, 5000))

	m2, err := viewsamples.OpenMetrics(kv, viewsamples.MetricsConfig{Version: 1})
	require.NoError(t, err)
	wait, err := s.live.Swap(layout.WithSamples(1, 1000, 0), map[uint32]*views.Set{0: set},
		viewsamples.MetricVersions{Live: m2, Samples: map[uint32]viewsamples.SampleReader{0: s.old, 1: s.new}})
	require.NoError(t, err)
	wait()
	return s
}

// times are the seconds of the samples that are read between two seconds.
func (s *splicedTest) times(from, to int64) (list []int64) {
	s.t.Helper()
	v := s.live.View()
	q, err := v.Samples().Querier(from*1000, to*1000)
	require.NoError(s.t, err)
	v.Release()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "depth"))
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			at, v := it.At()
			require.Equal(s.t, float64(at/1000), v)
			list = append(list, at/1000)
		}
	}
	require.NoError(s.t, set.Err())
	require.NoError(s.t, q.Close())
	return list
}

// TestSplicedSamples: each version answers for its own stretch, and what the live one would have dropped is not shown of the other.
func TestSplicedSamples(t *testing.T) {
	s := newSplicedTest(t)
	require.Equal(t, []int64{900, 950, 999, 1000, 1010, 1020}, s.times(0, 5000))
	require.Equal(t, []int64{950, 999}, s.times(940, 999))
	require.Equal(t, []int64{1000}, s.times(1000, 1009))
	require.Empty(t, s.times(2000, 3000))

	v := s.live.View()
	chunks, err := v.Samples().ChunkQuerier(0, 5_000_000)
	require.NoError(t, err)
	names, _, err := chunks.LabelValues(context.Background(), "__name__", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"depth"}, names)
	require.NoError(t, chunks.Close())
	eq, err := v.Samples().ExemplarQuerier(context.Background())
	require.NoError(t, err)
	found, err := eq.Select(0, 5_000_000, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "depth")})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Len(t, found[0].Exemplars, 6)
	v.Release()

	from, to, ok := s.live.Metrics().Range()
	require.True(t, ok)
	require.Equal(t, []int64{900, 1020}, []int64{from.Unix(), to.Unix()})
	_, err = s.new.Append(t.Context(), []samples.Sample{{Labels: labels.FromStrings("__name__", "depth"), T: 4_560_000, V: 4560}})
	require.NoError(t, err)
	require.Equal(t, []int64{999, 1000, 1010, 1020, 4560}, s.times(0, 5000))
}

// TestSampleReadersAreWaitedFor: a swap does not end while a querier of before is open.
func TestSampleReadersAreWaitedFor(t *testing.T) {
	s := newSplicedTest(t)
	v := s.live.View()
	q, err := v.Samples().Querier(0, 5_000_000)
	require.NoError(t, err)
	v.Release()
	layout := v.Layout()
	m, err := viewsamples.OpenMetrics(storage.NewMem(storage.MemOptions{}), viewsamples.MetricsConfig{Version: 1})
	require.NoError(t, err)
	wait, err := s.live.Swap(layout.WithoutSamples(0), map[uint32]*views.Set{0: v.Set()},
		viewsamples.MetricVersions{Live: m, Samples: map[uint32]viewsamples.SampleReader{1: s.new}})
	require.NoError(t, err)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		wait()
	}()
	select {
	case <-gone:
		t.Fatal("the swap did not wait for an open querier")
	default:
	}
	require.NoError(t, q.Close())
	<-gone
}
