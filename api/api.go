// Package api serves the views over HTTP: REST, WebSocket and event streams, the APIs of Prometheus, Jaeger and Alertmanager, and the page.
//
// openapi.yaml comes first: requests are validated from it, and rest, generated from it, holds the interface that the handlers of REST
// implement together. This package puts the rooms below it together and mounts their routes; imports between them go one way:
//
//   - answer: parameters, errors and freshness (meta), which all rooms share.
//   - caller: who makes a request, and what is recorded of it; auth: users, tokens and logins.
//   - older: the views and the raw stores read as one.
//   - telemetry, alerting, status: the handlers of REST. A handler reads its parameters, asks the views once and builds the answer.
//   - jaeger, prom: the APIs of others.
//   - live: what is pushed to clients.
//
// Invariants:
//   - api knows no Kafka: what it needs of the pipeline is the small interface status.Pipeline.
//   - The clock is Config.Now; timers are used for pacing only.
//   - What waits for a client is bounded; a client that does not keep up is cut off, never waited for.
//   - Handlers return errors, and package answer alone turns those into statuses. Every answer over telemetry carries meta.
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
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/gaurav/watchingcat/api/alerting"
	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/boards"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/live"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/api/status"
	"github.com/gaurav/watchingcat/api/telemetry"
	"github.com/gaurav/watchingcat/evaluator/books"
	"github.com/gaurav/watchingcat/evaluator/incident"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
)

//go:embed openapi.yaml
var document []byte

var _ alerting.Evaluator = (*rules.Evaluator)(nil)

// Config is what New needs. Views, Pipeline, Alerts, Queryable and Engine are required.
type Config struct {
	Views views.Reader
	// Dimensions are the configured ones; the views may have others, until a replay.
	Dimensions []string
	Pipeline   status.Pipeline
	History    *progress.History        // nil: no course of the pipeline is kept
	Replays    status.Replayer          // nil: there are none
	Backups    status.Backuper          // nil: none can be made
	Verifier   status.Verifier          // nil: nothing is verified
	Topics     alerting.TopicBacktester // nil: rules cannot be evaluated over topics
	Alerts     alerting.Evaluator
	// Rules and SLOs are those that users make; nil: they cannot.
	Rules *books.RuleBook
	SLOs  *books.SLOBook
	// SavedViews are those of pages that users save; nil: they cannot.
	SavedViews *books.ViewBook
	// Dashboards are those that users make; nil: there are none.
	Dashboards *books.DashboardBook
	// Incidents are alerts that belong together, Notes what users said of them; nil: there are none, they cannot.
	Incidents *incident.Book
	Notes     *incident.NoteBook
	// OlderMetrics says that Queryable has what another Prometheus holds of the time before the views.
	OlderMetrics bool
	Store        storage.KV // what users made, for the audit trail; nil: none
	// Notifications is beside Alertmanager what is known of receivers and what they were sent; nil: nothing.
	Notifications alerting.Notifications
	Queryable     promstorage.SampleAndChunkQueryable // what /prometheus queries: evaluator's Queryable
	Exemplars     promstorage.ExemplarQueryable       // nil: a query.Queryable over Views
	Engine        promql.QueryEngine
	Metrics       telemetry.Samples // OTLP metrics; nil: none are kept
	Stores        older.Stores      // of what the views do not hold
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
	Links          status.Links
	Kafka          status.Kafka // how the topics are reached
	Installation   status.Installation
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
	live.Limits
	Body        int64 // bytes of a request (1 MiB)
	TraceBytes  int64 // bytes of spans, as OTLP, in an answer about one trace (32 MiB)
	TracesBytes int64 // and in all of those that are large (64 MiB)
}

func (l *Limits) setDefaults() {
	l.Body = cmp.Or(l.Body, 1<<20)
	l.TraceBytes = cmp.Or(l.TraceBytes, 32<<20)
	l.TracesBytes = cmp.Or(l.TracesBytes, 64<<20)
}

// Server answers HTTP requests.
type Server struct {
	*answer.Writer
	*answer.Moments
	cfg         Config
	doc         *openapi3.T
	params      *openapi3.T // the same, as parameters are checked by
	requests    *caller.Requests
	connections *caller.Connections
	traces      *older.Traces
	rest        resources
	live        *live.Hub
	handler     http.Handler
}

// resources are the handlers of REST: together they have the methods of rest.StrictServerInterface.
type resources struct {
	*caller.Accounts
	*caller.Auditor
	*telemetry.Services
	*telemetry.Traces
	*telemetry.Logs
	*telemetry.Metrics
	*alerting.Alerts
	*alerting.Rules
	*alerting.SLOs
	*alerting.SavedViews
	*boards.Dashboards
	*alerting.Incidents
	*alerting.Explanations
	*alerting.Backtests
	*status.Status
	*status.Replays
	*status.Backups
	*status.Verifications
}

var _ rest.StrictServerInterface = resources{}

