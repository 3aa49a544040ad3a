package caller

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
)

// Connections bounds the connections that clients hold, so that the descriptors of the process suffice for its own files and servers.
//
// Up to the limit every connection is served. At the limit a new one takes the place of the one that has been idle longest. Where none is
// idle, a few more are accepted: their requests are answered with 503, those for the health of the process as ever. Further ones are closed
// at once. The accept loop never waits.
type Connections struct {
	limit func(open int) int // of now
	log   zerolog.Logger
	now   func() time.Time

	mu    sync.Mutex
	open  map[net.Conn]*connection
	extra int // of open, those over the limit
	full  bool

	refused *prometheus.CounterVec
}

// ExtraConnections is how many connections over the limit are accepted to be answered with 503.
const ExtraConnections = 16

type connection struct {
	idleSince time.Time // zero: a request is under way, or none has come yet
	over      bool      // over the limit
	taken     bool      // by a WebSocket
}

type connectionKey struct{}

// NewConnections registers the metrics of connections; limit is how many may be open now, of which there are so many.
func NewConnections(limit func(open int) int, reg prometheus.Registerer, log zerolog.Logger, now func() time.Time) *Connections {
	f := promauto.With(reg)
	c := &Connections{limit: limit, log: log, now: now, open: map[net.Conn]*connection{}}
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "watchingcat_http_connections", Help: "Connections of HTTP clients."}, func() float64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return float64(len(c.open))
	})
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "watchingcat_http_connections_limit",
		Help: "Connections of HTTP clients that are served, by the limit of open files and what the process needs itself."},
		func() float64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return float64(c.limit(len(c.open)))
		})
	c.refused = f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_http_connections_refused_total",
		Help: "Connections over the limit: idle ones that were closed for a new one (idle), those whose requests are answered with 503 (unavailable), those closed at once (closed)."}, []string{"outcome"})
	for _, outcome := range []string{"idle", "unavailable", "closed"} {
		c.refused.WithLabelValues(outcome)
	}
	return c
}

// Listen bounds what l accepts.
func (c *Connections) Listen(l net.Listener) net.Listener { return &boundedListener{l, c} }

type boundedListener struct {
	net.Listener
	c *Connections
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.c.admit(conn) {
			return conn, err
		}
		_ = conn.Close() // there is no descriptor to spare for it
	}
}

// Open counts the connections that are open, and of these the idle ones and those over the limit.
func (c *Connections) Open() (all, idle, extra int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.open {
		if !s.idleSince.IsZero() {
			idle++
		}
	}
	return len(c.open), idle, c.extra
}

func (c *Connections) admit(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	served, limit := len(c.open)-c.extra, c.limit(len(c.open))
	c.report(served >= limit, limit)
	if served < limit {
		c.open[conn] = &connection{}
		return true
	}
	if c.closeIdle() {
		c.refused.WithLabelValues("idle").Inc()
		c.open[conn] = &connection{}
		return true
	}
	if c.extra >= ExtraConnections {
		c.refused.WithLabelValues("closed").Inc()
		return false
	}
	c.refused.WithLabelValues("unavailable").Inc()
	c.extra++
	c.open[conn] = &connection{over: true}
	return true
}

// report logs when the limit is reached, and when half of it is free again.
func (c *Connections) report(full bool, limit int) {
	switch {
	case full && !c.full:
		c.full = true
		c.log.Warn().Int("connections", len(c.open)).Int("limit", limit).
			Msg("the limit of connections is reached: idle ones are closed and further requests are answered with 503; raise the limit of open files (ulimit -n, LimitNOFILE), or find who holds them open")
	case c.full && len(c.open) < limit/2:
		c.full = false
		c.log.Info().Int("connections", len(c.open)).Int("limit", limit).Msg("connections are below the limit again")
	}
}

// closeIdle closes the connection that has been idle longest.
func (c *Connections) closeIdle() bool {
	var oldest net.Conn
	for conn, s := range c.open {
		if !s.idleSince.IsZero() && (oldest == nil || s.idleSince.Before(c.open[oldest].idleSince)) {
			oldest = conn
		}
	}
	if oldest == nil {
		return false
	}
	c.drop(oldest)
	_ = oldest.Close() // the client finds out by itself
	return true
}

func (c *Connections) drop(conn net.Conn) {
	if s := c.open[conn]; s != nil {
		if s.over {
			c.extra--
		}
		delete(c.open, conn)
	}
}

// State is for http.Server.ConnState.
func (c *Connections) State(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.open[conn]
	if s == nil {
		return
	}
	switch state {
	case http.StateIdle:
		s.idleSince = c.now()
	case http.StateActive:
		s.idleSince = time.Time{}
	case http.StateHijacked:
		s.taken = true
	case http.StateClosed:
		c.drop(conn)
	}
}

// Context is for http.Server.ConnContext.
func (c *Connections) Context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// Handler answers requests of connections over the limit with fail, except those for the health of the process.
func (c *Connections) Handler(next http.Handler, fail http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := r.Context().Value(connectionKey{}).(net.Conn)
		c.mu.Lock()
		s := c.open[conn]
		over := s != nil && s.over
		c.mu.Unlock()
		defer func() { // the server forgets a connection that a WebSocket took; it is closed by now
			c.mu.Lock()
			defer c.mu.Unlock()
			if s != nil && s.taken {
				c.drop(conn)
			}
		}()
		if over {
			w.Header().Set("Connection", "close")
			if !probePath(r.URL.Path) {
				w.Header().Set("Retry-After", "1")
				fail(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// probePath reports whether a path is of the health of the process.
func probePath(path string) bool {
	return strings.HasPrefix(path, "/health") || path == "/livez" || path == "/readyz" || path == "/-/healthy" || path == "/-/ready"
}
