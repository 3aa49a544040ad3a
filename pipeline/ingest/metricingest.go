package ingest

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views/model"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

// MetricIngest applies partition batches of the metrics topic and checkpoints them, as Ingest does for spans: what holds there
// holds here. A checkpoint writes the samples to the TSDB before it commits the positions; a crash in between makes the records
// come again, and the TSDB takes the same samples twice without change.
type MetricIngest struct {
	c MetricConfig

	checkpointer
}

// SampleStore is where the samples of one version go, and where they are read. *samples.Store is one.
type SampleStore interface {
	viewsamples.SampleReader
	SampleAppender
	// Wait returns when the samples are open, or why they are not.
	Wait(ctx context.Context) error
	Close() error
}

// SampleAppender is what a MetricIngest writes to.
type SampleAppender interface {
	// Append returns when the samples are on disk; it may be tried again with the same ones.
	Append(ctx context.Context, list []samples.Sample) (samples.Appended, error)
}

// MetricConfig is what NewMetricIngest needs.
type MetricConfig struct {
	Metrics *viewsamples.Metrics
	KV      storage.KV
	Samples SampleAppender
	// DeadLetter delivers a record that cannot be applied; it returns nil only when the broker acknowledged it.
	DeadLetter func(ctx context.Context, r *kgo.Record, reason string) error
	// States returns which partitions there are, and which are idle.
	States func() []source.PartitionState
	// Reads reports whether a topic is read; nil: all that the state knows are.
	Reads func(topic string) bool
	// Lateness is how far behind the clock the watermark of an idle partition stays.
	Lateness time.Duration
	// Interval is how often to checkpoint (0: 250 ms).
	Interval time.Duration
	// MaxPending is how many samples may wait for a checkpoint before one is taken early (0: 50,000); at twice as many handlers wait.
	MaxPending uint64
	Encoding   string // of the records; "" is encoding.Auto
	Stamp      *encoding.Stamp
	MaxPoints  int // that a record may hold (0: 100,000)
	MaxRecord  int // bytes that a record may have (0: 16 MiB)
	Logger     zerolog.Logger
}

// NewMetricIngest returns a MetricIngest; Run must be called for checkpoints to happen.
func NewMetricIngest(c MetricConfig) *MetricIngest {
	if c.MaxPending == 0 {
		c.MaxPending = 50_000
	}
	if c.MaxPoints == 0 {
		c.MaxPoints = 100_000
	}
	if c.MaxRecord == 0 {
		c.MaxRecord = 16 << 20
	}
	if c.Interval == 0 {
		c.Interval = 250 * time.Millisecond
	}
	g := &MetricIngest{c: c}
	g.init()
	return g
}

// Handle applies the batch that a message of a Source carries. It returns an error, and the batch comes again, only when a dead
// letter could not be delivered or the context ended.
func (g *MetricIngest) Handle(msg *message.Message) error {
	b, err := batchOf(msg)
	if err != nil {
		return err
	}
	m := g.c.Metrics
	m.SetTopicID(b.Topic, b.Partition, b.TopicID)
	err = g.each(msg.Context(), b, m.Pending, g.c.MaxPending, func(r *kgo.Record, received int64) error {
		return g.record(msg.Context(), r, received)
	})
	if err == nil {
		m.Advance(b.Topic, b.Partition, b.Next, b.LeaderEpoch)
	}
	return err
}

func (g *MetricIngest) record(ctx context.Context, r *kgo.Record, received int64) error {
	rec := recordOf(r, received)
	err := g.apply(r, rec)
	if err == nil {
		return nil
	}
	if err := bury(ctx, g.c.DeadLetter, g.c.Logger, r, err); err != nil {
		return err
	}
	g.c.Metrics.Skip(r.Topic, r.Partition, rec)
	return nil
}

// apply applies one record or nothing of it: the conversion works on copies, and what it made is added in one step. A panic is an
// error of this record alone.
func (g *MetricIngest) apply(r *kgo.Record, rec model.Record) (err error) {
	if len(r.Value) > g.c.MaxRecord {
		return fmt.Errorf("record of %d bytes is over the limit of %d", len(r.Value), g.c.MaxRecord)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while applying: %v", p)
		}
	}()
	return encoding.Decoder{Signal: encoding.Metrics, Encoding: g.c.Encoding, Stamp: g.c.Stamp}.Apply(r, func(m encoding.Made) error {
		md, err := DecodeMetrics(m.OTLP, g.c.MaxPoints)
		if err != nil {
			return err
		}
		g.c.Metrics.Apply(r.Topic, r.Partition, rec, md)
		return nil
	})
}

