package rules

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type evalMetrics struct {
	notified  prometheus.Counter
	lag       prometheus.Histogram
	saveFails prometheus.Counter
	panics    prometheus.Counter
	evidence  prometheus.Histogram
	apart     prometheus.Counter
}

func newMetrics(r prometheus.Registerer) evalMetrics {
	f := promauto.With(r)
	return evalMetrics{
		notified: f.NewCounter(prometheus.CounterOpts{Name: "watchingcat_alerts_told_total",
			Help: "Alert changes passed to notification routing."}),
		saveFails: f.NewCounter(prometheus.CounterOpts{Name: "watchingcat_alert_save_failures_total",
			Help: "Failed writes of alert state."}),
		panics: f.NewCounter(prometheus.CounterOpts{Name: "watchingcat_rule_panics_total",
			Help: "Panics while a rule was evaluated or explained; the rule failed, the others were evaluated."}),
		apart: f.NewCounter(prometheus.CounterOpts{Name: "watchingcat_incident_alerts_left_out_total",
			Help: "Alerts that started to fire and belong to no incident because too many were open."}),
		evidence: f.NewHistogram(prometheus.HistogramOpts{Name: "watchingcat_alert_evidence_seconds",
			Help: "Time to collect the evidence of an alert.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5}}),
		lag: f.NewHistogram(prometheus.HistogramOpts{Name: "watchingcat_rule_evaluation_delay_seconds",
			Help:    "Wall clock less event time when a group is evaluated.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}}),
	}
}
