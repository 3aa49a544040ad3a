package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

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
	last    CheckpointState
	blocked error
	given   bool // up: no more checkpoints
}

// CheckpointState describes the last checkpoint.
type CheckpointState struct {
	At      time.Time // when it was committed; zero before the first
	Entries int
	Bytes   int
	Err     error // why checkpoints do not get through at present
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
func (k *checkpointer) Last() CheckpointState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}

func (k *checkpointer) took(last CheckpointState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = last
}

// makeRoom tells those who wait that a checkpoint took what was pending.
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
func (k *checkpointer) run(ctx context.Context, interval time.Duration, newest func() time.Time, checkpoint func(ctx context.Context, now time.Time) error) error {
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
		if err := checkpoint(ctx, now()); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// whileFull tries again while the disk is full.
func (k *checkpointer) whileFull(ctx context.Context, log zerolog.Logger, write func() error) error {
	err := write()
	if !errors.Is(err, storage.ErrDiskFull) {
		return err
	}
	k.setBlocked(err)
	log.Error().Err(err).Msg("disk is full: reading from Kafka is paused until there is space again; the API goes on answering")
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for errors.Is(err, storage.ErrDiskFull) {
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-t.C:
		}
		err = write()
	}
	k.setBlocked(nil)
	if err == nil {
		log.Info().Msg("disk has space again: reading goes on")
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
func bury(ctx context.Context, deliver func(ctx context.Context, r *kgo.Record, reason string) error, log zerolog.Logger, r *kgo.Record, because error) error {
	reason := because.Error()
	if err := deliver(ctx, r, reason); err != nil {
		return fmt.Errorf("deliver dead letter of %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	log.Warn().Ctx(ctx).Str("topic", r.Topic).Int32("partition", r.Partition).Int64("offset", r.Offset).Str("reason", reason).Msg("record moved to the dead-letter topic")
	return nil
}
