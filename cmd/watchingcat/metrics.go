package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	promstorage "github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/evaluator"
	"github.com/gaurav/watchingcat/pipeline"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
)

// metricsTopic is the way of the metrics topic into the samples: its own source, positions and checkpoints, so that spans and
// metrics do not wait for each other.
type metricsTopic struct {
	state   *views.Metrics
	samples *storage.Samples
	source  *pipeline.Source
	ingest  *pipeline.MetricIngest

	mu    sync.Mutex
	gaps  []pipeline.Gap
	older promstorage.SampleAndChunkQueryable // a Prometheus; nil: none
}

// openMetrics opens what the metrics topic needs. The samples are opened in the background.
func (a *App) openMetrics(context.Context) (err error) {
	m := &a.metrics
	dedup := a.cfg.DedupWindow
	if dedup == 0 {
		dedup = -1
	}
	retention := time.Duration(a.cfg.RetMetrics)
	if m.state, err = views.OpenMetrics(a.db, views.MetricsConfig{Retention: retention, DedupWindow: dedup, DeltaSeries: a.cfg.LimitSeries}); err != nil {
		return fmt.Errorf("read the state of metrics: %w", err)
	}
	if m.gaps, err = pipeline.LoadGaps(a.db, 0, views.MetricsShard); err != nil {
		return err
	}
	positions, err := m.state.Positions()
	if err != nil {
		return err
	}
	stored := map[pipeline.PartitionID]storage.Position{}
	for _, p := range positions {
		stored[pipeline.PartitionID{Topic: p.Topic, Partition: p.Partition}] = p
	}
	m.source, err = pipeline.NewSource(pipeline.SourceConfig{
		Kafka: a.cfg.kafka(), StartLatest: a.cfg.KafkaStart == "latest", OnTruncated: m.truncated(a), Logger: a.log,
		Position: func(topic string, partition int32) (storage.Position, bool) {
			p, ok := stored[pipeline.PartitionID{Topic: topic, Partition: partition}]
			return p, ok
		},
		DeadLetter: a.dead.Write,
	})
	if err != nil {
		return usage("%v", err)
	}
	m.samples = storage.OpenSamples(storage.SamplesDir(a.cfg.DataDir, 0), storage.SamplesOptions{
		Retention: retention, MaxSeries: a.cfg.LimitSeries, MinFreeBytes: a.cfg.MinFreeDiskBytes, Logger: a.slog.With("component", "tsdb"), Registerer: a.reg,
	})
	if a.cfg.PrometheusURL != "" {
		m.older, err = storage.OpenPrometheus(a.cfg.PrometheusURL, func() (time.Time, bool) {
			from, _, ok := m.samples.Range()
			return from, ok
		})
		if err != nil {
			return usage("%sPROMETHEUS_URL: %v", envPrefix, err)
		}
	}
	m.ingest = pipeline.NewMetricIngest(pipeline.MetricIngestConfig{
		Metrics: m.state, KV: a.db, Samples: m.samples, DeadLetter: a.dead.Write, States: m.source.States, Lateness: a.cfg.Lateness,
		Interval: a.cfg.CommitInterval, Logger: a.log, Registerer: a.reg,
	})
	return nil
}

// truncated notes that the topic lost records before they were read; every answer says so from then on.
func (m *metricsTopic) truncated(a *App) func(topic string, partition int32, from, to int64) {
	return func(topic string, partition int32, from, to int64) {
		g := pipeline.Gap{Topic: topic, Partition: partition, From: from, To: to, Found: time.Now().UTC()}
		a.log.Error().Str("topic", topic).Int32("partition", partition).Int64("from", from).Int64("to", to).
			Msg("the topic no longer has the position: records in between are missing from the samples; reading goes on where the log begins")
		if to < from {
			m.state.Restart(topic, partition, to)
		}
		if err := pipeline.SaveGap(a.db, 0, views.MetricsShard, g); err != nil {
			a.log.Error().Err(err).Msg("the gap could not be stored and will be forgotten at the next start")
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.gaps = append(m.gaps, g)
	}
}

func (m *metricsTopic) gapList() []pipeline.Gap {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.gaps)
}

// sources is what rules read: views and samples. An older range from a Prometheus is not in it: alerts must not wait for a server
// that does not answer.
func (a *App) sources() *evaluator.Sources {
	return &evaluator.Sources{Views: &evaluator.Queryable{Reader: a.live}, Samples: a.metrics.samples}
}

// allSources is what users query: older ranges too.
func (a *App) allSources() *evaluator.Sources {
	s := a.sources()
	s.Older = a.metrics.older
	return s
}

// metricAnswers tells the API about OTLP metrics.
type metricAnswers struct {
	*views.Metrics
	samples *storage.Samples
}

func (m metricAnswers) SeriesCounts() map[string]int         { return m.samples.SeriesCounts() }
func (m metricAnswers) Range() (from, to time.Time, ok bool) { return m.samples.Range() }

// run checkpoints metrics until ctx ends. Samples that cannot be opened end the process, which then says why.
func (m *metricsTopic) run(ctx context.Context) error {
	if err := m.samples.Wait(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return m.ingest.Run(ctx)
}

// opened reports whether the samples are open. While they are not, metrics wait, and spans are ready without them.
func (m *metricsTopic) opened() bool {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	return !errors.Is(m.samples.Wait(done), context.Canceled)
}

func (m *metricsTopic) close() error {
	var errs []error
	if m.source != nil {
		errs = append(errs, m.source.Close())
	}
	if m.samples != nil {
		errs = append(errs, m.samples.Close())
	}
	return errors.Join(errs...)
}
