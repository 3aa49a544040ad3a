package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/samples"
)

// Store is a KV whose versions can be dropped.
type Store interface {
	storage.KV
	DropVersion(ctx context.Context, version uint32, shard uint16) error
}

// Generations owns the generation that goes on with the topics, at most one replay beside it, and the Live that readers see.
//
// The simple version: a replay is a second generation that reads the same topics from an earlier place into a version of its own;
// when it holds every record that the live one holds, one write makes readers look at it, and the live one ends. Invariants:
//
//  1. What a replay has read is in its own version and positions: after a kill it goes on where it was, whatever state the swap was in.
//  2. The swap is one commit: the layout and the replay's state. Before it the old version is complete, after it the new one is.
//
// 3. At the swap no checkpoint of either is under way, and the new one's positions are at or past the old one's: no reader sees time go
// back.
//  4. A version is dropped when the layout does not name it and it has no readers any more.
type Generations struct {
	c    GenerationsConfig
	live *live.Live

	mu      sync.Mutex
	layout  model.Layout
	sets    map[uint32]*views.Set
	samples map[uint32]ingest.SampleStore // that are open
	line    line                          // goes on with the topics
	leaving map[uint32]int                // versions that are not in the layout any more and may still be read
	replays []*Replay                     // oldest first
	active  *replaying
	base    context.Context // of Run; nil before
	wake    chan struct{}   // the live generation changed
	wg      sync.WaitGroup
}

// GenerationsConfig is what OpenGenerations needs.
type GenerationsConfig struct {
	GenerationConfig
	Store    Store
	Counters *ingest.Metrics // of the live generation
	// Offline makes Run read nothing into the live version: no other process writes the views, and a replay ends where the topics did when
	// it began.
	Offline bool
	// Blank opens without the stored views, which are in a format that cannot be read: a replay puts new ones in their place.
	Blank bool
	// Behind is how far, in time, the live generation may lag before a replay waits for it (0: 3 s).
	Behind time.Duration
	// Tick is how often a replay looks how far it is (0: 250 ms).
	Tick time.Duration
}

// OpenGenerations opens every version that is read.
func OpenGenerations(c GenerationsConfig) (*Generations, error) {
	if c.Behind == 0 {
		c.Behind = 3 * time.Second
	}
	if c.Tick == 0 {
		c.Tick = 250 * time.Millisecond
	}
	if c.Counters == nil {
		c.Counters = ingest.NewMetrics(nil)
	}
	c.KV = c.Store
	g := &Generations{c: c, sets: map[uint32]*views.Set{}, samples: map[uint32]ingest.SampleStore{}, leaving: map[uint32]int{},
		wake: make(chan struct{}, 1)}
	var err error
	if g.layout, err = model.ReadLayout(c.KV); err != nil {
		return nil, err
	}
	if g.replays, err = Load(c.KV); err != nil {
		return nil, err
	}
	if c.Blank {
		return g, nil
	}
	for _, v := range g.layout.Versions() {
		if g.sets[v], err = g.openSet(v); err != nil {
			return nil, err
		}
	}
	if g.line.views, err = openGeneration(c.GenerationConfig, g.layout.Live, g.sets[g.layout.Live], c.Counters, nil); err != nil {
		return nil, err
	}
	if err := g.openMetrics(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	if g.live, err = live.NewLive(g.layout, g.sets, g.metricVersions(g.layout, g.line.metrics)); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Generations) openMetrics() (err error) {
	if g.c.Metrics.Topics.Empty() {
		return nil
	}
	for _, v := range g.layout.SampleVersions() {
		g.samples[v] = g.c.Metrics.Open(v)
	}
	v := g.layout.LiveSamples()
	g.line.metrics, err = openMetricGeneration(g.c.GenerationConfig, v, g.samples[v], nil)
	return err
}

// metricVersions are the metrics of a layout, of which live goes on with the topic.
func (g *Generations) metricVersions(l model.Layout, live *MetricGeneration) samples.MetricVersions {
	if live == nil {
		return samples.MetricVersions{}
	}
	m := samples.MetricVersions{Live: live.State, Samples: map[uint32]samples.SampleReader{}}
	for _, v := range l.SampleVersions() {
		m.Samples[v] = g.samples[v]
	}
	return m
}

func (g *Generations) openSet(version uint32) (*views.Set, error) {
	c := g.c.Views
	c.Version = version
	return views.Open(g.c.KV, c)
}

// Live is what readers see.
func (g *Generations) Live() *live.Live { return g.live }

// Current is the generation that goes on with the topics.
func (g *Generations) Current() *Generation {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.line.views
}

// CurrentMetrics is the generation that goes on with the metrics topic; nil: none is read.
func (g *Generations) CurrentMetrics() *MetricGeneration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.line.metrics
}

