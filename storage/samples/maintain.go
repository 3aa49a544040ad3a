package samples

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb"
)

const (
	never       = 100 * 365 * 24 * time.Hour
	tendSamples = time.Minute
)

// maintain writes full chunks and blocks, as the TSDB does by itself: that panics in a goroutine of its own, and so ends the process, where
// a file cannot be made. Here it waits until the folder can be written, and a panic is an error that is logged.
func (s *Store) maintain() {
	t := time.NewTicker(tendSamples)
	defer t.Stop()
	failed := ""
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		case <-s.tend:
		}
		err := s.tendOnce()
		switch {
		case err == nil:
			failed = ""
		case cmp.Or(storage.UnwritableReason(err), err.Error()) != failed:
			failed = cmp.Or(storage.UnwritableReason(err), err.Error())
			s.o.Logger.Error("writing blocks of metric samples failed, it is tried again every minute; the samples stay in memory and in the log", "err", err)
		}
	}
}

func (s *Store) tendOnce() (err error) {
	if err := s.writable(0); err != nil {
		return err
	}
	s.tending.Lock()
	defer s.tending.Unlock()
	defer func() {
		if p := recover(); p != nil {
			err = storage.AsUnwritable(panicked(p))
		}
	}()
	s.db.ForceHeadMMap()
	return s.db.Compact(context.Background())
}

// panicked makes a panic an error; that of the TSDB is one already.
func panicked(p any) error {
	if err, ok := p.(error); ok {
		return fmt.Errorf("storage: the TSDB panicked: %w", err)
	}
	return fmt.Errorf("storage: the TSDB panicked: %v", p)
}

// writable returns why so many bytes cannot be written now.
func (s *Store) writable(bytes uint64) error {
	if err := s.guard.Check(); err != nil {
		return err
	}
	s.spaceMu.Lock()
	defer s.spaceMu.Unlock()
	return s.space.Check(bytes)
}

// window is how late a sample may come, in milliseconds: the retention, and a little because the TSDB counts from the newest
// sample of the appends before.
func (s *Store) window() int64 { return (s.o.Retention + 10*time.Minute).Milliseconds() }

// blocks is how much time one block holds.
func (s *Store) blocks() time.Duration {
	return min(2*time.Hour, max(s.o.Retention/3, time.Minute)).Truncate(time.Second)
}

// expired is what the TSDB asks which blocks to delete.
func (s *Store) expired(blocks []*tsdb.Block) map[ulid.ULID]struct{} {
	out := map[ulid.ULID]struct{}{}
	for _, b := range blocks {
		if m := b.Meta(); m.Compaction.Deletable || m.MaxTime <= s.since() {
			out[m.ULID] = struct{}{}
		}
	}
	return out
}
