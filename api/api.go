// Package api serves the views over HTTP: REST, WebSocket and event streams, the APIs of Prometheus, Jaeger and Alertmanager, and the page.
//
// openapi.yaml comes first: requests are validated from it, and rest, generated from it, holds the interface that Server
// implements. A handler reads its parameters, asks the views once and builds the answer; it returns errors, and package answer alone
// turns those into statuses. Every answer over telemetry carries meta.
//
// Invariants:
//   - api knows no Kafka: what it needs of the pipeline is the small interface Pipeline.
//   - The clock is Config.Now; timers are used for pacing only.
//   - What waits for a client is bounded; a client that does not keep up is cut off, never waited for.
package api

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/books"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/samples"
)

//go:embed openapi.yaml
var document []byte

// Alerts is what the API needs of rules and alerts. *evaluator.Evaluator implements it.
type Alerts interface {
	Rules() []rules.Info
	Active() []alert.Alert
	History(limit int) []alert.Transition
	Changed() *alert.Signal
	RuleGroups() []*promrules.Group
	AlertingRules() []*promrules.AlertingRule
	// Explain gathers why an alert is pending, as of now; nil where its rule is gone.
	Explain(ctx context.Context, a *alert.Alert) *alert.Evidence
}

var _ Alerts = (*rules.Evaluator)(nil)

// Metrics is what the API needs of OTLP metrics beside querying them.
type Metrics interface {
	// Counters count what became of records and points.
	Counters() samples.MetricCounters
	Families() []samples.Family
	Frontier() model.Frontier
	// SeriesCounts returns how many series of each name had a sample lately.
	SeriesCounts() map[string]int
	// Range returns the times between which samples are held; false while there are none.
	Range() (from, to time.Time, ok bool)
}

// Links are addresses of other programs that the page links to; empty means none.
type Links struct{ Jaeger, Grafana, Prometheus, Kibana string }

// Config is what New needs. Views, Pipeline, Alerts, Queryable and Engine are required.
type Config struct {
	Views views.Reader
	// Dimensions are the configured ones; the views may have others, until a replay.
	Dimensions []string
	Pipeline   Pipeline
	Replays    Replays         // nil: there are none
	Topics     TopicBacktester // nil: rules cannot be evaluated over topics
	Alerts     Alerts
	// Rules and SLOs are those that users make; nil: they cannot.
	Rules *books.RuleBook
	SLOs  *books.SLOBook
	Store storage.KV // what users made, for the audit trail; nil: none
	// Notifications is beside Alertmanager what is known of receivers and what they were sent; nil: nothing.
	Notifications Notifications
	Queryable     promstorage.SampleAndChunkQueryable // what /prometheus queries: evaluator's Queryable
	Exemplars     promstorage.ExemplarQueryable       // nil: a query.Queryable over Views
	Engine        promql.QueryEngine
	Metrics       Metrics      // OTLP metrics; nil: none are kept
	Stores        older.Stores // of what the views do not hold
	// Alertmanager is mounted at /alertmanager when it is not nil; it sees paths from /api/v2 on.
	Alertmanager http.Handler
	// Registry gets the API's metrics and is served at /metrics; nil: a new one.
	Registry *prometheus.Registry
	// Meter and Tracer get OpenTelemetry's metrics and a span of each request; nil: there are none.
	Meter  metric.Meter
	Tracer trace.Tracer
	Now    func() time.Time // nil: time.Now
	Logger zerolog.Logger
	// Slog is for Prometheus' packages; nil: they are silent.
	Slog *slog.Logger
	// ExternalLabels are those of alerts, for the templates of backtests.
	ExternalLabels labels.Labels
	Links          Links
	ExternalURL    string
	Version        string
	// Auth says who may; nil: everybody everything.
	Auth *auth.Auth
	// RateLimit is how many requests a second a principal may make, or an address without a principal; 0: no limit.
	RateLimit int
	// CORSOrigins may read the API and open the WebSocket from other sites, as https://grafana.example.org.
	CORSOrigins []string
	// AllowedHosts are further names under which the server is reached, as watchingcat.example.org, *.example.org or *.
	AllowedHosts []string
	// Connections says how many connections of clients may be open now, of which there are so many; nil: as many as the system allows.
	Connections func(open int) int
	// Middleware runs around every route, after recovery and logging.
	Middleware []func(http.Handler) http.Handler
	// Retention is how long the views keep their widest buckets (views' default, 400 days); an answer that reaches further back is partial.
	Retention time.Duration
	// QueryTimeout bounds a PromQL query (2 min).
	QueryTimeout time.Duration
	// SearchTime bounds how long raw spans are read for one search of traces (5 s).
	SearchTime time.Duration
	Limits     Limits
}

// Limits bound what clients may cost. Zero values mean the defaults.
type Limits struct {
	Body          int64         // bytes of a request (1 MiB)
	Clients       int           // WebSockets open at once, and log tails (1,000)
	Subscriptions int           // of one WebSocket (32)
	LiveViews     int           // different views and filters that are computed for WebSockets and event streams (2,000)
	Message       int64         // bytes of a WebSocket message from a client (32 KiB)
	TraceBytes    int64         // bytes of spans, as OTLP, in an answer about one trace (32 MiB)
	TracesBytes   int64         // and in all of those that are large (64 MiB)
	Queue         int           // frames that wait for one client (64)
	WriteTimeout  time.Duration // of one WebSocket frame (10 s)
	Heartbeat     time.Duration // between WebSocket pings (20 s)
}

