package views

import (
	"fmt"
	"math"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/dedup"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// A Checkpoint is what the views took between two commits.
type Checkpoint struct {
	// Before are to be committed first, in order: parts of a fold too large for one transaction. Each may be tried again as it is.
	Before []storage.Commit
	Commit storage.Commit // to be committed then; may be tried again as it is
	Spans  uint64
	Logs   uint64
	Bytes  int // of the journal entry

	records uint64 // bytes of the records
	from    []*Accumulator
	taken   []*batch
	raw     [2]traces.RawMeta // of spans and of logs
	next    state
	marks   map[model.Partition]uint64
	gone    []model.Partition // see Mark.Gone
	sifted  int               // checkpoints whose raw blocks were sifted
	then    model.Later       // what a fold changes for readers once it is committed
}

// maxCheckpointPositions is how many partitions one checkpoint moves.
const maxCheckpointPositions = 5000

// state is what a checkpoint derives from its inputs for readers.
type state struct {
	seq      uint64
	counters model.Counters
	head     uint64
	complete uint64
}

// Collect takes what was applied since the last checkpoint. It returns nil when nothing was and no mark moves the frontier.
func (s *Set) Collect(marks []model.Mark) (*Checkpoint, error) {
	c := &Checkpoint{Commit: storage.Commit{Version: s.cfg.Version, Shard: s.cfg.Shard}}
	moved := false
	list := s.accumulators()
	for i := range list {
		if c.Spans+c.Logs >= s.cfg.MaxCheckpointSpans || c.records >= s.cfg.MaxCheckpointBytes ||
			len(c.Commit.Positions) >= maxCheckpointPositions {
			s.turn += i // the others are first next time
			break
		}
		a := list[(s.turn+i)%len(list)]
		b := a.take()
		c.from, c.taken = append(c.from, a), append(c.taken, b)
		if b.moved {
			moved = true
			c.Commit.Positions = append(c.Commit.Positions, b.position)
			c.Spans += b.counts.Spans
			c.Logs += b.counts.Logs
			s.pending.Add(-int64(b.counts.Applied()))
			s.pendingBytes.Add(-int64(b.bytes))
			c.records += b.bytes
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
	s.collectTaken(c)
	if err := s.sift(c); err != nil {
		return nil, fmt.Errorf("sift raw spans: %w", err)
	}
	entry := s.appendJournal(make([]byte, 0, s.journal.last+s.journal.last/8+1024), c)
	s.journal.last = len(entry)
	c.Bytes = len(entry)
	s.journal.count++
	s.journal.bytes += len(entry)
	c.Commit.Entries = append(c.Commit.Entries, storage.Entry{Key: journalKey(s.kv.Keyspace, s.seq), Value: entry})
	if s.seq == 1 {
		c.Commit.Entries = append(c.Commit.Entries, s.formatEntry())
	}
	var hashes []dedup.Seen
	for _, b := range c.taken {
		hashes = append(hashes, b.hashes...)
	}
	c.Commit.Entries = s.dedup.Store(s.kv.Keyspace, s.seq, hashes, c.Commit.Entries)
	keys := make([][]dedup.SpanKey, len(c.taken))
	for i, b := range c.taken {
		keys[i] = b.spanKeys
	}
	c.Commit.Entries = s.spans.Store(s.kv.Keyspace, s.seq, keys, &c.next.counters, c.Commit.Entries)
	s.pair(c)
	return c, nil
}

// collectTaken makes what the batches hold ready to be stored: raw blocks get their numbers, and series that were forgotten while a
// batch still used them are defined again.
func (s *Set) collectTaken(c *Checkpoint) {
	raws := [2][]*traces.RawBatch{make([]*traces.RawBatch, len(c.taken)), make([]*traces.RawBatch, len(c.taken))}
	base := uint32(0)
	for i, b := range c.taken {
		for j := range b.traces.Parts {
			for k := range b.traces.Parts[j].Raw {
				r := &b.traces.Parts[j].Raw[k]
				r.Seq, r.N = s.seq, r.N+base
			}
		}
		base += uint32(len(b.rawSpans.Blocks))
		raws[0][i], raws[1][i] = &b.rawSpans, &b.rawLogs
		for t := range b.tables {
			for _, se := range b.tables[t].Dirty {
				s.tables[t].Dict.Again(se.ID, se.Key)
			}
		}
	}
	for i, raw := range []*traces.RawStore{s.rawSpans, s.rawLogs} {
		var entries []storage.Entry
		entries, c.raw[i] = raw.Collect(s.kv.Keyspace, s.seq, raws[i])
		c.ahead(entries, s.cfg.MaxCommitBytes)
	}
}

// drainsOf returns the log patterns that a partition has found so far.
func (s *Set) drainsOf(partition int32) *drain.Drains {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.patterns.Of(partition, s.cfg.Limits.Patterns)
}

// pair meets the halves of a checkpoint.
func (s *Set) pair(c *Checkpoint) {
	for _, b := range c.taken {
		for i := range b.halves {
			s.pairing.Take(&b.halves[i])
		}
	}
	s.pairing.Expire(c.next.complete)
}

// advance moves watermarks and counters by what the batches hold. It reports whether marks alone moved the complete frontier by
// more than a second.
func (s *Set) advance(c *Checkpoint, marks []model.Mark) (moved bool) {
	c.next = state{seq: s.seq, counters: s.counters, head: s.head, complete: s.complete}
	for i, a := range c.from {
		b := c.taken[i]
		p := model.Partition{Topic: a.topic, N: a.partition}
		if b.moved {
			delete(s.marks.Gone, p)
		}
		if !s.marks.Gone[p] {
			s.marks.Raise(p, model.Watermark{End: b.mark, TS: b.ts})
		}
		c.next.counters.Add(&b.counts)
		c.next.head = max(c.next.head, b.mark)
	}
	c.gone = s.marks.Take(marks, func(p model.Partition, m model.Watermark) { s.Partition(p.Topic, p.N).follow(m.End) })
	c.marks = s.marks.Ends()
	c.next.complete = max(s.marks.Complete(), s.complete)
	return c.next.complete >= s.complete+uint64(time.Second)
}

func (s *Set) release(c *Checkpoint) {
	for i, a := range c.from {
		a.giveBack(c.taken[i])
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
	s.touchRED, s.touchMap, s.touched = s.touchRED[:0], s.touchMap[:0], 0
	s.head, s.complete, s.counters = c.next.head, c.next.complete, c.next.counters
	since := s.since()
	for _, b := range c.taken {
		for _, se := range b.dirty {
			touched := model.Touched{Bucket: math.MaxInt64}
			for _, cell := range se.cells {
				if cell.c.Calls == 0 {
					continue
				}
				touched.Bucket, touched.Calls = min(touched.Bucket, cell.start), touched.Calls+cell.c.Calls
				late, err := s.red.Add(s.kv, c.next.seq, se.id, cell.start, cell.c, since)
				if err != nil {
					return err
				}
				switch {
				case late:
					s.counters.TooLate += cell.c.Calls
				case cell.start >= s.red.Floor && (s.oldest == 0 || cell.start < s.oldest):
					s.oldest = cell.start
				}
			}
			s.touchRED = append(s.touchRED, model.Touch{ID: se.id, Touched: touched})
		}
		for t := range b.tables {
			if len(b.tables[t].Dirty) > 0 {
				s.touched = s.touched.With(model.Table(t))
			}
			if err := s.tables[t].Install(s.kv, c.next.seq, &b.tables[t], since); err != nil {
				return err
			}
		}
		for i := range b.traces.Parts {
			if err := s.traces.Install(s.kv, &b.traces.Parts[i]); err != nil {
				return err
			}
		}
	}
	for _, b := range c.taken {
		s.patterns.Install(&b.patterns)
	}
	s.rawSpans.Install(c.raw[0])
	s.rawLogs.Install(c.raw[1])
	s.numberEdges()
	for k, e := range s.pairing.Edges {
		id := s.edgeIDOf(k.Edge)
		if _, err := s.edges.Add(s.kv, c.next.seq, id, k.Start, e, since); err != nil {
			return err
		}
		s.touchMap = append(s.touchMap, model.Touch{ID: s.edgeLabel[id], Touched: model.Touched{Bucket: k.Start}})
	}
	s.pairing.Forget()
	s.progressed(c)
	s.counters.Waiting = uint64(s.pairing.Waiting)
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
