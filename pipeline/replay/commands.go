package replay

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

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
	r := &Replay{ID: strconv.FormatUint(n, 10), State: Running, Views: q.Views, From: q.From.UTC(), To: q.To.UTC(), Keep: q.Keep,
		Created: now, Metrics: g.line.metrics != nil && (len(q.Views) == 0 || slices.Contains(q.Views, model.ViewMetrics))}
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
