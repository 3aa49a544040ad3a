package replay

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// replaying is a replay that runs.
type replaying struct {
	replay *Replay
	stop   context.CancelCauseFunc
	done   chan struct{}
	line   *line // nil until it is placed

	// after a swap: what is to be ended, and what waits until there are no readers of what was shown before
	old  line
	gone func()

	mu      sync.Mutex
	rate    float64
	waiting bool
	live    bool // swapped in: it waits for no other generation any more
}

// replay runs a replay until it is swapped in, fails or ctx ends.
func (g *Generations) replay(ctx context.Context, a *replaying) error {
	if a.replay.Version == 0 {
		if err := g.placeReplay(ctx, a.replay); err != nil {
			return err
		}
	}
	set, err := g.openSet(a.replay.Version)
	if err != nil {
		return err
	}
	behind := g.watchLive()
	c := g.c.GenerationConfig
	c.DeadLetter = g.deadLetter
	gate := func(ctx context.Context) error { return a.giveWay(ctx, behind, g.c.Tick) }
	run := &line{}
	if run.views, err = openGeneration(c, a.replay.Version, set, nil, gate); err != nil {
		return err
	}
	if a.replay.Metrics {
		samples := g.openSamples(a.replay.Version)
		if run.metrics, err = openMetricGeneration(c, a.replay.Version, samples, gate); err != nil {
			return errors.Join(err, run.views.Source.Close(), g.closeSamples(a.replay.Version))
		}
	}
	run.start(context.WithoutCancel(ctx))
	g.mu.Lock()
	a.line = run
	g.mu.Unlock()
	swapped, err := g.catchUp(ctx, a, run)
	if !swapped || !a.replay.To.IsZero() {
		err = errors.Join(err, run.end())
	}
	if !swapped {
		err = errors.Join(err, g.closeSamples(a.replay.Version))
	}
	if !swapped || err != nil {
		return err
	}
	err = a.old.end()
	if a.gone != nil && !unread(ctx, a.gone) {
		return err // dropped at the next start
	}
	return errors.Join(err, g.drop(ctx))
}

// openSamples opens the samples of a version that is built.
func (g *Generations) openSamples(version uint32) ingest.SampleStore {
	s := g.c.Metrics.Open(version)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.samples[version] = s
	return s
}

func (g *Generations) closeSamples(version uint32) error {
	g.mu.Lock()
	s := g.samples[version]
	delete(g.samples, version)
	g.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.Close()
}

// unread waits until wait returns; false means that ctx ended before.
func unread(ctx context.Context, wait func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait()
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// giveWay waits while the live generation lags.
func (a *replaying) giveWay(ctx context.Context, behind func() bool, tick time.Duration) error {
	for !a.isLive() && behind() {
		a.wait(true)
		t := time.NewTimer(tick)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
	a.wait(false)
	return nil
}

func (a *replaying) isLive() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.live
}

func (a *replaying) wait(w bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = w
}

// watchLive returns a function that reports whether the live generation lags: whether it does not hold yet what the brokers had some time
// ago.
func (g *Generations) watchLive() func() bool {
	if g.c.Offline {
		return func() bool { return false }
	}
	var mu sync.Mutex
	var taken time.Time
	var ends, target map[source.PartitionID]int64
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		live := g.currentLine()
		if now := time.Now(); now.Sub(taken) >= g.c.Behind {
			target, ends, taken = ends, map[source.PartitionID]int64{}, now
			for _, s := range live.states() {
				if s.Partition >= 0 {
					ends[source.PartitionID{Topic: s.Topic, Partition: s.Partition}] = s.HighWatermark
				}
			}
		}
		at := live.positions()
		for id, end := range target {
			if at[id] < end {
				return true
			}
		}
		return false
	}
}

// deadLetter leaves out what the live generation has delivered before.
func (g *Generations) deadLetter(ctx context.Context, r *kgo.Record, reason string) error {
	if live := g.currentLine(); live.positions()[source.PartitionID{Topic: r.Topic, Partition: r.Partition}] > r.Offset {
		return nil
	}
	return g.c.DeadLetter(ctx, r, reason)
}

// catchUp watches a replay until it can be swapped in, and does that.
func (g *Generations) catchUp(ctx context.Context, a *replaying, run *line) (swapped bool, err error) {
	tick := time.NewTicker(g.c.Tick)
	defer tick.Stop()
	type sample struct {
		at        time.Time
		records   int64
		positions map[source.PartitionID]int64 // of the live views
	}
	var old, young sample
	viewsEnded, metricsEnded := run.done()
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-viewsEnded:
			return false, nil // run.end says why
		case <-metricsEnded:
			return false, nil
		case <-tick.C:
		}
		now := time.Now()
		g.mu.Lock()
		p := progressOf(a.replay, run.positions())
		g.mu.Unlock()
		if now.Sub(young.at) >= g.c.Behind/2 {
			old, young = young, sample{now, p.Records, g.livePositions(a.replay)}
		}
		if !old.at.IsZero() {
			a.mu.Lock()
			a.rate = float64(p.Records-old.records) / now.Sub(old.at).Seconds()
			a.mu.Unlock()
		}
		if p.left() > 0 || a.replay.To.IsZero() && (old.at.IsZero() || (!reached(run.positions(), old.positions) || !g.settled(a.replay))) {
			continue
		}
		swapped, err := g.swap(ctx, a, run)
		if swapped || err != nil && !errors.Is(err, storage.ErrUnwritable) {
			return swapped, err
		}
	}
}

