package ingest

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/intake"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// Ingest applies partition batches to a Set and checkpoints it.
//
// Two simple steps: Handle applies the records of one batch, a checkpoint stores what was applied with the positions. What must
// hold: a record is applied to its end or not at all; what went to the dead-letter topic is there before the position passes it;
// a batch that comes again (a Nack, a retry) applies only what was not applied before; while checkpoints do not get through
// (a full disk) handlers wait, so that what is uncommitted stays bounded.
type Ingest struct {
	Config Config
	m      atomic.Pointer[Metrics]
	// scan is ScanSpans; a test puts in one that panics.
	scan func(b []byte, maxSpans int, f func(*model.Resource, *model.Span)) error

	applying *semaphore.Weighted // bytes of large records

	checkpointer
}

// largeRecord is the size from which on a record waits for its turn.
const largeRecord = 64 << 10

// Config is what New needs.
type Config struct {
	Set *views.Set
	KV  storage.KV
	// DeadLetter delivers a record that cannot be applied; it returns nil only when the broker acknowledged it.
	DeadLetter func(ctx context.Context, r *kgo.Record, reason string) error
	// States returns which partitions there are, and which are idle.
	States func() []source.PartitionState
	// Reads reports whether a topic is read; nil: all that the state knows are.
	Reads func(topic string) bool
	// Lateness is how far behind the clock the watermark of an idle partition stays.
	Lateness time.Duration
	// Interval is how often to checkpoint.
	Interval time.Duration
	// MaxPending is how many spans may wait for a checkpoint before one is taken early (0: 50,000); at twice as many handlers
	// wait.
	MaxPending uint64
	// MaxPendingBytes is the same in bytes of records (0: 32 MiB).
	MaxPendingBytes uint64
	// MaxApplying bounds the bytes of the large records that are applied at the same time (0: 64 MiB).
	MaxApplying int64
	// MaxSpans is how many spans or log lines a record may hold (0: 100,000).
	MaxSpans int
	// Logs are the topics of logs; records of all other topics are spans.
	Logs kafka.Topics
	// Encodings are those of spans and logs.
	Encodings Encodings
	// MaxRecord is how many bytes a record may have (0: 16 MiB).
	MaxRecord int
	Logger    zerolog.Logger
	Metrics   *Metrics
}

// Encodings are how the records of topics are written; "" is encoding.Auto.
type Encodings struct {
	Spans, Logs string
	Stamp       *encoding.Stamp // on records of both; nil: none
}

// Decoder reads the records of the topics of lines, or of spans.
func (e Encodings) Decoder(lines bool) encoding.Decoder {
	if lines {
		return encoding.Decoder{Signal: encoding.Logs, Encoding: e.Logs, Stamp: e.Stamp}
	}
	return encoding.Decoder{Signal: encoding.Spans, Encoding: e.Spans, Stamp: e.Stamp}
}

// OTLP makes protobuf of a record of a topic; those of logs hold lines.
func (e Encodings) OTLP(logs kafka.Topics) func(*kgo.Record) ([]byte, error) {
	return func(r *kgo.Record) ([]byte, error) { return e.Decoder(logs.Match(r.Topic)).OTLP(r) }
}

