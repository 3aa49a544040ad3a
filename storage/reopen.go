package storage

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// closeTimeout bounds how long closing waits for Badger, which retries the flush of its memtable without end while the folder takes no
// files. The memtable's log has been synced, and the next start reads it.
const closeTimeout = 10 * time.Second

// breaks notes that a commit failed midway and returns the error for it: what Badger holds in memory may be neither before nor after the
// commit, and its log may have no file. Open would repair that as it does after a crash, so reopen does.
func (db *DB) breaks(err error) error {
	db.broken = err
	db.failed.Store(true)
	db.o.Logger.Error().Err(err).Msg("a write failed midway: the state is reopened before the next write")
	return fmt.Errorf("%w (%w)", ErrReopening, err)
}

// reopen closes Badger, which readers must have left, and opens it again as a new process would. The caller holds mu.
func (db *DB) reopen() error {
	db.reopening.Store(true)
	db.show(nil)
	if n := db.epochs.count(); n > 0 {
		return fmt.Errorf("%w (%d readers are being waited for)", ErrReopening, n)
	}
	if !db.use.TryLock() {
		return fmt.Errorf("%w (a backup is being waited for)", ErrReopening)
	}
	defer db.use.Unlock()
	if db.b != nil {
		if err := db.closeBadger(); err != nil {
			db.o.Logger.Warn().Err(err).Msg("closing the state before it is opened again")
			if errors.Is(err, errCloseTimeout) {
				return fmt.Errorf("%w (%w)", ErrReopening, err)
			}
		}
		db.b = nil
	}
	if err := db.segments.close(); err != nil {
		db.o.Logger.Warn().Err(err).Msg("closing a segment before the state is opened again")
	}
	if err := db.begin(); err != nil {
		return fmt.Errorf("%w (%w)", ErrReopening, err)
	}
	db.broken = nil
	db.failed.Store(false)
	db.reopening.Store(false)
	db.reopened.Add(1)
	db.o.Logger.Info().Msg("the state is reopened")
	return nil
}

var errCloseTimeout = errors.New("storage: the state did not close in time; its log is whole and is read at the next start")

// closeBadger closes Badger in a bounded time; called again it waits for the same closing.
func (db *DB) closeBadger() error {
	if db.b == nil {
		return nil // it could not be opened again
	}
	if db.closing == nil {
		ended := make(chan error, 1)
		b := db.b
		go func() { ended <- closeSafely(b) }()
		db.closing = ended
	}
	wait := closeTimeout
	if db.guard.Check() != nil {
		wait = time.Second // it will not end
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case err := <-db.closing:
		db.closing = nil
		return err
	case <-t.C:
		return errCloseTimeout
	}
}

func closeSafely(b *badger.DB) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger panicked while it was closed: %v", p)
		}
	}()
	return b.Close()
}

// midway is an error after which it is not known how much of a commit has been written.
type midway struct{ error }

func (m midway) Unwrap() error { return m.error }

// brokenRead makes a panic of a read an error while a commit is under way or has failed midway: Badger has no log then, and its readers
// expect one.
func (db *DB) brokenRead(err *error) {
	p := recover()
	if p == nil {
		return
	}
	if !db.failed.Load() && !db.writing.Load() {
		panic(p)
	}
	*err = fmt.Errorf("%w (read: %v)", ErrReopening, p)
}

// discard ends a read transaction. One whose reader panicked has an iterator that was never closed, at which Badger panics.
func (s *snapshot) discard() {
	defer s.db.epochs.end(s.epoch)
	defer func() {
		if p := recover(); p != nil && !s.db.failed.Load() {
			panic(p)
		}
	}()
	s.txn.Discard()
}

// refusalReasons are the values of the label reason.
var refusalReasons = [...]string{"other", "disk_full", "read_only", "descriptors", "folder_gone", "reopening"}

// refusals counts writes that were refused.
type refusals struct {
	n       [len(refusalReasons)]atomic.Uint64
	last    atomic.Pointer[error] // nil: the last write succeeded
	checked atomic.Pointer[error] // nil: the last Check found nothing
}

func (r *refusals) note(err error) {
	if err == nil {
		r.last.Store(nil)
		r.checked.Store(nil)
		return
	}
	if errors.Is(err, ErrClosed) {
		return
	}
	r.last.Store(&err)
	why, at := UnwritableReason(err), 0
	for i, name := range refusalReasons {
		if name == why {
			at = i
		}
	}
	r.n[at].Add(1)
}

// Unwritable returns why the last write was refused, or what Check found since; nil: the folder can be written.
func (db *DB) Unwritable() error {
	for _, at := range []*atomic.Pointer[error]{&db.refused.last, &db.refused.checked} {
		if p := at.Load(); p != nil {
			return *p
		}
	}
	return nil
}

// Check finds out whether the folder takes files although nothing is to be written.
func (db *DB) Check() error {
	err := db.guard.Check()
	if db.refused.checked.Store(nil); err != nil {
		db.refused.checked.Store(&err)
	}
	return err
}