// Run checkpoints until ctx ends, then once more. It returns an error when the metrics cannot go on: they must be opened again.
func (g *MetricIngest) Run(ctx context.Context) error {
	return g.run(ctx, g.c.Interval, func() time.Time { return g.c.Metrics.Frontier().Head }, g.Checkpoint)
}

// Checkpoint stores what was applied and shows it to readers. A data folder that cannot be written is waited for; what was collected is
// never dropped.
func (g *MetricIngest) Checkpoint(ctx context.Context, now time.Time) error {
	defer g.Hold()()
	if g.gaveUp() {
		return nil
	}
	c := g.c.Metrics.Collect(g.marks(now))
	g.makeRoom()
	if c == nil {
		return nil
	}
	var appended samples.Appended
	err := g.whileUnwritable(ctx, g.c.Logger, func() (err error) {
		if len(c.Samples) > 0 {
			appended, err = g.c.Samples.Append(ctx, c.Samples)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("metrics checkpoint: %w", err)
	}
	bytes := 0
	for _, part := range append(c.Before, c.Commit) {
		for _, e := range part.Entries {
			bytes += len(e.Key) + len(e.Value)
		}
		if err := g.whileUnwritable(ctx, g.c.Logger, func() error { return g.c.KV.Commit(part) }); err != nil {
			return fmt.Errorf("metrics checkpoint: commit: %w", err)
		}
	}
	g.c.Metrics.Install(c, appended)
	g.took(progress.Checkpoint{At: time.Now(), Entries: len(c.Commit.Entries), Bytes: bytes})
	return nil
}

func (g *MetricIngest) marks(now time.Time) []model.Mark {
	return marksOf(g.c.States, g.c.Metrics.Progress(), g.c.Reads, now, g.c.Lateness)
}

// MetricCollector exposes the counters of OTLP metrics.
type MetricCollector struct {
	Counters func() viewsamples.MetricCounters
}

var _ prometheus.Collector = MetricCollector{}

var (
	descPoints = prometheus.NewDesc("watchingcat_metric_points_total", "Metric data points applied and committed.", nil, nil)
	descKept   = prometheus.NewDesc("watchingcat_metric_points_kept_total",
		"Metric data points kept. Points are the sum of those kept, those dropped and those of deltas that wait.", nil, nil)
	descSamples = prometheus.NewDesc("watchingcat_metric_samples_total",
		"Samples that the kept points made: one for a number, several for a histogram or summary.", nil, nil)
	descNotKept = prometheus.NewDesc("watchingcat_metric_points_dropped_total", "Metric data points not kept, by reason.",
		[]string{"reason"}, nil)
	descMetricDup = prometheus.NewDesc("watchingcat_metric_duplicate_records_total", "Records of deltas recognised as sent again.", nil,
		nil)
	descMetricDead = prometheus.NewDesc("watchingcat_metric_dead_letters_total", "Records of metrics moved to the dead-letter topic.", nil,
		nil)
	descDelta     = prometheus.NewDesc("watchingcat_metric_delta_series", "Series sent as deltas whose running value is kept.", nil, nil)
	descHeldDelta = prometheus.NewDesc("watchingcat_metric_deltas_waiting",
		"Deltas that wait until other partitions have been read as far.", nil, nil)
	descEarly    = prometheus.NewDesc("watchingcat_metric_deltas_early_total", "Deltas that did not wait because too many do.", nil, nil)
	descFamilies = prometheus.NewDesc("watchingcat_metric_families_overflowed_total",
		"Metric families whose description was not kept because there are too many.", nil, nil)
)

// Describe sends nothing: which reasons there are is not known beforehand.
func (MetricCollector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the counters.
func (m MetricCollector) Collect(ch chan<- prometheus.Metric) {
	c := m.Counters()
	for d, v := range map[*prometheus.Desc]uint64{descPoints: c.Points, descKept: c.Kept, descSamples: c.Samples,
		descMetricDup:  c.Duplicates,
		descMetricDead: c.DeadLetters, descEarly: c.Early, descFamilies: c.Overflowed} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	for reason, n := range c.Dropped {
		ch <- prometheus.MustNewConstMetric(descNotKept, prometheus.CounterValue, float64(n), reason)
	}
	ch <- prometheus.MustNewConstMetric(descDelta, prometheus.GaugeValue, float64(c.DeltaSeries))
	ch <- prometheus.MustNewConstMetric(descHeldDelta, prometheus.GaugeValue, float64(c.HeldDeltas))
}