// New returns an Ingest; Run must be called for checkpoints to happen.
func New(c Config) *Ingest {
	if c.MaxPending == 0 {
		c.MaxPending = 50_000
	}
	if c.MaxPendingBytes == 0 {
		c.MaxPendingBytes = 32 << 20
	}
	if c.MaxApplying == 0 {
		c.MaxApplying = 64 << 20
	}
	if c.MaxSpans == 0 {
		c.MaxSpans = 100_000
	}
	if c.MaxRecord == 0 {
		c.MaxRecord = 16 << 20
	}
	if c.Interval == 0 {
		c.Interval = 250 * time.Millisecond
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	g := &Ingest{Config: c, scan: func(b []byte, maxSpans int, f func(*model.Resource, *model.Span)) error {
		return otlp.ScanSpansWith(c.Set.Dimensions(), b, maxSpans, f)
	}}
	g.m.Store(c.Metrics)
	g.applying = semaphore.NewWeighted(c.MaxApplying)
	g.init()
	return g
}

// Count makes what happens from now on count in m.
func (g *Ingest) Count(m *Metrics) { g.m.Store(m) }

// Handle applies the batch that a message of a Source carries. It returns an error, and the batch comes again, only when a dead
// letter could not be delivered or the context ended.
func (g *Ingest) Handle(msg *message.Message) error {
	b, err := batchOf(msg)
	if err != nil {
		return err
	}
	a := g.Config.Set.Partition(b.Topic, b.Partition)
	a.SetTopicID(b.TopicID)
	err = g.each(msg.Context(), b, g.pending, g.Config.MaxPending, func(r *kgo.Record, received int64) error {
		return g.Record(msg.Context(), a, r, received)
	})
	if err == nil {
		a.Advance(b.Next, b.LeaderEpoch)
	}
	return err
}

// pending is how much waits for a checkpoint, in spans; bytes count as so many spans as have the same part of their bound.
func (g *Ingest) pending() uint64 {
	bytes := float64(g.Config.Set.PendingBytes()) / float64(g.Config.MaxPendingBytes)
	return max(g.Config.Set.Pending(), uint64(bytes*float64(g.Config.MaxPending)))
}

// Record applies one record, which came at received, or delivers it as a dead letter.
func (g *Ingest) Record(ctx context.Context, a *intake.Accumulator, r *kgo.Record, received int64) error {
	rec := recordOf(r, received)
	if n := min(int64(len(r.Value)), g.Config.MaxApplying); n >= largeRecord {
		if err := g.applying.Acquire(ctx, n); err != nil {
			return err
		}
		defer g.applying.Release(n)
	}
	err := g.apply(a, r, rec)
	if err == nil {
		return nil
	}
	if err := bury(ctx, g.Config.DeadLetter, g.Config.Logger, r, err); err != nil {
		return err
	}
	g.m.Load().DeadLetters.Inc()
	a.Skip(rec)
	return nil
}

// apply applies one record, whatever its encoding, or nothing of it.
func (g *Ingest) apply(a *intake.Accumulator, r *kgo.Record, rec model.Record) error {
	if len(r.Value) > g.Config.MaxRecord {
		return fmt.Errorf("record of %d bytes is over the limit of %d", len(r.Value), g.Config.MaxRecord)
	}
	lines := g.Config.Logs.Match(r.Topic)
	return g.Config.Encodings.Decoder(lines).Apply(r, func(m encoding.Made) error {
		rec.Value, rec.Identity = m.OTLP, m.Identity
		rec.Anonymous = m.Line || lines && !logs.Unique(m.OTLP)
		return g.applyProto(a, lines, rec)
	})
}

// applyProto applies one record or nothing of it. A panic is an error of this record alone.
func (g *Ingest) applyProto(a *intake.Accumulator, lines bool, rec model.Record) (err error) {
	if !a.Begin(rec) {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while applying: %v", p)
		}
		if err != nil {
			a.Rollback()
			return
		}
		a.End()
	}()
	if lines {
		return DecodeLogs(rec.Value, g.Config.Set.Dimensions(), g.Config.MaxSpans, a.Log)
	}
	if err := g.scan(rec.Value, g.Config.MaxSpans, a.Span); err != nil || !a.Again() {
		return err
	}
	return g.scan(rec.Value, g.Config.MaxSpans, a.Span) // without the spans that were seen before
}

// Run checkpoints until ctx ends, then once more. It returns an error when the views cannot go on: they must be opened again.
func (g *Ingest) Run(ctx context.Context) error {
	return g.run(ctx, g.Config.Interval, func() time.Time { return g.Config.Set.Frontier().Head }, g.Checkpoint)
}

// Checkpoint stores what was applied and shows it to readers. A data folder that cannot be written is waited for; what was collected is
// never dropped.
func (g *Ingest) Checkpoint(ctx context.Context, now time.Time) error {
	defer g.Hold()()
	if g.gaveUp() {
		return nil
	}
	start := time.Now()
	c, err := g.Config.Set.Collect(g.marks(now))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	g.makeRoom()
	if c == nil {
		return g.Config.Set.Prepare()
	}
	for _, part := range append(c.Before, c.Commit) {
		if err := g.whileUnwritable(ctx, g.Config.Logger, func() error { return g.Config.KV.Commit(part) }); err != nil {
			return fmt.Errorf("checkpoint: commit: %w", err)
		}
	}
	if err := g.Config.Set.Install(c); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	g.took(progress.Checkpoint{At: time.Now(), Entries: len(c.Commit.Entries), Bytes: c.Bytes})
	m := g.m.Load()
	m.Spans.Add(float64(c.Spans))
	m.Logs.Add(float64(c.Logs))
	m.Checkpoints.Inc()
	m.CheckpointSeconds.Observe(time.Since(start).Seconds())
	m.CheckpointBytes.Observe(float64(c.Bytes))
	return g.Config.Set.Prepare()
}

func (g *Ingest) marks(now time.Time) []model.Mark {
	return marksOf(g.Config.States, g.Config.Set.Progress(), g.Config.Reads, now, g.Config.Lateness)
}
