package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/storage"
)

// intake is a Source with what takes its batches and commits them: what a generation of views and one of metrics have in common.
type intake struct {
	Source *Source

	topics []string
	take   message.NoPublishHandlerFunc    // of a batch
	commit func(ctx context.Context) error // takes checkpoints until ctx ends, then once more
	gate   func(ctx context.Context) error // holds a batch back while it does not return; nil: none is held back
	log    zerolog.Logger
	lost   func(topic string, partition int32, to int64) // the log begins anew at to
	told   batchTelemetry

	kv      storage.KV
	version uint32
	shard   uint16
	mu      sync.Mutex
	gaps    []Gap
}

// open reads positions and gaps; c is completed.
func (n *intake) open(c SourceConfig, positions []storage.Position, t Telemetry) (err error) {
	if n.told, err = newBatchTelemetry(t, n.topics); err != nil {
		return err
	}
	if n.gaps, err = LoadGaps(n.kv, n.version, n.shard); err != nil {
		return err
	}
	stored := map[PartitionID]storage.Position{}
	for _, p := range positions {
		stored[PartitionID{p.Topic, p.Partition}] = p
	}
	c.StartLatest, c.OnTruncated, c.Logger, c.Version = c.StartLatest && n.version == 0, n.truncated, n.log, n.version
	c.Position = func(topic string, partition int32) (storage.Position, bool) {
		p, ok := stored[PartitionID{topic, partition}]
		return p, ok
	}
	n.Source, err = NewSource(c)
	return err
}

// truncated notes that a topic lost records before they were read; every answer says so from then on.
func (n *intake) truncated(topic string, partition int32, from, to int64) {
	gap := Gap{Topic: topic, Partition: partition, From: from, To: to, Found: time.Now().UTC()}
	n.log.Error().Str("topic", topic).Int32("partition", partition).Int64("from", from).Int64("to", to).Uint32("version", n.version).
		Msg("the topic no longer has the position: records in between are missing; reading goes on where the log begins")
	if to < from {
		n.lost(topic, partition, to)
	}
	if err := SaveGap(n.kv, n.version, n.shard, gap); err != nil {
		n.log.Error().Err(err).Msg("the gap could not be stored and will be forgotten at the next start")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gaps = append(n.gaps, gap)
}

// Gaps are the stretches that were gone when they were to be read.
func (n *intake) Gaps() []Gap {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Gap(nil), n.gaps...)
}

// run reads until ctx ends or a part fails. It drains: reading stops, then what was read is committed.
func (n *intake) run(ctx context.Context) error {
	router, err := n.router()
	if err != nil {
		return errors.Join(err, n.Source.Close())
	}
	base := context.WithoutCancel(ctx)
	reading, stopReading := context.WithCancel(base)
	defer stopReading()
	committing, stopCommitting := context.WithCancel(base)
	defer stopCommitting()
	read, commit := make(chan error, 1), make(chan error, 1)
	go func() { read <- router.Run(reading) }()
	go func() { commit <- n.commit(committing) }()
	var errs []error
	select {
	case <-ctx.Done():
	case err := <-read:
		errs = append(errs, err)
		read <- nil
	case err := <-commit:
		errs = append(errs, err)
		commit <- nil
	}
	if len(errs) == 1 && errs[0] == nil {
		errs[0] = errors.New("pipeline: a part of the generation ended by itself")
	}
	stopReading()
	errs = append(errs, <-read, n.Source.Close())
	stopCommitting()
	return errors.Join(append(errs, <-commit)...)
}

// router is watermill's: a handler for each topic, retried while dead letters cannot be delivered.
func (n *intake) router() (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return nil, fmt.Errorf("pipeline: router: %w", err)
	}
	retry := middleware.Retry{MaxRetries: 8, InitialInterval: 100 * time.Millisecond, MaxInterval: 5 * time.Second, Multiplier: 2,
		OnRetryHook: func(try int, _ time.Duration) {
			n.log.Warn().Int("attempt", try).Msg("a batch could not be finished and is tried again")
		}}
	router.AddMiddleware(retry.Middleware, middleware.Recoverer)
	for _, topic := range n.topics {
		router.AddConsumerHandler(topic, topic, n.Source, n.handle)
	}
	return router, nil
}

func (n *intake) handle(msg *message.Message) error {
	if n.gate != nil {
		if err := n.gate(msg.Context()); err != nil {
			return err
		}
	}
	return n.told.take(msg, n.take)
}

// running is an intake that runs.
type running struct {
	stop context.CancelFunc
	done chan struct{} // closed when it has ended, with err
	err  error
}

func (n *intake) start(ctx context.Context) *running {
	ctx, stop := context.WithCancel(ctx)
	r := &running{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = n.run(ctx)
	}()
	return r
}

func (r *running) end() error {
	r.stop()
	<-r.done
	return r.err
}