// currentLine is what goes on with the topics.
func (g *Generations) currentLine() line {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.line
}

// Run reads until ctx ends or reading fails, with the replay that was running when the process ended.
func (g *Generations) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer g.wg.Wait()
	defer cancel()
	g.mu.Lock()
	if !g.c.Offline {
		g.line.start(context.WithoutCancel(ctx))
	}
	g.base = ctx
	for _, r := range g.replays {
		if r.State == Running {
			g.begin(r)
		}
	}
	g.mu.Unlock()
	g.wg.Go(func() { g.tidy(ctx) })
	for {
		current := g.currentLine()
		viewsEnded, metricsEnded := current.done()
		var ended *ingest.Running
		select {
		case <-ctx.Done():
			cancel()
			g.wg.Wait() // a swap may be under way
			current = g.currentLine()
			return current.end()
		case <-g.wake:
			continue
		case <-viewsEnded:
			ended = current.runViews
		case <-metricsEnded:
			ended = current.runMetrics
		}
		if now := g.currentLine(); ended == now.runViews || ended == now.runMetrics {
			cancel()
			g.wg.Wait()
			now = g.currentLine()
			return now.end()
		}
	}
}

// Close frees what was opened; after Run it is called too.
func (g *Generations) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	if g.line.views != nil {
		errs = append(errs, g.line.views.Source.Close())
	}
	if g.line.metrics != nil {
		errs = append(errs, g.line.metrics.Source.Close())
	}
	for _, s := range g.samples {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// Began says what was never read of the topics by the oldest versions that are read.
func (g *Generations) Began() progress.Beginning {
	g.mu.Lock()
	layout, current := g.layout, g.line
	g.mu.Unlock()
	of := func(versions []uint32, shard uint16, live uint32, running func() progress.Beginning) progress.Beginning {
		if len(versions) == 0 || slices.Min(versions) == live {
			return running()
		}
		b, err := ingest.LoadBeginning(g.c.KV, slices.Min(versions), shard)
		if err != nil {
			g.c.Logger.Warn().Err(err).Msg("the beginning of an older version could not be read")
		}
		return b
	}
	out := of(layout.Versions(), g.c.Views.Shard, layout.Live, current.views.Began)
	if current.metrics != nil {
		out = out.Later(of(layout.SampleVersions(), samples.MetricsShard, layout.LiveSamples(), current.metrics.Began))
	}
	return out
}

// Gaps are the stretches of topics that were gone when a version that is read was to read them.
func (g *Generations) Gaps() []progress.Gap {
	g.mu.Lock()
	layout, current := g.layout, g.line
	g.mu.Unlock()
	var out []progress.Gap
	add := func(versions []uint32, shard uint16, live uint32, running func() []progress.Gap) {
		for _, v := range versions {
			if v == live {
				out = append(out, running()...)
				continue
			}
			list, err := ingest.LoadGaps(g.c.KV, v, shard)
			if err != nil {
				g.c.Logger.Warn().Err(err).Msg("gaps of an older version could not be read")
			}
			out = append(out, list...)
		}
	}
	add(layout.Versions(), g.c.Views.Shard, layout.Live, current.views.Gaps)
	if current.metrics != nil {
		add(layout.SampleVersions(), samples.MetricsShard, layout.LiveSamples(), current.metrics.Gaps)
	}
	return out
}

// show stores a layout and makes readers read so; the caller holds the lock. What gone does must be done without it.
func (g *Generations) show(layout model.Layout, metrics *MetricGeneration, c storage.Commit) (gone func(), err error) {
	pointer, err := layout.Entry()
	if err != nil {
		return nil, err
	}
	c.Entries = append(c.Entries, pointer)
	if err := g.c.KV.Commit(c); err != nil {
		return nil, fmt.Errorf("pipeline: store which version is live: %w", err)
	}
	before := append(g.layout.Versions(), g.layout.SampleVersions()...)
	g.layout = layout
	sets := map[uint32]*views.Set{}
	for _, v := range layout.Versions() {
		sets[v] = g.sets[v]
	}
	g.sets = sets
	if g.live == nil {
		return func() {}, nil
	}
	wait, err := g.live.Swap(layout, sets, g.metricVersions(layout, metrics))
	if err != nil {
		return nil, err
	}
	for _, v := range before {
		g.leaving[v]++
	}
	return func() {
		wait()
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, v := range before {
			if g.leaving[v]--; g.leaving[v] == 0 {
				delete(g.leaving, v)
			}
		}
	}, nil
}
