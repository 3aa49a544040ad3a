package export

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Reasons for which samples are dropped.
const (
	dropRefused   = "refused"
	dropQueueFull = "queue_full"
	dropTooMany   = "set_full"
)

type metrics struct {
	sent, retries, skipped, lost, ruleFailures prometheus.Counter
	dropped                                    *prometheus.CounterVec
	queue, newest, writer, series              prometheus.Gauge
	duration                                   prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "watchingcat_remote_write_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: "watchingcat_remote_write_" + name, Help: help})
	}
	m := &metrics{
		sent:    counter("samples_sent_total", "Samples that the remote write receiver accepted."),
		retries: counter("retries_total", "Remote write requests that failed and were sent again."),
		skipped: counter("timestamps_skipped_total",
			"Timestamps without samples because the views no longer held 10 s buckets for them."),
		lost:         counter("records_lost_total", "Records that the broker deleted from the remote write topic before they were sent."),
		ruleFailures: counter("rule_failures_total", "Failed evaluations of recording rules for remote write."),
		dropped: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_remote_write_samples_dropped_total",
			Help: "Samples that were not delivered, by reason: refused by the receiver, queue_full, set_full."}, []string{"reason"}),
		queue:  gauge("queue_bytes", "Bytes of samples in the remote write topic that were not sent yet."),
		newest: gauge("sent_timestamp_seconds", "Timestamp of the newest samples that were sent or dropped; 0 before the first."),
		writer: gauge("writer", "1 while this replica sends samples; one of the replicas does."),
		series: gauge("series", "Series of the newest timestamp."),
		duration: f.NewHistogram(prometheus.HistogramOpts{Name: "watchingcat_remote_write_request_duration_seconds",
			Help: "Duration of remote write requests.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}),
	}
	for _, reason := range []string{dropRefused, dropQueueFull, dropTooMany} {
		m.dropped.WithLabelValues(reason)
	}
	return m
}
