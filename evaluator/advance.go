package evaluator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"

	"github.com/gaurav/watchingcat/views"
)

// Advance evaluates every group that has a reason to be: its inputs changed, its interval has passed, or one of its alerts is
// due to fire. now is the wall clock. The error is of storing alerts; it is tried again with the next call.
func (e *Evaluator) Advance(ctx context.Context, c views.Change, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	gs := *e.groups.Load()
	e.touch(gs, c, now)
	e.pending.Merge(c)
	ctx = withRecent(ctx, e.recent)
	metrics := e.touchSamples(gs)
	var errs []error
	ready := e.cfg.Ready()
	moved := c.Frontier.Complete.After(e.complete)
	e.complete = roundUp(c.Frontier.Complete) // as the times of evaluations are
	if ready != e.ready || e.unsaved || e.early && moved {
		e.ready = ready
		errs = append(errs, e.settleAll(now))
	}
	e.wake = now.Add(e.cfg.Floor)
	floor := crowded(gs, now)
	for _, g := range gs {
		for _, p := range g.passes {
			ts := p.target(c.Frontier, metrics)
			if ts.IsZero() || !p.due(g, ts, now) {
				continue
			}
			if next := p.ran.Add(max(floor, g.pause(p))); now.Before(next) {
				if next.Before(e.wake) {
					e.wake = next
				}
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			e.catchUp()
			e.run(ctx, gs, g, p, ts, now)
			errs = append(errs, e.saved(e.settle([]*group{g}, ready, now)))
		}
	}
	return errors.Join(errs...)
}

// catchUp reads what has changed of the series that rules select, once somebody asks.
func (e *Evaluator) catchUp() {
	if e.pending.Frontier.Head.IsZero() {
		return
	}
	if err := e.recent.refresh(e.cfg.Reader, e.pending, e.red, e.edges); err != nil {
		e.cfg.Logger.Warn("reading changed series failed, rules read the views", "err", err)
	}
	e.pending = views.Change{}
}

// share is how much of a core the evaluation of all rules may take, with what is read for them beside it some 8 %.
const share = 0.06

// crowded is the least time between two evaluations of a pass such that all that are evaluated again and again stay within share. A pass
// that was quiet for longer is evaluated at once.
func crowded(gs []*group, now time.Time) time.Duration {
	var sum time.Duration
	for _, g := range gs {
		for _, p := range g.passes {
			if now.Sub(p.ran) < 2*time.Second {
				sum += p.cost
			}
		}
	}
	if sum < costly {
		return 0 // few rules: their floor is enough
	}
	return time.Duration(float64(sum) / share)
}

// A group that takes long to evaluate is kept from taking more than about a tenth of a core, however often its inputs change.
const (
	costly     = 20 * time.Millisecond
	costFactor = 10
)

// pause is the least time between two evaluations of a pass.
func (g *group) pause(p *pass) time.Duration {
	if p.cost < costly {
		return g.floor
	}
	return max(g.floor, costFactor*p.cost)
}

func (e *Evaluator) run(ctx context.Context, gs []*group, g *group, p *pass, ts, now time.Time) {
	e.captured = make(map[string]promql.Vector, len(p.rules))
	g.subset.rules = p.rules
	rules.DefaultEvalIterationFunc(ctx, g.Group, ts)
	e.metrics.lag.Observe(now.Sub(ts).Seconds())
	p.last, p.ran, p.fresh, p.cost = ts, now, false, g.GetEvaluationTime()
	for _, name := range p.records {
		for _, other := range gs {
			for _, q := range other.passes {
				if q != p && q.reads(name) {
					q.touch(ts)
				}
			}
		}
	}
	e.changed.send() // values moved, even when no state did
}

// evaluateAll evaluates every rule as of ts, at which all data is there. It is how time passes in a backtest.
func (e *Evaluator) evaluateAll(ctx context.Context, ts time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	gs := *e.groups.Load()
	e.complete, e.ready = ts, true
	for _, g := range gs {
		for _, p := range g.passes {
			e.run(ctx, gs, g, p, ts, ts)
		}
	}
	return e.saved(e.settle(gs, true, ts))
}

// failed is the error of a rule that could not be evaluated last time.
func (e *Evaluator) failed() error {
	for _, g := range *e.groups.Load() {
		for _, r := range g.Rules() {
			if err := r.LastError(); err != nil {
				return fmt.Errorf("%s: %w", r.Name(), err)
			}
		}
	}
	return nil
}

// touch marks the passes that select a changed series.
func (e *Evaluator) touch(gs []*group, c views.Change, now time.Time) {
	all := func() {
		for _, g := range gs {
			for _, p := range g.passes {
				p.touch(c.Frontier.Head)
			}
		}
	}
	if c.Frontier.Version != e.version || e.red == nil {
		e.version, e.red, e.edges = c.Frontier.Version, map[uint32]views.REDKey{}, map[uint32]views.EdgeKey{}
		e.unnamed, e.named = map[uint32]time.Time{}, false
		e.audience.forget()
		all()
	}
	if err := e.learn(c, now); err != nil {
		e.cfg.Logger.Warn("reading names of changed series failed, every group is evaluated", "err", err)
		all()
	}
	for id := range c.RED {
		if k, ok := e.red[id]; ok {
			for _, p := range e.audience.ofRED(id, k) {
				p.touch(c.Frontier.Head)
			}
		}
	}
	for id := range c.Edges {
		if k, ok := e.edges[id]; ok {
			for _, p := range e.audience.ofEdge(id, k) {
				p.touch(c.Frontier.Head)
			}
		}
	}
	if c.Tables == 0 {
		return
	}
	for _, g := range gs {
		for _, p := range g.passes {
			if c.Tables&p.tables != 0 {
				p.touch(c.Frontier.Head)
			}
		}
	}
}

// touchSamples marks the passes that read samples of OTLP metrics when newer ones were committed, and returns how far those reach.
// Which series changed is not known: that would take a look at every sample.
func (e *Evaluator) touchSamples(gs []*group) views.Frontier {
	if e.cfg.Metrics == nil {
		return views.Frontier{}
	}
	fr := e.cfg.Metrics.Frontier()
	if fr.Head.After(e.sampled) {
		e.sampled = fr.Head
		for _, g := range gs {
			for _, p := range g.passes {
				if p.samples {
					p.touch(fr.Head)
				}
			}
		}
	}
	return fr
}

// learn reads the names of all series at first, and when one of the changed is not known yet: new series are rare.
func (e *Evaluator) learn(c views.Change, now time.Time) error {
	all := !e.named && !c.Frontier.Head.IsZero()
	if all || unknown(c.RED, e.red, nil, now) {
		_, err := e.cfg.Reader.SelectRED(c.Frontier.Head, c.Frontier.Head, func(id uint32, k views.REDKey) bool {
			e.red[id] = k
			return false
		})
		if err != nil {
			return err
		}
	}
	if all || unknown(c.Edges, e.edges, e.unnamed, now) {
		_, err := e.cfg.Reader.SelectEdges(c.Frontier.Head, c.Frontier.Head, func(id uint32, k views.EdgeKey) bool {
			e.edges[id] = k
			return false
		})
		if err != nil {
			return err
		}
		// Halves that made no edge, and edges with no calls left, change without being told by name: ask about each now and then.
		for id := range c.Edges {
			if _, ok := e.edges[id]; !ok {
				e.unnamed[id] = now.Add(e.cfg.Floor)
			}
		}
	}
	e.named = e.named || all
	return nil
}

func unknown[K any](ids map[uint32]int64, keys map[uint32]K, unnamed map[uint32]time.Time, now time.Time) bool {
	for id := range ids {
		if _, ok := keys[id]; !ok && !now.Before(unnamed[id]) {
			return true
		}
	}
	return false
}

// Run evaluates as commits arrive until ctx ends. It is the only loop with a clock.
func (e *Evaluator) Run(ctx context.Context) error {
	sub := e.cfg.Reader.Feed().Subscribe()
	defer sub.Close()
	var metrics <-chan struct{}
	if e.cfg.Metrics != nil {
		s := e.cfg.Metrics.Feed().Subscribe()
		defer s.Close()
		metrics = s.C
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sub.C:
		case <-metrics:
		case <-timer.C:
		}
		c := sub.Take()
		// The complete frontier of idle partitions moves without a commit.
		c.Frontier = e.cfg.Reader.Frontier()
		if err := e.Advance(ctx, c, time.Now()); err != nil && ctx.Err() == nil {
			e.cfg.Logger.Error("storing alerts failed, will be tried again", "err", err)
		}
		timer.Reset(e.untilWake(time.Now()))
	}
}

func (e *Evaluator) untilWake(now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return max(e.wake.Sub(now), time.Millisecond)
}
