package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/samples"
)

var replaySeeds = seeds.Flags("replay", 12)

// TestReplaySimulation replays a live stream while a reader reads all the time, and kills the process three times on the way. In
// the end what is read is what the records say; no read failed, went back in time or mixed versions.
func TestReplaySimulation(t *testing.T) { replaySeeds.Run(t, simulateReplay) }

// TestReplaySimulationFindsPlantedBugs: a swap that does not wait for the new version of the views or of the metrics, and positions in
// another transaction, of either.
func TestReplaySimulationFindsPlantedBugs(t *testing.T) {
	seeds.Find(t, 40, simulateReplay, "early swap", "split", "early metrics", "split metrics")
}

// simStore is a store that dies with its process.
type simStore struct {
	*storage.Mem
	split string     // the planted bug, if it is one of these
	mu    sync.Mutex // spans and metrics commit side by side
	r     *rand.Rand
}

// chance is true once in three times.
func (s *simStore) chance() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.IntN(3) == 0
}

func (s *simStore) Commit(c storage.Commit) error {
	metrics := c.Shard == samples.MetricsShard
	if s.split != "split" && (s.split != "split metrics" || !metrics) || len(c.Positions) == 0 || !s.chance() {
		return s.Mem.Commit(c)
	}
	p := c.Positions
	c.Positions = nil
	if err := s.Mem.Commit(storage.Commit{Version: c.Version, Shard: c.Shard, Positions: p}); err != nil {
		return err
	}
	if metrics {
		time.Sleep(100 * time.Millisecond) // there are fewer of them
	}
	time.Sleep(5 * time.Millisecond)
	return s.Mem.Commit(c)
}

type replaySim struct {
	*simulation
	bug     string
	mem     *storage.Mem
	records []*kgo.Record
	metrics []*kgo.Record
	folders *simFolders
	failed  string
	version uint32 // newest that was read
	reads   int
	sampled map[source.PartitionID]int64 // positions of the metrics that were read
}

func simulateReplay(t *testing.T, seed uint64, bug string) (diff string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &replaySim{bug: bug, folders: &simFolders{of: map[uint32]simFolder{}}, sampled: map[source.PartitionID]int64{},
			mem: storage.NewMem(storage.MemOptions{}), simulation: &simulation{t: t, r: rand.New(rand.NewPCG(seed, 21)),
				letters: map[string]bool{}, luck: rand.New(rand.NewPCG(seed, 22))}}
		s.b = pipelinetest.NewBroker(t, 3, kfake.SeedTopics(metricPartitions, metricsTopic))
		s.stream()
		s.metrics = metricRecords(t, rand.New(rand.NewPCG(seed, 23)), 120)
		done := make(chan struct{})
		go func() {
			defer close(done)
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				for _, r := range s.metrics {
					s.produce([]*kgo.Record{r})
					time.Sleep(15 * time.Millisecond)
				}
			})
			s.produce(s.records)
		}()
		cut := s.r.IntN(2) == 0
		for life := range 5 {
			diff = s.process(life, cut, done)
			if diff != "" || s.failed != "" {
				break
			}
		}
		<-done
		if diff == "" {
			diff = s.failed
		}
	})
	return diff
}

// stream makes calls over some minutes of event time, and poison.
func (s *replaySim) stream() {
	start := time.Now().Truncate(10 * time.Second).Add(-10 * time.Minute) // nothing is ahead of the clock
	add := func(at time.Time, value []byte) {
		s.records = append(s.records, &kgo.Record{Topic: pipelinetest.Topic, Partition: int32(s.r.IntN(3)), Value: value,
			Timestamp: at.Add(100 * time.Millisecond)})
	}
	for i := range 250 {
		at := start.Add(time.Duration(i) * time.Second)
		client, server := s.call(uint32(i), at)
		if s.r.IntN(20) == 0 {
			add(at, []byte("poison"))
		}
		add(at, client)
		add(at, server)
	}
}