func (l *Limits) setDefaults() {
	l.Body = cmp.Or(l.Body, 1<<20)
	l.Clients = cmp.Or(l.Clients, 1000)
	l.Subscriptions = cmp.Or(l.Subscriptions, 32)
	l.LiveViews = cmp.Or(l.LiveViews, 2000)
	l.Message = cmp.Or(l.Message, 32<<10)
	l.TraceBytes = cmp.Or(l.TraceBytes, 32<<20)
	l.TracesBytes = cmp.Or(l.TracesBytes, 64<<20)
	l.Queue = cmp.Or(l.Queue, 64)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 10*time.Second)
	l.Heartbeat = cmp.Or(l.Heartbeat, 20*time.Second)
}

// Server answers HTTP requests.
type Server struct {
	*answer.Writer
	*answer.Moments
	*caller.Accounts
	*caller.Auditor
	cfg         Config
	doc         *openapi3.T
	params      *openapi3.T // the same, as parameters are checked by
	requests    *caller.Requests
	connections *caller.Connections
	traces      *older.Traces
	logs        *older.Logs
	metrics     *liveMetrics
	hub         *hub
	handler     http.Handler
	tails       atomic.Int64 // log tails open
	trials      topicTrials

	stop     sync.Once
	stopping chan struct{}
}

// New builds a Server. It starts nothing: goroutines exist only while clients are connected.
func New(c Config) (*Server, error) {
	if c.Views == nil || c.Pipeline == nil || c.Alerts == nil || c.Queryable == nil || c.Engine == nil {
		return nil, errors.New("api: Views, Pipeline, Alerts, Queryable and Engine are required")
	}
	if c.Exemplars == nil {
		c.Exemplars = &query.Queryable{Reader: c.Views}
	}
	if c.Replays == nil {
		c.Replays = noReplays{}
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Connections == nil {
		c.Connections = func(int) int { return math.MaxInt }
	}
	c.Slog = cmp.Or(c.Slog, slog.New(slog.DiscardHandler))
	c.Retention = cmp.Or(c.Retention, 400*24*time.Hour)
	c.QueryTimeout = cmp.Or(c.QueryTimeout, 2*time.Minute)
	c.SearchTime = cmp.Or(c.SearchTime, 5*time.Second)
	c.Limits.setDefaults()
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("api: openapi.yaml: %w", err)
	}
	out := &answer.Writer{Logger: c.Logger}
	requests, err := caller.NewRequests(out, c.Now, c.Registry, c.Meter, c.Tracer)
	if err != nil {
		return nil, err
	}
	audit := &caller.Auditor{Writer: out, Store: c.Store, Now: c.Now}
	if c.Rules != nil {
		audit.Objects = c.Rules.Objects
		audit.Trail = caller.NewTrail(c.Rules.Objects, c.Now, c.Logger)
	}
	gate := caller.NewGate(caller.Gate{Writer: out, Auth: c.Auth, Roles: caller.RolesOf(doc), Trail: audit.Trail, Now: c.Now,
		ExternalURL: c.ExternalURL,
		CORSOrigins: c.CORSOrigins, AllowedHosts: c.AllowedHosts}, c.RateLimit)
	params := *doc
	params.OpenAPI = "3.0.3"
	s := &Server{cfg: c, doc: doc, params: &params, requests: requests, metrics: newLiveMetrics(c.Registry, requests.Panics),
		stopping: make(chan struct{}), Writer: out, Accounts: &caller.Accounts{Gate: gate}, Auditor: audit,
		Moments: &answer.Moments{Views: c.Views, Pipeline: c.Pipeline, Now: c.Now, Retention: c.Retention,
			Stores: c.Stores.Traces != nil || c.Stores.Logs != nil || c.Stores.Metrics}}
	s.connections = caller.NewConnections(c.Connections, c.Registry, c.Logger, c.Now)
	s.traces = &older.Traces{Moments: s.Moments, Store: c.Stores.Traces, SearchTime: c.SearchTime,
		Budget: older.NewBudget(c.Limits.TraceBytes, c.Limits.TracesBytes, c.Registry)}
	s.logs = &older.Logs{Store: c.Stores.Logs}
	s.hub = newHub(s)
	s.handler, err = s.routes()
	return s, err
}

// Handler returns the handler of all paths.
func (s *Server) Handler() http.Handler { return s.handler }

// drainTimeout is how long requests may go on after Serve is to end.
const drainTimeout = 10 * time.Second

// Serve answers requests until ctx ends, then lets those under way finish. WebSockets are closed as going away.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	conns := s.connections
	srv := &http.Server{
		Handler: conns.Handler(s.handler, func(w http.ResponseWriter, r *http.Request) {
			s.Fail(w, r, answer.Advise(answer.Problemf(answer.ErrUnavailable, "too_many_connections",
				"as many connections are open as the limit of open files allows"),
				"Close connections that are not used, or raise the limit of open files of the server (ulimit -n, LimitNOFILE)."))
		}),
		ConnState:         conns.State,
		ConnContext:       conns.Context,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      s.cfg.QueryTimeout + time.Minute, // a query may take its whole timeout before the first byte
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Slog.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(conns.Listen(l)) }()
	select {
	case err := <-ended:
		s.Close()
		return fmt.Errorf("api: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	s.end()
	err := srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		s.cfg.Logger.Warn().Msg("requests did not end in time and were cut off")
		err = srv.Close()
	}
	s.Close()
	if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
		s.cfg.Logger.Warn().Err(err).Msg("the HTTP server ended with an error")
	}
	return err
}

// Close ends what is open, and writes what is left of the audit trail. Serve calls it.
func (s *Server) Close() {
	s.end()
	s.Auditor.Trail.Close()
}

// end ends the log tails and the WebSockets, and waits for these; other requests are not touched.
func (s *Server) end() {
	s.stop.Do(func() { close(s.stopping) })
	s.trials.close()
	s.hub.close()
}
