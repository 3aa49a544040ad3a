package jaeger

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views/model"
)

// Jaeger's query service as its page and Grafana's data source ask it: the JSON API without a version, and /api/v3 (v3.go). Both
// answer from older.Traces, so from the store of raw traces too.

const (
	// Prefix is the path under which all of it lies.
	Prefix        = "/jaeger/api"
	defaultTraces = 100 // traces, where a search names no limit
	maxTraces     = 1500
	history       = 2 * 24 * time.Hour // that is searched where a search names no start, as Jaeger does

)

// API answers Jaeger's HTTP APIs.
type API struct {
	*answer.Writer
	*answer.Moments
	Traces *older.Traces
	// Engine, Queryable and QueryTimeout are of the queries of the Monitor tab.
	Engine       promql.QueryEngine
	Queryable    promstorage.Queryable
	QueryTimeout time.Duration
}

// Routes mounts the paths of all three APIs.
func (s *API) Routes(r chi.Router) {
	for path, h := range map[string]func(context.Context, *http.Request, answer.Moment) (any, error){
		"/services":                      s.services,
		"/services/{service}/operations": s.operationsOf,
		"/operations":                    s.operations,
		"/traces":                        s.search,
		"/traces/{id}":                   s.get,
		"/dependencies":                  s.dependencies,
	} {
		r.Get(Prefix+path, s.v1(h))
	}
	r.Post(Prefix+"/transform", s.v1(s.transform))
	for path, h := range map[string]func(context.Context, *http.Request, answer.Moment) (any, error){
		"/services": s.v3Services, "/operations": s.v3Operations, "/traces": s.v3Search, "/traces/{id}": s.v3Get,
		"/trace-summaries": s.v3Summaries,
	} {
		r.Get(Prefix+"/v3"+path, s.v3(h))
	}
	for _, kind := range []string{"latencies", "calls", "errors"} {
		r.Get(Prefix+"/metrics/"+kind, s.metrics(kind))
	}
	r.Get(Prefix+"/metrics/minstep", s.v1(func(context.Context, *http.Request, answer.Moment) (any, error) {
		return int64(answer.Bucket / time.Millisecond), nil
	}))
}

// envelope is what every answer of the API without a version is in.
type envelope struct {
	Data   any       `json:"data"`
	Total  int       `json:"total"`
	Limit  int       `json:"limit"`
	Offset int       `json:"offset"`
	Errors []v1Error `json:"errors"`

	warnings []string // what is missing
}

type v1Error struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
	// TraceID says which of the traces asked for the error is about.
	TraceID string `json:"traceID,omitempty"`
}

func (s *API) v1(h func(context.Context, *http.Request, answer.Moment) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data, err := h(r.Context(), r, s.Moment(r.Context()))
		if err != nil {
			s.fail(w, r, err)
			return
		}
		out, whole := data.(envelope)
		if !whole {
			out.Data = data
		}
		answer.WarnHeader(w, out.warnings)
		if err := s.JSON(w, http.StatusOK, out); err != nil {
			s.fail(w, r, err)
		}
	}
}

// fail answers with an error as Jaeger does.
func (s *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := s.Shown(r, err)
	_ = s.JSON(w, p.Status, envelope{Errors: []v1Error{{Code: p.Status, Msg: p.Detail}}}) // a number and text: they can be encoded
}

func (s *API) services(ctx context.Context, _ *http.Request, m answer.Moment) (any, error) {
	names, warnings, err := s.serviceNames(ctx, m)
	return envelope{Data: names, Total: len(names), warnings: warnings}, err
}

// operation is an operation with its kind, as Jaeger names kinds.
type operation struct {
	Name     string `json:"name"`
	SpanKind string `json:"spanKind"`
}

func (s *API) operationsOf(ctx context.Context, r *http.Request, m answer.Moment) (any, error) {
	list, warnings, err := s.operationNames(ctx, m, answer.PathParam(r, "service"), "")
	names := []string{}
	for _, o := range list {
		if !slices.Contains(names, o.Name) {
			names = append(names, o.Name)
		}
	}
	return envelope{Data: names, Total: len(names), warnings: warnings}, err
}

func (s *API) operations(ctx context.Context, r *http.Request, m answer.Moment) (any, error) {
	q := r.URL.Query()
	if q.Get("service") == "" {
		return nil, answer.Problemf(answer.ErrBadRequest, "", "parameter 'service' is required")
	}
	list, warnings, err := s.operationNames(ctx, m, q.Get("service"), q.Get("spanKind"))
	return envelope{Data: list, Total: len(list), warnings: warnings}, err
}