// process is one life of the process; all but the last end by a kill.
func (s *replaySim) process(life int, cut bool, produced chan struct{}) string {
	alive := &simProcess{}
	store := &simStore{Mem: s.mem, split: s.bug, r: rand.New(rand.NewPCG(s.r.Uint64(), 1))}
	c := simViews
	c.PairingWindow = 2 * time.Second
	g, err := OpenGenerations(GenerationsConfig{Store: store, GenerationConfig: GenerationConfig{
		Kafka: s.b.Config, Views: c, Spans: kafka.TopicsOf(pipelinetest.Topic), DeadLetter: s.deadLetter, Lateness: time.Second,
		Interval: time.Duration(20+s.r.IntN(200)) * time.Millisecond, MaxPending: uint64(5 + s.r.IntN(50)),
		BatchRecords: 1 + s.r.IntN(8), Logger: zerolog.Nop(),
		Metrics: s.folders.topicOf(alive),
	}, Behind: time.Second, Tick: 100 * time.Millisecond})
	if err != nil {
		return err.Error()
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	var end error
	wg.Go(func() { end = g.Run(ctx) })
	wg.Go(func() { s.reader(ctx, g.Live()) })
	defer wg.Wait()
	defer cancel()
	pause := func(most int) { time.Sleep(time.Duration(s.r.IntN(most)) * time.Millisecond) }
	if life == 0 {
		pause(3000)
		if cut {
			s.deleteRead(g)
		}
		if _, err := g.StartReplay(Request{}); err != nil {
			return err.Error()
		}
	}
	if strings.HasPrefix(s.bug, "early") && life == 3 {
		s.swapEarly(g, s.bug == "early metrics")
	}
	if life < 4 {
		if s.r.IntN(3) == 0 {
			pause(800)
			if err := g.PauseReplay("1"); err == nil {
				pause(300)
				if err := g.ResumeReplay("1"); err != nil {
					return err.Error()
				}
			} else if !errors.Is(err, ErrState) {
				return err.Error()
			}
		}
		pause([]int{300, 2500}[s.r.IntN(2)])
		alive.kill()
		s.mem = s.mem.Crash(nil) // what was not committed is gone
		return ""
	}
	<-produced
	for range 600 {
		time.Sleep(100 * time.Millisecond)
		p, err := g.Replay("1")
		if err != nil {
			return err.Error()
		}
		if p.State == Failed {
			return "the replay failed: " + p.Error
		}
		if p.State == Swapped && caughtUp(g.Current().Set, s.ends()) && s.metricsRead(g) && (cut || s.dropped()) {
			diff := s.compare(g, cut)
			if diff == "" {
				diff = s.compareSamples(g, cut)
			}
			cancel()
			wg.Wait()
			if diff == "" && end != nil {
				diff = end.Error()
			}
			return diff
		}
	}
	p, _ := g.Replay("1")
	versions, _ := storage.Versions(s.mem)
	folders, _ := s.folders.versions()
	return fmt.Sprintf("the replay does not end: %+v; versions %v and samples %v are left", p, versions, folders)
}

// dropped reports whether nothing is left of the old version.
func (s *replaySim) dropped() bool {
	versions, err := storage.Versions(s.mem)
	folders, _ := s.folders.versions()
	only := []uint32{1}
	return err == nil && slices.Equal(versions, only) && slices.Equal(folders, only)
}

func (s *replaySim) ends() map[int32]int64 {
	ends := map[int32]int64{}
	for _, r := range s.records {
		ends[r.Partition]++
	}
	return ends
}

// metricsRead reports whether all metrics have been read, as committed, and no increment waits for older ones.
func (s *replaySim) metricsRead(g *Generations) bool {
	want := map[source.PartitionID]int64{}
	for _, r := range s.metrics {
		want[source.PartitionID{Topic: r.Topic, Partition: r.Partition}]++
	}
	m, newest := g.CurrentMetrics(), s.metrics[len(s.metrics)-1].Timestamp
	return reached(m.positions(), want) && m.State.Frontier().Complete.After(newest)
}

// deleteRead makes the broker forget some of what the views hold.
func (s *replaySim) deleteRead(g *Generations) {
	o := kadm.Offsets{}
	for id, at := range g.line.positions() {
		o.AddOffset(id.Topic, id.Partition, at*2/3, -1)
	}
	if len(o) == 0 {
		return
	}
	if _, err := kadm.NewClient(s.b.Client).DeleteRecords(s.t.Context(), o); err != nil {
		s.t.Error(err)
	}
}

// swapEarly puts a version in place that has not caught up.
func (s *replaySim) swapEarly(g *Generations, metrics bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.replays[0]
	if r.State != Running || r.Version == 0 {
		return
	}
	layout := model.Layout{Version: r.Version, Live: 0, Next: r.Version + 1}
	live := g.line.metrics
	if metrics {
		layout = layout.WithSamples(r.Version, 0, 0)
		if g.samples[r.Version] == nil {
			g.samples[r.Version] = g.c.Metrics.Open(r.Version)
		}
		var err error
		if live, err = openMetricGeneration(g.c.GenerationConfig, r.Version, g.samples[r.Version], nil); err != nil {
			s.t.Error(err)
			return
		}
	} else {
		layout = layout.With(model.ViewRED, r.Version, 0, 0)
	}
	set, err := g.openSet(r.Version)
	if err != nil {
		s.t.Error(err)
		return
	}
	g.sets = maps.Clone(g.sets)
	g.sets[r.Version] = set
	if _, err := g.show(layout, live, storage.Commit{}); err != nil {
		s.t.Error(err)
	}
}

// reader reads all the time: versions and counts never go back, and what one View says agrees.
func (s *replaySim) reader(ctx context.Context, l *live.Live) {
	var before uint64
	for ctx.Err() == nil {
		time.Sleep(3 * time.Millisecond)
		v := l.View()
		err := s.readOnce(v, &before)
		v.Release()
		if err == nil {
			err = s.readMetrics(l)
		}
		s.mu.Lock()
		if err != nil && !errors.Is(err, storage.ErrClosed) && s.failed == "" {
			s.failed = err.Error()
		}
		s.reads++
		s.mu.Unlock()
	}
}

func (s *replaySim) readOnce(v *live.View, before *uint64) error {
	first := v.Frontier()
	if first.Version < s.version {
		return fmt.Errorf("version %d after %d", first.Version, s.version)
	}
	list, err := v.Services(time.Unix(0, 0), first.Head.Add(time.Minute))
	if err != nil {
		return err
	}
	lines, err := v.SelectRED(first.Head.Add(-20*time.Second), first.Head.Add(time.Minute), func(uint32, model.REDKey) bool { return true })
	if err != nil {
		return err
	}
	var calls, counted uint64
	for _, x := range list {
		calls += x.Calls
	}
	for _, x := range lines {
		counted += x.Base.Calls
		for _, c := range x.Cells {
			counted += c.Calls
		}
	}
	if calls < *before {
		return fmt.Errorf("%d calls after %d: version %d", calls, *before, first.Version)
	}
	if last := v.Frontier(); last == first && calls != counted {
		return fmt.Errorf("%d calls in cells and %d in counters: version %d", calls, counted, first.Version)
	}
	*before, s.version = calls, first.Version
	return nil
}

// readMetrics: what was read of the metrics topic never becomes less.
func (s *replaySim) readMetrics(l *live.Live) error {
	for id, at := range positionsOf(l.Metrics().Progress()) {
		if at < s.sampled[id] {
			return fmt.Errorf("metrics read up to %d after %d", at, s.sampled[id])
		}
		s.sampled[id] = at
	}
	return nil
}

// compare holds what is read against what the records say: to the byte when one version has read them all, else answer by answer.
func (s *replaySim) compare(g *Generations, cut bool) string {
	s.mu.Lock()
	reads := s.reads
	s.mu.Unlock()
	if reads < 50 {
		return fmt.Sprintf("only %d reads", reads)
	}
	c := simViews
	c.PairingWindow = 2 * time.Second
	want, text := s.plainSet(c, s.records)
	if text != "" {
		return text
	}
	if !cut {
		return seeds.Diff(simDump(s.t, g.Current().Set), simDump(s.t, want))
	}
	head := want.Frontier().Head
	for range 20 {
		a, b := s.r.IntN(26), s.r.IntN(26)
		from, to := head.Add(-time.Duration(max(a, b))*10*time.Second), head.Add(-time.Duration(min(a, b))*10*time.Second)
		if diff := differs(g, want, from, to); diff != "" {
			return diff
		}
	}
	return ""
}

// differs holds what the generations show of a time against what a Set does.
func differs(g *Generations, want *views.Set, from, to time.Time) string {
	for _, ask := range []func(r views.Reader) (any, error){
		func(r views.Reader) (any, error) { return r.Services(from, to) },
		func(r views.Reader) (any, error) { return r.ServiceMap(from, to) },
	} {
		got, err := ask(g.Live())
		if err != nil {
			return err.Error()
		}
		wanted, err := ask(want)
		if err != nil {
			return err.Error()
		}
		if !reflect.DeepEqual(got, wanted) {
			return fmt.Sprintf("%v to %v (%+v)\n got %+v\nwant %+v", from, to, g.layout.Of(model.ViewRED), got, wanted)
		}
	}
	return ""
}
