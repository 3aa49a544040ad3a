package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
	otelattr "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
	"go.opentelemetry.io/otel/trace"

	"github.com/gaurav/watchingcat/api/answer"
)

// serverMetrics are what the API counts of itself: under the names that dashboards of HTTP services know, and under those of
// OpenTelemetry's semantic conventions. Labels are routes of the document, never paths.
type serverMetrics struct {
	panics        *prometheus.CounterVec
	requests      *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	errors        *prometheus.CounterVec
	clients       prometheus.Gauge
	subscriptions *prometheus.GaugeVec
	computed      *prometheus.CounterVec
	slow          prometheus.Counter
	refused       *prometheus.CounterVec
	resumes       *prometheus.CounterVec

	otelDuration httpconv.ServerRequestDuration
	otelActive   httpconv.ServerActiveRequests
}

func newServerMetrics(reg prometheus.Registerer, meter metric.Meter) (*serverMetrics, error) {
	f := promauto.With(reg)
	m := &serverMetrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "HTTP requests answered."},
			[]string{"method", "route", "status"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds",
			Help:    "Time to answer HTTP requests, without WebSockets and event streams.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"method", "route"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{Name: "api_errors_total",
			Help: "Requests that failed, by the code of the error."}, []string{"code"}),
		panics: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_api_panics_total",
			Help: "Panics in requests, backtests over topics and live views, each of which failed alone."}, []string{"in"}),
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
	var err error
	if m.otelDuration, err = httpconv.NewServerRequestDuration(meter); err != nil {
		return nil, fmt.Errorf("api: metrics: %w", err)
	}
	if m.otelActive, err = httpconv.NewServerActiveRequests(meter); err != nil {
		return nil, fmt.Errorf("api: metrics: %w", err)
	}
	return m, nil
}

// answered is one request and what became of it.
type answered struct {
	method, route, scheme string
	status                int
	bytes                 int
	took                  time.Duration
	code                  string // of the error, empty where there is none
	outcome               string
}

// observe counts, traces and logs requests by route, so that names in paths make no series and no span name.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.cfg.Now()
		a := answered{method: "other", route: "none", scheme: "http"}
		if slices.Contains(methods, r.Method) {
			a.method = r.Method
		}
		if r.TLS != nil {
			a.scheme = "https"
		}
		who := &caller{address: address(r)}
		ctx := answer.WithNote(context.WithValue(r.Context(), callerKey{}, who), &who.note)
		var span trace.Span
		if s.cfg.Tracer != nil {
			ctx, span = s.cfg.Tracer.Start(propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header)), a.otelMethod(),
				trace.WithSpanKind(trace.SpanKindServer))
		}
		active := otelattr.NewSet(semconv.HTTPRequestMethodKey.String(a.otelMethod()), semconv.URLScheme(a.scheme))
		s.metrics.otelActive.AddSet(ctx, 1, active)
		defer s.metrics.otelActive.AddSet(ctx, -1, active)
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(ww, r.WithContext(ctx))

		a.took, a.status, a.bytes = s.cfg.Now().Sub(began), ww.Status(), ww.BytesWritten()
		if p := chi.RouteContext(r.Context()).RoutePattern(); p != "" && p != "/*" {
			a.route = p
		}
		if a.status == 0 {
			a.status = http.StatusOK // nothing was written, or the connection was taken over
		}
		a.outcome = cmp.Or(who.outcome, outcome(a.status))
		if a.status >= http.StatusBadRequest && !a.probe() {
			a.code = cmp.Or(who.note.Code, "status_"+strconv.Itoa(a.status)) // the APIs of others have errors of their own
		}
		stream := a.status == http.StatusSwitchingProtocols || strings.HasPrefix(ww.Header().Get("Content-Type"), "text/event-stream")
		s.count(ctx, &a, stream)
		// one that is not ended is never exported: no user waits for hours to see that a page was open
		if span != nil && !stream && !a.probe() {
			a.end(span, r, who.Name)
		}
		s.logRequest(ctx, r, &a, who)
	})
}

func (s *Server) count(ctx context.Context, a *answered, stream bool) {
	s.metrics.requests.WithLabelValues(a.method, a.route, strconv.Itoa(a.status)).Inc()
	if a.code != "" {
		s.metrics.errors.WithLabelValues(a.code).Inc()
	}
	if stream {
		return
	}
	s.metrics.duration.WithLabelValues(a.method, a.route).Observe(a.took.Seconds())
	attrs := []otelattr.KeyValue{semconv.HTTPRequestMethodKey.String(a.otelMethod()), semconv.URLScheme(a.scheme),
		semconv.HTTPResponseStatusCode(a.status)}
	if a.route != "none" {
		attrs = append(attrs, semconv.HTTPRoute(a.route))
	}
	if a.status >= http.StatusInternalServerError {
		attrs = append(attrs, semconv.ErrorTypeKey.String(cmp.Or(a.code, strconv.Itoa(a.status))))
	}
	s.metrics.otelDuration.RecordSet(ctx, a.took.Seconds(), otelattr.NewSet(attrs...))
}

// otelMethod is the method under the name of the semantic conventions.
func (a *answered) otelMethod() string {
	if a.method == "other" {
		return "_OTHER"
	}
	return a.method
}

// probe reports whether the request is one of those that come every few seconds from who looks after the process.
func (a *answered) probe() bool {
	return probePath(a.route) || a.route == "/metrics"
}

// end names the span by its route. Query strings are left out: they may hold what is not for everybody.
func (a *answered) end(span trace.Span, r *http.Request, principal string) {
	if a.route != "none" {
		span.SetName(a.otelMethod() + " " + a.route)
		span.SetAttributes(semconv.HTTPRoute(a.route))
	}
	span.SetAttributes(semconv.HTTPRequestMethodKey.String(a.otelMethod()), semconv.URLScheme(a.scheme), semconv.URLPath(r.URL.Path),
		semconv.HTTPResponseStatusCode(a.status), semconv.HTTPResponseBodySize(a.bytes), semconv.ClientAddress(address(r)))
	if principal != "" {
		span.SetAttributes(semconv.UserName(principal))
	}
	if a.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
		span.SetAttributes(semconv.ErrorTypeKey.String(cmp.Or(a.code, strconv.Itoa(a.status))))
	}
	span.End()
}

// logRequest writes the one line of a request: who asked for what and what became of it; neither query strings nor headers. The
// logger adds the trace that the context is in.
func (s *Server) logRequest(ctx context.Context, r *http.Request, a *answered, who *caller) {
	level := zerolog.InfoLevel
	switch {
	case a.status >= 500 && a.status != http.StatusServiceUnavailable:
		level = zerolog.ErrorLevel
	case a.probe():
		level = zerolog.DebugLevel
	}
	e := s.cfg.Logger.WithLevel(level).Ctx(ctx).Str("method", r.Method).Str("path", r.URL.Path).Str("route", a.route).
		Int("status", a.status).
		Int("bytes", a.bytes).Dur("took_ms", a.took).Str("remote", r.RemoteAddr).Str("principal", who.Name).Str("outcome", a.outcome)
	if a.code != "" {
		e.Str("code", a.code)
	}
	e.Msg("request")
}

func outcome(status int) string {
	if status >= 400 {
		return "failure"
	}
	return "success"
}
