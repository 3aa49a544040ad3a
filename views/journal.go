package views

import (
	"encoding/binary"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// A journal entry is the input of one checkpoint:
//
//	new names and series (names.go)
//	state: counters, head, complete, marks of partitions
//	red: for each series: id+1, number of buckets, each start and cell; then 0
//	halves: number, each half
//	tables: for each its new definitions, then cells as red
//	traces: number, base time, each
//	clusters of log lines: for each partition with any its number+1, how many, each; then 0
//
// A fold writes the changed cells, series and waiting groups as they are after some checkpoint, a state entry with its number,
// and deletes the journal up to it, all in the transaction of the next checkpoint.

func journalKey(ks model.Keyspace, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(ks.Key(storage.TableJournal), seq)
}

func (s *Set) appendJournal(b []byte, c *Checkpoint) []byte {
	b = s.names.AppendNew(b)
	b = s.appendState(b, &c.next)
	for _, t := range c.taken {
		for _, se := range t.dirty {
			b = model.AppendUvarint(b, uint64(se.id)+1)
			b = model.AppendUvarint(b, uint64(len(se.cells)))
			for _, cell := range se.cells {
				b = binary.AppendUvarint(b, uint64(cell.start))
				b = cell.c.Append(b)
			}
		}
	}
	b = append(b, 0)
	n := 0
	for _, t := range c.taken {
		n += len(t.halves)
	}
	b = model.AppendUvarint(b, uint64(n))
	var last edges.Half
	for _, t := range c.taken {
		for i := range t.halves {
			b = edges.AppendHalf(b, &t.halves[i], &last)
		}
	}
	return s.appendViews(b, c)
}

func (s *Set) appendViews(b []byte, c *Checkpoint) []byte {
	for t := range s.tables {
		b = s.tables[t].Dict.AppendNew(b)
		for _, batch := range c.taken {
			b = batch.tables[t].AppendTo(b)
		}
		b = append(b, 0)
	}
	n := 0
	for _, batch := range c.taken {
		n += len(batch.traces.Parts)
	}
	b = binary.AppendUvarint(b, uint64(n))
	b = binary.AppendUvarint(b, c.next.head)
	for _, batch := range c.taken {
		for i := range batch.traces.Parts {
			b = batch.traces.Parts[i].Append(b, c.next.head, c.next.seq)
		}
	}
	for _, batch := range c.taken {
		b = batch.patterns.Append(b)
	}
	return append(b, 0)
}

func (s *Set) decodeViews(d *model.Decoder, c *Checkpoint, b *batch) {
	for t := range s.tables {
		s.tables[t].Dict.DecodeNew(d)
		b.tables[t].Decode(d)
	}
	n, base := d.Count(), d.Uvarint()
	for range n {
		var t traces.Trace
		t.Decode(d, base, c.next.seq)
		b.traces.Parts = append(b.traces.Parts, t)
	}
	c.taken = []*batch{b}
	for p := new(drain.Batch); p.Decode(d); p = new(drain.Batch) {
		c.taken = append(c.taken, &batch{patterns: *p})
	}
}

func (s *Set) appendState(b []byte, st *state) []byte {
	b = model.AppendUvarint(b, st.seq)
	for _, v := range st.counters.List() {
		b = model.AppendUvarint(b, *v)
	}
	b = model.AppendUvarint(b, st.head)
	b = model.AppendUvarint(b, st.complete)
	return s.marks.Append(b)
}

func (s *Set) decodeState(d *model.Decoder) (st state) {
	st.seq = d.Uvarint()
	for _, v := range st.counters.List() {
		*v = d.Uvarint()
	}
	st.head, st.complete = d.Uvarint(), d.Uvarint()
	s.marks.Decode(d)
	return st
}

func (s *Set) foldDue() bool {
	return s.journal.count >= s.cfg.FoldEvery || s.journal.bytes >= s.cfg.FoldBytes
}

// fold stores everything up to the last installed checkpoint and cuts the journal there. What would make one transaction too large
// goes before it: cells and series say themselves what they count, and groups are read by the generation that the state names.
func (s *Set) fold(c *Checkpoint) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ks := s.kv.Keyspace
	h := cells.Horizon{Since: s.since(), Bytes: s.cfg.HotBytes}
	for i, l := range s.levels {
		h.Hot[i] = s.back(l.Hot, l.Width)
	}
	h.Forget = h.Since[model.Levels-1]
	entries, err := s.red.Fold(s.kv, s.seq, h, &c.then, nil)
	if err != nil {
		return err
	}
	if entries, err = s.edges.Fold(s.kv, s.seq, h, &c.then, entries); err != nil {
		return err
	}
	for _, t := range s.tables {
		if entries, err = t.Fold(s.kv, s.seq, h, &c.then, entries); err != nil {
			return err
		}
	}
	entries = s.traces.Fold(ks, s.seq, s.head, s.tracesSince(), &c.then, entries)
	entries = s.rawSpans.Fold(ks, s.tracesSince(), &c.then, entries)
	entries = s.rawLogs.Fold(ks, s.headLess(s.cfg.LogRetention), &c.then, entries)
	counted := func() map[drain.ClusterID]bool { return clustersOf(s.tables[model.TablePatterns].Dict) }
	entries = s.patterns.Fold(ks, counted, &c.then, entries)
	old, oldChunks := s.journal.gen, s.journal.chunks
	s.journal.gen++
	entries, s.journal.chunks = s.pairing.Fold(ks, s.journal.gen, entries)
	c.before(entries, s.cfg.MaxCommitBytes)

	last := &c.Commit.Entries
	for n := range oldChunks {
		*last = append(*last, storage.Entry{Key: edges.WaitingKey(ks, old, n)})
	}
	for _, k := range s.journal.stray {
		if gen := binary.BigEndian.Uint32(k[storage.KeyPrefixLen:]); gen != s.journal.gen {
			*last = append(*last, storage.Entry{Key: k})
		}
	}
	s.journal.stray = nil
	*last = s.foldNames(*last)
	*last = s.dedup.Forget(ks, s.dedupBefore(), *last)
	*last = s.spans.Forget(ks, s.dedupBefore()+s.cfg.DedupWindow.Milliseconds(), *last)
	st := state{seq: s.seq, counters: s.counters, head: s.head, complete: s.complete}
	b := s.appendState([]byte{formatVersion}, &st)
	for _, v := range []uint32{s.journal.gen, uint32(s.journal.chunks), s.journal.defs, s.traces.Stored.First, s.traces.Stored.Next} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	b = binary.AppendUvarint(b, uint64(s.oldest))
	b = s.edges.AppendState(s.red.AppendState(b))
	for _, t := range s.tables {
		b = t.AppendState(b)
	}
	*last = append(*last, storage.Entry{Key: model.StateKey(ks), Value: b})
	for seq := s.journal.first; seq <= s.seq; seq++ {
		*last = append(*last, storage.Entry{Key: journalKey(ks, seq)})
	}
	s.journal.first, s.journal.bytes, s.journal.count = s.seq+1, 0, 0
	return nil
}

