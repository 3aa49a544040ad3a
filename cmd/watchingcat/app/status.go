package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/replay"
	"github.com/gaurav/watchingcat/storage"
)

// readiness says whether the views have caught up, and whether what they hold can be stored.
func (a *App) readiness(now time.Time) *replay.Readiness {
	traces, metrics, _ := a.cfg.Topics()
	r := a.gens.Readiness(now, replay.ReadinessConfig{Traces: traces, Metrics: metrics, MaxLag: a.cfg.ReadyMaxLag})
	if err := a.db.Unwritable(); err != nil {
		r.Fails("data folder", err.Error())
	}
	return r
}

// record keeps the course of the pipeline until ctx ends.
func (a *App) record(ctx context.Context) error {
	t := time.NewTicker(progress.HistoryStep)
	defer t.Stop()
	for {
		now := time.Now()
		c := a.live.Counters()
		s := progress.Sample{At: now, Topics: progress.TopicsOf(a.readiness(now).Partitions, now), Spans: c.Spans, Lines: c.Logs,
			Points: a.live.Metrics().Counters().Points}
		if size, err := a.db.Size(); err == nil { // upkeep reports a folder that fails
			s.DiskBytes = int64(size)
		}
		a.history.Add(s)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// committed is the positions that views hold, for lag tools.
func (a *App) committed() []storage.Position {
	var list []storage.Position
	for _, p := range append(a.live.Progress(), a.live.Metrics().Progress()...) {
		list = append(list, storage.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Position, LeaderEpoch: -1})
	}
	return list
}

// statusCollector shows partitions and counters as metrics.
type statusCollector struct{ app *App }

var (
	descLag = prometheus.NewDesc("watchingcat_partition_lag_records", "Records that views do not hold yet.",
		[]string{"topic", "partition"}, nil)
	descWatermark = prometheus.NewDesc("watchingcat_partition_watermark_timestamp_seconds", "Newest event time of a partition.",
		[]string{"topic", "partition"}, nil)
	descGroupLag = prometheus.NewDesc("kafka_consumergroup_lag", "Lag under the name that alerts on kafka_exporter use.",
		[]string{"consumergroup", "topic", "partition"}, nil)
	descCheckpoint = prometheus.NewDesc("watchingcat_checkpoint_age_seconds", "Time since the last checkpoint, or since the start.", nil,
		nil)
	descPending = prometheus.NewDesc("watchingcat_checkpoint_pending_records",
		"Spans and log lines that are applied and wait for a checkpoint.", nil, nil)
	descReady   = prometheus.NewDesc("watchingcat_ready", "1 when every partition is caught up.", nil, nil)
	descHeld    = prometheus.NewDesc("watchingcat_span_halves_waiting", "Span halves that wait for their other side.", nil, nil)
	descDropped = prometheus.NewDesc("watchingcat_spans_set_aside_total", "Spans not counted in the usual place, by reason.",
		[]string{"reason"}, nil)
	descDuplicates = prometheus.NewDesc("watchingcat_duplicate_records_total", "Records recognised as sent again.", nil, nil)
	descDupSpans   = prometheus.NewDesc("watchingcat_duplicate_spans_total",
		"Spans recognised as sent again, beside those of duplicate records.", nil, nil)
	descDedupLost = prometheus.NewDesc("watchingcat_dedup_spans_forgotten_total",
		"Spans forgotten before the de-duplication window had passed, because too many were held.", nil, nil)
	descGaps = prometheus.NewDesc("watchingcat_topic_gaps", "Ranges of offsets that were deleted from topics before they were read.",
		nil, nil)
)

// Describe sends nothing: which partitions there are is not known beforehand.
func (statusCollector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the state of the pipeline.
func (s statusCollector) Collect(ch chan<- prometheus.Metric) {
	a, now := s.app, time.Now()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	st := a.readiness(now)
	for _, p := range st.Partitions {
		n := fmt.Sprint(p.Partition)
		gauge(descLag, float64(max(0, p.Lag)), p.Topic, n)
		gauge(descGroupLag, float64(max(0, p.Lag)), a.cfg.KafkaGroup, p.Topic, n)
		if !p.Watermark.IsZero() {
			gauge(descWatermark, float64(p.Watermark.UnixNano())/1e9, p.Topic, n)
		}
	}
	gauge(descCheckpoint, a.checkpointAge(now).Seconds())
	gauge(descPending, float64(a.gens.Current().Set.Pending()))
	ready := 0.0
	if st.Ready() {
		ready = 1
	}
	gauge(descReady, ready)
	c := a.live.Counters()
	gauge(descHeld, float64(c.Waiting))
	for reason, n := range map[string]uint64{"unattributed": c.Unattributed, "too_late": c.TooLate, "future": c.Future,
		"overflow": c.Overflowed} {
		ch <- prometheus.MustNewConstMetric(descDropped, prometheus.CounterValue, float64(n), reason)
	}
	ch <- prometheus.MustNewConstMetric(descDuplicates, prometheus.CounterValue, float64(c.Duplicates))
	ch <- prometheus.MustNewConstMetric(descDupSpans, prometheus.CounterValue, float64(c.DuplicateSpans))
	ch <- prometheus.MustNewConstMetric(descDedupLost, prometheus.CounterValue, float64(c.DedupLost))
	collectReplay(a.gens.Replays(), ch)
	gauge(descGaps, float64(len(a.gens.Gaps())))
}

func (a *App) checkpointAge(now time.Time) time.Duration {
	at := a.gens.Current().Ingest.Last().At
	if at.IsZero() {
		at = a.start
	}
	return max(0, now.Sub(at))
}
