package storage_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest"
)

// TestInterruptedRestoreIsRefused: a folder into which a restore did not end is opened by nothing but another restore, which begins anew.
func TestInterruptedRestoreIsRefused(t *testing.T) {
	source := open(t, t.TempDir())
	storagetest.Commit(t, source, rawEntry("a", 9000), storage.Entry{Key: storagetest.Key("b"), Value: []byte("1")})
	var b bytes.Buffer
	_, err := source.Backup(&b, 0)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "lost+found"), 0o750))
	db, err := storage.OpenToRestore(dir, small())
	require.NoError(t, err)
	_, err = storage.OpenToRestore(dir, small())
	require.ErrorIs(t, err, storage.ErrInUse)
	require.NoError(t, db.Restore(bytes.NewReader(b.Bytes())))
	require.NoError(t, db.Close()) // interrupted before its end
	_, err = storage.Open(dir, small())
	require.ErrorIs(t, err, storage.ErrRestoring)

	db, err = storage.OpenToRestore(dir, small())
	require.NoError(t, err)
	require.NoError(t, db.Restore(bytes.NewReader(b.Bytes())), "the remains are deleted")
	require.NoError(t, errors.Join(db.Close(), storage.EndRestore(dir)))
	again := open(t, dir)
	v, err := again.Get(storagetest.RawKey("a"))
	require.NoError(t, err)
	require.Len(t, v, 9000)
	require.NoError(t, again.Close())
	_, err = storage.OpenToRestore(dir, small())
	require.ErrorIs(t, err, storage.ErrNotEmpty)
	require.NoError(t, open(t, dir).Close(), "a refused restore changes nothing")
}

// TestRestoreDiskFull: a restore that would reach the floor ends with an error, and not the process.
func TestRestoreDiskFull(t *testing.T) {
	source := open(t, t.TempDir())
	storagetest.Commit(t, source, storage.Entry{Key: storagetest.Key("b"), Value: make([]byte, 1<<20)})
	var b bytes.Buffer
	_, err := source.Backup(&b, 0)
	require.NoError(t, err)
	o := small()
	o.MinFreeBytes, o.FreeBytes = 64<<20, func(string) (uint64, error) { return 65 << 20, nil }
	db, err := storage.OpenToRestore(t.TempDir(), o)
	require.NoError(t, err)
	require.ErrorIs(t, db.Restore(&b), storage.ErrDiskFull)
	require.NoError(t, db.Close())
}

// TestFrozenStaysAsItWas: what is frozen is read as it was, by all that a KV has, and says when it needs to be released.
func TestFrozenStaysAsItWas(t *testing.T) {
	db := open(t, t.TempDir())
	storagetest.Commit(t, db, rawEntry("a", 9000), storage.Entry{Key: storagetest.Key("b"), Value: []byte("1")})
	require.NoError(t, db.Commit(storage.Commit{Version: 1, Positions: []storage.Position{{Topic: "t", Offset: 7}}}))
	f, err := db.Freeze()
	require.NoError(t, err)
	storagetest.Commit(t, db, storage.Entry{Key: storagetest.RawKey("a")}, storage.Entry{Key: storagetest.Key("b"), Value: []byte("2")})
	require.NoError(t, db.Commit(storage.Commit{Version: 1, Positions: []storage.Position{{Topic: "t", Offset: 8}}}))
	require.NoError(t, errors.Join(db.SealSegment(), db.GC(), db.GC()))
	var kv storage.KV = f
	v, err := kv.Get(storagetest.RawKey("a"))
	require.NoError(t, err)
	require.Len(t, v, 9000)
	list, err := kv.Positions(1, 0)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, int64(7), list[0].Offset)
	n := 0
	require.NoError(t, kv.Scan(nil, nil, func(_, v []byte) error {
		n++
		require.NotEqual(t, "2", string(v))
		return nil
	}))
	require.NoError(t, kv.Keys(nil, nil, func([]byte) error { n--; return nil }))
	require.Zero(t, n)
	require.Error(t, kv.Commit(storage.Commit{}))
	var b bytes.Buffer
	_, err = f.Backup(&b, 0)
	require.NoError(t, err)
	f.Release()
	require.NoError(t, kv.Close(), "again")
	restored := open(t, t.TempDir())
	require.NoError(t, restored.Restore(&b))
	v, err = restored.Get(storagetest.Key("b"))
	require.NoError(t, err)
	require.Equal(t, "1", string(v))
	require.NoError(t, db.Close())
	_, err = db.Freeze()
	require.ErrorIs(t, err, storage.ErrClosed)
}
