package ingest

import "github.com/prometheus/client_golang/prometheus"

// Metrics are what the pipeline counts of itself.
type Metrics struct {
	Spans, Logs, Checkpoints, DeadLetters prometheus.Counter
	CheckpointSeconds, CheckpointBytes    prometheus.Histogram
}

// NewMetrics registers the metrics with reg (nil: nowhere).
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &Metrics{
		Spans:       counter("watchingcat_spans_total", "Spans applied to views and committed."),
		Logs:        counter("watchingcat_log_records_total", "Log records applied to views and committed."),
		Checkpoints: counter("watchingcat_checkpoints_total", "Checkpoints committed."),
		DeadLetters: counter("watchingcat_dead_letters_total", "Records moved to the dead-letter topic."),
		CheckpointSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "watchingcat_checkpoint_duration_seconds",
			Help: "Time from collecting to showing a checkpoint.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
		CheckpointBytes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "watchingcat_checkpoint_journal_bytes",
			Help: "Size of a checkpoint's journal entry.", Buckets: prometheus.ExponentialBuckets(256, 4, 10)}),
	}
	if reg != nil {
		reg.MustRegister(m.Spans, m.Logs, m.Checkpoints, m.DeadLetters, m.CheckpointSeconds, m.CheckpointBytes)
	}
	return m
}
