package storage

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
)

// DefaultMemTableBytes makes room for MaxCommitBytes: Badger refuses a transaction over 15 % of the memtable.
const DefaultMemTableBytes = 64 << 20

// MaxCommitBytes is what one Commit may hold with the default memtable: keys, values and 12 bytes for each entry. A DB's own
// bound is DB.Limits.
const MaxCommitBytes = DefaultMemTableBytes * 15 / 100

// DefaultMinFreeBytes is the free-space floor: above what one full memtable and its flush may still write.
const DefaultMinFreeBytes = 512 << 20

// Options are what Open can be told. The zero value is right for production.
type Options struct {
	// MemTableBytes is the size of Badger's memtable, and by it of the largest Commit (0: DefaultMemTableBytes).
	MemTableBytes int64
	// MinFreeBytes is the floor under which Commit returns ErrDiskFull (0: DefaultMinFreeBytes).
	MinFreeBytes uint64
	// FreeBytes says how much space is free for dir (nil: asks the file system).
	FreeBytes func(dir string) (uint64, error)
	// Now is the clock of the free-space probe, which runs at most once a second (nil: time.Now).
	Now func() time.Time
	// Logger gets Badger's warnings and errors.
	Logger zerolog.Logger
	// Meter gets the durations of commits; nil: nobody does.
	Meter metric.Meter
}

func (o Options) withDefaults() Options {
	if o.MemTableBytes == 0 {
		o.MemTableBytes = DefaultMemTableBytes
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = DefaultMinFreeBytes
	}
	if o.FreeBytes == nil {
		o.FreeBytes = freeBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// DB is the KV in Badger.
//
// The simple version: Commit is one Badger transaction with a sync, Get and Scan are one read transaction. What makes it hard
// is what a crash may leave; the invariants:
//
//  1. Everything lives in one kind of log, the memtable's: large values are cut into chunks, so Badger's value log stays empty
//     and a torn tail is always a prefix of the commits, never a key that points at a lost value.
//  2. Commits are serial.
//  3. Under the free-space floor nothing is written: Badger writes through memory maps, and a full disk would kill the process.
type DB struct {
	b    *badger.DB
	lock *folderLock
	dir  string
	o    Options
	took dbconv.ClientOperationDuration

	newest atomic.Pointer[snapshot] // nil: closed

	mu      sync.Mutex // held by Commit and whatever else writes
	closed  bool
	space   spaceProbe
	chunked map[string]uint32 // keys whose value is stored in chunks, to the number of chunks
}

var _ KV = (*DB)(nil)

// Open opens the state in dir, creating it if need be. Another process that holds it is ErrInUse; a disk too full to write back
// what the last run left in its log is ErrDiskFull.
func Open(dir string, o Options) (*DB, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("storage: make data folder: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	db := &DB{dir: dir, o: o.withDefaults(), lock: lock}
	if err := db.open(); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return db, nil
}

func (db *DB) open() error {
	var err error
	if db.took, err = NewOperationDuration(db.o.Meter); err != nil {
		return err
	}
	if err := removeEmptyMemtables(db.dir); err != nil {
		return err
	}
	if err := db.roomToRecover(); err != nil {
		return err
	}
	b, err := openBadger(badgerOptions(db.dir, db.o))
	if err != nil {
		return fmt.Errorf("storage: open state in %s: %w", db.dir, err)
	}
	db.b = b
	db.space = spaceProbe{dir: db.dir, floor: db.o.MinFreeBytes, free: db.o.FreeBytes, now: db.o.Now}
	db.renew()
	if err := db.loadChunked(); err != nil {
		db.show(nil)
		return errors.Join(err, b.Close())
	}
	return nil
}

func badgerOptions(dir string, o Options) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(badgerLog{o.Logger}).
		WithSyncWrites(true).
		WithDetectConflicts(false). // one writer
		WithMemTableSize(o.MemTableBytes).
		WithNumMemtables(2). // each costs its size in memory
		WithValueThreshold(min(1<<20, o.MemTableBytes*15/100)).
		WithValueLogFileSize(16 << 20). // stays empty; Badger maps twice this size
		WithBlockCacheSize(64 << 20).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMetricsEnabled(true) // shown by Collect; they are global to the process
}

// openBadger turns a panic over damaged files into an error.
func openBadger(o badger.Options) (b *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, fmt.Errorf("badger panicked, files may be damaged: %v", p)
		}
	}()
	return badger.Open(o)
}

