package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest"
)

func rawEntry(name string, size int) storage.Entry {
	return storage.Entry{Key: storagetest.RawKey(name), Value: bytes.Repeat([]byte(name[:1]), size)}
}

func segmentFiles(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	require.NoError(t, err)
	return len(files)
}

// TestSegments: large raw records are in files apart, beside small ones and other tables that are not; a file goes with its last value.
func TestSegments(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	storagetest.Commit(t, db, rawEntry("small", 4095), storage.Entry{Key: storagetest.Key("other"), Value: make([]byte, 50<<10)})
	if files, size, _ := db.Segments(); files != 0 || size != 0 {
		t.Fatalf("%d files of %d bytes without large raw records", files, size)
	}
	storagetest.Commit(t, db, rawEntry("a", 4096), rawEntry("b", 3<<20))
	if files, size, live := db.Segments(); files != 1 || size != 4096+3<<20 || live != size || segmentFiles(t, dir) != 1 {
		t.Fatalf("%d files, %d bytes, %d live", files, size, live)
	}
	storagetest.Commit(t, db, rawEntry("a", 5000)) // in place of what there was
	storagetest.Commit(t, db, rawEntry("a", 10))   // now small
	if _, size, live := db.Segments(); size != 4096+3<<20+5000 || live != 3<<20 {
		t.Fatalf("%d bytes, %d live", size, live)
	}
	require.NoError(t, db.Close())
	db = open(t, dir)
	if _, size, live := db.Segments(); size != 4096+3<<20+5000 || live != 3<<20 {
		t.Fatalf("after a restart %d bytes, %d live", size, live)
	}
	if v, err := db.Get(storagetest.RawKey("b")); err != nil || len(v) != 3<<20 || v[0] != 'b' {
		t.Fatalf("%d bytes, %v", len(v), err)
	}
	storagetest.Commit(t, db, storage.Entry{Key: storagetest.RawKey("b")})
	if files, size, live := db.Segments(); files != 0 || size != 0 || live != 0 || segmentFiles(t, dir) != 0 {
		t.Fatalf("%d files, %d bytes, %d live once nothing is stored", files, size, live)
	}
	if n := storage.Orphans(db); n != 0 {
		t.Fatalf("%d orphans", n)
	}
}

// TestSegmentReaders: who reads an older state reads it to the end.
func TestSegmentReaders(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	storagetest.Commit(t, db, rawEntry("a", 9000), rawEntry("b", 9000))
	require.NoError(t, db.SealSegment())
	prefix, seen := storagetest.RawKey(""), 0
	err := db.Scan(prefix, storage.PrefixEnd(prefix), func(_, v []byte) error {
		if seen++; seen == 1 {
			storagetest.Commit(t, db, storage.Entry{Key: storagetest.RawKey("a")}, storage.Entry{Key: storagetest.RawKey("b")})
			storagetest.Commit(t, db, storagetest.Set("x", "1"))
		}
		if len(v) != 9000 {
			t.Errorf("%d bytes", len(v))
		}
		return nil
	})
	if err != nil || seen != 2 {
		t.Fatalf("%d values, %v", seen, err)
	}
	if n := segmentFiles(t, dir); n != 1 {
		t.Fatalf("%d files although no reader is left", n)
	}
	storagetest.Commit(t, db, storagetest.Set("x", "2"))
	if n := segmentFiles(t, dir); n != 0 {
		t.Fatalf("%d files after the reader has left", n)
	}
}

// TestSparseSegments: what is live in a segment that is mostly dead moves, and the segment goes.
func TestSparseSegments(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	const n = 40
	for i := range n {
		storagetest.Commit(t, db, rawEntry(fmt.Sprintf("%02d", i), 300<<10))
		if i%10 == 9 {
			require.NoError(t, db.SealSegment())
		}
	}
	require.NoError(t, db.GC())
	if got := segmentFiles(t, dir); got != 4 {
		t.Fatalf("%d files, all of whose values are live", got)
	}
	for i := range n {
		if i%10 > 2 || i < 10 && i%10 == 2 {
			storagetest.Commit(t, db, storage.Entry{Key: storagetest.RawKey(fmt.Sprintf("%02d", i))})
		}
	}
	require.NoError(t, db.GC())
	storagetest.Commit(t, db, storagetest.Set("x", "1"))
	files, size, live := db.Segments()
	if live != 11*300<<10 || size > 2*live || files > 2 || segmentFiles(t, dir) != files {
		t.Fatalf("%d files (%d on disk), %d bytes, %d live", files, segmentFiles(t, dir), size, live)
	}
	for i := range n {
		v, err := db.Get(storagetest.RawKey(fmt.Sprintf("%02d", i)))
		if gone := i%10 > 2 || i < 10 && i%10 == 2; gone != errors.Is(err, storage.ErrNotFound) || !gone && len(v) != 300<<10 {
			t.Fatalf("%d: %d bytes, %v", i, len(v), err)
		}
	}
	if n := storage.Orphans(db); n != 0 {
		t.Fatalf("%d orphans", n)
	}
}

