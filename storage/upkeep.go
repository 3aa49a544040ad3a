package storage

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dgraph-io/badger/v4"
)

// GC frees space of dropped values in Badger's value log; the caller runs it every few minutes. Space of overwritten, deleted and
// expired entries is freed by compaction, which Badger runs by itself.
func (db *DB) GC() error {
	db.use.RLock()
	defer db.use.RUnlock()
	if db.newest.Load() == nil {
		return db.absent()
	}
	err := db.b.RunValueLogGC(0.5)
	switch {
	case err == nil, errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
		return nil
	case errors.Is(err, badger.ErrDBClosed):
		return ErrClosed
	}
	return fmt.Errorf("storage: value log gc: %w", err)
}

// Backup writes every change after the state that an earlier Backup returned (0: all) and returns the state it reached. It runs
// beside commits; the positions inside belong to the entries inside.
func (db *DB) Backup(w io.Writer, since uint64) (uint64, error) {
	if _, err := io.WriteString(w, backupMagic); err != nil {
		return 0, fmt.Errorf("storage: backup: %w", err)
	}
	db.use.RLock()
	defer db.use.RUnlock()
	if db.newest.Load() == nil {
		return 0, db.absent()
	}
	upTo, err := db.b.Backup(w, since)
	if err != nil {
		return 0, fmt.Errorf("storage: backup: %w", err)
	}
	return upTo, nil
}

// backupMagic begins a backup. Badger's stream has none and takes the first bytes of any file for a length to allocate.
const backupMagic = "watchingcat backup 1\n"

// ErrNotEmpty is returned by Restore when the database holds something.
var ErrNotEmpty = errors.New("storage: restore needs an empty data folder")

// Restore loads a full Backup, and the increments after it in their order, into an empty database.
func (db *DB) Restore(parts ...io.Reader) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed.Load() {
		return ErrClosed
	}
	errFound := errors.New("found")
	if err := db.Scan(nil, nil, func(_, _ []byte) error { return errFound }); errors.Is(err, errFound) {
		return fmt.Errorf("%w: %s", ErrNotEmpty, db.dir)
	} else if err != nil {
		return err
	}
	for _, r := range parts {
		if err := db.load(r); err != nil {
			return fmt.Errorf("storage: restore: %w", err)
		}
	}
	return db.recoverLarge() // a backup may have been made in the midst of one
}

func (db *DB) load(r io.Reader) (err error) {
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != backupMagic {
		return errors.New("this is no backup made by watchingcat")
	}
	defer func() { // over a damaged length
		if p := recover(); p != nil {
			err = fmt.Errorf("the backup is damaged: %v", p)
		}
	}()
	if err := db.b.Load(r, 16); err != nil {
		return err
	}
	db.renew()
	return nil
}

// dropBatch keys are deleted by one transaction of DropVersion, so that commits wait for milliseconds only.
const dropBatch = 1000

// DropVersion deletes the views of a version in a shard; the tables that belong to no version stay. It is not atomic: called again
// after an interruption it goes on. Badger's own DropPrefix would stop all writes until it has rewritten every table concerned.
func (db *DB) DropVersion(ctx context.Context, version uint32, shard uint16) error {
	from := Key(version, shard, 0)[:KeyPrefixLen-1]
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		keys, err := db.firstKeys(from, PrefixEnd(from), dropBatch)
		if err != nil || len(keys) == 0 {
			return err
		}
		c := Commit{Entries: make([]Entry, len(keys))}
		for i, k := range keys {
			c.Entries[i].Key = k
		}
		if err := db.Commit(c); err != nil {
			return fmt.Errorf("storage: drop version %d: %w", version, err)
		}
	}
}

// firstKeys returns the first keys of views with from <= key < to, at most n.
func (db *DB) firstKeys(from, to []byte, n int) ([][]byte, error) {
	var keys [][]byte
	err := db.view(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		o.Prefix = from
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Seek(from); it.Valid() && len(keys) < n; it.Next() {
			k := it.Item().KeyCopy(nil)
			if to != nil && string(k) >= string(to) {
				break
			}
			if ofViews(k) {
				keys = append(keys, k)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("storage: list keys: %w", err)
	}
	return keys, nil
}
