package prom

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/notifications"
	webapi "github.com/prometheus/prometheus/web/api/v1"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/evaluator/books"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage/raw"
)

// Prefix is the path under which Prometheus' API lies.
const Prefix = "/prometheus/api/v1"

// API answers Prometheus' HTTP API and Mimir's ruler API.
type API struct {
	*answer.Writer
	Engine       promql.QueryEngine
	Queryable    promstorage.SampleAndChunkQueryable
	Exemplars    promstorage.ExemplarQueryable
	QueryTimeout time.Duration
	Slog         *slog.Logger
	Registry     *prometheus.Registry
	Alerts       webapi.RulesRetriever
	Families     func() []query.Metadata // ordered by name
	Rules        *books.RuleBook         // that users make; nil: they cannot
	Now          func() time.Time
	Version      string
}

// Routes serves Prometheus' HTTP API through Prometheus' own package, over the views. Only paths that make sense here are
// mounted: the package's others would answer about scraping and a TSDB that do not exist.
func (s *API) Routes(r chi.Router) {
	inner := route.New()
	prometheusAPI(s).Register(inner)
	h := http.StripPrefix(Prefix, inner)
	exemplars := s.withWarnings(h)
	r.Method(http.MethodGet, Prefix+"/query_exemplars", exemplars)
	r.Method(http.MethodPost, Prefix+"/query_exemplars", exemplars)
	for _, path := range []string{"/query", "/query_range", "/format_query", "/parse_query", "/labels", "/series"} {
		r.Method(http.MethodGet, Prefix+path, h)
		r.Method(http.MethodPost, Prefix+path, h)
	}
	for _, path := range []string{"/rules", "/alerts"} {
		r.Method(http.MethodGet, Prefix+path, h)
	}
	r.Get(Prefix+"/label/{name}/values", func(w http.ResponseWriter, r *http.Request) {
		// The package's router takes no slash in a name, however it is escaped, but this form, which says the same.
		if name := answer.PathParam(r, "name"); strings.Contains(name, "/") {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = Prefix+"/label/"+model.EscapeName(name, model.ValueEncodingEscaping)+"/values", ""
		}
		h.ServeHTTP(w, r)
	})
	r.Method(http.MethodPost, Prefix+"/read", h)
	// Replaced: the package's own metadata is that of scrape targets.
	r.Get(Prefix+"/metadata", s.metadata)
	r.Get(Prefix+"/status/buildinfo", s.buildInfo)
}

// withWarnings adds the warnings that an answer's source noted in the context: Prometheus' package gives exemplars none.
func (s *API) withWarnings(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, answered := raw.WithAnswered(r.Context())
		r = r.Clone(ctx)
		r.Header.Del("Accept-Encoding") // the package would compress what is read here
		kept := &keptAnswer{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(kept, r)
		body := kept.body.Bytes()
		if warnings := answered.Warnings(); len(warnings) > 0 {
			var fields map[string]json.RawMessage
			if list, err := json.Marshal(warnings); err == nil && json.Unmarshal(body, &fields) == nil && fields != nil {
				fields["warnings"] = list
				if with, err := json.Marshal(fields); err == nil {
					body = with
				}
			}
			answer.WarnHeader(w, warnings)
		}
		for k, v := range kept.header {
			if k != "Content-Length" {
				w.Header()[k] = v
			}
		}
		w.WriteHeader(kept.status)
		if _, err := w.Write(body); err != nil {
			s.Logger.Debug().Err(err).Msg("client went away")
		}
	})
}

// keptAnswer is an answer that is not sent yet.
type keptAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *keptAnswer) Header() http.Header { return k.header }

func (k *keptAnswer) WriteHeader(status int) { k.status = status }

func (k *keptAnswer) Write(b []byte) (int, error) { return k.body.Write(b) }

// prometheusAPI makes Prometheus' API. Its signature changes between releases: this is the only call, and the compiler checks it. It is no
// method: every package that knows API would compile the generic types of its result anew.
func prometheusAPI(s *API) *webapi.API {
	return webapi.NewAPI(
		s.Engine, s.Queryable, nil, s.Exemplars, // no appender: nothing can be written
		nil, nil, nil, // scrape pools, targets, alertmanagers: their paths are not mounted
		func() promconfig.Config { return promconfig.DefaultConfig },
		map[string]string{}, webapi.GlobalURLOptions{},
		func(h http.HandlerFunc) http.HandlerFunc { return h },
		noTSDB{}, "", false, false, 0,
		s.Slog, func(context.Context) webapi.RulesRetriever { return s.Alerts },
		50_000_000, 10, 1<<20, false,
		regexp.MustCompile(`^$`), // CORS is decided for all paths alike, see routes
		func() (webapi.RuntimeInfo, error) { return webapi.RuntimeInfo{}, nil },
		&webapi.PrometheusVersion{}, func() []notifications.Notification { return nil }, nil,
		s.Registry, s.Registry, nil, false, nil, false, false, false, 5*time.Minute, false, false, nil, nil,
		webapi.OpenAPIOptions{}, query.NewParser(), false, s.QueryTimeout,
	)
}

// noTSDB stands for the TSDB that the package wants to administer; the paths that use it are not mounted.
type noTSDB struct{}

func (noTSDB) CleanTombstones() error { return answer.ErrUnavailable }

func (noTSDB) Delete(context.Context, int64, int64, ...*labels.Matcher) error {
	return answer.ErrUnavailable
}

func (noTSDB) Snapshot(string, bool) error { return answer.ErrUnavailable }

func (noTSDB) Stats(string, int) (*tsdb.Stats, error) { return nil, answer.ErrUnavailable }

func (noTSDB) WALReplayStatus() (tsdb.WALReplayStatus, error) {
	return tsdb.WALReplayStatus{}, answer.ErrUnavailable
}

func (noTSDB) BlockMetas() ([]tsdb.BlockMeta, error) { return nil, answer.ErrUnavailable }

// metadata answers type, help and unit of metrics; clients choose rate() for counters by it.
func (s *API) metadata(w http.ResponseWriter, r *http.Request) {
	limit := -1
	if v := r.FormValue("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			s.answer(w, http.StatusBadRequest,
				map[string]any{"status": "error", "errorType": "bad_data", "error": "limit must be a number"})
			return
		}
		limit = n
	}
	data := map[string][]query.Metadata{}
	for _, m := range s.Families() {
		if limit >= 0 && len(data) >= limit {
			break
		}
		if name := r.FormValue("metric"); name == "" || name == m.Name {
			data[m.Name] = []query.Metadata{m}
		}
	}
	s.answer(w, http.StatusOK, map[string]any{"status": "success", "data": data})
}

// buildInfo names no features, by which Grafana takes the rules for read-only.
func (s *API) buildInfo(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, map[string]any{"status": "success", "data": map[string]string{
		"application": "WatchingCat", "version": s.Version, "revision": "", "branch": "", "buildUser": "", "buildDate": "",
		"goVersion": runtime.Version()}})
}

func (s *API) answer(w http.ResponseWriter, status int, body any) {
	if err := s.JSON(w, status, body); err != nil {
		s.Logger.Error().Err(err).Msg("request failed")
		// text
		_ = s.JSON(w, http.StatusInternalServerError,
			map[string]any{"status": "error", "errorType": "internal", "error": "the answer could not be encoded"})
	}
}