// search is GET /traces: all that is kept of each trace, or what its summary has. A trace without a span is never sent: clients
// take the first span for the trace.
func (s *API) search(ctx context.Context, r *http.Request, m answer.Moment) (any, error) {
	q := r.URL.Query()
	if ids := q["traceID"]; len(ids) > 0 {
		return s.byID(ctx, m, ids)
	}
	t, err := parseSearch(q, m)
	if err != nil {
		return nil, err
	}
	found, err := s.Traces.Search(ctx, m, t)
	if err != nil {
		return nil, err
	}
	out := []rest.JaegerTrace{}
	for i := range found.List {
		one, err := s.wholeTrace(ctx, m, &found, i)
		if err != nil {
			return nil, err
		}
		one.Warnings = warningsOf(one.Warnings, found.Warnings)
		out = append(out, one)
	}
	found.Warnings = found.Missing(s.Moments, m, answer.Range{Start: t.From, End: t.To, Asked: true})
	answer := envelope{Data: out, warnings: found.Warnings}
	if len(out) == 0 { // there is no trace to say it
		for _, text := range found.Warnings {
			answer.Errors = append(answer.Errors, v1Error{Code: http.StatusServiceUnavailable, Msg: text})
		}
	}
	return answer, nil
}

func warningsOf(p *[]string, more []string) *[]string {
	list := append(slices.Clone(answer.Value(p)), more...)
	if len(list) == 0 {
		return nil
	}
	return &list
}

// wholeTrace is trace i of what was found, with the spans that are at hand.
func (s *API) wholeTrace(ctx context.Context, m answer.Moment, found *older.FoundTraces, i int) (rest.JaegerTrace, error) {
	sum := &found.List[i]
	data, err := s.Traces.Spans(ctx, found, m, sum.ID)
	if err != nil {
		return rest.JaegerTrace{}, err
	}
	if t := Trace(data, sum.ID); len(t.Spans) > 0 {
		return t, nil
	}
	return Trace([]ptrace.Traces{summarySpan(sum)}, sum.ID), nil
}

func (s *API) byID(ctx context.Context, m answer.Moment, ids []string) (any, error) {
	out, reply := []rest.JaegerTrace{}, envelope{}
	for _, v := range ids[:min(len(ids), maxTraces)] {
		id, err := answer.ParseTraceID(v)
		if err != nil {
			return nil, err
		}
		found, err := s.Traces.Find(ctx, m, id)
		if errors.Is(err, answer.ErrNotFound) {
			reply.Errors = append(reply.Errors,
				v1Error{Code: http.StatusNotFound, Msg: answer.ProblemOf(err).Detail, TraceID: hex.EncodeToString(id[:])})
			continue
		}
		if err != nil {
			return nil, err
		}
		t := Trace(found.Data, id)
		t.Warnings = warningsOf(t.Warnings, found.Warnings)
		reply.warnings = append(reply.warnings, found.Warnings...)
		out = append(out, t)
	}
	reply.Data = out
	return reply, nil
}

// find returns the trace that a path names.
func (s *API) find(ctx context.Context, r *http.Request, m answer.Moment) (found older.FoundTrace, id [16]byte, err error) {
	if id, err = answer.ParseTraceID(chi.URLParam(r, "id")); err != nil {
		return found, id, err
	}
	found, err = s.Traces.Find(ctx, m, id)
	return found, id, err
}

func (s *API) get(ctx context.Context, r *http.Request, m answer.Moment) (any, error) {
	found, id, err := s.find(ctx, r, m)
	if err != nil {
		return nil, err
	}
	t := Trace(found.Data, id)
	t.Warnings = warningsOf(t.Warnings, found.Warnings)
	return envelope{Data: []rest.JaegerTrace{t}, warnings: found.Warnings}, nil
}

// maxTransformed bounds what POST /transform answers: a resource comes again in each trace, so that a small file may become a large answer.
const maxTransformed = 32 << 20

// transform is POST /transform, by which Jaeger's page shows traces from a file: OTLP's JSON becomes Jaeger's.
func (s *API) transform(_ context.Context, r *http.Request, _ answer.Moment) (any, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var u ptrace.JSONUnmarshaler
	td, err := u.UnmarshalTraces(body)
	if err != nil {
		return nil, answer.Problemf(answer.ErrBadRequest, "", "cannot unmarshal OTLP: %v", err)
	}
	byID, size := map[[16]byte]*builder{}, 0
	var ids [][16]byte
	for _, rs := range td.ResourceSpans().All() {
		p := resourceOf(rs.Resource())
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				id := [16]byte(sp.TraceID())
				t := byID[id]
				if t == nil {
					t = newBuilder(id)
					byID[id], ids = t, append(ids, id)
				}
				if t.names[p.key] == "" {
					size += len(p.key)
				}
				if size += len(ss.Scope().Name()) + len(ss.Scope().Version()); size > maxTransformed {
					return nil, answer.ErrTooLarge
				}
				t.add(&p, ss, sp)
			}
		}
	}
	out := []rest.JaegerTrace{}
	for _, id := range ids {
		out = append(out, byID[id].trace())
	}
	return out, nil
}

