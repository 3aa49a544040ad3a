package jaeger

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/views"
)

// Jaeger's /api/v3 (api_v3.proto of jaeger-idl): names of parameters in camel or snake case, errors as {"error": {...}}.

func (s *API) v3(h func(context.Context, *http.Request, answer.Moment) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := h(r.Context(), r, s.Moment(r.Context()))
		if err != nil {
			s.v3Fail(w, r, err)
			return
		}
		if v, ok := body.(v3Answer); ok {
			answer.WarnHeader(w, v.warnings)
			body = v.body
		}
		if err := s.JSON(w, http.StatusOK, body); err != nil {
			s.v3Fail(w, r, err)
		}
	}
}

func (s *API) v3Fail(w http.ResponseWriter, r *http.Request, err error) {
	p := s.Shown(r, err)
	// a number and text: they can be encoded
	_ = s.JSON(w, p.Status, map[string]any{"error": map[string]any{"httpCode": p.Status, "message": p.Detail}})
}

// v3Answer is an answer of which something may be missing.
type v3Answer struct {
	body     any
	warnings []string
}

// v3Param is a parameter by its name in snake case, or in camel case.
func v3Param(q url.Values, prefix, name string) string {
	if v := q.Get(prefix + name); v != "" {
		return v
	}
	parts := strings.Split(name, "_")
	for i, p := range parts[1:] {
		parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
	}
	return q.Get(prefix + strings.Join(parts, ""))
}

func (s *API) v3Services(ctx context.Context, _ *http.Request, m answer.Moment) (any, error) {
	names, warnings, err := s.serviceNames(ctx, m)
	return v3Answer{map[string]any{"services": names}, warnings}, err
}

func (s *API) v3Operations(ctx context.Context, r *http.Request, m answer.Moment) (any, error) {
	q := r.URL.Query()
	if q.Get("service") == "" {
		return nil, answer.Problemf(answer.ErrBadRequest, "", "service is required")
	}
	list, warnings, err := s.operationNames(ctx, m, q.Get("service"), strings.ToLower(v3Param(q, "", "span_kind")))
	return v3Answer{map[string]any{"operations": list}, warnings}, err
}

// parseV3Search reads the parameters of a search.
func parseV3Search(q url.Values) (t older.TraceSearch, err error) {
	get := func(name string) string { return v3Param(q, "query.", name) }
	bad := func(name string, err error) error {
		return answer.Problemf(answer.ErrBadRequest, "", "malformed parameter query.%s: %v", name, err)
	}
	t.Attributes = map[string]string{}
	t.Service, t.Operation, t.Limit = get("service_name"), get("operation_name"), defaultTraces
	if get("filter") != "" { // to ignore it would be to find what was not asked for
		return t, answer.Problemf(answer.ErrBadRequest, "",
			"query.filter is not supported: give query.attributes, a JSON object of strings")
	}
	if get("start_time_min") == "" || get("start_time_max") == "" {
		return t, answer.Problemf(answer.ErrBadRequest, "", "query.start_time_min and query.start_time_max are required")
	}
	for name, to := range map[string]*time.Time{"start_time_min": &t.From, "start_time_max": &t.To} {
		// The + of an offset comes as a blank from clients that do not escape it.
		if *to, err = time.Parse(time.RFC3339Nano, strings.ReplaceAll(get(name), " ", "+")); err != nil {
			return t, bad(name, err)
		}
		if to.Unix() < 0 || to.Unix() > answer.MaxUnixSeconds {
			return t, answer.Problemf(answer.ErrBadRequest, "", "malformed parameter query.%s: out of range", name)
		}
	}
	for name, to := range map[string]*time.Duration{"duration_min": &t.MinSpan, "duration_max": &t.MaxSpan} {
		if v := get(name); v != "" {
			if *to, err = time.ParseDuration(v); err != nil {
				return t, bad(name, err)
			}
		}
	}
	for _, name := range []string{"search_depth", "num_traces"} {
		if v := get(name); v != "" {
			if t.Limit, err = strconv.Atoi(v); err != nil {
				return t, bad(name, err)
			}
		}
	}
	if v := get("attributes"); v != "" {
		if err = json.Unmarshal([]byte(v), &t.Attributes); err != nil {
			return t, bad("attributes", err)
		}
	}
	t.To = t.To.Add(1) // Jaeger's range includes its end
	return t, settle(&t)
}

func (s *API) v3Search(ctx context.Context, r *http.Request, m answer.Moment) (any, error) {
	t, err := parseV3Search(r.URL.Query())
	if err != nil {
		return nil, err
	}
	found, err := s.Traces.Search(ctx, m, t)
	if err != nil {
		return nil, err
	}
	found.Warnings = found.Missing(s.Moments, m, answer.Range{Start: t.From, End: t.To, Asked: true})
	if len(found.List) == 0 {
		return nil, answer.Problemf(answer.ErrNotFound, "", "%s", strings.Join(append([]string{"No traces found"}, found.Warnings...),
			"; "))
	}
	out := ptrace.NewTraces()
	for i := range found.List {
		data, err := s.Traces.Spans(ctx, &found, m, found.List[i].ID)
		if err != nil {
			return nil, err
		}
		before := out.SpanCount()
		appendTrace(out, data, found.List[i].ID)
		if out.SpanCount() == before {
			summarySpan(&found.List[i]).ResourceSpans().MoveAndAppendTo(out.ResourceSpans())
		}
	}
	return v3Result(out, found.Warnings)
}

