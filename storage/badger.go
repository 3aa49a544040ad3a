package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
)

// DefaultMemTableBytes makes most commits fit into one transaction: Badger refuses one over 15 % of the memtable.
const DefaultMemTableBytes = 32 << 20

// MinMemTableBytes is the smallest memtable whose transactions hold a chunk of a value.
const MinMemTableBytes = 1 << 20

// DefaultMinFreeBytes is the free-space floor: above what one full memtable and its flush may still write.
const DefaultMinFreeBytes = 512 << 20

// Options are settings of Open. The zero value is right for production.
type Options struct {
	// MemTableBytes is the size of Badger's memtable (0: DefaultMemTableBytes; at least MinMemTableBytes). By it the largest Commit
	// that takes one transaction, see DB.Limits.
	MemTableBytes int64
	// Uncompressed keeps Badger from compressing its tables.
	Uncompressed bool
	// BlockCacheBytes is what decompressed blocks of tables may take (0: 64 MiB).
	BlockCacheBytes int64
	// MinFreeBytes is the floor under which Commit returns ErrDiskFull (0: DefaultMinFreeBytes).
	MinFreeBytes uint64
	// FreeBytes says how much space is free for dir (nil: asks the file system).
	FreeBytes func(dir string) (uint64, error)
	// Now is the clock of the free-space probe, which runs at most once a second (nil: time.Now).
	Now func() time.Time
	// Logger gets Badger's warnings and errors.
	Logger zerolog.Logger
	// Meter gets the durations of commits; nil: they are not measured.
	Meter metric.Meter

	create    func(name string) (*os.File, error) // makes the files of probes; nil: os.OpenFile
	afterPart func(n int)                         // called between the transactions of a large commit, by tests
}

func (o Options) withDefaults() Options {
	if o.MemTableBytes == 0 {
		o.MemTableBytes = DefaultMemTableBytes
	}
	if o.BlockCacheBytes == 0 {
		o.BlockCacheBytes = 64 << 20
	}
	o.MemTableBytes = max(o.MemTableBytes, MinMemTableBytes)
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = DefaultMinFreeBytes
	}
	if o.FreeBytes == nil {
		o.FreeBytes = FreeBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.create == nil {
		o.create = createFile
	}
	return o
}

// DB is the KV in Badger.
//
// The simple version: Commit is one Badger transaction with a sync, Get and Scan are one read transaction. What makes it hard
// is what a crash may leave; the invariants:
//
//  1. Everything but raw records lives in one kind of log, the memtable's: large values are cut into chunks, so Badger's value log stays
//     empty and a torn tail is always a prefix of the commits, never a key that points at a lost value. Raw records are in segments, which
//     are synced before the commit that points to them.
//  2. Commits are serial.
//  3. A commit that one transaction cannot hold is written ahead (redo.go), so it is all or nothing too.
//  4. Under the free-space floor nothing is written: Badger writes through memory maps, and a full disk would kill the process.
//  5. Nothing is written where files cannot be made (guard): Badger ends the process when it is used after its log could not go on to a new
//     file. Where that happens all the same, the next commit opens the state again first (reopen.go).
type DB struct {
	use      sync.RWMutex // held for writing while b is replaced or closed, for reading by what uses it beside commits and snapshots
	b        *badger.DB
	segments *segments // replaced with b
	lock     *folderLock
	dir      string
	o        Options
	took     dbconv.ClientOperationDuration

	newest    atomic.Pointer[snapshot] // nil: closed, or being opened again
	epochs    epochs                   // of the snapshots that are alive
	reopening atomic.Bool
	writing   atomic.Bool // a commit is under way
	failed    atomic.Bool // broken is set: reads may find Badger without its log

	mu       sync.Mutex // held by Commit and whatever else writes
	closed   atomic.Bool
	space    SpaceProbe
	guard    *FolderGuard
	broken   error         // of a commit that failed midway: the state is opened again before the next one
	large    atomic.Uint64 // commits that took more than one transaction
	closing  chan error    // of Badger, while it is being closed
	refused  refusals
	reopened atomic.Uint64 // how often the state was opened again

	maxBytes, maxEntries int64 // of a transaction
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
	if err := restored(dir); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return openLocked(dir, o, lock)
}

func openLocked(dir string, o Options, lock *folderLock) (_ *DB, err error) {
	db := &DB{dir: dir, o: o.withDefaults(), lock: lock}
	db.guard, err = NewFolderGuard(dir, lock.f.Name())
	if err == nil {
		db.guard.create = db.o.create
		err = db.open()
	}
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return db, nil
}

func (db *DB) open() error {
	var err error
	if db.took, err = NewOperationDuration(db.o.Meter); err != nil {
		return err
	}
	db.space = NewSpaceProbe(db.dir, db.o.MinFreeBytes, db.o.FreeBytes, db.o.Now)
	return db.begin()
}