// parseSearch reads the parameters of a search: times in microseconds, durations of Go, attributes as tags={"k":"v"} or tag=k:v.
func parseSearch(q url.Values, m answer.Moment) (t older.TraceSearch, err error) {
	bad := func(name string) error {
		return answer.Problemf(answer.ErrBadRequest, "", "unable to parse param '%s'", name)
	}
	at := func(name string, otherwise time.Time) (time.Time, error) {
		v := q.Get(name)
		if v == "" {
			return otherwise, nil
		}
		us, err := strconv.ParseInt(v, 10, 64)
		if err != nil || us < 0 || us > answer.MaxUnixSeconds*1e6 {
			return otherwise, bad(name)
		}
		return time.UnixMicro(us).UTC(), nil
	}
	t.Attributes = map[string]string{}
	t.Service, t.Operation, t.Limit = q.Get("service"), q.Get("operation"), defaultTraces
	if t.To, err = at("end", answer.Later(m.Known(), m.Now).Add(1)); err != nil {
		return t, err
	}
	if t.From, err = at("start", t.To.Add(-history)); err != nil {
		return t, err
	}
	t.To = t.To.Add(1) // Jaeger's range includes its end
	for name, to := range map[string]*time.Duration{"minDuration": &t.MinSpan, "maxDuration": &t.MaxSpan} {
		if v := q.Get(name); v != "" {
			if *to, err = time.ParseDuration(v); err != nil || *to < 0 {
				return t, bad(name)
			}
		}
	}
	if v := q.Get("limit"); v != "" {
		if t.Limit, err = strconv.Atoi(v); err != nil || t.Limit < 0 {
			return t, bad("limit")
		}
	}
	for _, v := range q["tags"] {
		var tags map[string]string // of null, none
		if json.Unmarshal([]byte(v), &tags) != nil {
			return t, answer.Problemf(answer.ErrBadRequest, "", "malformed 'tags' parameter, cannot unmarshal JSON: %q", v)
		}
		maps.Copy(t.Attributes, tags)
	}
	for _, v := range q["tag"] {
		k, value, ok := strings.Cut(v, ":")
		if !ok {
			return t, answer.Problemf(answer.ErrBadRequest, "", "malformed 'tag' parameter, expecting key:value, received: %s", v)
		}
		t.Attributes[k] = value
	}
	return t, settle(&t)
}

// settle bounds a search, and makes a condition of what Jaeger has as the tag error: true for spans that failed, false for those whose
// status is OK.
func settle(t *older.TraceSearch) error {
	t.Limit = min(max(t.Limit, 1), maxTraces)
	if v, ok := t.Attributes["error"]; ok {
		delete(t.Attributes, "error")
		switch failed, err := strconv.ParseBool(v); {
		case err != nil:
			t.NoSpan = true
		case failed:
			t.Status = "error"
		default:
			t.SpanStatus = new(ptrace.StatusCodeOk)
		}
	}
	if t.To.Before(t.From) {
		return answer.Problemf(answer.ErrBadRequest, "", "the end of the range lies before its start")
	}
	if t.MaxSpan > 0 && t.MinSpan > t.MaxSpan {
		return answer.Problemf(answer.ErrBadRequest, "", "'maxDuration' should be greater than 'minDuration'")
	}
	return nil
}

// dependency is one edge between services.
type dependency struct {
	Parent    string `json:"parent"`
	Child     string `json:"child"`
	CallCount uint64 `json:"callCount"`
}

func (s *API) dependencies(ctx context.Context, r *http.Request, m answer.Moment) (any, error) {
	q := r.URL.Query()
	millis := func(name string, otherwise int64) (int64, error) {
		v := q.Get(name)
		if v == "" {
			return otherwise, nil
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 || n > answer.MaxUnixSeconds*1e3 {
			return 0, answer.Problemf(answer.ErrBadRequest, "", "unable to parse param '%s'", name)
		}
		return n, nil
	}
	end, err := millis("endTs", m.Now.UnixMilli())
	if err != nil {
		return nil, err
	}
	back, err := millis("lookback", (24 * time.Hour).Milliseconds())
	if err != nil {
		return nil, err
	}
	found, err := m.Views.ServiceMap(time.UnixMilli(max(0, end-back)), time.UnixMilli(end))
	if err != nil {
		return nil, err
	}
	// What the views count and what they do not has its edge where they begin, so neither is counted twice.
	period, from := answer.Range{Start: time.UnixMilli(max(0, end-back)), End: time.UnixMilli(end), Asked: true}, older.Provenance{}
	old, err := s.Traces.Calls(ctx, m, period, &from)
	if err != nil {
		return nil, err
	}
	out := []dependency{}
	for _, d := range old {
		if of := q.Get("service"); of == "" || d.Parent == of || d.Child == of {
			out = append(out, dependency(d))
		}
	}
	for _, e := range found.Edges {
		// Jaeger counts spans whose parent is of another service
		if e.ClientNode().Type != model.NodeService || e.ServerNode().
			Type != model.NodeService || e.Client == e.Server || q.Get("service") != "" && e.Client != q.Get("service") &&
			e.Server != q.Get("service") {
			continue
		}
		i := slices.IndexFunc(out, func(d dependency) bool { return d.Parent == e.Client && d.Child == e.Server })
		if i < 0 {
			out, i = append(out, dependency{Parent: e.Client, Child: e.Server}), len(out)
		}
		out[i].CallCount += e.Calls
	}
	return envelope{Data: out, warnings: from.Missing(s.Moments, m, period)}, nil
}
