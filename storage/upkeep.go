package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// GC frees space of dropped values in segments that hold others too, and in Badger's value log; the caller runs it every few minutes. Space
// of overwritten, deleted and expired entries is freed by compaction, which Badger runs by itself.
func (db *DB) GC() error {
	if err := db.rewriteSparse(); err != nil {
		return err
	}
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
	err := db.Keys(from, to, func(k []byte) error {
		if len(keys) == n {
			return errEnough
		}
		if ofViews(k) {
			keys = append(keys, bytes.Clone(k))
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("storage: list keys: %w", err)
	}
	return keys, nil
}

// Size returns how many bytes the folder takes on disk.
func (db *DB) Size() (uint64, error) { return FolderSize(db.dir) }

// FolderSize returns how many bytes a folder takes on disk. Badger's files are sparse, so their lengths would say too much.
func FolderSize(dir string) (uint64, error) {
	total := uint64(0)
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // compaction removes files while we look
		}
		if err != nil || d.IsDir() {
			return err
		}
		if fi, err := d.Info(); err == nil {
			total += allocated(fi)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("storage: size of %s: %w", dir, err)
	}
	return total, nil
}
