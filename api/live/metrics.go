package live

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are what is counted of WebSockets and event streams.
type metrics struct {
	clients       prometheus.Gauge
	subscriptions *prometheus.GaugeVec
	computed      *prometheus.CounterVec
	slow          prometheus.Counter
	refused       *prometheus.CounterVec
	resumes       *prometheus.CounterVec
	panics        *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, panics *prometheus.CounterVec) *metrics {
	f := promauto.With(reg)
	return &metrics{
		panics:  panics,
		clients: f.NewGauge(prometheus.GaugeOpts{Name: "watchingcat_ws_clients", Help: "WebSockets open."}),
		subscriptions: f.NewGaugeVec(prometheus.GaugeOpts{Name: "watchingcat_ws_subscriptions", Help: "Subscriptions of WebSockets."},
			[]string{"view"}),
		computed: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_ws_computations_total",
			Help: "Computations of a live view; subscribers of the same view and filter share one."}, []string{"view"}),
		slow: f.NewCounter(prometheus.CounterOpts{Name: "watchingcat_ws_slow_clients_total",
			Help: "WebSockets closed because the client did not keep up."}),
		refused: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_ws_refused_subscriptions_total",
			Help: "Subscriptions rejected because too many different views and filters are subscribed."}, []string{"view"}),
		resumes: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_ws_resumes_total",
			Help: "Live connections that came back with a cursor: resumed, or sent a snapshot because their stream is unknown or too old."},
			[]string{"outcome"}),
	}
}
