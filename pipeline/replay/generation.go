package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/samples"
)

// GenerationConfig is what every generation has in common.
type GenerationConfig struct {
	KV    storage.KV
	Kafka kafka.Config
	// Views is the configuration of a Set but for its version.
	Views model.Config
	// Spans and Logs are read into the views.
	Spans, Logs kafka.Topics
	Encodings   ingest.Encodings
	// Metrics is how the topic of OTLP metrics is read.
	Metrics MetricsTopic
	// StartLatest makes the first generation begin at the end of the topics.
	StartLatest bool
	DeadLetter  func(ctx context.Context, r *kgo.Record, reason string) error
	Lateness    time.Duration
	Interval    time.Duration // of checkpoints
	MaxPending  uint64        // see ingest.Config
	// MaxPendingBytes, MaxApplying: see ingest.Config; BufferBytes, FetchBytes: see source.Config.
	MaxPendingBytes         uint64
	MaxApplying             int64
	BufferBytes, FetchBytes int
	// DecompressBytes, OversizeBytes: see source.Config.
	DecompressBytes, OversizeBytes int
	// SlowDown is how long to wait before a batch is applied, because memory runs short; nil: never.
	SlowDown func() time.Duration
	// BatchRecords is how many records a batch has at most (0: see source.Config).
	BatchRecords int
	Logger       zerolog.Logger
	Telemetry    ingest.Telemetry
}

// MetricsTopic says how OTLP metrics are read. Without Topics none are.
type MetricsTopic struct {
	Topics   kafka.Topics
	Encoding string // see ingest.MetricConfig
	Stamp    *encoding.Stamp

	// State is the configuration of the metrics' state but for its version.
	State samples.MetricsConfig
	// Open opens the samples of a version, Versions lists those that there are, Drop deletes them once they are closed.
	Open     func(version uint32) ingest.SampleStore
	Versions func() ([]uint32, error)
	Drop     func(version uint32) error
}

// A Generation is one version of the views and what reads the topics into it.
type Generation struct {
	ingest.Intake
	Set    *views.Set
	Ingest *ingest.Ingest
}

// openGeneration opens a version over its Set. gate holds batches back while it does not return; nil: none does.
func openGeneration(c GenerationConfig, version uint32, set *views.Set, m *ingest.Metrics,
	gate func(context.Context) error) (*Generation, error) {
	positions, err := set.Positions()
	if err != nil {
		return nil, err
	}
	g := &Generation{Set: set}
	g.Intake = ingest.Intake{Topics: []kafka.Topics{c.Spans, c.Logs}, Gate: gate, SlowDown: c.SlowDown, Log: c.Logger, KV: c.KV, Version: version,
		Shard: c.Views.Shard, OTLP: c.Encodings.OTLP(c.Logs),
		Lost: func(topic string, partition int32, to int64) { set.Partition(topic, partition).Restart(to) }}
	if err := g.Open(c.source(), positions, c.Telemetry); err != nil {
		return nil, err
	}
	g.Ingest = ingest.New(ingest.Config{
		Set: set, KV: c.KV, DeadLetter: c.DeadLetter, States: g.Source.States, Reads: g.Reads, Lateness: c.Lateness,
		Logs: c.Logs, Encodings: c.Encodings, Interval: c.Interval, MaxPending: c.MaxPending, MaxPendingBytes: c.MaxPendingBytes,
		MaxApplying: c.MaxApplying, Logger: c.Logger, Metrics: m,
	})
	g.Take, g.Commit = g.Ingest.Handle, g.Ingest.Run
	return g, nil
}

func (c *GenerationConfig) source() source.Config {
	return source.Config{Kafka: c.Kafka, StartLatest: c.StartLatest, DeadLetter: c.DeadLetter, BatchRecords: c.BatchRecords,
		BufferBytes: c.BufferBytes, FetchBytes: c.FetchBytes, DecompressBytes: c.DecompressBytes, OversizeBytes: c.OversizeBytes}
}

// positions are where the views are read on, by partition, as readers see them.
func (g *Generation) positions() map[source.PartitionID]int64 { return positionsOf(g.Set.Progress()) }

func positionsOf(list []model.Progress) map[source.PartitionID]int64 {
	m := map[source.PartitionID]int64{}
	for _, p := range list {
		m[source.PartitionID{Topic: p.Topic, Partition: p.Partition}] = p.Position
	}
	return m
}

// A MetricGeneration is one version of the OTLP metrics and what reads their topic into it.
type MetricGeneration struct {
	ingest.Intake
	State   *samples.Metrics
	Samples ingest.SampleStore
	Ingest  *ingest.MetricIngest
}

// openMetricGeneration opens a version of the metrics over its samples, which are opened in the background: the batches wait for them.
func openMetricGeneration(c GenerationConfig, version uint32, stored ingest.SampleStore,
	gate func(context.Context) error) (*MetricGeneration, error) {
	config := c.Metrics.State
	config.Version = version
	state, err := samples.OpenMetrics(c.KV, config)
	if err != nil {
		return nil, fmt.Errorf("pipeline: read the state of metrics: %w", err)
	}
	positions, err := state.Positions()
	if err != nil {
		return nil, err
	}
	g := &MetricGeneration{State: state, Samples: stored}
	g.Intake = ingest.Intake{Topics: []kafka.Topics{c.Metrics.Topics}, Gate: gate, SlowDown: c.SlowDown, Log: c.Logger, KV: c.KV, Version: version,
		Shard: samples.MetricsShard, Lost: state.Restart,
		OTLP: encoding.Decoder{Signal: encoding.Metrics, Encoding: c.Metrics.Encoding}.OTLP}
	if err := g.Open(c.source(), positions, c.Telemetry); err != nil {
		return nil, err
	}
	g.Ingest = ingest.NewMetricIngest(ingest.MetricConfig{
		Metrics: state, KV: c.KV, Samples: stored, DeadLetter: c.DeadLetter, States: g.Source.States, Reads: g.Reads,
		Encoding: c.Metrics.Encoding, Stamp: c.Metrics.Stamp, Lateness: c.Lateness, Interval: c.Interval, MaxPending: c.MaxPending, Logger: c.Logger,
	})
	g.Take, g.Commit = g.Ingest.Handle, g.checkpoints
	return g, nil
}

// checkpoints waits for the samples first: why they cannot be opened must be said although nothing comes in.
func (g *MetricGeneration) checkpoints(ctx context.Context) error {
	err := g.Samples.Wait(ctx)
	if ctx.Err() != nil && !g.Opened() {
		return nil // nothing is committed yet: what was read comes again
	}
	if err != nil {
		return err
	}
	return g.Ingest.Run(ctx)
}

// Opened reports whether the samples are open, or could not be opened.
func (g *MetricGeneration) Opened() bool {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	return !errors.Is(g.Samples.Wait(done), context.Canceled)
}

// positions are where the metrics are read on, by partition, as committed.
func (g *MetricGeneration) positions() map[source.PartitionID]int64 {
	return positionsOf(g.State.Progress())
}
