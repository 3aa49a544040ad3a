package replay

import (
	"fmt"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/samples"
)

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
		for _, shard := range []uint16{g.c.Views.Shard, samples.MetricsShard} {
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