// Limits returns how many bytes and entries one Commit may hold. A commit of exactly these is already too large.
func (db *DB) Limits() (bytes, entries int64) { return db.b.MaxBatchSize(), db.b.MaxBatchCount() }

// Commit applies c in one transaction and returns when it has been synced.
func (db *DB) Commit(c Commit) (err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return ErrClosed
	}
	if err := db.space.check(commitBytes(c)); err != nil {
		return err
	}
	began := time.Now() // for the metric alone
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("storage: badger panicked in a commit: %v", p)
		}
		db.timeCommit(began, err)
	}()
	return db.commit(c)
}

func (db *DB) commit(c Commit) error {
	txn := db.b.NewTransaction(true)
	defer txn.Discard()
	w := chunkWriter{txn: txn, chunked: db.chunked}
	for _, e := range c.Entries {
		if err := w.set(e); err != nil {
			return commitError(err)
		}
	}
	for _, p := range c.Positions {
		e := Entry{Key: positionKey(c.Version, c.Shard, p.Topic, p.Partition), Value: encodePosition(p)}
		if err := w.set(e); err != nil {
			return commitError(err)
		}
	}
	if err := txn.Commit(); err != nil {
		return commitError(err)
	}
	w.done()
	db.renew()
	return nil
}

func commitError(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("storage: commit: %w", err)
}

func commitBytes(c Commit) (n uint64) {
	for _, e := range c.Entries {
		n += uint64(len(e.Key) + len(e.Value))
	}
	return n + uint64(len(c.Positions))*64
}

// Get returns a copy of the value at key, or ErrNotFound.
func (db *DB) Get(key []byte) ([]byte, error) {
	var value []byte
	err := db.view(func(txn *badger.Txn) error {
		it, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("storage: get %x: %w", key, err)
		}
		return readValue(txn, it, func(_, v []byte) error {
			value = append([]byte{}, v...)
			return nil
		})
	})
	return value, err
}

// Scan calls fn for each entry with from <= key < to, from one snapshot.
func (db *DB) Scan(from, to []byte, fn func(key, value []byte) error) error {
	return db.view(func(txn *badger.Txn) error { return scan(txn, from, to, fn) })
}

func scan(txn *badger.Txn, from, to []byte, fn func(key, value []byte) error) error {
	if len(to) == 0 || string(to) > string(chunkPrefix) {
		to = chunkPrefix
	}
	o := badger.DefaultIteratorOptions
	o.Prefix = commonPrefix(from, to) // lets Badger leave out tables
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Seek(from); it.Valid(); it.Next() {
		item := it.Item()
		if string(item.Key()) >= string(to) {
			return nil
		}
		if err := readValue(txn, item, fn); err != nil {
			return err
		}
	}
	return nil
}

func commonPrefix(a, b []byte) []byte {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// Positions returns every position stored for a version and shard, ordered by topic and partition.
func (db *DB) Positions(version uint32, shard uint16) ([]Position, error) {
	return positions(db, version, shard)
}

func positions(kv interface {
	Scan(from, to []byte, fn func(key, value []byte) error) error
}, version uint32, shard uint16) ([]Position, error) {
	prefix := Key(version, shard, TablePosition)
	var list []Position
	err := kv.Scan(prefix, PrefixEnd(prefix), func(k, v []byte) error {
		p, err := parsePosition(k, v)
		if err != nil {
			return err
		}
		list = append(list, p)
		return nil
	})
	return list, err
}

// Close syncs and releases the folder. Reads that run must have ended.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	db.show(nil)
	err := db.b.Close()
	if err != nil {
		err = fmt.Errorf("storage: close: %w", err)
	}
	return errors.Join(err, db.lock.release())
}

// badgerLog passes warnings and errors on; Badger's information lines are of no use to our users.
type badgerLog struct{ log zerolog.Logger }

func (l badgerLog) Errorf(f string, v ...any)   { l.log.Error().Msg(logLine(f, v)) }
func (l badgerLog) Warningf(f string, v ...any) { l.log.Warn().Msg(logLine(f, v)) }
func (l badgerLog) Infof(string, ...any)        {}
func (l badgerLog) Debugf(string, ...any)       {}
