package rules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/views/model"
)

// Advance evaluates every group that has a reason to be: its inputs changed, its interval has passed, or one of its alerts is
// due to fire. now is the wall clock. The error is of storing alerts; it is tried again with the next call.
func (e *Evaluator) Advance(ctx context.Context, c model.Change, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	gs := *e.groups.Load()
	e.touch(gs, c, now)
	e.pending.Merge(c)
	ctx = query.WithRecent(ctx, e.recent)
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
	due := e.due(gs, c.Frontier, metrics, now)
	e.noteWaiting(gs)
	defer e.noteWaiting(gs)
	if len(due) > 0 {
		e.catchUp(due)
	}
	for _, d := range due {
		if err := ctx.Err(); err != nil {
			return err
		}
		e.run(ctx, d.g, d.p, d.ts, now)
		before := e.history.Next
		errs = append(errs, e.saved(e.settle([]*group{d.g}, ready, now)))
		if e.history.Next != before {
			for _, q := range d.p.watchers {
				q.touch(d.ts)
			}
		}
	}
	return errors.Join(errs...)
}

// duePass is a pass to be evaluated as of ts.
type duePass struct {
	g  *group
	p  *pass
	ts time.Time
}

// due are the passes to be evaluated now, the cheap ones first: the others wait little for them.
func (e *Evaluator) due(gs []*group, fr, metrics model.Frontier, now time.Time) []duePass {
	var out []duePass
	turn := turnsOf(gs, now)
	for _, g := range gs {
		for _, p := range g.passes {
			ts := p.target(fr, metrics)
			if ts.IsZero() || !p.due(g, ts, now) {
				p.since = time.Time{}
				continue
			}
			if p.since.IsZero() {
				p.since = now
			}
			next := p.ran.Add(g.pause(p))
			if t := turn(p); t > g.pause(p) {
				next = p.ran.Add(t + together).Truncate(together)
			}
			if now.Before(next) {
				if next.Before(e.wake) {
					e.wake = next
				}
				continue
			}
			out = append(out, duePass{g, p, ts})
		}
	}
	slices.SortStableFunc(out, func(a, b duePass) int { return cmp.Compare(a.p.cost, b.p.cost) })
	return out
}

// noteWaiting notes since when the pass that waits longest is due. A scrape must not wait for an evaluation to read it.
func (e *Evaluator) noteWaiting(gs []*group) {
	oldest := int64(0)
	for _, g := range gs {
		for _, p := range g.passes {
			if t := p.since.UnixNano(); !p.since.IsZero() && (oldest == 0 || t < oldest) {
				oldest = t
			}
		}
	}
	e.waiting.Store(oldest)
}

// behind is how long the pass that waits longest has been due.
func (e *Evaluator) behind(now time.Time) time.Duration {
	t := e.waiting.Load()
	if t == 0 {
		return 0
	}
	return max(0, now.Sub(time.Unix(0, t)))
}

// catchUp reads what has changed of the series that the passes select; what others select stays pending.
func (e *Evaluator) catchUp(due []duePass) {
	if e.pending.Frontier.Head.IsZero() {
		return
	}
	now := e.pending
	now.RED, e.pending.RED = split(now.RED, due, e.audience.redOf)
	now.Edges, e.pending.Edges = split(now.Edges, due, e.audience.edgesOf)
	if err := e.recent.Refresh(e.cfg.Reader, now, e.red, e.edges); err != nil {
		e.ruleLogger.Warn("reading changed series failed, rules read the views", "err", err)
	}
}

// split parts what one of the passes reads from the rest.
func split(changed map[uint32]model.Touched, due []duePass, audience map[uint32][]listener) (read, rest map[uint32]model.Touched) {
	running := map[*pass]bool{}
	for _, d := range due {
		running[d.p] = true
	}
	read, rest = map[uint32]model.Touched{}, map[uint32]model.Touched{}
	for id, t := range changed {
		if len(audience[id]) == 0 {
			continue // it has no reader
		}
		to := rest
		for _, l := range audience[id] {
			if running[l.p] {
				to = read
				break
			}
		}
		to[id] = t
	}
	return read, rest
}

// share is how much of a core the evaluation of all rules may take; what is read for them comes on top.
const share = 0.05

// together is the raster on which passes that wait for their turn are evaluated: what they read is read for all of them at once.
const together = 500 * time.Millisecond

// active is how lately a pass was evaluated that counts as evaluated again and again.
const active = 5 * time.Second

