package views

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
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
	for i := range s.rawSpans.kept {
		m := &s.rawSpans.kept[i]
		if m.sifted {
			continue
		}
		if len(entries) > 64 || m.end+uint64(settle) > s.head || c.sifted >= siftBlocks {
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
		left.sifted, left.bytes = true, size
		entries = append(entries, storage.Entry{Key: s.rawSpans.metaKey(s.kv.Keyspace, m.seq), Value: left.append(nil)})
		c.then.Do(func() { s.rawSpans.replace(left) })
	}
	c.ahead(entries, s.cfg.MaxCommitBytes)
	return nil
}

// errUnread is of a raw block that could not be read, as while the process has no file descriptors left.
var errUnread = errors.New("a raw block could not be read")

func (s *Set) siftOne(m rawMeta, verdicts map[uint32]map[[16]byte]bool) (entries []storage.Entry, size int64, err error) {
	var um ptrace.ProtoUnmarshaler
	var ma ptrace.ProtoMarshaler
	for n := range m.blocks {
		ref := rawRef{m.seq, n}
		if !s.rawSpans.holds(ref) {
			return nil, 0, nil
		}
		b, ok, err := s.rawSpans.get(s.kv, ref)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %w", errUnread, err)
		}
		if !ok {
			continue // lost: there is nothing to take out
		}
		td, err := um.UnmarshalTraces(b)
		if err != nil {
			return nil, 0, fmt.Errorf("sift raw block %d/%d: %w", ref.seq, ref.n, err)
		}
		var failed error
		td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
			rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
				ss.Spans().RemoveIf(func(sp ptrace.Span) bool {
					keep, err := s.keeps(sp.TraceID(), verdicts)
					if err != nil {
						failed = err
					}
					return !keep && err == nil
				})
				return ss.Spans().Len() == 0
			})
			return rs.ScopeSpans().Len() == 0
		})
		if failed != nil {
			return nil, 0, failed
		}
		if b, err = ma.MarshalTraces(td); err != nil {
			return nil, 0, fmt.Errorf("sift raw block %d/%d: %w", ref.seq, ref.n, err)
		}
		v := s.rawSpans.enc.EncodeAll(b, nil)
		size += int64(len(v))
		entries = append(entries, storage.Entry{Key: s.rawSpans.key(s.kv.Keyspace, ref), Value: v})
	}
	return entries, size, nil
}

// keeps tells whether the spans of a trace are kept. Summaries are read by the block: the traces of a raw block share a few.
func (s *Set) keeps(id pcommon.TraceID, verdicts map[uint32]map[[16]byte]bool) (bool, error) {
	if s.cfg.TraceKeep.Samples(id) {
		return true, nil
	}
	if t := s.traces.recent[id]; t != nil {
		return s.notable(t), nil
	}
	home, ok := s.traces.home.get(id)
	if !ok || home < s.traces.first {
		return false, nil
	}
	if verdicts[home] == nil {
		verdicts[home] = map[[16]byte]bool{}
		err := s.traces.read(s.kv, home, anyTime, func(t *trace) bool {
			verdicts[home][t.id] = s.notable(t)
			return true
		})
		if err != nil {
			return false, err
		}
	}
	return verdicts[home][id], nil
}

func (s *Set) notable(t *trace) bool {
	if slow := s.cfg.TraceKeep.Slow; slow > 0 && t.end-t.start >= uint64(slow) {
		return true
	}
	for _, sp := range t.spans {
		if sp.series != noSeries && s.names.REDKey(sp.series).Status == model.StatusError {
			return true
		}
	}
	return false
}
