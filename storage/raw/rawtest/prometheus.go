// Package rawtest has servers that answer as raw stores do, for tests.
package rawtest

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/notifications"
	webapi "github.com/prometheus/prometheus/web/api/v1"
)

// Prometheus is a server of Prometheus' own HTTP API over a TSDB of its own: what it accepts and refuses is what a Prometheus does.
type Prometheus struct {
	URL string
	t   testing.TB
	db  *tsdb.DB

	mu       sync.Mutex
	requests []Request
}

// Request is one that a Prometheus got.
type Request struct {
	Path   string
	Query  url.Values
	Status int
}

// NewPrometheus starts a Prometheus that holds nothing.
func NewPrometheus(t testing.TB) *Prometheus {
	t.Helper()
	o := tsdb.DefaultOptions()
	o.EnableExemplarStorage, o.MaxExemplars = true, 1000
	o.RetentionDuration = math.MaxInt64
	db, err := tsdb.Open(t.TempDir(), slog.New(slog.DiscardHandler), nil, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.DisableCompactions()
	p := &Prometheus{t: t, db: db}
	inner := route.New().WithPrefix("/api/v1")
	log := slog.New(slog.DiscardHandler)
	reg := prometheus.NewRegistry()
	parse := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{Logger: log, MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
		Parser: parse})
	webapi.NewAPI(engine, db, nil, db, nil, nil, nil, func() promconfig.Config { return promconfig.DefaultConfig }, map[string]string{},
		webapi.GlobalURLOptions{}, func(h http.HandlerFunc) http.HandlerFunc { return h }, nil, "", false, false, 0, log,
		func(context.Context) webapi.RulesRetriever { return nil }, 50_000_000, 10, 1<<20, false,
		regexp.MustCompile(`^$`), func() (webapi.RuntimeInfo, error) { return webapi.RuntimeInfo{}, nil },
		&webapi.PrometheusVersion{}, func() []notifications.Notification { return nil }, nil, reg, reg, nil, false, nil, false,
		false, false, 5*time.Minute, false, false, nil, nil, webapi.OpenAPIOptions{}, parse, false, time.Minute,
	).Register(inner)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		inner.ServeHTTP(kept, r)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.requests = append(p.requests, Request{r.URL.Path, r.URL.Query(), kept.status})
	}))
	p.URL = s.URL
	t.Cleanup(func() {
		s.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Flush implements http.Flusher, which the remote read API needs.
func (w *statusWriter) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

// Requests returns what was requested since it was last called.
func (p *Prometheus) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.requests
	p.requests = nil
	return out
}

// Append stores a sample of a series.
func (p *Prometheus) Append(l labels.Labels, at time.Time, v float64) {
	p.t.Helper()
	app := p.db.Appender(context.Background())
	if _, err := app.Append(0, l, at.UnixMilli(), v); err != nil {
		p.t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		p.t.Fatal(err)
	}
}

// Exemplar stores an exemplar of a series that has samples.
func (p *Prometheus) Exemplar(l labels.Labels, e exemplar.Exemplar) {
	p.t.Helper()
	app := p.db.Appender(context.Background())
	ref, _ := app.(storage.GetRef).GetRef(l, l.Hash())
	if _, err := app.AppendExemplar(ref, l, e); err != nil {
		p.t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		p.t.Fatal(err)
	}
}
