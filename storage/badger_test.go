package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest"
)

// small keeps Badger's maps small; its commits may hold 1.2 MB.
func small() storage.Options { return storage.Options{MemTableBytes: 8 << 20, MinFreeBytes: 1 << 20} }

func open(t testing.TB, dir string) *storage.DB {
	t.Helper()
	db, err := storage.Open(dir, small())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func TestDB(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.KV { return open(t, t.TempDir()) })
}

func TestReopen(t *testing.T) {
	dir, h := t.TempDir(), storagetest.NewHistory(1, 40)
	for i := range 4 {
		db := open(t, dir)
		if n := h.Check(t, db); n != 10*i {
			t.Fatalf("opened after %d commits, want %d", n, 10*i)
		}
		for _, c := range h.Commits[10*i : 10*i+10] {
			require.NoError(t, db.Commit(c))
		}
		require.NoError(t, db.Close())
	}
	h.Check(t, open(t, dir))
}

// TestLargeCommits: a commit of any size is applied whole, around what one transaction may hold and far beyond it, whatever the
// memtable.
func TestLargeCommits(t *testing.T) {
	for _, memtable := range []int64{storage.MinMemTableBytes, 8 << 20} {
		o := small()
		o.MemTableBytes = memtable
		db, err := storage.Open(t.TempDir(), o)
		require.NoError(t, err)
		maxBytes, maxEntries := db.Limits()
		n := 0
		for _, size := range []int64{maxBytes / 2, maxBytes - 200, maxBytes - 1, maxBytes, maxBytes + 1, 3*maxBytes + 7, 20 * maxBytes} {
			n++
			value := bytes.Repeat([]byte{byte(n)}, int(size))
			last := storagetest.Key("last")
			c := storage.Commit{Version: 1, Positions: []storage.Position{{Topic: "t", Offset: int64(n)}}, Entries: []storage.Entry{
				{Key: storagetest.Key("value"), Value: value}, {Key: storagetest.Key(fmt.Sprint(n - 1))},
				storagetest.Set(fmt.Sprint(n), "v"), {Key: last, Value: []byte{byte(n)}}}}
			if err := db.Commit(c); err != nil {
				t.Fatalf("memtable of %d, value of %d: %v", memtable, size, err)
			}
			got, err := db.Get(storagetest.Key("value"))
			if err != nil || !bytes.Equal(got, value) {
				t.Fatalf("value of %d came back with %d bytes, %v", size, len(got), err)
			}
			if _, err := db.Get(storagetest.Key(fmt.Sprint(n - 1))); !errors.Is(err, storage.ErrNotFound) {
				t.Fatalf("a deleted key: %v", err)
			}
			if ps, err := db.Positions(1, 0); err != nil || len(ps) != 1 || ps[0].Offset != int64(n) {
				t.Fatalf("positions %v, %v", ps, err)
			}
		}
		for _, many := range []int64{maxEntries - 1, maxEntries, 3 * maxEntries} {
			storagetest.Commit(t, db, manyEntries(int(many))...)
			if got := storagetest.Dump(t, db, nil, nil); int64(len(got)) < many {
				t.Fatalf("%d of %d entries", len(got), many)
			}
		}
		if db.LargeCommits() == 0 {
			t.Error("no commit took more than one transaction")
		}
		require.NoError(t, db.Close())
	}
}

// TestLargeCommitCrash: whenever a large commit is interrupted, it has happened or it has not, and nothing is left of one that has not.
// It replaces values, or adds them beside some that it replaces: too many for one transaction, or few.
func TestLargeCommitCrash(t *testing.T) {
	for _, c := range []struct {
		name                string
		replaced, made, raw int
	}{{"replaced", 12, 0, 0}, {"made", 0, 12, 0}, {"made, few replaced", 2, 12, 0}, {"both", 12, 12, 0}, {"raw records too", 12, 12, 4}} {
		t.Run(c.name, func(t *testing.T) { largeCommitCrash(t, c.replaced, c.made, c.raw) })
	}
}

