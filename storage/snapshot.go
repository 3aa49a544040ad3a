package storage

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// snapshot is a read transaction that all readers between two commits share. One of Badger's own would wait for the commit that is
// being synced: readers would be as slow as the disk. A read transaction takes gets and iterators of many goroutines.
//
// It counts its readers, and itself while it is the newest one; who takes the count to 0 ends the transaction.
type snapshot struct {
	db    *DB
	txn   *badger.Txn
	epoch uint64
	refs  atomic.Int64
}

// epochs are those of the snapshots that may be read. A snapshot's epoch is one more than that of the snapshot before it.
type epochs struct {
	mu    sync.Mutex
	last  uint64
	alive []uint64 // ascending
}

// begin returns the epoch of a new snapshot.
func (e *epochs) begin() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	e.alive = append(e.alive, e.last)
	return e.last
}

// next is the epoch that the next snapshot will have.
func (e *epochs) next() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last + 1
}

func (e *epochs) end(n uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i, ok := slices.BinarySearch(e.alive, n); ok {
		e.alive = slices.Delete(e.alive, i, i+1)
	}
}

func (e *epochs) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.alive)
}

// oldest returns the first that is alive, or the largest number there is.
func (e *epochs) oldest() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.alive) == 0 {
		return math.MaxUint64
	}
	return e.alive[0]
}

// renew shows what has been committed. The caller holds mu, and no commit is under way.
func (db *DB) renew() {
	s := &snapshot{db: db, txn: db.b.NewTransaction(false), epoch: db.epochs.begin()}
	s.refs.Store(1)
	db.show(s)
}

func (db *DB) show(s *snapshot) {
	if old := db.newest.Swap(s); old != nil {
		old.release()
	}
}

// snapshot returns the newest; nil: see absent. The caller must release it.
func (db *DB) snapshot() *snapshot {
	for {
		s := db.newest.Load()
		if s == nil {
			return nil
		}
		if n := s.refs.Load(); n > 0 && s.refs.CompareAndSwap(n, n+1) {
			return s
		}
	}
}

// absent is why there is no snapshot. Only closed says that there will be none: reopening may have ended since the caller looked.
func (db *DB) absent() error {
	if db.closed.Load() {
		return ErrClosed
	}
	return ErrReopening
}

func (s *snapshot) release() {
	if s.refs.Add(-1) == 0 {
		s.discard()
	}
}

// view runs fn on what has been committed. It is ErrReopening while the state is being opened again: there may be a part of an interrupted
// commit.
func (db *DB) view(fn func(*badger.Txn) error) (err error) {
	s := db.snapshot()
	if s == nil {
		return db.absent()
	}
	if db.reopening.Load() {
		s.release()
		return ErrReopening
	}
	defer s.release()
	defer db.brokenRead(&err)
	err = fn(s.txn)
	if errors.Is(err, badger.ErrDBClosed) {
		return ErrClosed
	}
	return err
}
