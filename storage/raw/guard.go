package raw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"

	"github.com/gaurav/watchingcat/storage"
)

// ErrUnavailable is what every failure of a store is: it did not answer, in time, with something usable.
var ErrUnavailable = errors.New("did not answer")

// State says how a store is doing.
type State string

// The states of a store.
const (
	StateUnknown State = "unknown" // not asked yet
	StateOK      State = "ok"
	StateFailing State = "failing" // the last request failed, others are still tried
	StateDown    State = "down"    // several failed one after the other: it is not asked for a while
	StateProbing State = "probing" // after that while, one request finds out whether it is back
)

// States lists every State.
var States = []State{StateUnknown, StateOK, StateFailing, StateDown, StateProbing}

// Status is a State and why.
type Status struct {
	Name  string
	State State
	Error string // of the last request; empty after one that succeeded
}

// Policy bounds what asking a store may cost. Zero values mean the defaults.
type Policy struct {
	Timeout    time.Duration // of one attempt (5 s)
	Retries    int           // after failures that are not timeouts (2; negative: none)
	Backoff    time.Duration // before the first of them, doubled each time (50 ms)
	Concurrent uint          // requests at once (16)
	Wait       time.Duration // for one of these places (1 s)
	Failures   uint          // one after the other until it counts as down (3)
	Pause      time.Duration // in which a store that is down is not asked (5 s)
}

// Metrics count what all stores were asked.
type Metrics struct {
	requests *prometheus.CounterVec
	retries  *prometheus.CounterVec
	duration *prometheus.HistogramVec
	cache    *prometheus.CounterVec
	tooLarge *prometheus.CounterVec
	took     dbconv.ClientOperationDuration
	reg      prometheus.Registerer
}

// NewMetrics registers the metrics of stores. meter gets the durations under their name of the semantic conventions; nil: they are not
// recorded.
func NewMetrics(reg prometheus.Registerer, meter metric.Meter) *Metrics {
	f := promauto.With(reg)
	took, err := storage.NewOperationDuration(meter)
	if err != nil {
		otel.Handle(err) // it records nothing then
	}
	return &Metrics{
		reg: reg, took: took,
		requests: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_backend_requests_total",
			Help: "Requests to raw stores and to the cache, by outcome: ok, error, timeout, refused (the store is down or busy)."},
			[]string{"backend", "outcome"}),
		retries: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_backend_retries_total",
			Help: "Retries of requests to raw stores."}, []string{"backend"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{Name: "watchingcat_backend_request_duration_seconds",
			Help:    "Time that requests to raw stores took, with all attempts.",
			Buckets: []float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 20}}, []string{"backend"}),
		tooLarge: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_backend_answers_too_large_total",
			Help: "Answers of raw stores that were rejected because they exceed the size limit."}, []string{"backend"}),
		cache: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_backend_cache_total",
			Help: "Cache lookups of answers of raw stores, by where the answer was found: memory, redis, none."},
			[]string{"backend", "found"}),
	}
}

// guard runs requests to one store under its Policy.
type guard struct {
	name    string
	exec    failsafe.Executor[any]
	breaker circuitbreaker.CircuitBreaker[any]
	metrics *Metrics
	wait    time.Duration // of the Policy

	mu    sync.Mutex
	asked bool
	last  error
}

// errCaller is a failure that says nothing about the store: who asked went away, or asked for too much.
var errCaller = errors.New("not the store's failure")

func newGuard(name string, p Policy, m *Metrics) *guard {
	p.Timeout, p.Backoff = cmp.Or(p.Timeout, 5*time.Second), cmp.Or(p.Backoff, 50*time.Millisecond)
	p.Retries, p.Concurrent, p.Wait = cmp.Or(p.Retries, 2), cmp.Or(p.Concurrent, 16), cmp.Or(p.Wait, time.Second)
	p.Failures, p.Pause = cmp.Or(p.Failures, 3), cmp.Or(p.Pause, 5*time.Second)
	g := &guard{name: name, metrics: m, wait: p.Wait}
	failed := func(_ any, err error) bool { return err != nil && !errors.Is(err, errCaller) }
	g.breaker = circuitbreaker.NewBuilder[any]().HandleIf(failed).WithFailureThreshold(p.Failures).WithSuccessThreshold(1).
		WithDelay(p.Pause).Build()
	// A store that hangs is not asked again at once: that would only double the wait.
	again := func(r any, err error) bool {
		return failed(r, err) && !errors.Is(err, timeout.ErrExceeded) && !errors.Is(err, circuitbreaker.ErrOpen)
	}
	retry := retrypolicy.NewBuilder[any]().HandleIf(again).WithMaxRetries(max(0, p.Retries)).WithBackoff(p.Backoff, 8*p.Backoff).
		WithJitterFactor(.2).ReturnLastFailure().
		OnRetry(func(failsafe.ExecutionEvent[any]) { m.retries.WithLabelValues(name).Inc() }).Build()
	g.exec = failsafe.With(bulkhead.NewBuilder[any](p.Concurrent).WithMaxWaitTime(p.Wait).Build(), retry, g.breaker,
		timeout.New[any](p.Timeout))
	m.reg.MustRegister(g)
	return g
}

