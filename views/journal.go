package views

import (
	"encoding/binary"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/intake"
	"github.com/gaurav/watchingcat/views/model"
)

// A journal entry is the input of one checkpoint:
//
//	new names and series (namesView)
//	state: counters, head, complete, marks of partitions (stateView)
//	red: for each series: id+1, number of buckets, each start and cell; then 0 (redView)
//	halves: number, each half (mapView)
//	tables: for each its new definitions, then cells as red (tableView)
//	traces: number, base time, each (tracesView)
//	clusters of log lines: for each partition with any its number+1, how many, each; then 0 (patternsView)
//
// A fold writes the changed cells, series and waiting groups as they are after some checkpoint, a state entry with its number,
// and deletes the journal up to it, all in the transaction of the next checkpoint.

func journalKey(ks model.Keyspace, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(ks.Key(storage.TableJournal), seq)
}

// journalise adds the journal entry of a checkpoint to its commit.
func (s *Set) journalise(c *Checkpoint) {
	entry := make([]byte, 0, s.journal.last+s.journal.last/8+1024)
	for _, v := range s.views {
		entry = v.encode(entry, c)
	}
	s.journal.last = len(entry)
	s.journal.count++
	s.journal.bytes += len(entry)
	c.Bytes = len(entry)
	c.Commit.Entries = append(c.Commit.Entries, storage.Entry{Key: journalKey(s.kv.Keyspace, s.seq), Value: entry})
	if s.seq == 1 {
		c.Commit.Entries = append(c.Commit.Entries, s.formatEntry())
	}
}

// decodeEntry reads an entry of the journal: its definitions into the Set, the rest into the batches of a checkpoint.
func (s *Set) decodeEntry(entry []byte) (*Checkpoint, error) {
	d, c := model.Decoder{B: entry}, &Checkpoint{taken: []*intake.Batch{intake.NewBatch()}}
	for _, v := range s.views {
		v.decode(&d, c)
	}
	return c, d.Err
}

func (s *Set) foldDue() bool {
	return s.journal.count >= s.cfg.FoldEvery || s.journal.bytes >= s.cfg.FoldBytes
}

// fold stores everything up to the last installed checkpoint and cuts the journal there. What would make one transaction too large
// goes before it: cells and series say themselves what they count, and groups are read by the generation that the state names.
func (s *Set) fold(c *Checkpoint) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f := s.folding(&c.then)
	for _, v := range s.views {
		if err := v.fold(f); err != nil {
			return err
		}
	}
	c.before(f.entries)
	last := &c.Commit.Entries
	*last = append(*last, f.last...)
	*last = append(*last, storage.Entry{Key: model.StateKey(s.kv.Keyspace), Value: s.appendFold()})
	for seq := s.journal.first; seq <= s.seq; seq++ {
		*last = append(*last, storage.Entry{Key: journalKey(s.kv.Keyspace, seq)})
	}
	s.journal.first, s.journal.bytes, s.journal.count = s.seq+1, 0, 0
	return nil
}

func (s *Set) folding(then *model.Later) *folding {
	f := &folding{kv: s.kv, seq: s.seq, head: s.head, traces: s.tracesSince(), logs: s.headLess(s.cfg.LogRetention),
		records: s.dedup.WindowStart(s.marks.OldestRecord()), then: then,
		horizon: cells.Horizon{Since: s.since(), Bytes: s.cfg.HotBytes}}
	for i, l := range s.levels {
		f.horizon.Hot[i] = s.back(l.Hot, l.Width)
	}
	f.horizon.Forget = f.horizon.Since[model.Levels-1]
	return f
}

// appendFold encodes the state that a fold leaves: the format, the state of the last installed checkpoint, that of views.
func (s *Set) appendFold() []byte {
	st := state{seq: s.seq, counters: s.counters, head: s.head, complete: s.complete}
	b := st.append([]byte{formatVersion}, &s.marks)
	for _, v := range s.stateful {
		b = v.AppendState(b)
	}
	return b
}
