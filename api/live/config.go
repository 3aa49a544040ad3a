package live

import (
	"cmp"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaurav/watchingcat/api/alerting"
	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/status"
	"github.com/gaurav/watchingcat/api/telemetry"
)

// Config is what a hub needs.
type Config struct {
	*answer.Writer
	*answer.Moments
	Services *telemetry.Services
	Alerts   *alerting.Alerts
	Status   *status.Status
	// Watch reports when the credential of a request that stays open ends.
	Watch       func(r *http.Request) (ended <-chan struct{}, stop func())
	Limits      Limits
	CORSOrigins []string // that may open a WebSocket from other sites
	Registry    prometheus.Registerer
	Panics      *prometheus.CounterVec
}

// Limits bound what live clients may cost.
type Limits struct {
	Clients       int           // WebSockets open at once, and log tails (1,000)
	Subscriptions int           // of one WebSocket (32)
	LiveViews     int           // different views and filters that are computed for WebSockets and event streams (2,000)
	Message       int64         // bytes of a WebSocket message from a client (32 KiB)
	Queue         int           // frames that wait for one client (64)
	WriteTimeout  time.Duration // of one WebSocket frame (10 s)
	Heartbeat     time.Duration // between WebSocket pings (20 s)
}

// setDefaults puts the defaults for what is zero.
func (l *Limits) setDefaults() {
	l.Clients = cmp.Or(l.Clients, 1000)
	l.Subscriptions = cmp.Or(l.Subscriptions, 32)
	l.LiveViews = cmp.Or(l.LiveViews, 2000)
	l.Message = cmp.Or(l.Message, 32<<10)
	l.Queue = cmp.Or(l.Queue, 64)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 10*time.Second)
	l.Heartbeat = cmp.Or(l.Heartbeat, 20*time.Second)
}
