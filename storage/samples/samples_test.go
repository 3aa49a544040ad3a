package samples

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
)

const sampleTime = int64(1_500_000_000_000) // long ago: the machine's clock does not matter

func openStore(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s := Open(dir, o)
	require.NoError(t, s.Wait(context.Background()))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func sampleOf(name string, at int64, v float64) Sample {
	return Sample{Labels: labels.FromStrings(labels.MetricName, name, "job", "test"), T: at, V: v}
}

// dumpSamples is all that is shown, as text.
func dumpSamples(t *testing.T, s *Store) string {
	t.Helper()
	q, err := s.Querier(0, 1<<60)
	require.NoError(t, err)
	defer q.Close()
	lines := map[string][]string{}
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".+"))
	for set.Next() {
		name := set.At().Labels().String()
		it := set.At().Iterator(nil)
		for typ := it.Next(); typ != chunkenc.ValNone; typ = it.Next() {
			if typ == chunkenc.ValFloat {
				at, v := it.At()
				lines[name] = append(lines[name], fmt.Sprint(at, "=", v))
			} else {
				at, h := it.AtFloatHistogram(nil)
				lines[name] = append(lines[name], fmt.Sprint(at, "=", h.Compact(0)))
			}
		}
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintln(&b, name, strings.Join(lines[name], " "))
	}
	return b.String()
}

// TestSamplesSurviveAKill copies the folder while the TSDB runs, which is what a kill leaves, appends everything again, and
// finds the same: in order, out of order, histograms.
func TestSamplesSurviveAKill(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	ctx := context.Background()
	h := &histogram.Histogram{Schema: 1, Count: 3, Sum: 4, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}},
		PositiveBuckets: []int64{1, 1}}
	var batches [][]Sample
	for i := range int64(300) {
		at := sampleTime + i*10_000
		if i%3 == 2 {
			at -= 45_000 // the partition that is behind
		}
		batches = append(batches, []Sample{sampleOf("a", at, float64(i)), sampleOf(fmt.Sprintf("b%d", i%7), at, float64(i)),
			{Labels: labels.FromStrings(labels.MetricName, "h"), T: at, H: h}})
		_, err := s.Append(ctx, batches[i])
		require.NoError(t, err)
	}
	want := dumpSamples(t, s)
	killed := filepath.Join(t.TempDir(), "killed")
	require.NoError(t, os.CopyFS(killed, os.DirFS(s.dir)))
	again := openStore(t, killed, Options{})
	require.Equal(t, want, dumpSamples(t, again))
	for _, b := range batches {
		_, err := again.Append(ctx, b)
		require.NoError(t, err)
	}
	require.Equal(t, want, dumpSamples(t, again), "appending again changes nothing")
}

// TestSamplesGoByEventTime: what is older than the newest sample less the retention is not shown and is deleted, whatever the
// clock says; what is within it is taken in any order.
func TestSamplesGoByEventTime(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{Retention: time.Hour})
	ctx := context.Background()
	for i := range int64(24 * 60) { // a day, minute by minute
		_, err := s.Append(ctx, []Sample{sampleOf("a", sampleTime+i*60_000, float64(i))})
		require.NoError(t, err)
		if i%60 == 0 {
			require.NoError(t, s.db.Compact(ctx))
		}
	}
	newest := sampleTime + (24*60-1)*60_000
	from, to, ok := s.Range()
	require.True(t, ok)
	require.Equal(t, []int64{newest - 3_600_000, newest}, []int64{from.UnixMilli(), to.UnixMilli()})
	lines := strings.Fields(dumpSamples(t, s))
	require.Len(t, lines, 2+61)
	require.Less(t, len(s.db.Blocks()), 8, "old blocks are deleted")

	got, err := s.Append(ctx, []Sample{sampleOf("late", newest-3_590_000, 1), sampleOf("late", newest-2*3_600_000, 1)})
	require.NoError(t, err)
	require.Equal(t, 1, got.Samples)
	require.Equal(t, map[string]int{DropTooOld: 1}, got.Dropped)
	require.Contains(t, dumpSamples(t, s), "late")
}

// TestRestartHidesNothing: the oldest samples that are retained are shown after a restart, although a block of late samples ends later than the
// newest sample.
func TestRestartHidesNothing(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{Retention: time.Hour})
	for i := range int64(366) {
		_, err := s.Append(context.Background(), []Sample{sampleOf("a", sampleTime+i*10_000, 1), sampleOf("late", sampleTime+i*10_000, 1),
			sampleOf("late", sampleTime+i*10_000-5000, 1)})
		require.NoError(t, err)
	}
	require.NoError(t, s.db.CompactOOOHead(context.Background()))
	want := dumpSamples(t, s)
	require.NoError(t, s.Close())
	require.Equal(t, want, dumpSamples(t, openStore(t, dir, Options{Retention: time.Hour})))
}

