package samples

import (
	"maps"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	viewmodel "github.com/gaurav/watchingcat/views/model"
)

// A MetricsCheckpoint is what was taken between two commits.
type MetricsCheckpoint struct {
	// Samples are to be written to the TSDB, durably, before anything is committed.
	Samples []samples.Sample
	// Before are to be committed then, in order, and Commit last. Each may be tried again as it is.
	Before   []storage.Commit
	Commit   storage.Commit
	batch    *metricBatch
	families []Family
	complete uint64
	head     uint64
	marks    map[viewmodel.Partition]uint64
	gone     []viewmodel.Partition // see Mark.Gone
	counters MetricCounters
	merged   samples.Appended // what was added to samples that were there already
}

// metricsCommitBytes bounds the transactions of a checkpoint.
const metricsCommitBytes = 4 << 20

// Collect takes what was applied since the last checkpoint. It returns nil when nothing was and no delta need wait no longer.
func (m *Metrics) Collect(marks []viewmodel.Mark) *MetricsCheckpoint {
	m.mu.Lock()
	b := m.batch
	m.batch = newMetricBatch()
	m.mu.Unlock()
	moved, gone := m.watermarks(b, marks)
	complete := int64(m.complete / 1e6)
	m.deltas.add(b.pieces)
	if len(b.positions) == 0 && !moved && !m.deltas.ready(complete) {
		return nil
	}
	m.seq++
	c := &MetricsCheckpoint{Samples: b.samples, batch: b, complete: m.complete, head: m.head, marks: m.marks.Ends(), gone: gone,
		counters: b.counters, Commit: storage.Commit{Version: m.cfg.Version, Shard: MetricsShard}}
	rel := m.deltas.release(m.kv.Keyspace, complete)
	c.Samples = append(c.Samples, rel.samples...)
	c.counters.Early += uint64(rel.early)
	c.merged = samples.Appended{Samples: rel.merged, Points: rel.mergedPoints}
	for reason, n := range rel.dropped {
		c.counters.Dropped[reason] += uint64(n)
	}
	m.store(c, b, rel.entries)
	c.counters.DeltaSeries, c.counters.HeldDeltas = len(m.deltas.series), m.deltas.held
	return c
}

// watermarks moves the frontiers. It reports whether marks alone moved the complete one by more than a second, and which partitions are
// gone.
func (m *Metrics) watermarks(b *metricBatch, marks []viewmodel.Mark) (moved bool, gone []viewmodel.Partition) {
	for p, k := range b.marks {
		m.marks.Raise(p, k)
		m.head = max(m.head, k.End)
	}
	for p := range b.positions { // only dead letters so far: nothing is known of its time
		delete(m.marks.Gone, p)
		m.marks.Raise(p, viewmodel.Watermark{})
	}
	gone = m.marks.Take(marks, nil)
	old := m.complete
	m.complete = max(m.complete, m.marks.Complete())
	return m.complete >= old+uint64(time.Second), gone
}

// store puts everything into transactions. What grows with the records goes before the one that moves the positions: pieces and
// families say the same when they are written again, and pieces beyond the positions are ignored.
func (m *Metrics) store(c *MetricsCheckpoint, b *metricBatch, entries []storage.Entry) {
	ks := m.kv.Keyspace
	var before []storage.Entry
	for _, p := range b.pieces {
		if _, waits := slices.BinarySearchFunc(m.deltas.queue, p, (*piece).compare); waits {
			k := p.key(ks)
			before = append(before, storage.Entry{Key: k, Value: p.encode()})
			delete(m.deltas.stray, string(k))
			p.stored = piecesNow
		}
	}
	m.view.RLock()
	known := len(m.families)
	for _, name := range slices.Sorted(maps.Keys(b.families)) {
		f := b.families[name]
		old, have := m.families[name]
		if have && old == f {
			continue
		}
		if !have {
			if known >= m.cfg.Families {
				c.counters.Overflowed++
				continue
			}
			known++
		}
		c.families = append(c.families, f)
		before = append(before, storage.Entry{Key: ks.Key(storage.TableFamily, []byte(name)...), Value: f.append(nil)})
	}
	m.view.RUnlock()
	size := 0
	for _, e := range before {
		if n := len(c.Before); n == 0 || size+len(e.Value)+len(e.Key) > metricsCommitBytes {
			c.Before, size = append(c.Before, storage.Commit{Version: m.cfg.Version, Shard: MetricsShard}), 0
		}
		size += len(e.Value) + len(e.Key)
		last := &c.Before[len(c.Before)-1]
		last.Entries = append(last.Entries, e)
	}
	entries = m.deltas.dropStray(entries)
	entries = m.deltas.sweep(ks, int64(m.complete/1e6), entries)
	entries = m.dedup.Store(ks, m.seq, b.hashes, entries)
	entries = m.dedup.Forget(ks, m.dedupBefore(), entries)
	entries = append(entries, storage.Entry{Key: viewmodel.StateKey(ks), Value: m.appendState(nil)})
	c.Commit.Entries = entries
	for _, p := range slices.SortedFunc(maps.Keys(b.positions), viewmodel.Partition.Compare) {
		c.Commit.Positions = append(c.Commit.Positions, b.positions[p])
	}
}

// dedupBefore is the oldest record timestamp that may still be sent again; 0 while a partition's is not known.
func (m *Metrics) dedupBefore() int64 { return m.dedup.WindowStart(m.marks.OldestRecord()) }

// Install makes a committed checkpoint visible and publishes it to the feed. took is what became of its samples.
func (m *Metrics) Install(c *MetricsCheckpoint, took samples.Appended) {
	m.view.Lock()
	for _, f := range c.families {
		m.families[f.Name] = f
	}
	m.frontier = viewmodel.Frontier{Seq: m.seq, Version: m.cfg.Version, Head: viewmodel.Time(c.head), Complete: viewmodel.Time(c.complete)}
	for _, p := range c.gone {
		delete(m.progress, p)
	}
	for p, end := range c.marks {
		at := m.progress[p]
		at.Topic, at.Partition, at.Watermark = p.Topic, p.N, viewmodel.Time(end)
		m.progress[p] = at
	}
	for _, pos := range c.Commit.Positions {
		p := viewmodel.Partition{Topic: pos.Topic, N: pos.Partition}
		at := m.progress[p]
		at.Topic, at.Partition, at.Position = p.Topic, p.N, pos.Offset
		m.progress[p] = at
	}
	m.counters.add(&c.counters)
	m.counters.Samples += uint64(took.Samples + c.merged.Samples)
	m.counters.Kept += uint64(took.Points + c.merged.Points)
	for reason, n := range took.Dropped {
		m.counters.Dropped[reason] += uint64(n)
	}
	fr := m.frontier
	m.view.Unlock()
	m.feed.Publish(fr, nil, nil, 0)
}
