package verify

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are what a Verifier counts.
type Metrics struct {
	windows, cells, uncertain, differing, records, busy, failures prometheus.Counter
	missed, last                                                  prometheus.Gauge

	mu     sync.Mutex
	newest float64
}

// NewMetrics registers the metrics; reg may be nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "watchingcat_verify_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: "watchingcat_verify_" + name, Help: help})
	}
	return &Metrics{
		windows:   counter("windows_total", "Minutes of the past that were counted again from the topics and compared with the views."),
		cells:     counter("cells_total", "Cells of the views that were compared with the topics."),
		uncertain: counter("cells_uncertain_total", "Cells that were not compared: the order of arrival may decide how they count, or the calls of a minute exceed the memory for them."),
		differing: counter("cells_differing_total", "Cells in which the views differ from the topics."),
		records:   counter("records_total", "Records that were read again to compare the views with the topics."),
		busy:      counter("busy_seconds_total", "Seconds spent on decoding, counting and comparing, without fetching and decompression."),
		failures:  counter("failures_total", "Minutes that could not be counted again because of an error."),
		missed:    gauge("windows_missed", "Minutes that were left to chance because the share of a core did not suffice to compare all in order."),
		last:      gauge("window_end_timestamp_seconds", "End of the newest minute that was compared, Unix seconds."),
	}
}

func (m *Metrics) count(r Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.windows.Inc()
	m.cells.Add(float64(r.Cells))
	m.uncertain.Add(float64(r.Uncertain))
	m.differing.Add(float64(len(r.Differing)))
	m.records.Add(float64(r.Records))
	m.busy.Add(r.Busy.Seconds())
	if end := float64(r.To.Unix()); end > m.newest {
		m.newest = end
		m.last.Set(end)
	}
}