// TestSamplesDropped: what one sample does wrong stops no other.
func TestSamplesDropped(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{MaxSeries: 2})
	ctx := context.Background()
	_, err := s.Append(ctx, []Sample{sampleOf("a", sampleTime, 1), sampleOf("b", sampleTime, 1)})
	require.NoError(t, err)
	got, err := s.Append(ctx, []Sample{sampleOf("a", sampleTime, 2), sampleOf("c", sampleTime, 1),
		{Labels: labels.FromStrings("x", "1", "x", "2"), T: sampleTime},
		{Labels: labels.FromStrings(labels.MetricName, "a", "job", "test"), T: sampleTime + 1,
			H: &histogram.Histogram{Count: 1, Schema: 99}},
		sampleOf("b", sampleTime+1, 2)})
	require.NoError(t, err)
	require.Equal(t, Appended{1, 1, map[string]int{DropConflict: 1, DropSeriesLimit: 1, DropInvalid: 2}}, got)
	require.Equal(t, 2, s.NumSeries())
	require.Equal(t, map[string]int{"a": 1, "b": 1}, s.SeriesCounts())
}

// TestSamplesOfOneAppendConflict: of several values of one series and time the first stays and each other one counts, as if they had come
// one by one; a point counts once, however many samples it has.
func TestSamplesOfOneAppendConflict(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	point := func(v float64) []Sample {
		list := []Sample{sampleOf("sum", sampleTime, v), sampleOf("count", sampleTime, v), sampleOf("bucket", sampleTime, v)}
		list[0].More, list[1].More = true, true
		return list
	}
	info := sampleOf("info", sampleTime, 1)
	info.NoPoint = true
	got, err := s.Append(context.Background(),
		slices.Concat([]Sample{sampleOf("a", sampleTime, 1), sampleOf("a", sampleTime, 2), sampleOf("a", sampleTime, 3),
			sampleOf("a", sampleTime, 1)},
			point(1), point(2), []Sample{info, info}))
	require.NoError(t, err)
	require.Equal(t, Appended{5, 3, map[string]int{DropConflict: 3}}, got)
}

func TestSamplesExemplars(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	p := sampleOf("a", sampleTime, 1)
	p.Exemplars = []exemplar.Exemplar{{Labels: labels.FromStrings("trace_id", "abc"), Value: 1, Ts: sampleTime, HasTs: true}}
	for range 2 {
		_, err := s.Append(context.Background(), []Sample{p})
		require.NoError(t, err)
	}
	q, err := s.ExemplarQuerier(context.Background())
	require.NoError(t, err)
	found, err := q.Select(0, 1<<60, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "a")})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Len(t, found[0].Exemplars, 1)
}

// TestSamplesWhileOpening: queries answer with a warning, and a folder that cannot be opened is an error.
func TestSamplesWhileOpening(t *testing.T) {
	s := &Store{done: make(chan struct{})}
	q, err := s.Querier(0, 1)
	require.NoError(t, err)
	set := q.Select(context.Background(), false, nil)
	require.False(t, set.Next())
	require.ErrorIs(t, set.Warnings().AsErrors()[0], ErrOpening)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Append(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	s = Open(file, Options{})
	require.Error(t, s.Wait(context.Background()))
	_, err = s.Querier(0, 1)
	require.Error(t, err)
	require.NoError(t, s.Close())
}

func TestSamplesDiskFull(t *testing.T) {
	free := uint64(0)
	s := openStore(t, t.TempDir(), Options{FreeBytes: func(string) (uint64, error) { return free, nil }})
	_, err := s.Append(context.Background(), []Sample{sampleOf("a", sampleTime, 1)})
	require.True(t, errors.Is(err, storage.ErrDiskFull))
	free, s.space = 1<<40, storage.NewSpaceProbe(s.dir, s.o.MinFreeBytes, s.o.FreeBytes, time.Now)
	_, err = s.Append(context.Background(), []Sample{sampleOf("a", sampleTime, 1)})
	require.NoError(t, err)
}

func BenchmarkSamplesAppend(b *testing.B) {
	s := Open(b.TempDir(), Options{})
	defer s.Close()
	require.NoError(b, s.Wait(context.Background()))
	list := make([]Sample, 10_000)
	for i := range list {
		list[i] = sampleOf(fmt.Sprintf("m%d", i), 0, 1)
	}
	at := sampleTime
	for b.Loop() {
		at += 10_000
		for i := range list {
			list[i].T = at
		}
		if _, err := s.Append(context.Background(), list); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(list)*b.N)/b.Elapsed().Seconds(), "samples/s")
}
