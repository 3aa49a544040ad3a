package api

import (
	"context"
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

// Pipeline is what the API needs to know of reading the topic. Its methods must not block.
type Pipeline interface {
	// Positions returns where each partition is read on, as of a checkpoint that the views already show: every record before is
	// in every answer. The feed of the views must be published after a move.
	Positions() ([]storage.Position, error)
	// Partitions is ordered by topic and partition.
	Partitions() []Partition
	Checkpoint() Checkpoint
	// Truncated lists records that the broker had dropped before they were read.
	Truncated() []Truncation
	// Began says what was never read because reading began later.
	Began() Beginning
	// Ready reports whether the views have caught up within the configured bound, and why not.
	Ready() (ok bool, checks []Check)
}

// Beginning is what was written before reading began.
type Beginning struct {
	Latest  time.Time // when reading began at the end of the topics; zero: it began where they do
	Trimmed bool      // the topics had lost their oldest records by then
}

// Since is from when on the views that begin at a time hold what happened, and why not what happened before; zero: they hold all.
func (b Beginning) Since(views time.Time) (at time.Time, why string) {
	switch {
	case !b.Latest.IsZero():
		return b.Latest, fmt.Sprintf("reading began at the end of the topics at %s: what was written before is not in this answer", b.Latest.UTC().Format(time.RFC3339))
	case b.Trimmed && !views.IsZero():
		return views, fmt.Sprintf("the topics had lost their oldest records when reading began: what happened before %s is not in this answer", views.UTC().Format(time.RFC3339))
	}
	return time.Time{}, ""
}

// Partition is how far one partition has been read.
type Partition struct {
	Topic     string
	Partition int32
	Position  int64     // offset of the next record
	End       int64     // the broker's end offset as last told
	Lag       int64     // records not yet read; negative: unknown
	Watermark time.Time // event time up to which it has been read; zero: unknown
	Idle      bool      // the broker said that there is nothing more
	Err       error     // why it does not go on
}

// Checkpoint is the last commit. A zero At means that there was none yet.
type Checkpoint struct {
	At      time.Time
	Entries int
	Bytes   int64
}

// Truncation is a gap in what was read: From inclusive, To exclusive.
type Truncation struct {
	Topic     string
	Partition int32
	From, To  int64
	At        time.Time // when it was found
}

// Check is one condition of being ready.
type Check struct {
	Name   string
	OK     bool
	Detail string
}

// waitFor waits until the views hold the records at the given offsets.
func (s *Server) waitFor(ctx context.Context, want []storage.Position, timeout time.Duration) error {
	// Subscribed before looking, so that a commit in between is not missed.
	sub := s.cfg.Views.Feed().Subscribe()
	defer sub.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errPositionTimeout)
	defer cancel()
	for {
		have, err := s.cfg.Pipeline.Positions()
		if err != nil {
			return err
		}
		missing, ok := firstMissing(want, have)
		if ok {
			return nil
		}
		select {
		case <-sub.C:
			sub.Take()
		case <-ctx.Done():
			return problemf(context.Cause(ctx), "", "the views do not hold %s after %v", missing, timeout)
		}
	}
}

func firstMissing(want, have []storage.Position) (missing storage.Position, ok bool) {
	type partition struct {
		topic string
		n     int32
	}
	at := make(map[partition]int64, len(have))
	for _, p := range have {
		at[partition{p.Topic, p.Partition}] = p.Offset
	}
	for _, p := range want {
		if at[partition{p.Topic, p.Partition}] <= p.Offset {
			return p, false
		}
	}
	return missing, true
}