// TestSegmentsAfterACrash: what was appended and not committed is space that is never read; a restart after which nothing is stored has no
// file.
func TestSegmentsAfterACrash(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	storagetest.Commit(t, db, rawEntry("a", 9000))
	require.NoError(t, db.AppendOnly(rawEntry("b", 7000)))
	at := copyFolder(t, dir)
	again := open(t, at)
	if _, size, live := again.Segments(); size != 16000 || live != 9000 {
		t.Fatalf("%d bytes, %d live", size, live)
	}
	if _, err := again.Get(storagetest.RawKey("b")); !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	storagetest.Commit(t, again, rawEntry("b", 8000))
	if v, err := again.Get(storagetest.RawKey("a")); err != nil || len(v) != 9000 {
		t.Fatalf("%d bytes, %v", len(v), err)
	}
	dir = t.TempDir()
	db = open(t, dir)
	require.NoError(t, db.AppendOnly(rawEntry("b", 7000)))
	at = copyFolder(t, dir)
	open(t, at)
	if n := segmentFiles(t, at); n != 0 {
		t.Fatalf("%d files that hold nothing", n)
	}
}

// TestLostSegment: a file that is missing, cut or damaged is an error of what was in it, and a log line of the start. The rest is served,
// and what is lost can be deleted.
func TestLostSegment(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"missing": os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, 9000+100) },
		"damaged": func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("x"), 9000+500)
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db := open(t, dir)
			storagetest.Commit(t, db, rawEntry("a", 9000), rawEntry("b", 9000))
			path := db.SegmentPath(1)
			storagetest.Commit(t, db, storagetest.Set("x", "1"))
			require.NoError(t, db.Close())
			require.NoError(t, harm(path))
			var log bytes.Buffer
			o := small()
			o.Logger = zerolog.New(&log)
			db, err := storage.Open(dir, o)
			require.NoError(t, err)
			defer db.Close()
			if logged := strings.Contains(log.String(), path); logged != (name != "damaged") {
				t.Errorf("log: %s", log.String())
			}
			if v, err := db.Get(storagetest.RawKey("b")); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%d bytes, %v", len(v), err)
			}
			if _, err := db.Get(storagetest.RawKey("a")); (err == nil) != (name != "missing") {
				t.Error(err)
			}
			if v, err := db.Get(storagetest.Key("x")); err != nil || string(v) != "1" {
				t.Errorf("%s, %v", v, err)
			}
			storagetest.Commit(t, db, rawEntry("c", 9000))
			if v, err := db.Get(storagetest.RawKey("c")); err != nil || len(v) != 9000 {
				t.Errorf("%d bytes, %v", len(v), err)
			}
			storagetest.Commit(t, db, storage.Entry{Key: storagetest.RawKey("a")}, storage.Entry{Key: storagetest.RawKey("b")})
			if n := segmentFiles(t, dir); n != 1 {
				t.Errorf("%d files", n)
			}
			if err := db.GC(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSegmentsInBackups: a backup is whole without the segments, increments delete and replace what is in them, and what is restored frees
// them again.
func TestSegmentsInBackups(t *testing.T) {
	db := open(t, t.TempDir())
	storagetest.Commit(t, db, rawEntry("a", 9000), rawEntry("b", 9000), rawEntry("c", 9000), rawEntry("d", 100))
	storagetest.Commit(t, db, rawEntry("c", 8000))
	var full, increment bytes.Buffer
	since, err := db.Backup(&full, 0)
	require.NoError(t, err)
	storagetest.Commit(t, db, storage.Entry{Key: storagetest.RawKey("a")}, rawEntry("b", 7000), rawEntry("d", 6000), rawEntry("e", 5<<20))
	if _, err := db.Backup(&increment, since); err != nil {
		t.Fatal(err)
	}
	sizes := func(db *storage.DB) (list string) {
		prefix := storagetest.RawKey("")
		err := db.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
			list += fmt.Sprintf("%s %d ", k[storage.KeyPrefixLen:], len(v))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return list
	}
	for want, parts := range map[string][]io.Reader{
		"a 9000 b 9000 c 8000 d 100 ":     {bytes.NewReader(full.Bytes())},
		"b 7000 c 8000 d 6000 e 5242880 ": {bytes.NewReader(full.Bytes()), bytes.NewReader(increment.Bytes())},
	} {
		dir := t.TempDir()
		restored := open(t, dir)
		require.NoError(t, restored.Restore(parts...))
		if got := sizes(restored); got != want {
			t.Errorf("restored %s, want %s", got, want)
		}
		if n := storage.Orphans(restored); n != 0 {
			t.Errorf("%d orphans", n)
		}
		for _, name := range strings.Split("abcde", "") {
			storagetest.Commit(t, restored, storage.Entry{Key: storagetest.RawKey(name)})
		}
		if files, size, live := restored.Segments(); files != 0 || size != 0 || live != 0 || segmentFiles(t, dir) != 0 {
			t.Errorf("%d files, %d bytes, %d live once nothing is stored", files, size, live)
		}
	}
}

// TestSegmentsUnwritable: a segment that cannot be made is an ErrUnwritable that changed nothing, and the commit may be tried again.
func TestSegmentsUnwritable(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if err := os.Mkdir(db.SegmentPath(1), 0o700); err != nil { // its name is taken
		t.Fatal(err)
	}
	c := storage.Commit{Entries: []storage.Entry{rawEntry("a", 9000), storagetest.Set("x", "1")}}
	require.Error(t, db.Commit(c), "committed")
	if got := storagetest.Dump(t, db, nil, nil); len(got) != 0 {
		t.Fatalf("after a refused commit: %d entries", len(got))
	}
	if err := db.Commit(c); err != nil { // the next name is free
		t.Fatal(err)
	}
	if v, err := db.Get(storagetest.RawKey("a")); err != nil || len(v) != 9000 {
		t.Fatalf("%d bytes, %v", len(v), err)
	}
}

// TestRefusedCommitTakesNoSpace: a commit that is tried again and again does not fill the disk with its raw records.
func TestRefusedCommitTakesNoSpace(t *testing.T) {
	db := open(t, t.TempDir())
	storagetest.Commit(t, db, rawEntry("a", 9000))
	for range 5 {
		require.Error(t, db.Commit(storage.Commit{Entries: []storage.Entry{rawEntry("b", 7000), {Value: []byte("without a key")}}}), "committed")
	}
	storagetest.Commit(t, db, rawEntry("b", 8000))
	if _, size, live := db.Segments(); size != 17000 || live != size {
		t.Fatalf("%d bytes, %d live", size, live)
	}
	for name, n := range map[string]int{"a": 9000, "b": 8000} {
		if v, err := db.Get(storagetest.RawKey(name)); err != nil || !bytes.Equal(v, bytes.Repeat([]byte(name), n)) {
			t.Fatalf("%s: %d bytes, %v", name, len(v), err)
		}
	}
}

// TestFailingGC: an error ends GC, which tries again when it is called again.
func TestFailingGC(t *testing.T) {
	o, now, failing := small(), time.Unix(1000, 0), false
	o.Now = func() time.Time { now = now.Add(2 * time.Second); return now }
	o.FreeBytes = func(string) (uint64, error) {
		if failing {
			return 0, errors.New("input/output error")
		}
		return 1 << 40, nil
	}
	dir := t.TempDir()
	db, err := storage.Open(dir, o)
	require.NoError(t, err)
	defer db.Close()
	storagetest.Commit(t, db, rawEntry("a", 9000), rawEntry("b", 90_000))
	require.NoError(t, db.SealSegment())
	storagetest.Commit(t, db, storage.Entry{Key: storagetest.RawKey("b")})
	failing = true
	require.Error(t, db.GC(), "no error")
	failing = false
	require.NoError(t, db.GC())
	storagetest.Commit(t, db, storagetest.Set("x", "1"))
	if files, size, live := db.Segments(); size > 2*live || segmentFiles(t, dir) != files {
		t.Errorf("%d files, %d bytes, %d live", files, size, live)
	}
}

// TestFolderNames: the name of the data folder may hold any character.
func TestFolderNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[prod]*?")
	db := open(t, dir)
	storagetest.Commit(t, db, rawEntry("a", 9000))
	for range 2 {
		require.NoError(t, db.AppendOnly(rawEntry("b", 7000)))
		require.NoError(t, db.Close())
		db = open(t, dir)
		if _, size, live := db.Segments(); size < 16000 || live < 9000 {
			t.Fatalf("%d bytes, %d live", size, live)
		}
		storagetest.Commit(t, db, rawEntry("c", 9000))
	}
}
