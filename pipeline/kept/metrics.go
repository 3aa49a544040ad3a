package kept

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	traces, spans, early, lost, failed, tooLarge prometheus.Counter
	kept                                         *prometheus.CounterVec
	waiting, newest, active                      prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "watchingcat_kept_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: "watchingcat_kept_" + name, Help: help})
	}
	m := &metrics{
		traces:   counter("traces_read_total", "Traces of which it was decided whether to write them to the topic of kept traces; again after a pause or a restart."),
		spans:    counter("spans_written_total", "Spans written to the topic of kept traces."),
		early:    counter("traces_decided_early_total", "Traces that were decided before their time because too many bytes of spans waited."),
		lost:     counter("records_lost_total", "Records that the broker deleted before they were read for the topic of kept traces."),
		failed:   counter("records_failed_total", "Records that could not be decoded for the topic of kept traces; they are dead letters."),
		tooLarge: counter("records_too_large_total", "Records that the brokers refused for their size in the topic of kept traces."),
		kept: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_kept_traces_written_total",
			Help: "Traces written to the topic of kept traces, by reason: error, slow, sample."}, []string{"reason"}),
		waiting: gauge("waiting_bytes", "Spans that wait until their trace is decided."),
		newest:  gauge("read_timestamp_seconds", "Timestamp of the newest record that was read for the topic of kept traces."),
		active:  gauge("active", "1 while this replica writes kept traces; one of the replicas does."),
	}
	for _, r := range []reason{isError, isSlow, isSample} {
		m.kept.WithLabelValues(string(r))
	}
	return m
}
