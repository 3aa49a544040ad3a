// Package storage keeps state on disk. One Commit writes view entries and Kafka positions in one transaction, so that what a
// view has counted and where the topic is read on can never disagree.
//
// The simple version: a sorted map from bytes to bytes, a transaction that replaces some of it, and a scan. DB is that map in
// Badger, Mem is its twin in memory for simulations; one conformance suite (storagetest) holds both to the same behaviour.
//
// storage imports nothing of this module.
package storage

import (
	"errors"
	"fmt"
)

// KV is the state that views, the evaluator and notify are given.
//
// Keys are made by the functions of keys.go only. Slices handed to a callback are valid during the call; slices handed to
// Commit belong to the store from then on.
type KV interface {
	// Commit applies c, of whatever size, all of it or nothing. When it returns nil the data has been synced.
	Commit(c Commit) error
	// Get returns a copy of the value at key, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Scan calls fn for each entry with from <= key < to in key order, from one snapshot; it ends at fn's first error and
	// returns it. An empty to means no upper bound.
	Scan(from, to []byte, fn func(key, value []byte) error) error
	// Keys is Scan without the values, which need not be read.
	Keys(from, to []byte, fn func(key []byte) error) error
	// Positions returns every position stored for a view version and shard, ordered by topic and partition.
	Positions(version uint32, shard uint16) ([]Position, error)
	Close() error
}

// Commit is one transaction.
type Commit struct {
	Version   uint32 // view version that Positions belong to
	Shard     uint16
	Positions []Position
	Entries   []Entry
}

// Entry is one write. A nil Value deletes the key.
type Entry struct {
	Key, Value []byte
	// ExpiresAt, in Unix seconds, lets the store drop the entry on its own clock some time later (0: never). It is computed from
	// event time plus twice the retention; readers filter by their own `since` and never rely on it.
	ExpiresAt uint64

	chunks  uint32 // that have been written ahead; 0: Value is to be written
	pointed bool   // Value is a pointer into a segment
}

// Position is the next record to read of one partition.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64 // of the next record
	// LeaderEpoch is that of the last applied record, -1 when unknown; with it the broker can detect that a log was truncated.
	LeaderEpoch int32
	// TopicID distinguishes a re-created topic of the same name from the one that was read; zero when unknown.
	TopicID [16]byte
}

func (p Position) String() string { return fmt.Sprintf("%s/%d/%d", p.Topic, p.Partition, p.Offset) }

// Errors that callers distinguish.
var (
	// ErrNotFound is returned by Get for a key that is not there.
	ErrNotFound = errors.New("storage: key not found")
	// ErrInUse is returned by Open when another process holds the data folder.
	ErrInUse = errors.New("storage: data folder is in use")
	// ErrLost is returned by Get and Scan for a value whose file is missing, cut or damaged. Other values are not affected.
	ErrLost = errors.New("storage: a stored value is lost")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("storage: closed")
)