func largeCommitCrash(t *testing.T, replaced, made, raw int) {
	dir := t.TempDir()
	var copies []string
	o := small()
	o.MemTableBytes = storage.MinMemTableBytes
	db, err := storage.Open(dir, o)
	require.NoError(t, err)
	defer db.Close()
	maxBytes, _ := db.Limits()
	commit := func(db *storage.DB, n byte) {
		t.Helper()
		c := storage.Commit{Version: 1, Positions: []storage.Position{{Topic: "t", Offset: int64(n)}}}
		for i := range replaced {
			c.Entries = append(c.Entries,
				storage.Entry{Key: storagetest.Key(fmt.Sprint(i)), Value: bytes.Repeat([]byte{n}, int(maxBytes)/4+i)})
		}
		for i := range made {
			c.Entries = append(c.Entries,
				storage.Entry{Key: storagetest.Key(fmt.Sprint("made", n, i)), Value: bytes.Repeat([]byte{n}, int(maxBytes)/4+i)},
				storage.Entry{Key: storagetest.Key(fmt.Sprint("made", n-1, i))})
		}
		for i := range raw { // half of them replaced, half new
			c.Entries = append(c.Entries, storage.Entry{Key: storagetest.RawKey(fmt.Sprint(i)), Value: bytes.Repeat([]byte{n}, 5000+i)},
				storage.Entry{Key: storagetest.RawKey(fmt.Sprint("made", n, i)), Value: bytes.Repeat([]byte{n}, 5000+i)},
				storage.Entry{Key: storagetest.RawKey(fmt.Sprint("made", n-1, i))})
		}
		require.NoError(t, db.Commit(c))
	}
	// state is the number of the commit that the folder shows; every value and the position must be of the same.
	state := func(dir string) byte {
		t.Helper()
		db, err := storage.Open(dir, o)
		require.NoError(t, err)
		defer db.Close()
		ps, err := db.Positions(1, 0)
		if err != nil || len(ps) != 1 {
			t.Fatalf("positions %v, %v", ps, err)
		}
		n, values := byte(ps[0].Offset), 0
		err = db.Scan(nil, nil, func(k, v []byte) error {
			if table := storage.Table(k[storage.KeyPrefixLen-1]); table == storage.TableMeta || table == storage.TableRaw {
				values++
				if !bytes.Equal(v, bytes.Repeat([]byte{n}, len(v))) {
					t.Fatalf("value of commit %d beside the position of %d", v[0], n)
				}
			}
			return nil
		})
		if err != nil || values != replaced+made+2*raw {
			t.Fatalf("%d values, %v", values, err)
		}
		if n := storage.Orphans(db); n > 0 {
			t.Fatalf("%d chunks of no value", n)
		}
		_, _, before := db.Segments()
		commit(db, n+1) // and it goes on
		if _, _, live := db.Segments(); live != before {
			t.Fatalf("%d bytes live in segments, %d before", live, before)
		}
		if n := storage.Orphans(db); n > 0 {
			t.Fatalf("%d chunks of no value after the next commit", n)
		}
		return n
	}
	commit(db, 1)
	storage.AfterPart(&o, func(int) { copies = append(copies, copyFolder(t, dir)) })
	require.NoError(t, db.Close())
	if db, err = storage.Open(dir, o); err != nil {
		t.Fatal(err)
	}
	commit(db, 2)
	taken := copies
	storage.AfterPart(&o, nil)
	seen := map[byte]int{}
	for _, c := range taken {
		seen[state(c)]++
	}
	if seen[1] < 2 || seen[2] < 1 || len(seen) != 2 {
		t.Fatalf("states after an interruption, by commit: %v", seen)
	}
}

func manyEntries(n int) []storage.Entry {
	list := make([]storage.Entry, n)
	for i := range list {
		list[i] = storagetest.Set(fmt.Sprint(i), "")
	}
	return list
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	_, err := storage.Open(dir, small())
	if !errors.Is(err, storage.ErrInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Fatalf("second open: %v", err)
	}
	require.NoError(t, db.Close())
	open(t, dir)
}

