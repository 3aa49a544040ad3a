package caller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
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

// Requests counts, traces and logs requests: under the names that dashboards of HTTP services know, and under those of
// OpenTelemetry's semantic conventions. Labels are routes of the document, never paths.
type Requests struct {
	*answer.Writer
	Now    func() time.Time
	Tracer trace.Tracer // nil: requests have no spans
	// Panics counts panics by where they happened.
	Panics *prometheus.CounterVec

	requests     *prometheus.CounterVec
	duration     *prometheus.HistogramVec
	errors       *prometheus.CounterVec
	otelDuration httpconv.ServerRequestDuration
	otelActive   httpconv.ServerActiveRequests
}

// NewRequests registers the metrics of requests; a nil meter measures nothing.
func NewRequests(out *answer.Writer, now func() time.Time, reg prometheus.Registerer, meter metric.Meter,
	tracer trace.Tracer) (*Requests, error) {
	f := promauto.With(reg)
	m := &Requests{Writer: out, Now: now, Tracer: tracer,
		requests: f.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "HTTP requests answered."},
			[]string{"method", "route", "status"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds",
			Help:    "Time to answer HTTP requests, without WebSockets and event streams.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"method", "route"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{Name: "api_errors_total",
			Help: "Requests that failed, by the code of the error."}, []string{"code"}),
		Panics: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_api_panics_total",
			Help: "Panics in requests, backtests over topics and live views, each of which failed alone."}, []string{"in"}),
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

// Observe counts, traces and logs requests by route, so that names in paths make no series and no span name.
func (s *Requests) Observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.Now()
		a := answered{method: "other", route: "none", scheme: "http"}
		if slices.Contains(Methods, r.Method) {
			a.method = r.Method
		}
		if r.TLS != nil {
			a.scheme = "https"
		}
		who := &Caller{Address: address(r)}
		ctx := With(r.Context(), who)
		var span trace.Span
		if s.Tracer != nil {
			ctx, span = s.Tracer.Start(propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header)), a.otelMethod(),
				trace.WithSpanKind(trace.SpanKindServer))
		}
		active := otelattr.NewSet(semconv.HTTPRequestMethodKey.String(a.otelMethod()), semconv.URLScheme(a.scheme))
		s.otelActive.AddSet(ctx, 1, active)
		defer s.otelActive.AddSet(ctx, -1, active)
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(ww, r.WithContext(ctx))

		a.took, a.status, a.bytes = s.Now().Sub(began), ww.Status(), ww.BytesWritten()
		if p := chi.RouteContext(r.Context()).RoutePattern(); p != "" && p != "/*" {
			a.route = p
		}
		if a.status == 0 {
			a.status = http.StatusOK // nothing was written, or the connection was taken over
		}
		a.outcome = cmp.Or(who.Outcome, outcome(a.status))
		if a.status >= http.StatusBadRequest && !a.probe() {
			a.code = cmp.Or(who.note.Code, "status_"+strconv.Itoa(a.status)) // the APIs of others have errors of their own
		}
		stream := a.status == http.StatusSwitchingProtocols || strings.HasPrefix(ww.Header().Get("Content-Type"), "text/event-stream")
		s.count(ctx, &a, stream)
		// the span of a stream would be exported after hours: it is never ended
		if span != nil && !stream && !a.probe() {
			a.end(span, r, who.Name)
		}
		s.logRequest(ctx, r, &a, who)
	})
}

func (s *Requests) count(ctx context.Context, a *answered, stream bool) {
	s.requests.WithLabelValues(a.method, a.route, strconv.Itoa(a.status)).Inc()
	if a.code != "" {
		s.errors.WithLabelValues(a.code).Inc()
	}
	if stream {
		return
	}
	s.duration.WithLabelValues(a.method, a.route).Observe(a.took.Seconds())
	attrs := []otelattr.KeyValue{semconv.HTTPRequestMethodKey.String(a.otelMethod()), semconv.URLScheme(a.scheme),
		semconv.HTTPResponseStatusCode(a.status)}
	if a.route != "none" {
		attrs = append(attrs, semconv.HTTPRoute(a.route))
	}
	if a.status >= http.StatusInternalServerError {
		attrs = append(attrs, semconv.ErrorTypeKey.String(cmp.Or(a.code, strconv.Itoa(a.status))))
	}
	s.otelDuration.RecordSet(ctx, a.took.Seconds(), otelattr.NewSet(attrs...))
}

// otelMethod is the method under the name of the semantic conventions.
func (a *answered) otelMethod() string {
	if a.method == "other" {
		return "_OTHER"
	}
	return a.method
}

// probe reports whether the request is a health check or a scrape, which come every few seconds.
func (a *answered) probe() bool {
	return probePath(a.route) || a.route == "/metrics"
}

// end names the span by its route. Query strings are omitted: they may contain secrets.
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

// logRequest writes one line per request: caller, path, status and outcome, without query string and headers. The logger adds the trace
// of the context.
func (s *Requests) logRequest(ctx context.Context, r *http.Request, a *answered, who *Caller) {
	level := zerolog.InfoLevel
	switch {
	case a.status >= 500 && a.status != http.StatusServiceUnavailable:
		level = zerolog.ErrorLevel
	case a.probe():
		level = zerolog.DebugLevel
	}
	e := s.Logger.WithLevel(level).Ctx(ctx).Str("method", r.Method).Str("path", r.URL.Path).Str("route", a.route).
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

// Recover makes a panic one failed request.
func (s *Requests) Recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v) // how a handler ends a connection on purpose
			}
			s.Panics.WithLabelValues("request").Inc()
			s.Logger.Error().Ctx(r.Context()).Interface("panic", v).Bytes("stack", debug.Stack()).Str("path", r.URL.Path).
				Msg("handler panicked")
			s.Fail(w, r, errors.New("handler panicked"))
		}()
		next.ServeHTTP(w, r)
	})
}

// Methods are those that the API takes.
var Methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