// run calls fn, perhaps several times; fn must end with its context.
func (g *guard) run(ctx context.Context, fn func(context.Context) error) error {
	began := time.Now() // for the metric alone
	var tried error     // of the last attempt
	err := g.exec.WithContext(ctx).RunWithExecution(func(e failsafe.Execution[any]) error {
		tried = fn(e.Context())
		if tried != nil && ctx.Err() != nil {
			tried = fmt.Errorf("%w: %w", errCaller, tried)
		}
		return tried
	})
	if errors.Is(err, circuitbreaker.ErrOpen) && tried != nil {
		err = tried // it went down on the way
	}
	g.record(ctx, time.Since(began), outcome(err))
	if err == nil || !errors.Is(err, errCaller) && !errors.Is(err, bulkhead.ErrFull) && ctx.Err() == nil {
		g.mu.Lock()
		g.asked = true
		if !errors.Is(err, circuitbreaker.ErrOpen) {
			g.last = err
		}
		g.mu.Unlock()
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("raw: %s: %w", g.name, context.Cause(ctx))
	case errors.Is(err, circuitbreaker.ErrOpen):
		return fmt.Errorf("%s %w: it is not asked for a moment after failures: %s", g.name, ErrUnavailable, g.status().Error)
	case errors.Is(err, bulkhead.ErrFull):
		return fmt.Errorf("%s %w: too many requests wait for it", g.name, ErrUnavailable)
	case errors.Is(err, timeout.ErrExceeded):
		return fmt.Errorf("%s %w in time", g.name, ErrUnavailable)
	case errors.Is(err, errCaller):
		return err
	}
	return fmt.Errorf("%s %w: %w", g.name, ErrUnavailable, err)
}

func (g *guard) record(ctx context.Context, took time.Duration, outcome string) {
	g.metrics.duration.WithLabelValues(g.name).Observe(took.Seconds())
	g.metrics.requests.WithLabelValues(g.name, outcome).Inc()
	attrs := []attribute.KeyValue{semconv.DBSystemNameKey.String(g.name)}
	if outcome != "ok" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(outcome))
	}
	g.metrics.took.RecordSet(ctx, took.Seconds(), attribute.NewSet(attrs...))
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, circuitbreaker.ErrOpen), errors.Is(err, bulkhead.ErrFull), errors.Is(err, errBusy):
		return "refused"
	case errors.Is(err, timeout.ErrExceeded):
		return "timeout"
	}
	return "error"
}

func (g *guard) status() Status {
	g.mu.Lock()
	asked, last := g.asked, g.last
	g.mu.Unlock()
	s := Status{Name: g.name, State: StateOK}
	if last != nil {
		s.State, s.Error = StateFailing, last.Error()
	}
	switch {
	case g.breaker.IsOpen() && g.breaker.RemainingDelay() > 0:
		s.State = StateDown
	case !g.breaker.IsClosed():
		s.State = StateProbing // the next request finds out
	case !asked:
		s.State = StateUnknown
	}
	return s
}

var stateDesc = prometheus.NewDesc("watchingcat_backend_state", "1 for the current state of a raw store or the cache.",
	[]string{"backend", "state"}, nil)

// Describe implements prometheus.Collector: guards of several stores share one description, so none is checked.
func (g *guard) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (g *guard) Collect(ch chan<- prometheus.Metric) {
	now := g.status().State
	for _, s := range States {
		v := 0.0
		if s == now {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, v, g.name, string(s))
	}
}