func (s *API) v3Get(ctx context.Context, r *http.Request, m answer.Moment) (any, error) {
	found, id, err := s.find(ctx, r, m)
	if err != nil {
		return nil, err
	}
	out := ptrace.NewTraces()
	appendTrace(out, found.Data, id)
	return v3Result(out, found.Warnings)
}

func v3Result(td ptrace.Traces, warnings []string) (any, error) {
	var m ptrace.JSONMarshaler
	b, err := m.MarshalTraces(td)
	b = bytes.ToValidUTF8(b, []byte("\uFFFD")) // pdata copies the bytes of strings as they are
	return v3Answer{map[string]json.RawMessage{"result": b}, warnings}, err
}

// appendTrace writes the spans of one trace, each once.
func appendTrace(out ptrace.Traces, data []ptrace.Traces, id [16]byte) {
	var from pcommon.Resource
	var rs ptrace.ResourceSpans
	var of ptrace.ScopeSpans
	var ss ptrace.ScopeSpans
	first := true
	older.EachSpan(data, id, func(res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span) {
		if first || res != from {
			rs = out.ResourceSpans().AppendEmpty()
			res.CopyTo(rs.Resource())
		}
		if first || res != from || sc != of {
			ss = rs.ScopeSpans().AppendEmpty()
			sc.Scope().CopyTo(ss.Scope())
		}
		first, from, of = false, res, sc
		sp.CopyTo(ss.Spans().AppendEmpty())
	})
}

// summarySpan stands for a trace whose spans are no longer kept: its root, as the summary has it.
func summarySpan(t *views.TraceSummary) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	service := t.RootService
	if service == "" && len(t.Services) > 0 {
		service = t.Services[0].Name
	}
	rs.Resource().Attributes().PutStr("service.name", service)
	sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID(t.ID)
	sp.SetSpanID([8]byte(t.ID[8:]))
	if sp.SpanID().IsEmpty() {
		sp.SetSpanID([8]byte(t.ID[:8]))
	}
	sp.SetName(t.RootOperation)
	if t.RootOperation == "" {
		sp.SetName("(root not seen)")
	}
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(t.Start))
	sp.SetEndTimestamp(pcommon.NewTimestampFromTime(t.End))
	sp.Attributes().PutStr("watchingcat.note", "the spans of this trace are no longer kept")
	sp.Attributes().PutInt("watchingcat.spans", int64(t.Spans))
	if t.Errors > 0 {
		sp.Status().SetCode(ptrace.StatusCodeError)
	}
	return td
}

type v3Summary struct {
	TraceID       string      `json:"traceId"`
	RootService   string      `json:"rootServiceName"`
	RootOperation string      `json:"rootOperationName"`
	Start         string      `json:"minStartTimeUnixNano"`
	End           string      `json:"maxEndTimeUnixNano"`
	Spans         uint64      `json:"spanCount"`
	Errors        uint64      `json:"errorSpanCount"`
	Orphans       *uint64     `json:"orphanSpanCount,omitempty"` // nil: not all spans are kept, or the search took its time
	Services      []v3Service `json:"services"`
}

type v3Service struct {
	Name   string `json:"name"`
	Spans  uint64 `json:"spanCount"`
	Errors uint64 `json:"errorSpanCount"`
}

func (s *API) v3Summaries(ctx context.Context, r *http.Request, m answer.Moment) (any, error) {
	t, err := parseV3Search(r.URL.Query())
	if err != nil {
		return nil, err
	}
	found, err := s.Traces.Search(ctx, m, t)
	if err != nil {
		return nil, err
	}
	out, proceed := []v3Summary{}, s.Traces.Proceed(ctx)
	for i := range found.List {
		f := &found.List[i]
		one := v3Summary{TraceID: hex.EncodeToString(f.ID[:]), RootService: f.RootService, RootOperation: f.RootOperation,
			Start: strconv.FormatInt(f.Start.UnixNano(), 10), End: strconv.FormatInt(f.End.UnixNano(), 10), Spans: f.Spans,
			Errors: f.Errors, Services: []v3Service{}}
		for _, v := range f.Services {
			one.Services = append(one.Services, v3Service{v.Name, v.Spans, v.Errors})
		}
		if proceed() {
			if one.Orphans, err = s.Traces.Orphans(ctx, &found, m, f.ID); err != nil {
				return nil, err
			}
		}
		out = append(out, one)
	}
	return v3Answer{map[string]any{"summaries": out}, found.Missing(s.Moments, m, answer.Range{Start: t.From, End: t.To, Asked: true})}, nil
}
