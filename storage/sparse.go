package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// settle adds what a commit wrote and deleted, by segment. Snapshots before epoch do not see it.
func (s *segments) settle(changes map[uint32]int64, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, bytes := range changes {
		if f := s.files[n]; f != nil {
			f.live += bytes
		}
	}
	for n, f := range s.files {
		if f.live <= 0 && (s.f == nil || n != s.cur) {
			delete(s.files, n)
			s.dying = append(s.dying, dying{n, epoch})
		}
	}
}

// sweep deletes the segments that no snapshot from epoch on sees.
func (s *segments) sweep(epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dying = slices.DeleteFunc(s.dying, func(d dying) bool {
		if d.epoch > epoch {
			return false
		}
		if err := os.Remove(s.path(d.number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn().Err(err).Msg("an empty segment could not be deleted; the next start retries")
		}
		return true
	})
}

// sparsest returns the sealed segment of which the least is live, if that is less than it should be. The caller holds DB.mu.
func (s *segments) sparsest() (number uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	least := 1.0 / sparse
	for n, f := range s.files {
		if s.f != nil && n == s.cur || f.size == 0 || f.stuck {
			continue
		}
		if part := float64(f.live) / float64(f.size); part < least {
			number, ok, least = n, true, part
		}
	}
	return number, ok
}

// rewriteBytes of values are moved out of a sparse segment by one commit.
const rewriteBytes = 4 << 20

// rewriteSparse moves what is live in segments that are mostly dead to the newest one, so that they go. A segment with a lost value stays
// as it is until the next start; any other error ends the call, and the next one tries again.
func (db *DB) rewriteSparse() error {
	var failed error
	for {
		n, ok := db.sparsest()
		if !ok {
			return failed
		}
		for moved := true; moved; {
			var err error
			if moved, err = db.moveFrom(n); err == nil {
				continue
			}
			failed = errors.Join(failed, err)
			if !errors.Is(err, ErrLost) {
				return failed
			}
			db.segments.giveUp(n)
		}
	}
}

func (db *DB) sparsest() (uint32, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed.Load() || db.newest.Load() == nil {
		return 0, false
	}
	return db.segments.sparsest()
}

// giveUp leaves a segment as it is until the next start.
func (s *segments) giveUp(n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[n]; f != nil {
		f.stuck = true
	}
}

// moveFrom moves some values of a segment. It returns false if there are none.
func (db *DB) moveFrom(n uint32) (bool, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	var c Commit
	err := db.view(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = ownerKey(n, nil)
		o.PrefetchValues = false
		it := txn.NewIterator(o)
		defer it.Close()
		size := 0
		for it.Rewind(); it.Valid() && size < rewriteBytes; it.Next() {
			key := it.Item().KeyCopy(nil)[len(o.Prefix):]
			item, err := txn.Get(key)
			if err != nil {
				return fmt.Errorf("storage: get %x: %w", key, err)
			}
			p, ok, err := pointerOf(item)
			if err != nil {
				return err
			}
			if !ok || p.segment != n {
				return fmt.Errorf("storage: %x is not in segment %d", key, n)
			}
			v, err := db.segments.read(p)
			if err != nil {
				return err
			}
			size += len(v)
			c.Entries = append(c.Entries, Entry{Key: key, Value: v})
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	if len(c.Entries) == 0 { // whatever was counted
		db.segments.settle(map[uint32]int64{n: math.MinInt64 / 2}, db.epochs.next())
		return false, nil
	}
	if err := db.commitLocked(c); err != nil {
		return false, err
	}
	return true, nil
}
