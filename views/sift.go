package views

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// settle is how long after its newest span a block is sifted: its traces are whole by then.
const settle = 2 * time.Minute

// siftBlocks bounds the checkpoints whose blocks one checkpoint sifts: it takes time that commits wait for.
const siftBlocks = 2

// sift rewrites settled raw blocks without the spans that need not be kept.
func (s *Set) sift(c *Checkpoint) error {
	if s.cfg.TraceKeep == nil {
		return nil
	}
	var entries []storage.Entry
	verdicts := map[uint32]map[[16]byte]bool{}
	for i := range s.rawSpans.Kept {
		m := &s.rawSpans.Kept[i]
		if m.Sifted {
			continue
		}
		if len(entries) > 64 || m.End+uint64(settle) > s.head || c.sifted >= siftBlocks {
			break
		}
		list, size, err := s.siftOne(*m, verdicts)
		if errors.Is(err, errUnread) {
			break // it may pass: the next checkpoint tries again
		}
		if err != nil {
			return err
		}
		entries = append(entries, list...)
		c.sifted++
		left := *m
		left.Sifted, left.Bytes = true, size
		entries = append(entries, storage.Entry{Key: s.rawSpans.MetaKey(s.kv.Keyspace, m.Seq), Value: left.Append(nil)})
		c.then.Do(func() { s.rawSpans.Replace(left) })
	}
	c.ahead(entries)
	return nil
}

// errUnread is of a raw block that could not be read, as while the process has no file descriptors left.
var errUnread = errors.New("a raw block could not be read")

// siftOne rewrites the blocks of one checkpoint.
func (s *Set) siftOne(m traces.RawMeta, verdicts map[uint32]map[[16]byte]bool) (entries []storage.Entry, size int64, err error) {
	for n := range m.Blocks {
		ref := traces.RawRef{Seq: m.Seq, N: n}
		if !s.rawSpans.Holds(ref) {
			return nil, 0, nil
		}
		b, ok, err := s.rawSpans.Get(s.kv, ref)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %w", errUnread, err)
		}
		if !ok {
			continue // lost: there is nothing to take out
		}
		b, err = traces.Keep(b, func(id pcommon.TraceID) (bool, error) { return s.keeps(id, verdicts) })
		if err != nil {
			return nil, 0, fmt.Errorf("sift raw block %d/%d: %w", ref.Seq, ref.N, err)
		}
		v := s.rawSpans.Enc.EncodeAll(b, nil)
		size += int64(len(v))
		entries = append(entries, storage.Entry{Key: s.rawSpans.Key(s.kv.Keyspace, ref), Value: v})
	}
	return entries, size, nil
}

// keeps reports whether the spans of a trace are kept. Summaries are read by the block: the traces of a raw block share a few.
func (s *Set) keeps(id pcommon.TraceID, verdicts map[uint32]map[[16]byte]bool) (bool, error) {
	if s.cfg.TraceKeep.Samples(id) {
		return true, nil
	}
	if t := s.traces.Recent[id]; t != nil {
		return s.notable(t), nil
	}
	home, ok := s.traces.Home.Get(id)
	if !ok || home < s.traces.First {
		return false, nil
	}
	if verdicts[home] == nil {
		verdicts[home] = map[[16]byte]bool{}
		err := s.traces.Read(s.kv, home, traces.AnyTime, func(t *traces.Trace) bool {
			verdicts[home][t.ID] = s.notable(t)
			return true
		})
		if err != nil {
			return false, err
		}
	}
	return verdicts[home][id], nil
}

func (s *Set) notable(t *traces.Trace) bool {
	if slow := s.cfg.TraceKeep.Slow; slow > 0 && t.End-t.Start >= uint64(slow) {
		return true
	}
	for _, sp := range t.Spans {
		if sp.Series != traces.NoSeries && s.names.REDKey(sp.Series).Status == model.StatusError {
			return true
		}
	}
	return false
}
