package status

import (
	"context"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
)

// Pipeline is what the API needs to know of reading the topic. Its methods must not block.
type Pipeline interface {
	// Positions returns where each partition is read on, as of a checkpoint that the views already show: every record before is
	// in every answer. The feed of the views must be published after a move.
	Positions() ([]storage.Position, error)
	answer.Progress
	Checkpoint() progress.Checkpoint
	// Ready reports whether the views have caught up within the configured bound, and why not.
	Ready() (ok bool, checks []progress.Check)
}

// Positions waits for positions of the topics.
type Positions struct {
	Views    views.Reader
	Pipeline Pipeline
}

// Wait waits until the views hold the records at the given offsets.
func (s Positions) Wait(ctx context.Context, want []storage.Position, timeout time.Duration) error {
	// Subscribed before looking, so that a commit in between is not missed.
	sub := s.Views.Feed().Subscribe()
	defer sub.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, answer.ErrPositionTimeout)
	defer cancel()
	for {
		have, err := s.Pipeline.Positions()
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
			return answer.Problemf(context.Cause(ctx), "", "the views do not hold %s after %v", missing, timeout)
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
