package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/samples"
)

// keptReplays is how many ended replays are remembered.
const keptReplays = 50

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
	if !g.c.Metrics.Topics.Empty() {
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
	if err := g.c.Store.DropVersion(ctx, version, samples.MetricsShard); err != nil {
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
