package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

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
	current *runner     // goes on with the topics; not running before Run
	first   *Generation // what Run starts
	replays []*Replay   // oldest first
	active  *replaying
	base    context.Context // of Run; nil before
	wake    chan struct{}   // the live generation changed
	wg      sync.WaitGroup
}

// GenerationsConfig is what OpenGenerations needs.
type GenerationsConfig struct {
	GenerationConfig
	Store   Store
	Metrics *Metrics // of the live generation
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

// replaying is a replay that runs.
type replaying struct {
	replay  *Replay
	stop    context.CancelCauseFunc
	done    chan struct{}
	version *runner // nil until it is placed

	// after a swap: what is to be ended, and what waits until nobody reads what was shown before
	old  *runner
	gone func()

	mu      sync.Mutex
	rate    float64
	waiting bool
	live    bool // swapped in: it waits for nobody any more
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
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	c.KV = c.Store
	g := &Generations{c: c, sets: map[uint32]*views.Set{}, wake: make(chan struct{}, 1)}
	var err error
	if g.layout, err = views.ReadLayout(c.KV); err != nil {
		return nil, err
	}
	if g.replays, err = LoadReplays(c.KV); err != nil {
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
	if g.live, err = views.NewLive(g.layout, g.sets); err != nil {
		return nil, err
	}
	g.first, err = openGeneration(c.GenerationConfig, g.layout.Live, g.sets[g.layout.Live], c.Metrics, nil)
	return g, err
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
	if g.current != nil {
		return g.current.Generation
	}
	return g.first
}

// Run reads until ctx ends or reading fails, with the replay that was running when the process ended.
func (g *Generations) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer g.wg.Wait()
	defer cancel()
	g.mu.Lock()
	if !g.c.Offline && g.first != nil {
		g.current = g.first.start(context.WithoutCancel(ctx))
	}
	g.base = ctx
	for _, r := range g.replays {
		if r.State == ReplayRunning {
			g.begin(r)
		}
	}
	g.mu.Unlock()
	g.wg.Go(func() { g.tidy(ctx) })
	for {
		g.mu.Lock()
		current := g.current
		g.mu.Unlock()
		var ended <-chan struct{}
		if current != nil {
			ended = current.done
		}
		select {
		case <-ctx.Done():
			cancel()
			g.wg.Wait() // a swap may be under way
			g.mu.Lock()
			current = g.current
			g.mu.Unlock()
			if current == nil {
				return nil
			}
			return current.end()
		case <-g.wake:
		case <-ended:
			g.mu.Lock()
			same := g.current == current
			g.mu.Unlock()
			if same {
				return current.err
			}
		}
	}
}

// Close frees what was opened and never run.
func (g *Generations) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.first == nil || g.current != nil {
		return nil
	}
	return g.first.Source.Close()
}

// Gaps are the stretches of topics that were gone when a version that is read was to read them.
func (g *Generations) Gaps() []Gap {
	g.mu.Lock()
	versions := g.layout.Versions()
	live, first := g.current, g.first
	liveVersion := g.layout.Live
	g.mu.Unlock()
	var out []Gap
	for _, v := range versions {
		switch {
		case v == liveVersion && live != nil:
			out = append(out, live.Gaps()...)
		case v == liveVersion:
			out = append(out, first.Gaps()...)
		default:
			list, err := LoadGaps(g.c.KV, v, g.c.Views.Shard)
			if err != nil {
				g.c.Logger.Warn().Err(err).Msg("gaps of an older version could not be read")
			}
			out = append(out, list...)
		}
	}
	return out
}

// Replays returns every replay that is remembered, newest first.
func (g *Generations) Replays() []ReplayProgress {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]ReplayProgress, 0, len(g.replays))
	for _, r := range slices.Backward(g.replays) {
		out = append(out, g.progress(r))
	}
	return out
}

