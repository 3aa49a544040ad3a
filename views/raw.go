package views

import (
	"fmt"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// Raw blocks keep recent records as they came: the values of Kafka records, one after the other, compressed with zstd. OTLP's
// messages are lists, and lists written one after the other are one list, so a block is itself an OTLP message. Before a record of logs
// stands a field that OTLP does not have (see lineClock).
//
// Blocks are written with the checkpoint that took their records and named by its number. They are dropped, the oldest first, when
// they are older than retention or more than may be kept.

// ForgetRaw drops the raw records of a Set that takes nothing more, those that are older than retention at a time: what replaced it
// no longer shows them.
func (s *Set) ForgetRaw(now time.Time, commit func(storage.Commit) error) error {
	var then model.Later
	at := model.UnixNano(now, 0)
	before := func(retention time.Duration) uint64 { return at - min(at, uint64(max(0, retention))) }
	s.mu.RLock()
	entries := s.rawSpans.Fold(s.kv.Keyspace, before(s.cfg.TraceRetention), &then, nil)
	entries = s.rawLogs.Fold(s.kv.Keyspace, before(s.cfg.LogRetention), &then, entries)
	s.mu.RUnlock()
	for part := range slices.Chunk(entries, forgetBatch) {
		if err := commit(storage.Commit{Version: s.cfg.Version, Shard: s.cfg.Shard, Entries: part}); err != nil {
			return fmt.Errorf("views: drop raw records of version %d: %w", s.cfg.Version, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range then {
		f()
	}
	return nil
}

// forgetBatch keys are deleted by one transaction.
const forgetBatch = 10_000