// New builds a Server. It starts nothing: goroutines exist only while clients are connected.
func New(c Config) (*Server, error) {
	if c.Views == nil || c.Pipeline == nil || c.Alerts == nil || c.Queryable == nil || c.Engine == nil {
		return nil, errors.New("api: Views, Pipeline, Alerts, Queryable and Engine are required")
	}
	if c.Exemplars == nil {
		c.Exemplars = &query.Queryable{Reader: c.Views}
	}
	if c.Replays == nil {
		c.Replays = status.None
	}
	if c.Backups == nil {
		c.Backups = status.NoBackups
	}
	if c.Verifier == nil {
		c.Verifier = status.NoVerifier
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
	params := *doc
	params.OpenAPI = "3.0.3"
	s := &Server{cfg: c, doc: doc, params: &params, Writer: &answer.Writer{Logger: c.Logger},
		Moments: &answer.Moments{Views: c.Views, Pipeline: c.Pipeline, Now: c.Now, Retention: c.Retention,
			Stores: c.Stores.Traces != nil || c.Stores.Logs != nil || c.Stores.Metrics},
		connections: caller.NewConnections(c.Connections, c.Registry, c.Logger, c.Now)}
	if s.requests, err = caller.NewRequests(s.Writer, c.Now, c.Registry, c.Meter, c.Tracer); err != nil {
		return nil, err
	}
	s.traces = &older.Traces{Moments: s.Moments, Store: c.Stores.Traces, SearchTime: c.SearchTime,
		Budget: older.NewBudget(c.Limits.TraceBytes, c.Limits.TracesBytes, c.Registry)}
	s.rest = s.resources()
	s.live = live.NewHub(live.Config{Writer: s.Writer, Moments: s.Moments, Services: s.rest.Services, Alerts: s.rest.Alerts,
		Status: s.rest.Status, Watch: s.rest.Watch, Limits: c.Limits.Limits, CORSOrigins: c.CORSOrigins, Registry: c.Registry,
		Panics: s.requests.Panics})
	s.handler, err = s.routes()
	return s, err
}

// resources gives each handler of REST the few things that it needs.
func (s *Server) resources() resources {
	c := &s.cfg
	audit := &caller.Auditor{Writer: s.Writer, Store: c.Store, Now: c.Now}
	if c.Rules != nil {
		audit.Objects = c.Rules.Objects
		audit.Trail = caller.NewTrail(c.Rules.Objects, c.Now, c.Logger)
	}
	gate := caller.NewGate(caller.Gate{Writer: s.Writer, Auth: c.Auth, Roles: caller.RolesOf(s.doc), Trail: audit.Trail, Now: c.Now,
		ExternalURL: c.ExternalURL, CORSOrigins: c.CORSOrigins, AllowedHosts: c.AllowedHosts}, c.RateLimit)
	rules := &alerting.Rules{Moments: s.Moments, Evaluator: c.Alerts, Book: c.Rules}
	return resources{
		Accounts: &caller.Accounts{Gate: gate},
		Auditor:  audit,
		Services: &telemetry.Services{Moments: s.Moments, Older: s.traces, Configured: c.Dimensions},
		Traces:   &telemetry.Traces{Older: s.traces},
		Logs:     &telemetry.Logs{Moments: s.Moments, Older: &older.Logs{Store: c.Stores.Logs}},
		Metrics: &telemetry.Metrics{Moments: s.Moments, Samples: c.Metrics, Engine: c.Engine, Queryable: c.Queryable,
			QueryTimeout: c.QueryTimeout, Logger: c.Logger},
		Alerts: &alerting.Alerts{Moments: s.Moments, Evaluator: c.Alerts, Notifications: c.Notifications, Audit: audit.Audit},
		Rules:  rules,
		SLOs: &alerting.SLOs{Moments: s.Moments, Evaluator: c.Alerts, Book: c.SLOs, Engine: c.Engine, Queryable: c.Queryable,
			Older: c.OlderMetrics},
		SavedViews:   &alerting.SavedViews{Moments: s.Moments, Book: c.SavedViews},
		Dashboards:   &boards.Dashboards{Book: c.Dashboards, Now: c.Now},
		Explanations: &alerting.Explanations{Moments: s.Moments, Evaluator: c.Alerts},
		Incidents:    &alerting.Incidents{Moments: s.Moments, Evaluator: c.Alerts, Book: c.Incidents, Notes: c.Notes},
		Backtests: &alerting.Backtests{Writer: s.Writer, Moments: s.Moments, Rules: rules, Notifications: c.Notifications, Topics: c.Topics,
			Engine: c.Engine, Queryable: c.Queryable, QueryTimeout: c.QueryTimeout, ExternalLabels: c.ExternalLabels, Audit: audit.Audit,
			Panics: s.requests.Panics},
		Status: &status.Status{Moments: s.Moments, Reading: c.Pipeline, History: c.History, Replays: c.Replays, Samples: c.Metrics, States: c.Stores.States,
			Links: c.Links, Kafka: c.Kafka, Installation: c.Installation, ExternalURL: c.ExternalURL, Version: c.Version},
		Replays:       &status.Replays{Replays: c.Replays, Audit: audit.Audit},
		Backups:       &status.Backups{Backups: c.Backups, Audit: audit.Audit},
		Verifications: &status.Verifications{Verifier: c.Verifier},
	}
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
	s.rest.Trail.Close()
}

// end ends the log tails and the WebSockets, and waits for these; other requests are not touched.
func (s *Server) end() {
	s.live.StopTails()
	s.rest.Backtests.Close()
	s.live.Close()
}