// begin opens Badger and finishes what the last run began.
func (db *DB) begin() error {
	if err := removeEmptyMemtables(db.dir); err != nil {
		return err
	}
	if err := roomToRecover(db.dir, db.o.FreeBytes); err != nil {
		return err
	}
	b, err := openBadger(badgerOptions(db.dir, db.o))
	if err != nil {
		return fmt.Errorf("storage: open state in %s: %w", db.dir, err)
	}
	db.b, db.maxBytes, db.maxEntries = b, b.MaxBatchSize(), b.MaxBatchCount()
	db.renew()
	if err = db.recoverLarge(); err != nil {
		db.show(nil)
		return errors.Join(err, b.Close())
	}
	if db.segments, err = openSegments(db.dir, db.o.Logger, b); err != nil {
		db.show(nil)
		return errors.Join(err, b.Close())
	}
	return nil
}

// tableBytes is the size of Badger's files of every level. What builds one takes twice its size at once, however little it holds; by default
// the files of the lowest level have 64 MiB.
const tableBytes = 8 << 20

func badgerOptions(dir string, o Options) badger.Options {
	opts := badger.DefaultOptions(dir)
	opts.BaseTableSize, opts.TableSizeMultiplier = tableBytes, 1
	return opts.
		WithLogger(badgerLog{o.Logger, &repeated{}}).
		WithSyncWrites(true).
		WithDetectConflicts(false). // one writer
		WithMemTableSize(o.MemTableBytes).
		WithNumMemtables(2).                                        // each costs its size in memory
		WithNumCompactors(2).                                       // the least; each builds several tables in memory
		WithNumLevelZeroTables(10).WithNumLevelZeroTablesStall(24). // so that the rest is rewritten less often
		WithValueThreshold(min(1<<20, o.MemTableBytes*15/100)).
		WithValueLogFileSize(16 << 20). // stays empty; Badger maps twice this size
		WithCompression(o.compression()).
		WithBlockSize(blockBytes).
		WithBlockCacheSize(o.BlockCacheBytes).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMetricsEnabled(true) // shown by Collect; they are global to the process
}

// compression is Badger's own. A table that it compresses is built of buffers for the worst case, which takes several times the memory
// that the table has, so it can be left out: raw records are compressed before they come here.
func (o Options) compression() options.CompressionType {
	if o.Uncompressed {
		return options.None
	}
	return options.Snappy
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

// Limits returns how many bytes and entries one transaction may hold. A Commit of these or more is written twice, see redo.go.
func (db *DB) Limits() (bytes, entries int64) { return db.maxBytes, db.maxEntries }

// Commit applies c, all of it or nothing, and returns when it has been synced. An ErrUnwritable is of a commit that may be tried again:
// each entry sets a whole value, so it does not matter how far the one before came.
func (db *DB) Commit(c Commit) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.commitLocked(c)
}

func (db *DB) commitLocked(c Commit) (err error) {
	defer func() { db.refused.note(err) }()
	if db.closed.Load() {
		return ErrClosed
	}
	if err := db.writable(c); err != nil {
		return err
	}
	began := time.Now() // for the metric only
	defer func() {
		if p := recover(); p != nil {
			err = db.breaks(fmt.Errorf("storage: badger panicked in a commit: %v", p))
		}
		db.timeCommit(began, err)
	}()
	mark := db.segments.mark()
	entries, err := db.segments.take(c.all())
	if err != nil {
		db.segments.rewind(mark)
		return err
	}
	db.writing.Store(true)
	defer db.writing.Store(false)
	if err = db.commit(entries, 0); errors.Is(err, badger.ErrTxnTooBig) {
		err = db.commitLarge(entries)
	}
	if _, ok := errors.AsType[midway](err); ok {
		return db.breaks(err)
	}
	if err != nil {
		db.segments.rewind(mark) // or each retry would take space
		return err
	}
	return db.guard.Same() // deleted meanwhile: what was written went with it
}

// writable returns why c cannot be written now. It opens the state again where a commit before failed midway.
func (db *DB) writable(c Commit) error {
	size, appended := commitBytes(c)
	if limit, _ := db.Limits(); size > uint64(limit) {
		size *= 2 // written ahead first
	}
	size += appended
	if err := db.guard.Check(); err != nil {
		return err
	}
	if err := db.space.Check(size); err != nil {
		return err
	}
	if db.broken != nil {
		return db.reopen()
	}
	return nil
}

// commit writes entries by one transaction, and deletes the list of what was written ahead of them. It is ErrTxnTooBig if it takes more.
func (db *DB) commit(entries []Entry, parts uint32) error {
	txn := db.b.NewTransaction(true)
	defer txn.Discard()
	w := chunkWriter{txn: txn, before: txn}
	for _, e := range entries {
		if err := w.set(e); err != nil {
			return commitError(err)
		}
	}
	if err := deleteKeys(txn, redoAheadKey, parts); err != nil {
		return err
	}
	if err := txn.Commit(); err != nil {
		return midway{commitError(err)}
	}
	db.settle(w.live)
	return nil
}

