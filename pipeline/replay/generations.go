package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
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
//  3. At the swap no checkpoint of either is under way, and the new one's positions are at or past the old one's: nobody sees time go back.
//  4. A version is dropped when the layout does not name it and nobody reads it any more.
type Generations struct {
	c    GenerationsConfig
	live *views.Live

	mu      sync.Mutex
	layout  views.Layout
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

// line is a generation of the views and one of the metrics, and how each runs. What a replay leaves out is nil.
type line struct {
	views      *Generation
	metrics    *MetricGeneration
	runViews   *ingest.Running // nil: it does not run
	runMetrics *ingest.Running
}

// start begins to read with what is there.
func (l *line) start(ctx context.Context) {
	if l.views != nil {
		l.runViews = l.views.Start(ctx)
	}
	if l.metrics != nil {
		l.runMetrics = l.metrics.Start(ctx)
	}
}

// end stops what runs and waits for it.
func (l *line) end() error {
	var errs []error
	for _, r := range []*ingest.Running{l.runViews, l.runMetrics} {
		if r != nil {
			r.Stop()
		}
	}
	for _, r := range []*ingest.Running{l.runViews, l.runMetrics} {
		if r != nil {
			errs = append(errs, r.End())
		}
	}
	return errors.Join(errs...)
}

// done are closed when the views or the metrics end by themselves; a nil channel never is.
func (l *line) done() (views, metrics <-chan struct{}) {
	if l.runViews != nil {
		views = l.runViews.Done
	}
	if l.runMetrics != nil {
		metrics = l.runMetrics.Done
	}
	return views, metrics
}

// positions are where the topics are read on, by partition, as committed.
func (l *line) positions() map[source.PartitionID]int64 {
	m := map[source.PartitionID]int64{}
	if l.views != nil {
		maps.Copy(m, l.views.positions())
	}
	if l.metrics != nil {
		maps.Copy(m, l.metrics.positions())
	}
	return m
}

func (l *line) states() (list []source.PartitionState) {
	if l.views != nil {
		list = l.views.Source.States()
	}
	if l.metrics != nil {
		list = append(list, l.metrics.Source.States()...)
	}
	return list
}

// GenerationsConfig is what OpenGenerations needs.
type GenerationsConfig struct {
	GenerationConfig
	Store    Store
	Counters *ingest.Metrics // of the live generation
	// Offline makes Run read nothing into the live version: nobody else writes the views, and a replay ends where the topics did when it
	// began.
	Offline bool
	// Blank opens without the stored views, which are in a format that cannot be read: a replay puts new ones in their place.
	Blank bool
	// Behind is how far, in time, the live generation may lag before a replay waits for it (0: 3 s).
	Behind time.Duration
	// Tick is how often a replay looks how far it is (0: 250 ms).
	Tick time.Duration
}

// keptReplays is how many ended replays are remembered.
const keptReplays = 50

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
	g := &Generations{c: c, sets: map[uint32]*views.Set{}, samples: map[uint32]ingest.SampleStore{}, leaving: map[uint32]int{}, wake: make(chan struct{}, 1)}
	var err error
	if g.layout, err = views.ReadLayout(c.KV); err != nil {
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
	if g.live, err = views.NewLive(g.layout, g.sets, g.metricVersions(g.layout, g.line.metrics)); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Generations) openMetrics() (err error) {
	if g.c.Metrics.Topic == "" {
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
func (g *Generations) metricVersions(l views.Layout, live *MetricGeneration) views.MetricVersions {
	if live == nil {
		return views.MetricVersions{}
	}
	m := views.MetricVersions{Live: live.State, Samples: map[uint32]views.SampleReader{}}
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
func (g *Generations) Live() *views.Live { return g.live }

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
func (g *Generations) Began() ingest.Beginning {
	g.mu.Lock()
	layout, current := g.layout, g.line
	g.mu.Unlock()
	of := func(versions []uint32, shard uint16, live uint32, running func() ingest.Beginning) ingest.Beginning {
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
		out = out.Later(of(layout.SampleVersions(), views.MetricsShard, layout.LiveSamples(), current.metrics.Began))
	}
	return out
}

// Gaps are the stretches of topics that were gone when a version that is read was to read them.
func (g *Generations) Gaps() []ingest.Gap {
	g.mu.Lock()
	layout, current := g.layout, g.line
	g.mu.Unlock()
	var out []ingest.Gap
	add := func(versions []uint32, shard uint16, live uint32, running func() []ingest.Gap) {
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
		add(layout.SampleVersions(), views.MetricsShard, layout.LiveSamples(), current.metrics.Gaps)
	}
	return out
}

// Replays returns every replay that is remembered, newest first.
func (g *Generations) Replays() []Progress {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Progress, 0, len(g.replays))
	for _, r := range slices.Backward(g.replays) {
		out = append(out, g.progress(r))
	}
	return out
}

// Replay returns one replay.
func (g *Generations) Replay(id string) (Progress, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, err := g.find(id)
	if err != nil {
		return Progress{}, err
	}
	return g.progress(r), nil
}

func (g *Generations) find(id string) (*Replay, error) {
	for _, r := range g.replays {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrNoReplay, id)
}

func (g *Generations) progress(r *Replay) Progress {
	at := map[source.PartitionID]int64{}
	a := g.active
	if a != nil && a.replay != r {
		a = nil
	}
	switch {
	case a != nil && a.line != nil:
		at = a.line.positions()
	case r.State == Swapped:
		for _, p := range r.Parts {
			at[source.PartitionID{Topic: p.Topic, Partition: p.Partition}] = p.End
		}
	case r.Version != 0:
		for _, shard := range []uint16{g.c.Views.Shard, views.MetricsShard} {
			list, err := g.c.KV.Positions(r.Version, shard)
			if err != nil {
				g.c.Logger.Warn().Err(err).Msg("positions of a replay could not be read")
			}
			for _, p := range list {
				at[source.PartitionID{Topic: p.Topic, Partition: p.Partition}] = p.Offset
			}
		}
	}
	p := progressOf(r, at)
	if a == nil {
		return p
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p.Rate, p.Waiting = a.rate, a.waiting
	if left := p.left(); p.Rate > 0 && r.Version != 0 {
		p.ETA = time.Duration(float64(left) / p.Rate * float64(time.Second))
	}
	return p
}

func (p *Progress) left() (n int64) {
	for i := range p.Parts {
		n += max(0, p.Parts[i].End-p.Positions[i])
	}
	return n
}

// save stores a replay, with entries of other things, in one commit.
func (g *Generations) save(r *Replay, c storage.Commit) error {
	r.Updated = time.Now().UTC()
	e, err := r.entry()
	if err != nil {
		return err
	}
	c.Entries = append(c.Entries, e)
	if err := g.c.KV.Commit(c); err != nil {
		return fmt.Errorf("pipeline: store replay %s: %w", r.ID, err)
	}
	return nil
}

// StartReplay begins a replay. It returns at once; the state says what becomes of it.
func (g *Generations) StartReplay(q Request) (Progress, error) {
	now := time.Now().UTC()
	if err := q.check(now); err != nil {
		return Progress{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	n := uint64(1)
	for _, r := range g.replays {
		if r.State.active() {
			return Progress{}, fmt.Errorf("%w: %s is %s", ErrActive, r.ID, r.State)
		}
		last, err := strconv.ParseUint(r.ID, 10, 64)
		if err != nil {
			return Progress{}, fmt.Errorf("pipeline: replay id %q: %w", r.ID, err)
		}
		n = last + 1
	}
	r := &Replay{ID: strconv.FormatUint(n, 10), State: Running, Views: q.Views, From: q.From.UTC(), To: q.To.UTC(), Keep: q.Keep, Created: now,
		Metrics: g.line.metrics != nil && (len(q.Views) == 0 || slices.Contains(q.Views, views.ViewMetrics))}
	var c storage.Commit
	forget := 0
	for ; len(g.replays)-forget >= keptReplays && len(g.replays[forget].Kept) == 0; forget++ {
		e, err := g.replays[forget].entry()
		if err != nil {
			return Progress{}, err
		}
		c.Entries = append(c.Entries, storage.Entry{Key: e.Key})
	}
	if err := g.save(r, c); err != nil {
		return Progress{}, err
	}
	g.replays = append(g.replays[forget:], r)
	if g.base != nil {
		g.begin(r)
	}
	return g.progress(r), nil
}

// begin runs a replay; the caller holds the lock.
func (g *Generations) begin(r *Replay) {
	ctx, stop := context.WithCancelCause(g.base)
	a := &replaying{replay: r, stop: stop, done: make(chan struct{})}
	g.active = a
	g.wg.Go(func() {
		defer close(a.done)
		err := g.replay(ctx, a)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.active == a {
			g.active = nil
		}
		if err == nil || ctx.Err() != nil || !r.State.active() {
			return
		}
		r.State, r.Error = Failed, err.Error()
		g.c.Logger.Error().Err(err).Str("replay", r.ID).Msg("replay failed; the views are unchanged")
		if err := g.save(r, storage.Commit{}); err != nil {
			g.c.Logger.Error().Err(err).Msg("the state of a replay could not be stored")
		}
	})
}

// PauseReplay stops a replay; what it has read stays.
func (g *Generations) PauseReplay(id string) error {
	return g.interrupt(id, Running, Paused)
}

// CancelReplay ends a replay and drops what it has read. Of one that has ended it drops what was kept.
func (g *Generations) CancelReplay(ctx context.Context, id string) error {
	g.mu.Lock()
	r, err := g.find(id)
	if err != nil {
		g.mu.Unlock()
		return err
	}
	state := r.State
	g.mu.Unlock()
	if state.active() || state == Failed {
		if err := g.interrupt(id, state, Canceled); err != nil {
			return err
		}
	} else if len(r.Kept) == 0 {
		return fmt.Errorf("%w: it is %s", ErrState, state)
	}
	g.mu.Lock()
	was := *r
	r.Kept = nil
	if err := g.save(r, storage.Commit{}); err != nil {
		*r = was
		g.mu.Unlock()
		return err
	}
	g.mu.Unlock()
	return g.drop(ctx)
}

// interrupt takes a replay from one state to another and waits until it stands still.
func (g *Generations) interrupt(id string, from, to State) error {
	g.mu.Lock()
	r, err := g.find(id)
	if err == nil && r.State != from {
		err = fmt.Errorf("%w: it is %s", ErrState, r.State)
	}
	if err != nil {
		g.mu.Unlock()
		return err
	}
	was := *r
	r.State = to
	if err := g.save(r, storage.Commit{}); err != nil {
		*r = was
		g.mu.Unlock()
		return err
	}
	a := g.active
	g.mu.Unlock()
	if a != nil && a.replay == r {
		a.stop(nil)
		<-a.done
	}
	return nil
}

// ResumeReplay goes on with a replay that was paused or that failed.
func (g *Generations) ResumeReplay(id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, err := g.find(id)
	if err != nil {
		return err
	}
	if r.State != Paused && r.State != Failed || r != g.replays[len(g.replays)-1] {
		return fmt.Errorf("%w: it is %s", ErrState, r.State)
	}
	was := *r
	r.State, r.Error = Running, ""
	if err := g.save(r, storage.Commit{}); err != nil {
		*r = was
		return err
	}
	if g.base != nil {
		g.begin(r)
	}
	return nil
}

// drop deletes the versions that nothing is read from, but those that are kept or being built.
func (g *Generations) drop(ctx context.Context) error {
	unused, samples, err := g.unused()
	if err != nil {
		return err
	}
	var errs []error
	for _, v := range samples {
		errs = append(errs, g.dropSamples(ctx, v))
	}
	for _, v := range unused {
		if err := g.c.Store.DropVersion(ctx, v, g.c.Views.Shard); err != nil {
			errs = append(errs, fmt.Errorf("pipeline: drop version %d of the views: %w", v, err))
		}
	}
	return errors.Join(errs...)
}

// unused lists the versions of views and of samples that may be dropped.
func (g *Generations) unused() (ofViews, ofSamples []uint32, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	inUse, samplesInUse := g.layout.Versions(), g.layout.SampleVersions()
	for v := range g.leaving {
		inUse, samplesInUse = append(inUse, v), append(samplesInUse, v)
	}
	for i, r := range g.replays {
		if r.State.active() || r.State == Failed && i == len(g.replays)-1 {
			inUse, samplesInUse = append(inUse, r.Version), append(samplesInUse, r.Version)
		}
		inUse, samplesInUse = append(inUse, r.Kept...), append(samplesInUse, r.Kept...)
	}
	all, err := storage.Versions(g.c.KV)
	if err != nil {
		return nil, nil, err
	}
	folders := slices.Clone(all)
	if g.c.Metrics.Topic != "" {
		list, err := g.c.Metrics.Versions()
		if err != nil {
			return nil, nil, err
		}
		folders = append(folders, list...)
		slices.Sort(folders)
		folders = slices.Compact(folders)
	}
	ofViews = slices.DeleteFunc(all, func(v uint32) bool { return slices.Contains(inUse, v) })
	ofSamples = slices.DeleteFunc(folders, func(v uint32) bool { return slices.Contains(samplesInUse, v) })
	return ofViews, ofSamples, nil
}

// dropSamples closes and deletes the samples of a version, then their state: what is left of an interrupted drop is found again by either.
func (g *Generations) dropSamples(ctx context.Context, version uint32) error {
	g.mu.Lock()
	s := g.samples[version]
	delete(g.samples, version)
	g.mu.Unlock()
	if s != nil {
		if err := s.Close(); err != nil {
			return err
		}
	}
	if g.c.Metrics.Drop != nil {
		if err := g.c.Metrics.Drop(version); err != nil {
			return err
		}
	}
	if err := g.c.Store.DropVersion(ctx, version, views.MetricsShard); err != nil {
		return fmt.Errorf("pipeline: drop version %d of the metrics: %w", version, err)
	}
	return nil
}

// thin drops the raw records of versions that only hold the past, once they are too old to be shown.
func (g *Generations) thin() error {
	g.mu.Lock()
	head, past := g.live.Frontier().Head, []*views.Set{}
	for _, v := range g.layout.Versions() {
		if v != g.layout.Live && g.sets[v] != nil {
			past = append(past, g.sets[v])
		}
	}
	g.mu.Unlock()
	var errs []error
	for _, s := range past {
		errs = append(errs, s.ForgetRaw(head, g.c.KV.Commit))
	}
	return errors.Join(errs...)
}

// tidy drops what a kill left behind, and versions whose time has passed.
func (g *Generations) tidy(ctx context.Context) {
	if g.c.Blank {
		return
	}
	t := time.NewTicker(time.Minute)
	defer t.Stop()
	for {
		if err := errors.Join(g.retire(ctx), g.drop(ctx), g.thin()); err != nil && ctx.Err() == nil {
			g.c.Logger.Warn().Err(err).Msg("deleting old versions of the views failed, will be retried")
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// retire takes versions out of the layout whose whole time is older than what the live one retains.
func (g *Generations) retire(ctx context.Context) error {
	g.mu.Lock()
	layout, fr := g.layout, g.live.Frontier()
	since := fr.Levels[len(fr.Levels)-1].Since
	for _, v := range g.layout.Versions() {
		past := v != layout.Live
		for _, list := range layout.Views {
			for _, s := range list {
				past = past && (s.Version != v || s.To != 0 && s.To <= since.Unix())
			}
		}
		if past {
			layout = layout.Without(v)
		}
	}
	if m := g.line.metrics; m != nil {
		if since, ok := m.Samples.Since(); ok {
			for _, p := range layout.OfSamples() {
				if p.Version != layout.LiveSamples() && p.To <= since.Unix() {
					layout = layout.WithoutSamples(p.Version)
				}
			}
		}
	}
	if len(layout.Versions()) == len(g.layout.Versions()) && len(layout.SampleVersions()) == len(g.layout.SampleVersions()) {
		g.mu.Unlock()
		return nil
	}
	gone, err := g.show(layout, g.line.metrics, storage.Commit{})
	g.mu.Unlock()
	if err == nil {
		unread(ctx, gone)
	}
	return err
}

// show stores a layout and makes readers read so; the caller holds the lock. What gone does must be done without it.
func (g *Generations) show(layout views.Layout, metrics *MetricGeneration, c storage.Commit) (gone func(), err error) {
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