// settled reports whether the live versions hold what the new one leaves to them: all that was before its floor. What they would read
// of that after a swap would be lost.
func (g *Generations) settled(r *Replay) bool {
	if g.c.Offline {
		return true // it has no readers any more
	}
	live := g.currentLine()
	return (r.Floor == 0 || live.views.Set.Frontier().Complete.Unix() >= r.Floor) &&
		(!r.Metrics || r.SamplesFloor == 0 || live.metrics.State.Frontier().Complete.Unix() >= r.SamplesFloor)
}

// livePositions are those that a replay has to reach, which do not move offline.
func (g *Generations) livePositions(r *Replay) map[source.PartitionID]int64 {
	live := g.currentLine()
	if !r.Metrics {
		live.metrics = nil
	}
	return live.positions()
}

func reached(at, want map[source.PartitionID]int64) bool {
	for id, offset := range want {
		if at[id] < offset {
			return false
		}
	}
	return true
}

// swapWait is how long the live views may stand still for a swap.
const swapWait = 5 * time.Second

// swap makes readers look at the new version. Without To the live generation stands still until the new one holds as much.
func (g *Generations) swap(ctx context.Context, a *replaying, run *line) (bool, error) {
	old := g.currentLine()
	if !a.replay.Metrics {
		old.metrics, old.runMetrics = nil, nil // goes on
	}
	if a.replay.To.IsZero() {
		defer old.hold()()
		want := old.positions()
		viewsEnded, metricsEnded := run.done()
		for deadline := time.Now().Add(swapWait); !reached(run.positions(), want); {
			if time.Now().After(deadline) || ctx.Err() != nil {
				return false, nil
			}
			select {
			case <-viewsEnded:
				return false, nil
			case <-metricsEnded:
				return false, nil
			case <-ctx.Done():
				return false, nil
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	defer run.hold()()
	if !a.replay.To.IsZero() {
		defer old.hold()()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.replay.State != Running {
		return false, nil
	}
	layout, next, entry, err := g.nextLayout(a.replay, run)
	if err != nil {
		return false, err
	}
	was, metrics := g.sets, g.line.metrics
	g.sets = maps.Clone(was) // the old one belongs to a View
	g.sets[next.Version] = run.views.Set
	if next.To.IsZero() && run.metrics != nil {
		metrics = run.metrics
	}
	if a.gone, err = g.show(layout, metrics, storage.Commit{Entries: []storage.Entry{entry}}); err != nil {
		g.sets = was
		return false, err
	}
	*a.replay = *next
	g.c.Logger.Info().Str("replay", next.ID).Uint32("version", next.Version).Msg("replay swapped in")
	if next.To.IsZero() {
		g.takeOver(a, old, run)
	}
	return true, nil
}

// hold keeps checkpoints of either from being taken until release is called.
func (l *line) hold() (release func()) {
	var list []func()
	if l.views != nil {
		list = append(list, l.views.Ingest.Hold())
	}
	if l.metrics != nil {
		list = append(list, l.metrics.Ingest.Hold())
	}
	return func() {
		for _, r := range list {
			r()
		}
	}
}

// nextLayout is the layout after the swap, and the replay as it is to be stored with it; the caller holds the lock.
func (g *Generations) nextLayout(r *Replay, run *line) (layout model.Layout, next *Replay, e storage.Entry, err error) {
	live := model.Frontier{}
	if g.live != nil {
		live = g.live.Frontier()
	}
	if layout, err = r.next(g.layout, live, run.views.Set.Frontier().Head); err != nil {
		return layout, nil, e, err
	}
	if g.c.Blank {
		layout.Views = nil
	}
	swapped := *r
	swapped.State, swapped.Updated = Swapped, time.Now().UTC()
	keep := func(before, after []uint32) {
		for _, v := range before {
			if swapped.Keep && !slices.Contains(after, v) && !slices.Contains(swapped.Kept, v) {
				swapped.Kept = append(swapped.Kept, v)
			}
		}
	}
	keep(g.layout.Versions(), layout.Versions())
	keep(g.layout.SampleVersions(), layout.SampleVersions())
	e, err = swapped.entry()
	return layout, &swapped, e, err
}

// takeOver makes run go on with the topics in the place of old; the caller holds the lock and both stand still.
func (g *Generations) takeOver(a *replaying, old line, run *line) {
	run.views.Ingest.Count(g.c.Counters)
	if old.views != nil {
		old.views.Ingest.GiveUp()
	}
	if old.metrics != nil {
		old.metrics.Ingest.GiveUp()
	}
	a.old = old
	g.line.views, g.line.runViews = run.views, run.runViews
	if run.metrics != nil {
		g.line.metrics, g.line.runMetrics = run.metrics, run.runMetrics
	}
	a.mu.Lock()
	a.live = true
	a.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}
