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
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
)

// GenerationConfig is what every generation has in common.
type GenerationConfig struct {
	KV    storage.KV
	Kafka KafkaConfig
	// Views is the configuration of a Set but for its version.
	Views views.Config
	// Topics are read into the views; LogsTopic says which of them holds logs.
	Topics    []string
	LogsTopic string
	// StartLatest makes the first generation begin at the end of the topics.
	StartLatest bool
	DeadLetter  func(ctx context.Context, r *kgo.Record, reason string) error
	Lateness    time.Duration
	Interval    time.Duration // of checkpoints
	MaxPending  uint64        // see IngestConfig
	// BatchRecords is how many records a batch has at most (0: see SourceConfig).
	BatchRecords int
	Logger       zerolog.Logger
}

// A Generation is one version of the views and what reads the topics into it.
type Generation struct {
	Set    *views.Set
	Source *Source
	Ingest *Ingest

	c       GenerationConfig
	version uint32
	gate    func(ctx context.Context) error // called before each batch

	mu   sync.Mutex
	gaps []Gap
}

// openGeneration opens a version over its Set. gate holds batches back while it does not return; nil: none does.
func openGeneration(c GenerationConfig, version uint32, set *views.Set, m *Metrics, gate func(context.Context) error) (*Generation, error) {
	g := &Generation{Set: set, c: c, version: version, gate: gate}
	positions, err := set.Positions()
	if err != nil {
		return nil, err
	}
	stored := map[PartitionID]storage.Position{}
	for _, p := range positions {
		stored[PartitionID{p.Topic, p.Partition}] = p
	}
	if g.gaps, err = LoadGaps(c.KV, version, c.Views.Shard); err != nil {
		return nil, err
	}
	g.Source, err = NewSource(SourceConfig{
		Kafka: c.Kafka, StartLatest: c.StartLatest && version == 0, OnTruncated: g.truncated, Logger: c.Logger, DeadLetter: c.DeadLetter, BatchRecords: c.BatchRecords,
		Position: func(topic string, partition int32) (storage.Position, bool) {
			p, ok := stored[PartitionID{topic, partition}]
			return p, ok
		},
	})
	if err != nil {
		return nil, err
	}
	g.Ingest = NewIngest(IngestConfig{
		Set: set, KV: c.KV, DeadLetter: c.DeadLetter, States: g.Source.States, Lateness: c.Lateness, LogsTopic: c.LogsTopic,
		Interval: c.Interval, MaxPending: c.MaxPending, Logger: c.Logger, Metrics: m,
	})
	return g, nil
}

// truncated notes that a topic lost records before they were read; every answer says so from then on.
func (g *Generation) truncated(topic string, partition int32, from, to int64) {
	gap := Gap{Topic: topic, Partition: partition, From: from, To: to, Found: time.Now().UTC()}
	g.c.Logger.Error().Str("topic", topic).Int32("partition", partition).Int64("from", from).Int64("to", to).Uint32("version", g.version).
		Msg("the topic no longer has the position: records in between are missing from the views; reading goes on where the log begins")
	if to < from {
		g.Set.Partition(topic, partition).Restart(to)
	}
	if err := SaveGap(g.c.KV, g.version, g.c.Views.Shard, gap); err != nil {
		g.c.Logger.Error().Err(err).Msg("the gap could not be stored and will be forgotten at the next start")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gaps = append(g.gaps, gap)
}

// Gaps are the stretches that were gone when they were to be read.
func (g *Generation) Gaps() []Gap {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Gap(nil), g.gaps...)
}

// run reads until ctx ends or a part fails. It drains: reading stops, then what was read is committed.
func (g *Generation) run(ctx context.Context) error {
	router, err := g.router()
	if err != nil {
		return errors.Join(err, g.Source.Close())
	}
	base := context.WithoutCancel(ctx)
	reading, stopReading := context.WithCancel(base)
	defer stopReading()
	committing, stopCommitting := context.WithCancel(base)
	defer stopCommitting()
	read, commit := make(chan error, 1), make(chan error, 1)
	go func() { read <- router.Run(reading) }()
	go func() { commit <- g.Ingest.Run(committing) }()
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
	errs = append(errs, <-read, g.Source.Close())
	stopCommitting()
	return errors.Join(append(errs, <-commit)...)
}

// router is watermill's: a handler for each topic, retried while dead letters cannot be delivered.
func (g *Generation) router() (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return nil, fmt.Errorf("pipeline: router: %w", err)
	}
	retry := middleware.Retry{MaxRetries: 8, InitialInterval: 100 * time.Millisecond, MaxInterval: 5 * time.Second, Multiplier: 2,
		OnRetryHook: func(n int, _ time.Duration) {
			g.c.Logger.Warn().Int("attempt", n).Msg("a batch could not be finished and is tried again")
		}}
	router.AddMiddleware(retry.Middleware, middleware.Recoverer)
	for _, topic := range g.c.Topics {
		router.AddConsumerHandler(topic, topic, g.Source, g.handle)
	}
	return router, nil
}

func (g *Generation) handle(msg *message.Message) error {
	if g.gate != nil {
		if err := g.gate(msg.Context()); err != nil {
			return err
		}
	}
	return g.Ingest.Handle(msg)
}

// positions are where the views are read on, by partition, as readers see them.
func (g *Generation) positions() map[PartitionID]int64 {
	m := map[PartitionID]int64{}
	for _, p := range g.Set.Progress() {
		m[PartitionID{p.Topic, p.Partition}] = p.Position
	}
	return m
}

// runner is a generation that runs.
type runner struct {
	*Generation
	stop context.CancelFunc
	done chan struct{} // closed when it has ended, with err
	err  error
}

func (g *Generation) start(ctx context.Context) *runner {
	ctx, stop := context.WithCancel(ctx)
	r := &runner{Generation: g, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = g.run(ctx)
	}()
	return r
}

func (r *runner) end() error {
	r.stop()
	<-r.done
	return r.err
}
