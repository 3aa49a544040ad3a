package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage"
)

// checkpointer is what Ingest and MetricIngest have in common: when checkpoints are taken, who waits for them, and what happens
// while they do not get through.
type checkpointer struct {
	hold chan struct{} // holds one: a checkpoint, or who must not have one

	mu      sync.Mutex
	room    *sync.Cond // signalled when a checkpoint took what was pending
	closed  bool
	wake    chan struct{}
	last    progress.Checkpoint
	blocked error
	given   bool // up: no more checkpoints
}

func (k *checkpointer) init() {
	k.hold = make(chan struct{}, 1)
	k.wake = make(chan struct{}, 1)
	k.room = sync.NewCond(&k.mu)
}

// Hold waits for a checkpoint that is under way and keeps the next from beginning until release is called.
func (k *checkpointer) Hold() (release func()) {
	k.hold <- struct{}{}
	return sync.OnceFunc(func() { <-k.hold })
}

// GiveUp makes no more checkpoints be taken: another one goes on with the topic. It is called under Hold.
func (k *checkpointer) GiveUp() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.given, k.closed = true, true
	k.room.Broadcast()
}

func (k *checkpointer) gaveUp() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.given
}

// Last describes the last checkpoint.
func (k *checkpointer) Last() progress.Checkpoint {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}

func (k *checkpointer) took(last progress.Checkpoint) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = last
}

// makeRoom wakes those who wait: a checkpoint took what was pending.
func (k *checkpointer) makeRoom() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.room.Broadcast()
}

// wait asks for an early checkpoint when at least half is uncommitted, and blocks while twice that is, or while checkpoints do not
// get through.
func (k *checkpointer) wait(ctx context.Context, pending func() uint64, half uint64) error {
	if pending() < half {
		return nil
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
	stop := context.AfterFunc(ctx, k.makeRoom)
	defer stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	for ctx.Err() == nil && !k.closed && (k.blocked != nil || pending() >= 2*half) && pending() >= half {
		k.room.Wait()
	}
	return ctx.Err()
}

// run takes checkpoints until ctx ends, then once more.
// now is by a clock without jumps.
func (k *checkpointer) run(ctx context.Context, interval time.Duration, newest func() time.Time,
	checkpoint func(ctx context.Context, now time.Time) error) error {
	begun := time.Now()
	var clock steadyClock
	now := func() time.Time { return clock.at(time.Now(), time.Since(begun), newest()) }
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			k.mu.Lock()
			k.closed = true
			k.room.Broadcast()
			k.mu.Unlock()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return checkpoint(last, now())
		case <-t.C:
		case <-k.wake:
		}
		if err := checkpoint(ctx, now()); err != nil && (ctx.Err() == nil || errors.Is(err, storage.ErrUnwritable)) {
			return err // what was collected is not stored: nothing more can be collected
		}
	}
}

// whileUnwritable tries a write again while the data folder takes none: a full or read-only disk, no file descriptors. The reason is logged
// when it changes.
func (k *checkpointer) whileUnwritable(ctx context.Context, log zerolog.Logger, write func() error) error {
	err := write()
	if !errors.Is(err, storage.ErrUnwritable) {
		return err
	}
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for logged := "-"; errors.Is(err, storage.ErrUnwritable); err = write() {
		k.setBlocked(err)
		if reason := storage.UnwritableReason(err); reason != logged {
			logged = reason
			log.Error().Err(err).Msg("the data folder is not writable: reading from Kafka is paused until it is; the API continues to answer")
		}
		select {
		case <-ctx.Done():
			return err // not that of ctx: whoever ends the process must learn that not all is stored
		case <-t.C:
		}
	}
	k.setBlocked(nil)
	if err == nil {
		log.Info().Msg("the data folder is writable again: reading continues")
	}
	return err
}

func (k *checkpointer) setBlocked(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.blocked, k.last.Err = err, err
	k.room.Broadcast()
}

// bury delivers a record that cannot be applied to the dead-letter topic.
func bury(ctx context.Context, deliver func(ctx context.Context, r *kgo.Record, reason string) error, log zerolog.Logger, r *kgo.Record,
	because error) error {
	reason := because.Error()
	if err := deliver(ctx, r, reason); err != nil {
		return fmt.Errorf("deliver dead letter of %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	log.Warn().Ctx(ctx).Str("topic", r.Topic).Int32("partition", r.Partition).Int64("offset", r.Offset).Str("reason", reason).
		Msg("record moved to the dead-letter topic")
	return nil
}