// Replay returns one replay.
func (g *Generations) Replay(id string) (ReplayProgress, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, err := g.find(id)
	if err != nil {
		return ReplayProgress{}, err
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

func (g *Generations) progress(r *Replay) ReplayProgress {
	at := map[PartitionID]int64{}
	a := g.active
	if a != nil && a.replay != r {
		a = nil
	}
	switch {
	case a != nil && a.version != nil:
		at = a.version.positions()
	case r.State == ReplaySwapped:
		for _, p := range r.Parts {
			at[PartitionID{p.Topic, p.Partition}] = p.End
		}
	case r.Version != 0:
		list, err := g.c.KV.Positions(r.Version, g.c.Views.Shard)
		if err != nil {
			g.c.Logger.Warn().Err(err).Msg("positions of a replay could not be read")
		}
		for _, p := range list {
			at[PartitionID{p.Topic, p.Partition}] = p.Offset
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

func (p *ReplayProgress) left() (n int64) {
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
func (g *Generations) StartReplay(q ReplayRequest) (ReplayProgress, error) {
	now := time.Now().UTC()
	if err := q.check(now); err != nil {
		return ReplayProgress{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	n := uint64(1)
	for _, r := range g.replays {
		if r.State.active() {
			return ReplayProgress{}, fmt.Errorf("%w: %s is %s", ErrReplayActive, r.ID, r.State)
		}
		last, err := strconv.ParseUint(r.ID, 10, 64)
		if err != nil {
			return ReplayProgress{}, fmt.Errorf("pipeline: replay id %q: %w", r.ID, err)
		}
		n = last + 1
	}
	r := &Replay{ID: strconv.FormatUint(n, 10), State: ReplayRunning, Views: q.Views, From: q.From.UTC(), To: q.To.UTC(), Keep: q.Keep, Created: now}
	var c storage.Commit
	forget := 0
	for ; len(g.replays)-forget >= keptReplays && len(g.replays[forget].Kept) == 0; forget++ {
		e, err := g.replays[forget].entry()
		if err != nil {
			return ReplayProgress{}, err
		}
		c.Entries = append(c.Entries, storage.Entry{Key: e.Key})
	}
	if err := g.save(r, c); err != nil {
		return ReplayProgress{}, err
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
		r.State, r.Error = ReplayFailed, err.Error()
		g.c.Logger.Error().Err(err).Str("replay", r.ID).Msg("replay failed; the views are as they were")
		if err := g.save(r, storage.Commit{}); err != nil {
			g.c.Logger.Error().Err(err).Msg("the state of a replay could not be stored")
		}
	})
}

// PauseReplay stops a replay; what it has read stays.
func (g *Generations) PauseReplay(id string) error {
	return g.interrupt(id, ReplayRunning, ReplayPaused)
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
	if state.active() || state == ReplayFailed {
		if err := g.interrupt(id, state, ReplayCanceled); err != nil {
			return err
		}
	} else if len(r.Kept) == 0 {
		return fmt.Errorf("%w: it is %s", ErrReplayState, state)
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
func (g *Generations) interrupt(id string, from, to ReplayState) error {
	g.mu.Lock()
	r, err := g.find(id)
	if err == nil && r.State != from {
		err = fmt.Errorf("%w: it is %s", ErrReplayState, r.State)
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
	if r.State != ReplayPaused && r.State != ReplayFailed || r != g.replays[len(g.replays)-1] {
		return fmt.Errorf("%w: it is %s", ErrReplayState, r.State)
	}
	was := *r
	r.State, r.Error = ReplayRunning, ""
	if err := g.save(r, storage.Commit{}); err != nil {
		*r = was
		return err
	}
	if g.base != nil {
		g.begin(r)
	}
	return nil
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
	gen, err := openGeneration(c, a.replay.Version, set, nil, func(ctx context.Context) error {
		return a.giveWay(ctx, behind, g.c.Tick)
	})
	if err != nil {
		return err
	}
	run := gen.start(context.WithoutCancel(ctx))
	g.mu.Lock()
	a.version = run
	g.mu.Unlock()
	swapped, err := g.catchUp(ctx, a, run)
	if !swapped || !a.replay.To.IsZero() {
		err = errors.Join(err, run.end())
	}
	if !swapped || err != nil {
		return err
	}
	if a.old != nil {
		err = a.old.end()
	}
	if a.gone != nil && !unread(ctx, a.gone) {
		return err // dropped at the next start
	}
	return errors.Join(err, g.drop(ctx))
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

// drop deletes the versions that nothing is read from, but those that are kept or being built.
func (g *Generations) drop(ctx context.Context) error {
	g.mu.Lock()
	versions, err := storage.Versions(g.c.KV)
	used := g.layout.Versions()
	for i, r := range g.replays {
		if r.State.active() || r.State == ReplayFailed && i == len(g.replays)-1 {
			used = append(used, r.Version)
		}
		used = append(used, r.Kept...)
	}
	g.mu.Unlock()
	if err != nil {
		return err
	}
	for _, v := range versions {
		if slices.Contains(used, v) {
			continue
		}
		if err := g.c.Store.DropVersion(ctx, v, g.c.Views.Shard); err != nil {
			return fmt.Errorf("pipeline: drop version %d of the views: %w", v, err)
		}
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
			g.c.Logger.Warn().Err(err).Msg("dropping old versions of the views failed, will be tried again")
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
	if len(layout.Versions()) == len(g.layout.Versions()) {
		g.mu.Unlock()
		return nil
	}
	gone, err := g.show(layout, storage.Commit{})
	g.mu.Unlock()
	if err == nil {
		unread(ctx, gone)
	}
	return err
}

// show stores a layout and makes readers read so; the caller holds the lock.
func (g *Generations) show(layout views.Layout, c storage.Commit) (gone func(), err error) {
	pointer, err := layout.Entry()
	if err != nil {
		return nil, err
	}
	c.Entries = append(c.Entries, pointer)
	if err := g.c.KV.Commit(c); err != nil {
		return nil, fmt.Errorf("pipeline: store which version is live: %w", err)
	}
	g.layout = layout
	sets := map[uint32]*views.Set{}
	for _, v := range layout.Versions() {
		sets[v] = g.sets[v]
	}
	g.sets = sets
	if g.live == nil {
		return func() {}, nil
	}
	return g.live.Swap(layout, sets)
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

// watchLive returns what tells whether the live generation lags: whether it does not hold yet what the brokers had some time ago.
func (g *Generations) watchLive() func() bool {
	if g.c.Offline {
		return func() bool { return false }
	}
	var mu sync.Mutex
	var taken time.Time
	var ends, target map[PartitionID]int64
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		live := g.Current()
		if now := time.Now(); now.Sub(taken) >= g.c.Behind {
			target, ends, taken = ends, map[PartitionID]int64{}, now
			for _, s := range live.Source.States() {
				if s.Partition >= 0 {
					ends[PartitionID{s.Topic, s.Partition}] = s.HighWatermark
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
	if live := g.Current(); live != nil {
		if live.positions()[PartitionID{r.Topic, r.Partition}] > r.Offset {
			return nil
		}
	}
	return g.c.DeadLetter(ctx, r, reason)
}

// margin is how much earlier and later than asked for records are read: the other halves of calls, and what was exported late.
func (g *Generations) margin() time.Duration { return g.c.Views.PairingWindow + time.Minute }

// placeReplay asks the brokers where to begin, and stores that.
func (g *Generations) placeReplay(ctx context.Context, r *Replay) error {
	pause := 500 * time.Millisecond
	for {
		parts, floor, err := g.askPlaces(ctx, r)
		if err == nil {
			return g.storePlaces(r, parts, floor)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g.c.Logger.Warn().Err(err).Str("replay", r.ID).Msg("the brokers do not say where the replay begins, asking again")
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		pause = min(2*pause, 10*time.Second)
	}
}

func (g *Generations) storePlaces(r *Replay, parts []ReplayPartition, floor int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	layout, next := g.layout, *r
	if g.c.Blank {
		floor = 0 // no other version has what is older
	}
	versions, err := storage.Versions(g.c.KV)
	if err != nil {
		return err
	}
	next.Version, next.Parts, next.Floor = max(1, layout.Next), parts, floor
	if n := len(versions); n > 0 {
		next.Version = max(next.Version, versions[n-1]+1)
	}
	layout.Next = next.Version + 1
	pointer, err := layout.Entry()
	if err != nil {
		return err
	}
	c := storage.Commit{Version: next.Version, Shard: g.c.Views.Shard, Entries: []storage.Entry{pointer}}
	if floor > 0 {
		c.Entries = append(c.Entries, views.FloorEntry(next.Version, g.c.Views.Shard, floor))
	}
	for _, p := range parts {
		c.Positions = append(c.Positions, storage.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Start, LeaderEpoch: -1})
	}
	if err := g.save(&next, c); err != nil {
		return err
	}
	*r, g.layout = next, layout
	return nil
}

// askPlaces finds where each partition begins and ends, and from when on the topics are whole.
func (g *Generations) askPlaces(ctx context.Context, r *Replay) (parts []ReplayPartition, floor int64, err error) {
	opts, err := g.c.Kafka.Opts()
	if err != nil {
		return nil, 0, err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, 0, fmt.Errorf("pipeline: kafka client: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	g.mu.Lock()
	live := g.layout.Live
	g.mu.Unlock()
	held, err := g.c.KV.Positions(live, g.c.Views.Shard)
	if err != nil {
		return nil, 0, err
	}
	var whole time.Time // the topics hold every record from here on
	for _, topic := range g.c.Topics {
		starts, err := StartOffsets(ctx, adm, topic)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		begin := time.Unix(0, 0)
		if !r.From.IsZero() {
			begin = r.From.Add(-g.margin())
		}
		from, err := OffsetsFrom(ctx, adm, begin, topic)
		if err != nil {
			return nil, 0, err
		}
		ends, err := EndOffsets(ctx, adm, topic)
		if err != nil {
			return nil, 0, err
		}
		until := ends
		if !r.To.IsZero() {
			placed, err := OffsetsFrom(ctx, adm, r.To.Add(g.margin()), topic)
			if err != nil {
				return nil, 0, err
			}
			until = map[PartitionID]int64{}
			for id, p := range placed {
				until[id] = p.Offset
			}
		}
		topics, err := adm.ListTopics(ctx, topic)
		if err != nil {
			return nil, 0, fmt.Errorf("pipeline: describe topic %s: %w", topic, err)
		}
		for _, id := range slices.SortedFunc(maps.Keys(starts), func(a, b PartitionID) int { return int(a.Partition - b.Partition) }) {
			start := max(starts[id], from[id].Offset)
			if r.From.IsZero() {
				start = starts[id]
			}
			parts = append(parts, ReplayPartition{Topic: topic, Partition: id.Partition, Start: start, End: max(start, until[id])})
			known := slices.IndexFunc(held, func(p storage.Position) bool { return p.Topic == topic && p.Partition == id.Partition })
			// a log made anew begins at 0 too, but what came before it is not in there
			same := known < 0 || held[known].Offset <= ends[id] && (held[known].TopicID == [16]byte{} || held[known].TopicID == topics[topic].ID)
			cut := starts[id] > 0 || !same
			if first := from[id].First; cut && start == starts[id] && first.After(whole) {
				whole = first
			}
		}
	}
	if !whole.IsZero() {
		whole = whole.Add(g.c.Views.PairingWindow)
	}
	if r.From.After(whole) {
		whole = r.From
	}
	if !whole.IsZero() {
		floor = ceilTo(whole.Unix()+1, views.BucketSeconds)
		if !r.From.IsZero() && whole.Equal(r.From) {
			floor = ceilTo(r.From.Unix(), views.BucketSeconds)
		}
	}
	return parts, floor, nil
}

// catchUp watches a replay until it can be swapped in, and does that.
func (g *Generations) catchUp(ctx context.Context, a *replaying, run *runner) (swapped bool, err error) {
	tick := time.NewTicker(g.c.Tick)
	defer tick.Stop()
	type sample struct {
		at        time.Time
		records   int64
		positions map[PartitionID]int64 // of the live views
	}
	var old, young sample
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-run.done:
			return false, run.err
		case <-tick.C:
		}
		now := time.Now()
		g.mu.Lock()
		p := progressOf(a.replay, run.positions())
		g.mu.Unlock()
		if now.Sub(young.at) >= g.c.Behind/2 {
			old, young = young, sample{now, p.Records, g.livePositions()}
		}
		if !old.at.IsZero() {
			a.mu.Lock()
			a.rate = float64(p.Records-old.records) / now.Sub(old.at).Seconds()
			a.mu.Unlock()
		}
		if p.left() > 0 || a.replay.To.IsZero() && (old.at.IsZero() || !reached(run.positions(), old.positions)) {
			continue
		}
		swapped, err := g.swap(ctx, a, run)
		if swapped || err != nil && !errors.Is(err, storage.ErrDiskFull) {
			return swapped, err
		}
	}
}

// livePositions are those of the live views, which offline nobody moves.
func (g *Generations) livePositions() map[PartitionID]int64 {
	if live := g.Current(); live != nil {
		return live.positions()
	}
	return map[PartitionID]int64{}
}

func reached(at, want map[PartitionID]int64) bool {
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
func (g *Generations) swap(ctx context.Context, a *replaying, run *runner) (bool, error) {
	old := g.Current()
	if a.replay.To.IsZero() && old != nil {
		release := old.Ingest.Hold()
		defer release()
		want := old.positions()
		for deadline := time.Now().Add(swapWait); !reached(run.positions(), want); {
			if time.Now().After(deadline) || ctx.Err() != nil {
				return false, nil
			}
			select {
			case <-run.done:
				return false, run.err
			case <-ctx.Done():
				return false, nil
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	release := run.Ingest.Hold()
	defer release()
	if !a.replay.To.IsZero() && old != nil {
		release := old.Ingest.Hold()
		defer release()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.replay.State != ReplayRunning {
		return false, nil
	}
	live := views.Frontier{}
	if g.live != nil {
		live = g.live.Frontier()
	}
	layout, err := a.replay.next(g.layout, live, run.Set.Frontier().Head)
	if err != nil {
		return false, err
	}
	if g.c.Blank {
		layout.Views = nil
	}
	next := *a.replay
	next.State, next.Updated = ReplaySwapped, time.Now().UTC()
	for _, v := range g.layout.Versions() {
		if next.Keep && !slices.Contains(layout.Versions(), v) {
			next.Kept = append(next.Kept, v)
		}
	}
	entry, err := next.entry()
	if err != nil {
		return false, err
	}
	was := g.sets
	g.sets = maps.Clone(was) // the old one belongs to a View
	g.sets[next.Version] = run.Set
	if a.gone, err = g.show(layout, storage.Commit{Entries: []storage.Entry{entry}}); err != nil {
		g.sets = was
		return false, err
	}
	*a.replay = next
	g.c.Logger.Info().Str("replay", next.ID).Uint32("version", next.Version).Msg("replay swapped in")
	if !next.To.IsZero() {
		return true, nil
	}
	run.Ingest.Count(g.c.Metrics)
	if old != nil {
		old.Ingest.GiveUp()
	}
	a.old, g.current, g.first = g.current, run, run.Generation
	a.mu.Lock()
	a.live = true
	a.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return true, nil
}