func TestFreeSpaceFloor(t *testing.T) {
	free, now, probes := uint64(1<<30), time.Unix(1000, 0), 0
	o := small()
	o.MinFreeBytes = 1 << 20
	o.FreeBytes = func(string) (uint64, error) { probes++; return free, nil }
	o.Now = func() time.Time { return now }
	db, err := storage.Open(t.TempDir(), o)
	require.NoError(t, err)
	defer db.Close()
	for range 5 {
		storagetest.Commit(t, db, storagetest.Set("a", "1"))
	}
	if probes != 2 { // one by Open
		t.Errorf("%d probes within a second", probes)
	}
	free, now = 1<<20, now.Add(time.Second)
	c := storage.Commit{Entries: []storage.Entry{storagetest.Set("a", "2")}}
	if err := db.Commit(c); !errors.Is(err, storage.ErrDiskFull) {
		t.Fatalf("under the floor: %v", err)
	}
	if got := storagetest.Dump(t, db, nil, nil); len(got) != 1 || got[0] != "a=1" {
		t.Fatalf("reads under the floor: %v", got)
	}
	free, now = 1<<21, now.Add(time.Second)
	if err := db.Commit(c); err != nil {
		t.Fatalf("after space returned: %v", err)
	}
	// what is written between two probes counts
	big := storage.Commit{Entries: []storage.Entry{{Key: storagetest.Key("b"), Value: make([]byte, 600<<10)}}}
	require.NoError(t, db.Commit(big))
	if err := db.Commit(big); !errors.Is(err, storage.ErrDiskFull) {
		t.Fatalf("own writes between probes: %v", err)
	}
	o.FreeBytes = func(string) (uint64, error) { return 100, nil }
	if _, err := storage.Open(t.TempDir(), o); !errors.Is(err, storage.ErrDiskFull) {
		t.Fatalf("open on a full disk: %v", err)
	}
}

