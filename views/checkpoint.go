package views

import (
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/model"
)

// maxCheckpointPositions is how many partitions one checkpoint moves.
const maxCheckpointPositions = 5000

// Collect takes what was applied since the last checkpoint. It returns nil when nothing was and no mark moves the frontier.
func (s *Set) Collect(marks []model.Mark) (*Checkpoint, error) {
	c := &Checkpoint{Commit: storage.Commit{Version: s.cfg.Version, Shard: s.cfg.Shard}, limit: s.cfg.MaxCommitBytes}
	moved := false
	list := s.accumulators()
	for i := range list {
		if c.Spans+c.Logs >= s.cfg.MaxCheckpointSpans || c.records >= s.cfg.MaxCheckpointBytes ||
			len(c.Commit.Positions) >= maxCheckpointPositions {
			s.turn += i // the others are first next time
			break
		}
		a := list[(s.turn+i)%len(list)]
		b := a.Take()
		c.from, c.taken = append(c.from, a), append(c.taken, b)
		if b.Moved {
			moved = true
			c.Commit.Positions = append(c.Commit.Positions, b.Position)
			c.Spans += b.Counts.Spans
			c.Logs += b.Counts.Logs
			s.taken.Pending.Add(-int64(b.Counts.Applied()))
			s.taken.PendingBytes.Add(-int64(b.Bytes))
			c.records += b.Bytes
		}
	}
	idle := s.advance(c, marks)
	if !moved && !idle {
		s.release(c)
		return nil, nil
	}
	if s.foldDue() {
		if err := s.fold(c); err != nil {
			return nil, err
		}
	}
	s.seq++
	c.next.seq = s.seq
	for _, v := range s.views {
		v.collect(c)
	}
	if err := s.sift(c); err != nil {
		return nil, fmt.Errorf("sift raw spans: %w", err)
	}
	s.journalise(c)
	s.edges.pair(c)
	return c, nil
}

// drainsOf returns the log patterns that a partition has found so far.
func (s *Set) drainsOf(partition int32) *drain.Drains {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.patterns.Of(partition, s.cfg.Limits.Patterns)
}

// advance moves watermarks and counters by what the batches hold. It reports whether marks alone moved the complete frontier by
// more than a second.
func (s *Set) advance(c *Checkpoint, marks []model.Mark) (moved bool) {
	c.next = state{seq: s.seq, counters: s.counters, head: s.head, complete: s.complete}
	for i, a := range c.from {
		b := c.taken[i]
		p := a.Partition()
		if b.Moved {
			delete(s.marks.Gone, p)
		}
		if !s.marks.Gone[p] {
			s.marks.Raise(p, model.Watermark{End: b.Mark, TS: b.TS})
		}
		c.next.counters.Add(&b.Counts)
		c.next.head = max(c.next.head, b.Mark)
	}
	c.gone = s.marks.Take(marks, func(p model.Partition, m model.Watermark) { s.Partition(p.Topic, p.N).Follow(m.End) })
	c.marks = s.marks.Ends()
	c.next.complete = max(s.marks.Complete(), s.complete)
	return c.next.moved(s.complete)
}

func (s *Set) release(c *Checkpoint) {
	for i, a := range c.from {
		a.GiveBack(c.taken[i])
	}
}

// Install makes a committed checkpoint visible and publishes it to the feed.
func (s *Set) Install(c *Checkpoint) error {
	s.mu.Lock()
	err := s.install(c)
	fr, red, edges, tables := s.frontier, s.touchRED, s.touchMap, s.touched
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("views: install checkpoint %d: %w", c.next.seq, err)
	}
	s.release(c)
	s.feed.Publish(fr, red, edges, tables)
	return nil
}

func (s *Set) install(c *Checkpoint) error {
	for _, f := range c.then {
		f()
	}
	s.head, s.complete, s.counters = c.next.head, c.next.complete, c.next.counters
	in := &installing{kv: s.kv, seq: c.next.seq, since: s.since(), counters: &s.counters, red: s.touchRED[:0], edges: s.touchMap[:0]}
	for _, v := range s.views {
		if err := v.install(c, in); err != nil {
			return err
		}
	}
	s.touchRED, s.touchMap, s.touched = in.red, in.edges, in.tables
	s.progressed(c)
	s.frontier = model.Frontier{Seq: c.next.seq, Version: s.cfg.Version, Since: s.sinceTime(), Head: model.Time(s.head),
		Complete: model.Time(s.complete)}
	for l, at := range s.since() {
		s.frontier.Levels[l].Width = time.Duration(model.LevelSeconds[l]) * time.Second
		if s.head != 0 {
			s.frontier.Levels[l].Since = time.Unix(at, 0).UTC()
		}
	}
	return nil
}
