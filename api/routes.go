package api

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/cors"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/jaeger"
	"github.com/gaurav/watchingcat/api/mcp"
	"github.com/gaurav/watchingcat/api/prom"
)

// routes puts everything in its place.
func (s *Server) routes() (http.Handler, error) {
	page, err := newPageFiles()
	if err != nil {
		return nil, err
	}
	compress, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed)) // answers are made for each request
	if err != nil {
		return nil, err
	}
	r := chi.NewRouter()
	r.Use(s.requests.Observe, s.requests.Recover, secure)
	if len(s.cfg.CORSOrigins) > 0 {
		r.Use(cors.Handler(cors.Options{AllowedOrigins: s.cfg.CORSOrigins, AllowCredentials: true, MaxAge: 600,
			AllowedMethods: []string{"GET", "POST", "PUT", "DELETE"},
			AllowedHeaders: []string{"Accept", "Authorization", "Content-Type", "If-Match", "If-None-Match"},
			ExposedHeaders: []string{"ETag", "Retry-After", answer.WarningHeader}}))
	}
	r.Use(s.rest.Guard)
	r.Use(s.cfg.Middleware...)
	r.Use(s.limitBody, middleware.GetHead)
	r.NotFound(compress(s.servePage(page)))
	r.MethodNotAllowed(s.methodNotAllowed(r))
	r.With(s.rest.Authorize).Get("/ws", s.live.ServeWebSocket)
	r.With(s.rest.Authorize).Get(auth.OIDCPath+"login", s.rest.OIDCLogin)
	r.With(s.rest.Authorize).Get(auth.OIDCPath+"callback", s.rest.OIDCCallback)
	r.With(s.rest.Authorize, s.validate).Get("/api/v1/logs/tail", s.live.ServeTail)
	r.With(s.rest.Authorize, s.validate).Get("/api/v1/live", s.live.ServeEvents)
	r.With(s.rest.Authorize).Method(http.MethodPost, "/mcp", mcp.New(mcp.Config{API: r, Now: s.cfg.Now, Version: s.cfg.Version}))
	r.Group(func(r chi.Router) {
		r.Use(s.rest.Authorize)
		r.Use(func(h http.Handler) http.Handler { return compress(h) })
		r.Use(answer.Conditional)
		s.restRoutes(r)
		p := s.prom()
		p.Routes(r)
		p.RulerRoutes(r)
		s.jaeger().Routes(r.With(s.HoldViews))
		if s.cfg.Alertmanager != nil {
			h := s.rest.FromOutside(http.StripPrefix("/alertmanager", s.cfg.Alertmanager))
			for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
				r.Method(m, "/alertmanager/api/v2/*", h)
			}
		}
		r.Get("/tempo/api/echo", func(w http.ResponseWriter, _ *http.Request) { s.Text(w, "text/plain; charset=utf-8", []byte("echo")) })
		r.Get("/api/openapi.yaml", serveDocument)
		r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{DisableCompression: true,
			// of a part that cannot be read the others are shown: they may say why
			ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(s.cfg.Slog.Handler(), slog.LevelWarn)}))
	})
	return r, nil
}

func (s *Server) prom() *prom.API {
	c := &s.cfg
	return &prom.API{Writer: s.Writer, Engine: c.Engine, Queryable: c.Queryable, Exemplars: c.Exemplars, QueryTimeout: c.QueryTimeout,
		Slog: c.Slog, Registry: c.Registry, Alerts: c.Alerts, Families: s.rest.Families, Rules: c.Rules, Now: c.Now, Version: c.Version}
}

func (s *Server) jaeger() *jaeger.API {
	return &jaeger.API{Writer: s.Writer, Moments: s.Moments, Traces: s.traces, Engine: s.cfg.Engine, Queryable: s.cfg.Queryable,
		QueryTimeout: s.cfg.QueryTimeout}
}

// documentTag changes with the document.
var documentTag = sync.OnceValue(func() string { return answer.WeakTag(document) })

func serveDocument(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/yaml")
	h.Set("Cache-Control", "no-cache") // asked for again each time, and sent when it has changed
	h.Set("ETag", documentTag())
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(document))
}

func (s *Server) methodNotAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, m := range caller.Methods {
			if routes.Match(chi.NewRouteContext(), m, r.URL.Path) {
				allowed = append(allowed, m)
				if m == http.MethodGet {
					allowed = append(allowed, http.MethodHead) // served by the same handler
				}
			}
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.Fail(w, r, answer.Problemf(answer.ErrMethodNotAllowed, "", "%s does not take %s", r.URL.Path, r.Method))
	}
}

// contentSecurity lets the page load from its own origin alone; style attributes are what charts and components set at run time.
const contentSecurity = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurity)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // but for what says otherwise
		next.ServeHTTP(w, r)
	})
}

func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > s.cfg.Limits.Body {
			s.Fail(w, r, answer.ErrTooLarge)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.Limits.Body)
		next.ServeHTTP(w, r)
	})
}