func TestLeftovers(t *testing.T) {
	dir, h := t.TempDir(), storagetest.NewHistory(2, 10)
	db := open(t, dir)
	for _, c := range h.Commits {
		require.NoError(t, db.Commit(c))
	}
	require.NoError(t, db.Close())
	for name, content := range map[string][]byte{
		"00041.mem":          nil,                // a kill between truncation and removal
		"00042.mem":          make([]byte, 20),   // a header that never reached the disk
		"00043.mem":          make([]byte, 4096), // …with the pages after it
		"000099.sst":         nil,                // a table that no manifest names
		"MANIFEST-REWRITE":   []byte("Bd"),       // a rewrite that was not renamed
		"LOCK.watchingcat~":  []byte("x"),
		"00001.vlog.unknown": nil,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	if n := h.Check(t, open(t, dir)); n != 10 {
		t.Fatalf("%d commits left of 10", n)
	}
}

func TestDropVersion(t *testing.T) {
	db := open(t, t.TempDir())
	for version := range uint32(3) {
		for batch := range 3 {
			c := storage.Commit{Version: version, Positions: []storage.Position{{Topic: "t", Offset: 5}}}
			for i := range 900 {
				key := storage.Key(version, uint16(batch), storage.TableCells, byte(i>>8), byte(i))
				c.Entries = append(c.Entries, storage.Entry{Key: key, Value: make([]byte, 10)})
			}
			key := storage.Key(version, uint16(batch), storage.TableMeta)
			c.Entries = append(c.Entries, storage.Entry{Key: key, Value: make([]byte, 200<<10)})
			require.NoError(t, db.Commit(c))
		}
	}
	count := func() (n int) {
		require.NoError(t, db.Scan(nil, nil, func(_, _ []byte) error { n++; return nil }))
		return n
	}
	for shard := range uint16(3) {
		require.NoError(t, db.DropVersion(context.Background(), 1, shard))
	}
	if got, want := count(), 2*(3*901+1); got != want {
		t.Fatalf("%d entries left, want %d", got, want)
	}
	if ps, err := db.Positions(1, 0); err != nil || len(ps) != 0 {
		t.Fatalf("positions of the dropped version: %v, %v", ps, err)
	}
	if ps, err := db.Positions(2, 0); err != nil || len(ps) != 1 {
		t.Fatalf("positions of the next version: %v, %v", ps, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := db.DropVersion(ctx, 2, 0); !errors.Is(err, context.Canceled) {
		t.Fatalf("canceled drop: %v", err)
	}
}

func TestBackupRestore(t *testing.T) {
	h := storagetest.NewHistory(5, 40)
	db := open(t, t.TempDir())
	var full, increment bytes.Buffer
	since := uint64(0)
	for i, c := range h.Commits {
		require.NoError(t, db.Commit(c))
		if i == 19 {
			var err error
			if since, err = db.Backup(&full, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := db.Backup(&increment, since); err != nil {
		t.Fatal(err)
	}
	if err := db.Restore(bytes.NewReader(full.Bytes())); !errors.Is(err, storage.ErrNotEmpty) {
		t.Fatalf("restore over data: %v", err)
	}
	dir := t.TempDir()
	restored := open(t, dir)
	require.NoError(t, restored.Restore(bytes.NewReader(full.Bytes()), bytes.NewReader(increment.Bytes())))
	if n := h.Check(t, restored); n != 40 {
		t.Fatalf("restored %d commits of 40", n)
	}
	require.NoError(t, restored.Close())
	h.Check(t, open(t, dir))
	part := open(t, t.TempDir())
	require.NoError(t, part.Restore(bytes.NewReader(full.Bytes())))
	if n := h.Check(t, part); n != 20 {
		t.Fatalf("restored %d commits of 20", n)
	}
	for _, c := range h.Commits[20:] { // and resumes
		require.NoError(t, part.Commit(c))
	}
	h.Check(t, part)
	for _, garbage := range []string{"", "no backup at all, but long enough", "watchingcat backup 1\nnoise, read as a length"} {
		if err := open(t, t.TempDir()).Restore(strings.NewReader(garbage)); err == nil {
			t.Fatalf("restored %q", garbage)
		}
	}
}

func TestGCAndSize(t *testing.T) {
	db := open(t, t.TempDir())
	storagetest.Commit(t, db, storagetest.Set("a", strings.Repeat("x", 100<<10)))
	require.NoError(t, db.GC())
	if n, err := db.Size(); err != nil || n < 100<<10 || n > 4<<20 {
		t.Fatalf("size %d, %v", n, err)
	}
}

// TestCollect shows Badger, the disk and the durations of commits, and nothing once the database is closed.
func TestCollect(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reader, err := otelprom.New(otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	require.NoError(t, err)
	db, err := storage.Open(t.TempDir(),
		storage.Options{MinFreeBytes: 1000, FreeBytes: func(string) (uint64, error) { return 1 << 40, nil },
			Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")})
	require.NoError(t, err)
	reg.MustRegister(db)
	if err := db.Commit(storage.Commit{Entries: []storage.Entry{{Key: storage.Key(0, 0, storage.TableMeta, 'x'),
		Value: []byte("1")}}}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"watchingcat_disk_free_bytes": 1, "watchingcat_disk_floor_bytes": 1,
		"watchingcat_state_bytes": 1, "badger_level_tables": 7,
		"badger_put_num_user": 1, "badger_block_cache_requests_total": 2, "db_client_operation_duration_seconds": 1} {
		if n, err := testutil.GatherAndCount(reg, name); err != nil || n != want {
			t.Errorf("%s: %d series, want %d, %v", name, n, want, err)
		}
	}
	require.NoError(t, db.Close())
	if n, err := testutil.GatherAndCount(reg, "badger_level_tables"); err != nil || n != 0 {
		t.Errorf("closed: %d series, %v", n, err)
	}
}

// TestMemoryOfTables: what Badger keeps of the memory in which it builds tables is a small multiple of a memtable, also where values are
// large and do not compress.
func TestMemoryOfTables(t *testing.T) {
	o := small()
	o.MemTableBytes, o.Uncompressed = 8<<20, true
	db, err := storage.Open(t.TempDir(), o)
	require.NoError(t, err)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	rng := rand.NewChaCha8([32]byte{})
	value := make([]byte, 500<<10)
	for i := range 250 {
		_, _ = rng.Read(value)
		storagetest.Commit(t, db, storage.Entry{Key: storagetest.Key(fmt.Sprintf("%04d", i)), Value: value})
	}
	grown := heap() - before
	require.NoError(t, db.Close())
	t.Logf("%d memtables", grown/uint64(o.MemTableBytes))
	if grown > 22*uint64(o.MemTableBytes) {
		t.Fatalf("%d MiB of heap for memtables of %d MiB", grown>>20, o.MemTableBytes>>20)
	}
}