// ahead commits entries before the checkpoint when they are many, in parts that fit a transaction, else with it.
func (c *Checkpoint) ahead(entries []storage.Entry, limit int) {
	size := 0
	for _, e := range entries {
		size += len(e.Value)
	}
	if size < limit/4 {
		c.Commit.Entries = append(c.Commit.Entries, entries...)
		return
	}
	c.before(entries, limit)
}

// before puts entries into the checkpoint's commit, or into commits before it when they are many.
func (c *Checkpoint) before(entries []storage.Entry, limit int) {
	size := 0
	var part []storage.Entry
	for _, e := range entries {
		n := len(e.Key) + len(e.Value) + 32
		if size+n > limit && len(part) > 0 {
			c.Before = append(c.Before, storage.Commit{Version: c.Commit.Version, Shard: c.Commit.Shard, Entries: part})
			part, size = nil, 0
		}
		part, size = append(part, e), size+n
	}
	if size < limit/4 {
		c.Commit.Entries = append(c.Commit.Entries, part...)
		return
	}
	c.Before = append(c.Before, storage.Commit{Version: c.Commit.Version, Shard: c.Commit.Shard, Entries: part})
}

// foldNames stores the definitions since the last fold as one more chunk.
func (s *Set) foldNames(entries []storage.Entry) []storage.Entry {
	names, red := s.names.Written()
	edges := len(s.edgeList)
	if names == s.journal.names && red == s.journal.series && edges == s.journal.edges {
		return entries
	}
	b := s.names.AppendWritten(nil, s.journal.names, s.journal.series)
	b = binary.AppendUvarint(b, uint64(s.journal.edges))
	for _, e := range s.edgeList[s.journal.edges:] {
		b = binary.AppendUvarint(b, uint64(e.Client))
		b = binary.AppendUvarint(b, uint64(e.Server))
		b = append(b, byte(e.Conn))
	}
	entries = append(entries, storage.Entry{Key: model.NamesKey(s.kv.Version, s.kv.Shard, s.journal.defs), Value: b})
	s.journal.defs++
	s.journal.names, s.journal.series, s.journal.edges = names, red, edges
	return entries
}

// dedupBefore is the oldest record timestamp that any partition can still match.
func (s *Set) dedupBefore() int64 { return s.dedup.WindowStart(s.marks.OldestRecord()) }
