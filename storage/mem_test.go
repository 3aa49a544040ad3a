package storage_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest"
)

func TestMem(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.KV { return storage.NewMem(storage.MemOptions{}) })
}

func TestMemUnsynced(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.KV { return storage.NewMem(storage.MemOptions{SyncEvery: -1}) })
}

func TestMemCrashKeepsAPrefix(t *testing.T) {
	h := storagetest.NewHistory(3, 60)
	for keep := range 21 {
		m := storage.NewMem(storage.MemOptions{SyncEvery: -1})
		for i, c := range h.Commits {
			require.NoError(t, m.Commit(c))
			if i == 39 {
				m.Sync()
			}
		}
		if m.Unsynced() != 20 {
			t.Fatalf("unsynced %d", m.Unsynced())
		}
		after := m.Crash(func(n int) int { return keep })
		if n := h.Check(t, after); n != 40+keep {
			t.Fatalf("crash that keeps %d: state after %d commits", keep, n)
		}
		if err := m.Commit(storage.Commit{}); !errors.Is(err, storage.ErrClosed) {
			t.Fatalf("the crashed store still takes commits: %v", err)
		}
		for _, c := range h.Commits[40+keep:] {
			require.NoError(t, after.Commit(c))
		}
		h.Check(t, after)
	}
}

func TestMemSyncEvery(t *testing.T) {
	h := storagetest.NewHistory(4, 10)
	m := storage.NewMem(storage.MemOptions{SyncEvery: 4})
	for _, c := range h.Commits {
		require.NoError(t, m.Commit(c))
	}
	if n := h.Check(t, m.Crash(nil)); n != 8 {
		t.Fatalf("%d commits were durable, want 8", n)
	}
}

func TestMemFaults(t *testing.T) {
	m := storage.NewMem(storage.MemOptions{})
	m.FailNext(storage.ErrDiskFull)
	c := storage.Commit{Entries: []storage.Entry{storagetest.Set("a", "1")}}
	if err := m.Commit(c); !errors.Is(err, storage.ErrDiskFull) {
		t.Fatalf("planted error: %v", err)
	}
	if got := storagetest.Dump(t, m, nil, nil); len(got) != 0 {
		t.Fatalf("a failed commit wrote %v", got)
	}
	require.NoError(t, m.Commit(c))
}

func BenchmarkMemCommit(b *testing.B) {
	m := storage.NewMem(storage.MemOptions{SyncEvery: 16})
	for i := range b.N {
		c := storage.Commit{Version: 1, Positions: []storage.Position{{Topic: "t", Offset: int64(i)}}}
		for j := range 20 {
			c.Entries = append(c.Entries, storagetest.Set(fmt.Sprintf("%d", (i*7+j*13)%5000), "value"))
		}
		if err := m.Commit(c); err != nil {
			b.Fatal(err)
		}
	}
}
