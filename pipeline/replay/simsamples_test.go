package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
	"github.com/gaurav/watchingcat/views/metricstest"
	"github.com/gaurav/watchingcat/views/model"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

// Metrics have a topic of their own.
const (
	metricsTopic     = "metrics"
	metricPartitions = metricstest.Partitions
)

// simFolders are the sample folders of a machine; they outlive the process.
type simFolders struct {
	mu sync.Mutex
	of map[uint32]simFolder
}

// simFolder is what a TSDB holds: the first value of each series and time.
type simFolder map[string]map[int64]string

func (f *simFolders) versions() ([]uint32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.of)), nil
}

func (f *simFolders) drop(version uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.of, version)
	return nil
}

// topicOf is how a process reads the metrics topic into the folders until it dies.
func (f *simFolders) topicOf(p *simProcess) MetricsTopic {
	return MetricsTopic{Topics: kafka.TopicsOf(metricsTopic), Versions: f.versions, Drop: f.drop, Open: func(version uint32) ingest.SampleStore {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.of[version] == nil {
			f.of[version] = simFolder{}
		}
		return &simSamples{f: f, version: version, p: p}
	}}
}

// simProcess is alive until it is killed: nothing that it does afterwards reaches a folder.
type simProcess struct {
	mu   sync.Mutex
	dead bool
}

func (p *simProcess) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
}

var errKilled = errors.New("the process was killed")

type simSamples struct {
	promstorage.SampleAndChunkQueryable
	promstorage.ExemplarQueryable
	f       *simFolders
	version uint32
	p       *simProcess
}

func (s *simSamples) Append(_ context.Context, list []samples.Sample) (samples.Appended, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.dead {
		return samples.Appended{}, errKilled
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	out := samples.Appended{Dropped: map[string]int{}}
	folder := s.f.of[s.version]
	if folder == nil {
		return out, fmt.Errorf("samples of version %d are written after they were dropped", s.version)
	}
	for i := range list {
		if folder.put(&list[i]) {
			out.Samples++
			continue
		}
		out.Dropped[samples.DropConflict]++
	}
	return out, nil
}

func (f simFolder) put(s *samples.Sample) bool {
	name := s.Labels.String()
	if f[name] == nil {
		f[name] = map[int64]string{}
	}
	fh := s.FH
	if s.H != nil {
		fh = s.H.ToFloat(nil)
	}
	v := fmt.Sprint(s.V, math.Float64bits(s.V))
	if fh != nil {
		fh = fh.Copy().Compact(0)
		fh.CounterResetHint = histogram.UnknownCounterReset
		v = fh.String() + fmt.Sprint(fh.Schema, fh.Sum)
	}
	if old, ok := f[name][s.T]; ok {
		return old == v
	}
	f[name][s.T] = v
	return true
}

func (*simSamples) Wait(context.Context) error           { return nil }
func (*simSamples) Close() error                         { return nil }
func (*simSamples) Since() (time.Time, bool)             { return time.Time{}, false }
func (*simSamples) Range() (from, to time.Time, ok bool) { return from, to, false }
func (*simSamples) SeriesCounts() map[string]int         { return nil }

// metricRecords are what collectors wrote to the metrics topic in the minutes before now: nothing is ahead of the clock.
func metricRecords(t *testing.T, r *rand.Rand, n int) (out []*kgo.Record) {
	t.Helper()
	dealt, err := metricstest.TopicFrom(time.Now().Add(-10*time.Minute).UnixMilli(), r, n)
	require.NoError(t, err)
	for p, list := range dealt {
		for _, rec := range list {
			out = append(out, &kgo.Record{Topic: metricsTopic, Partition: p, Value: rec.Value, Timestamp: time.UnixMilli(rec.TimestampMS)})
		}
	}
	slices.SortStableFunc(out, func(a, b *kgo.Record) int {
		if d := a.Timestamp.Compare(b.Timestamp); d != 0 {
			return d
		}
		return int(a.Partition - b.Partition)
	})
	return out
}

// plainSamples are what records say, in one go.
func plainSamples(t *testing.T, records []*kgo.Record) simFolder {
	t.Helper()
	m, err := viewsamples.OpenMetrics(storage.NewMem(storage.MemOptions{}), viewsamples.MetricsConfig{})
	require.NoError(t, err)
	next := map[int32]int64{}
	var marks []model.Mark
	for p := range int32(metricPartitions) {
		marks = append(marks, model.Mark{Topic: metricsTopic, Partition: p})
	}
	over := func() { // partitions that have nothing more follow the clock
		for i := range marks {
			marks[i].Watermark = time.Now()
		}
	}
	folder := simFolder{}
	collect := func() {
		for {
			c := m.Collect(marks)
			if c == nil {
				return
			}
			for i := range c.Samples {
				folder.put(&c.Samples[i])
			}
			m.Install(c, samples.Appended{})
			if len(c.Samples) == 0 {
				return
			}
		}
	}
	for _, r := range records {
		md, err := ingest.DecodeMetrics(r.Value, 1000)
		require.NoError(t, err)
		m.Apply(r.Topic, r.Partition, model.Record{Offset: next[r.Partition], LeaderEpoch: -1, Timestamp: r.Timestamp.UnixMilli(),
			Value: r.Value}, md)
		next[r.Partition]++
	}
	over()
	collect()
	return folder
}

func (f simFolder) dump() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f)) {
		fmt.Fprintln(&b, name)
		for _, t := range slices.Sorted(maps.Keys(f[name])) {
			fmt.Fprintf(&b, "  %d %s\n", t, f[name][t])
		}
	}
	return b.String()
}

// splice is what readers see of the folders by a layout.
func (f *simFolders) splice(l *model.Layout) simFolder {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := simFolder{}
	for _, s := range l.OfSamples() {
		for name, values := range f.of[s.Version] {
			for t, v := range values {
				if t < s.From*1000 || s.To != 0 && t >= s.To*1000 {
					continue
				}
				if out[name] == nil {
					out[name] = map[int64]string{}
				}
				out[name][t] = v
			}
		}
	}
	return out
}

// isDelta says whether a series is sent as deltas: its values begin anew at an edge.
func isDelta(name string) bool {
	for _, d := range []string{"errors", "latency", "wait"} {
		if strings.Contains(name, `__name__="`+d) {
			return true
		}
	}
	return false
}

// compareSamples holds what is read against what the records say. After a splice only the values of deltas may be others, from the
// edge on, and no sample may be missing.
func (s *replaySim) compareSamples(g *Generations, cut bool) string {
	want, got := plainSamples(s.t, s.metrics), s.folders.splice(&g.layout)
	if cut {
		list := g.layout.OfSamples()
		edge := list[len(list)-1].From * 1000
		for _, f := range []simFolder{want, got} {
			for name, values := range f {
				for t := range values {
					if isDelta(name) && t >= edge {
						values[t] = "some value"
					}
				}
			}
		}
	}
	if diff := seeds.Diff(got.dump(), want.dump()); diff != "" {
		return "samples: " + diff
	}
	if len(want) < 5 {
		return fmt.Sprintf("only %d series", len(want))
	}
	return ""
}
