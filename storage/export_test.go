package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"

	"github.com/dgraph-io/badger/v4"
)

// CreateWith makes f make the files that find out whether the data folder takes any.
func CreateWith(o *Options, f func(name string) (*os.File, error)) { o.create = f }

// Reopened is how often the state was opened again after a commit that failed midway.
func (db *DB) Reopened() uint64 { return db.reopened.Load() }

// AfterPart makes f run between the transactions of large commits.
func AfterPart(o *Options, f func(n int)) { o.afterPart = f }

// LargeCommits is how many commits took more than one transaction.
func (db *DB) LargeCommits() uint64 { return db.large.Load() }

// VersionedTables are the tables that belong to a view version, OtherTables those that do not.
func VersionedTables() (list, others []Table) {
	for t, def := range tables {
		switch {
		case def.owner == "":
		case def.views:
			list = append(list, Table(t))
		default:
			others = append(others, Table(t))
		}
	}
	return list, others
}

// Segments returns how many files of raw records there are, their bytes, and what of them is live.
func (db *DB) Segments() (files int, size, live int64) { return db.segments.totals() }

// SegmentPath is the path of a segment's file.
func (db *DB) SegmentPath(n uint32) string { return db.segments.path(n) }

// AppendOnly appends values of raw records to a segment and commits nothing, as a crash would leave them.
func (db *DB) AppendOnly(entries ...Entry) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	_, err := db.segments.take(entries)
	return err
}

// SealSegment makes the next value begin a segment.
func (db *DB) SealSegment() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	err := db.segments.seal()
	db.segments.settle(nil, db.epochs.next())
	return err
}

// Orphans returns how many chunks in the state belong to no value, and how many owners in segments are no pointer's.
func Orphans(db *DB) (n int) {
	err := db.b.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = chunkPrefix
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k := it.Item().Key()
			if bytes.HasPrefix(k, segmentPrefix) {
				item, err := txn.Get(k[len(segmentPrefix)+4:])
				if errors.Is(err, badger.ErrKeyNotFound) {
					n++
					continue
				}
				if err != nil {
					return err
				}
				if p, ok, err := pointerOf(item); err != nil || !ok || p.segment != binary.BigEndian.Uint32(k[len(segmentPrefix):]) {
					n++
				}
				continue
			}
			if bytes.HasPrefix(k, redoPrefix) {
				n++ // nothing is left there either
				continue
			}
			item, err := txn.Get(k[len(chunkPrefix) : len(k)-4])
			if errors.Is(err, badger.ErrKeyNotFound) {
				n++
				continue
			}
			if err != nil {
				return err
			}
			if of, err := chunkCount(item); err != nil || binary.BigEndian.Uint32(k[len(k)-4:]) >= of {
				n++
			}
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	return n
}