// turnsOf says how long each pass waits between two evaluations so that all together stay within share: every pass gets the same part of
// the time, so that a small one is evaluated often and a large one seldom. One that was quiet for longer is evaluated at once.
func turnsOf(gs []*group, now time.Time) func(*pass) time.Duration {
	var sum time.Duration
	n := 0
	for _, g := range gs {
		for _, p := range g.passes {
			if now.Sub(p.ran) < active && p.gap < active {
				sum += p.cost
				n++
			}
		}
	}
	if sum < costly {
		return func(*pass) time.Duration { return 0 } // few rules: their floor is enough
	}
	return func(p *pass) time.Duration { return time.Duration(float64(p.cost) * float64(n) / share) }
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

// costs is what an evaluation takes, given what the last one took: a single one that was kept waiting by a busy machine counts little.
func (p *pass) costs(took time.Duration) time.Duration {
	if p.cost == 0 || took < p.cost {
		return took
	}
	return min(took, p.cost+p.cost/4+50*time.Microsecond)
}

func (e *Evaluator) run(ctx context.Context, g *group, p *pass, ts, now time.Time) {
	e.captured = make(map[string]promql.Vector, len(p.rules))
	e.offset = g.QueryOffset()
	e.evaluate(ctx, g, p.rules, ts)
	e.metrics.lag.Observe(now.Sub(ts).Seconds())
	p.gap = now.Sub(p.ran)
	p.last, p.ran, p.fresh, p.since = ts, now, false, time.Time{}
	if !e.cfg.Unpaced {
		p.cost = p.costs(g.GetEvaluationTime())
	}
	e.measure(g, p, ts)
	for _, q := range p.readers {
		q.touch(ts)
	}
	e.changed.Send() // values moved, even when no state did
}

// EvaluateAll evaluates every rule as of ts, at which all data is there. It is how time passes in a backtest.
func (e *Evaluator) EvaluateAll(ctx context.Context, ts time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	gs := *e.groups.Load()
	e.complete, e.ready = ts, true
	for _, g := range gs {
		for _, p := range g.passes {
			e.run(ctx, g, p, ts, ts)
		}
	}
	return e.saved(e.settle(gs, true, ts))
}

// Failed is the error of a rule that could not be evaluated last time.
func (e *Evaluator) Failed() error {
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
func (e *Evaluator) touch(gs []*group, c model.Change, now time.Time) {
	all := func() {
		for _, g := range gs {
			for _, r := range g.reaches {
				r.lose()
			}
			for _, p := range g.passes {
				p.touch(c.Frontier.Head)
			}
		}
	}
	if c.Frontier.Version != e.version || e.red == nil {
		e.version, e.red, e.edges = c.Frontier.Version, map[uint32]model.REDKey{}, map[uint32]model.EdgeKey{}
		e.unnamed, e.named = map[uint32]time.Time{}, false
		e.audience.forget()
		all()
	}
	if err := e.learn(c, now); err != nil {
		e.ruleLogger.Warn("reading names of changed series failed, every group is evaluated", "err", err)
		all()
	}
	for id, t := range c.RED {
		if k, ok := e.red[id]; ok {
			hear(e.audience.ofRED(id, k), t, c.Frontier.Head)
		}
	}
	for id, t := range c.Edges {
		if k, ok := e.edges[id]; ok {
			hear(e.audience.ofEdge(id, k), t, c.Frontier.Head)
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
func (e *Evaluator) touchSamples(gs []*group) model.Frontier {
	if e.cfg.Metrics == nil {
		return model.Frontier{}
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
func (e *Evaluator) learn(c model.Change, now time.Time) error {
	all := !e.named && !c.Frontier.Head.IsZero()
	if all || unknown(c.RED, e.red, nil, now) {
		_, err := e.cfg.Reader.SelectRED(c.Frontier.Head, c.Frontier.Head, func(id uint32, k model.REDKey) bool {
			e.red[id] = k
			return false
		})
		if err != nil {
			return err
		}
	}
	if all || unknown(c.Edges, e.edges, e.unnamed, now) {
		_, err := e.cfg.Reader.SelectEdges(c.Frontier.Head, c.Frontier.Head, func(id uint32, k model.EdgeKey) bool {
			e.edges[id] = k
			return false
		})
		if err != nil {
			return err
		}
		// Halves that made no edge, and edges with no calls left, change without being listed: ask about each now and then.
		for id := range c.Edges {
			if _, ok := e.edges[id]; !ok {
				e.unnamed[id] = now.Add(e.cfg.Floor)
			}
		}
	}
	e.named = e.named || all
	return nil
}

func unknown[K any](ids map[uint32]model.Touched, keys map[uint32]K, unnamed map[uint32]time.Time, now time.Time) bool {
	for id := range ids {
		if _, ok := keys[id]; !ok && !now.Before(unnamed[id]) {
			return true
		}
	}
	return false
}

// advance makes a panic an error of this advance.
func (e *Evaluator) advance(ctx context.Context, c model.Change, now time.Time) error {
	err := Caught("evaluating rules", func() error { return e.Advance(ctx, c, now) })
	if errors.Is(err, errPanicked) {
		e.metrics.panics.Inc()
	}
	return err
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
		if err := e.advance(ctx, c, time.Now()); err != nil && ctx.Err() == nil {
			e.ruleLogger.Error("storing alerts failed, will be tried again", "err", err)
		}
		timer.Reset(e.untilWake(time.Now()))
	}
}

func (e *Evaluator) untilWake(now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return max(e.wake.Sub(now), time.Millisecond)
}
