package storage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest"
)

// TestBackupInTheMidstOfACommit: a backup that is made while a commit of any size is under way holds all of it or nothing.
func TestBackupInTheMidstOfACommit(t *testing.T) {
	const values = 50
	o := small()
	var db *storage.DB
	var backups [][]byte
	storage.AfterPart(&o, func(int) {
		if len(backups) > 12 {
			return
		}
		var b bytes.Buffer
		if _, err := db.Backup(&b, 0); err != nil {
			t.Error(err)
		}
		backups = append(backups, b.Bytes())
	})
	db, err := storage.Open(t.TempDir(), o)
	require.NoError(t, err)
	defer db.Close()
	list := manyEntries(200_000) // through the redo area
	for i := range values {
		list = append(list, rawEntry(fmt.Sprintf("%02d", i), 9000))
	}
	storagetest.Commit(t, db, list...)
	if len(backups) < 5 {
		t.Fatalf("%d backups", len(backups))
	}
	var last bytes.Buffer
	if _, err := db.Backup(&last, 0); err != nil {
		t.Fatal(err)
	}
	for i, b := range append(backups, last.Bytes()) {
		restored := open(t, t.TempDir())
		if err := restored.Restore(bytes.NewReader(b)); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		_, err := restored.Get(storagetest.Key("199999"))
		has := 0
		for j := range values {
			v, err := restored.Get(storagetest.RawKey(fmt.Sprintf("%02d", j)))
			if err == nil && len(v) == 9000 {
				has++
			} else if !errors.Is(err, storage.ErrNotFound) {
				t.Fatalf("%d: %d bytes, %v", i, len(v), err)
			}
		}
		if whole := err == nil && has == values; !whole && (has > 0 || err == nil) || i == len(backups) && !whole {
			t.Errorf("backup %d of %d: %d of %d raw records, %v", i, len(backups)+1, has, values, err)
		}
	}
}

// TestBackupIsOneState: beside commits of any kind and GC, all that a backup holds is of one commit.
func TestBackupIsOneState(t *testing.T) {
	o := small()
	o.MemTableBytes = storage.MinMemTableBytes
	db, err := storage.Open(t.TempDir(), o)
	require.NoError(t, err)
	defer db.Close()
	r := rand.New(rand.NewPCG(1, 1))
	value := func(n uint64, size int) []byte {
		return binary.BigEndian.AppendUint64(make([]byte, size), n)
	}
	commit := func(n uint64) {
		var c storage.Commit
		for k := range 12 {
			c.Entries = append(c.Entries,
				storage.Entry{Key: storagetest.RawKey(fmt.Sprintf("%02d", k)), Value: value(n, 100+r.IntN(2)*(5000+r.IntN(40_000)))},
				storage.Entry{Key: storagetest.Key(fmt.Sprintf("%02d", k)), Value: value(n, r.IntN(50_000))})
		}
		if err := db.Commit(c); err != nil {
			t.Error(err)
		}
		if r.IntN(3) == 0 {
			if err := errors.Join(db.SealSegment(), db.GC()); err != nil {
				t.Error(err)
			}
		}
	}
	commit(1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := uint64(2); ; n++ {
			select {
			case <-stop:
				return
			default:
				commit(n)
			}
		}
	}()
	var backups [12][]byte
	for i := range backups {
		var b bytes.Buffer
		if _, err := db.Backup(&b, 0); err != nil {
			t.Fatal(err)
		}
		backups[i] = b.Bytes()
	}
	close(stop)
	<-stopped
	for i, b := range backups {
		restored := open(t, t.TempDir())
		require.NoError(t, restored.Restore(bytes.NewReader(b)))
		seen := map[uint64]int{}
		err := restored.Scan(nil, nil, func(_, v []byte) error {
			seen[binary.BigEndian.Uint64(v[len(v)-8:])]++
			return nil
		})
		if err != nil || len(seen) != 1 {
			t.Errorf("backup %d: values by commit %v, %v", i, seen, err)
		}
	}
}

// TestDamagedBackup: a backup that is cut anywhere, or of which one byte differs, is refused, and nothing waits for ever.
func TestDamagedBackup(t *testing.T) {
	db := open(t, t.TempDir())
	for i := range 200 {
		storagetest.Commit(t, db, rawEntry(fmt.Sprintf("%03d", i), 5000+i),
			storage.Entry{Key: storagetest.Key(fmt.Sprint(i)), Value: make([]byte, 30_000)})
	}
	var b bytes.Buffer
	if _, err := db.Backup(&b, 0); err != nil {
		t.Fatal(err)
	}
	whole, magic := b.Bytes(), len("watchingcat backup 2\n")
	second := magic + 8 + int(binary.LittleEndian.Uint64(whole[magic:]))
	restore := func(b []byte) error {
		db, err := storage.Open(t.TempDir(), small())
		require.NoError(t, err)
		defer db.Close()
		return db.Restore(bytes.NewReader(b))
	}
	if err := restore(whole); err != nil || second >= len(whole) {
		t.Fatalf("%v; lists of %d in %d bytes", err, second, len(whole))
	}
	before := runtime.NumGoroutine()
	for _, at := range []int{magic, magic + 3, magic + 8, second, second + 4, second + 100, len(whole) - 20, len(whole) - 4,
		len(whole) - 1} {
		if err := restore(whole[:at]); !errors.Is(err, storage.ErrBackupDamaged) {
			t.Errorf("cut at %d of %d: %v", at, len(whole), err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		damaged := bytes.Clone(whole)
		at := magic + r.IntN(len(whole)-magic)
		damaged[at] ^= byte(1 + r.IntN(255))
		if err := restore(damaged); err == nil {
			t.Errorf("a byte at %d of %d differs: restored", at, len(whole))
		}
	}
	huge := append(bytes.Clone(whole[:second]), 0xff, 0xff, 0xff, 0x3f, 0, 0, 0, 0)
	var was, is runtime.MemStats
	runtime.ReadMemStats(&was)
	if err := restore(huge); !errors.Is(err, storage.ErrBackupDamaged) {
		t.Error(err)
	}
	if runtime.ReadMemStats(&is); is.TotalAlloc-was.TotalAlloc > 512<<20 {
		t.Errorf("%d MiB for a list that is not there", (is.TotalAlloc-was.TotalAlloc)>>20)
	}
	for n := 0; runtime.NumGoroutine() > before; n++ {
		if runtime.Gosched(); n > 10_000_000 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
	if err := restore([]byte("something else")); err == nil || errors.Is(err, storage.ErrBackupDamaged) {
		t.Error(err)
	}
	var increment bytes.Buffer
	since, err := db.Backup(io.Discard, 0)
	require.NoError(t, err)
	if again, err := db.Backup(&increment, since); err != nil || again != since {
		t.Errorf("nothing changed: %d after %d, %v", again, since, err)
	}
}
