package storage

import (
	"errors"
	"io"

	"github.com/dgraph-io/badger/v4"
)

// Frozen is the state as of one commit, whatever is committed afterwards. It may be read as a KV is, and backed up. What it holds is kept on
// disk until it is released, and the state cannot be reopened meanwhile: long work with it calls Err now and then.
type Frozen struct {
	db *DB
	s  *snapshot
}

// Freeze returns the state as of the last commit. The caller must release it.
func (db *DB) Freeze() (*Frozen, error) {
	db.use.RLock()
	s := db.snapshot()
	if s == nil || db.reopening.Load() {
		if s != nil {
			s.release()
		}
		db.use.RUnlock()
		return nil, db.absent()
	}
	return &Frozen{db, s}, nil
}

// Release ends it; called again it does nothing.
func (f *Frozen) Release() {
	if f.s == nil {
		return
	}
	f.s.release()
	f.s = nil
	f.db.use.RUnlock()
}

// Err is the reason for which the state needs to be released early: it waits to be reopened after a failed write, or to be closed.
func (f *Frozen) Err() error {
	if f.db.closed.Load() || f.db.reopening.Load() {
		return f.db.absent()
	}
	return nil
}

// errFrozen is returned by Commit of a Frozen.
var errFrozen = errors.New("storage: a frozen state takes no commit")

// Commit implements KV; it always fails.
func (f *Frozen) Commit(Commit) error { return errFrozen }

// Close implements KV.
func (f *Frozen) Close() error {
	f.Release()
	return nil
}

// Get implements KV.
func (f *Frozen) Get(key []byte) ([]byte, error) { return f.db.get(f.s.txn, key) }

// Scan implements KV.
func (f *Frozen) Scan(from, to []byte, fn func(key, value []byte) error) error {
	return eachItem(f.s.txn, from, to, true, func(item *badger.Item) error { return f.db.readValue(f.s.txn, item, fn) })
}

// Keys implements KV.
func (f *Frozen) Keys(from, to []byte, fn func(key []byte) error) error {
	return eachItem(f.s.txn, from, to, false, func(item *badger.Item) error { return fn(item.Key()) })
}

// Positions implements KV.
func (f *Frozen) Positions(version uint32, shard uint16) ([]Position, error) {
	return positions(f, version, shard)
}

// Backup writes every change after the state that an earlier backup returned (0: all), and returns the state it reached.
func (f *Frozen) Backup(w io.Writer, since uint64) (uint64, error) {
	upTo, err := f.db.backup(f.s.txn, frozenWriter{f, w}, since)
	if err != nil {
		return 0, errBackup(err)
	}
	return max(since, upTo), nil
}

// frozenWriter ends a backup when the state needs to be released.
type frozenWriter struct {
	f *Frozen
	w io.Writer
}

func (w frozenWriter) Write(b []byte) (int, error) {
	if err := w.f.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(b)
}
