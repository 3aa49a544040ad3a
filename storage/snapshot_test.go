package storage_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

// TestReadersSeeWholeCommits: beside commits, what a scan sees is one of them, and a reader that began after a commit sees it.
func TestReadersSeeWholeCommits(t *testing.T) {
	db := open(t, t.TempDir())
	var committed atomic.Uint64
	write := func(n uint64) {
		c := storage.Commit{}
		for i := range byte(8) {
			c.Entries = append(c.Entries,
				storage.Entry{Key: []byte{'k', i}, Value: binary.BigEndian.AppendUint64(bytes.Repeat([]byte{i}, int(i)*12_000), n)})
		}
		if err := db.Commit(c); err != nil {
			t.Error(err)
		}
		committed.Store(n)
	}
	write(1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				least := committed.Load()
				var seen []uint64
				err := db.Scan([]byte{'k'}, []byte{'l'}, func(_, v []byte) error {
					seen = append(seen, binary.BigEndian.Uint64(v[len(v)-8:]))
					return nil
				})
				if err != nil || len(seen) != 8 || slices.Min(seen) != slices.Max(seen) || seen[0] < least {
					t.Errorf("a scan after commit %d saw %v: %v", least, seen, err)
					return
				}
			}
		})
	}
	for n := range uint64(40) {
		write(n + 2)
	}
	close(done)
	wg.Wait()
}

// BenchmarkGetBesideCommits is what a read costs while commits are synced, and its tail.
func BenchmarkGetBesideCommits(b *testing.B) {
	db := open(b, b.TempDir())
	value := bytes.Repeat([]byte{7}, 50_000)
	commit := func() {
		c := storage.Commit{}
		for i := range byte(10) {
			c.Entries = append(c.Entries, storage.Entry{Key: []byte{'k', i}, Value: value})
		}
		if err := db.Commit(c); err != nil {
			b.Error(err)
		}
	}
	commit()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				commit()
			}
		}
	})
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := db.Get([]byte{'k', 3}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		time.Sleep(50 * time.Microsecond)
	}
	close(done)
	wg.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(float64(took[len(took)*95/100].Nanoseconds()), "p95-ns")
}