// settle shows what has been committed, and counts what that changed in the segments.
func (db *DB) settle(live map[uint32]int64) {
	if live != nil {
		db.segments.settle(live, db.epochs.next())
	}
	db.renew()
	db.segments.sweep(db.epochs.oldest())
}

func commitError(err error) error {
	return fmt.Errorf("storage: commit: %w", err)
}

// commitBytes returns how much of c goes to Badger, and how much to segments.
func commitBytes(c Commit) (n, appended uint64) {
	for _, e := range c.Entries {
		if e.toSegment() {
			appended += uint64(len(e.Value))
		} else {
			n += uint64(len(e.Key) + len(e.Value))
		}
	}
	return n + uint64(len(c.Positions))*64, appended
}

// Get returns a copy of the value at key, or ErrNotFound.
func (db *DB) Get(key []byte) (value []byte, err error) {
	err = db.view(func(txn *badger.Txn) error {
		value, err = db.get(txn, key)
		return err
	})
	return value, err
}

func (db *DB) get(txn *badger.Txn, key []byte) (value []byte, err error) {
	it, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("storage: get %x: %w", key, err)
	}
	value, ok, err := db.apart(txn, it)
	if err != nil || ok {
		return value, err
	}
	err = readInline(it, func(_, v []byte) error {
		value = append([]byte{}, v...)
		return nil
	})
	return value, err
}

// Scan calls fn for each entry with from <= key < to, from one snapshot.
func (db *DB) Scan(from, to []byte, fn func(key, value []byte) error) error {
	return db.view(func(txn *badger.Txn) error {
		return eachItem(txn, from, to, true, func(item *badger.Item) error { return db.readValue(txn, item, fn) })
	})
}

// Keys is Scan without the values.
func (db *DB) Keys(from, to []byte, fn func(key []byte) error) error {
	return db.view(func(txn *badger.Txn) error {
		return eachItem(txn, from, to, false, func(item *badger.Item) error { return fn(item.Key()) })
	})
}

func eachItem(txn *badger.Txn, from, to []byte, values bool, fn func(*badger.Item) error) error {
	if len(to) == 0 || string(to) > string(chunkPrefix) {
		to = chunkPrefix
	}
	o := badger.DefaultIteratorOptions
	o.Prefix = commonPrefix(from, to) // lets Badger leave out tables
	o.PrefetchValues = values
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Seek(from); it.Valid(); it.Next() {
		if string(it.Item().Key()) >= string(to) {
			return nil
		}
		if err := fn(it.Item()); err != nil {
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
	if db.closed.Swap(true) {
		return nil
	}
	db.show(nil)
	db.use.Lock()
	defer db.use.Unlock()
	err := errors.Join(db.closeBadger(), db.segments.close())
	if errors.Is(err, errCloseTimeout) && errors.Is(db.guard.Same(), ErrFolderGone) {
		err = nil // there is nothing to be flushed to
	}
	if err != nil {
		err = fmt.Errorf("storage: close: %w", err)
	}
	return errors.Join(err, db.lock.release())
}

// badgerLog passes warnings and errors on; Badger's information lines are of no use to our users. A line that comes again, as of a flush
// that Badger retries each second, is logged once a minute.
type badgerLog struct {
	log  zerolog.Logger
	seen *repeated
}

type repeated struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// maxRepeated bounds the lines that are remembered.
const maxRepeated = 64

func (l badgerLog) again(line string) bool {
	l.seen.mu.Lock()
	defer l.seen.mu.Unlock()
	now := time.Now()
	if at, ok := l.seen.last[line]; ok && now.Sub(at) < time.Minute {
		return true
	}
	if len(l.seen.last) >= maxRepeated || l.seen.last == nil {
		l.seen.last = map[string]time.Time{}
	}
	l.seen.last[line] = now
	return false
}

func (l badgerLog) Errorf(f string, v ...any) {
	if line := logLine(f, v); !l.again(f) {
		l.log.Error().Msg(line)
	}
}

func (l badgerLog) Warningf(f string, v ...any) {
	if line := logLine(f, v); !l.again(f) {
		l.log.Warn().Msg(line)
	}
}
func (l badgerLog) Infof(string, ...any)  {}
func (l badgerLog) Debugf(string, ...any) {}

// timeCommit records how long a commit took that began at began.
func (db *DB) timeCommit(began time.Time, err error) {
	set := commitSet
	if err != nil {
		set = attribute.NewSet(append(commitSet.ToSlice(), semconv.ErrorType(err))...)
	}
	db.took.RecordSet(context.Background(), time.Since(began).Seconds(), set)
}
