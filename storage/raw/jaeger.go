package raw

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage/attr"
)

// ErrNotFound says that a store has no such thing.
var ErrNotFound = errors.New("not found")

// Jaeger reads traces from Jaeger's query service: by /api/v3, and by the older JSON API where that is not served.
type Jaeger struct {
	*Backend
	noSummaries, noV3 atomic.Int64 // Unix seconds until which the API is taken for missing
}

// absentFor is how long an API that is not served is not asked for again.
const absentFor = 10 * time.Minute

// OpenJaeger returns the reader of the Jaeger at an address, as http://jaeger:16686.
func OpenJaeger(base string, o Options) (*Jaeger, error) {
	b, err := open("jaeger", base, o)
	return &Jaeger{Backend: b}, err
}

// TraceQuery selects traces; zero fields select everything. Jaeger's storages differ in what they can filter by, so callers look at
// the summaries themselves too.
type TraceQuery struct {
	From, To                 time.Time // of a span's start
	Service, Operation       string
	MinDuration, MaxDuration time.Duration // of a span
	Attributes               map[string]string
	Limit                    int // at least 1
}

// Trace is what Jaeger knows of one trace. Spans is set where it sent them; else the attributes have been looked at by Jaeger.
type Trace struct {
	ID                         [16]byte
	RootService, RootOperation string // empty without a root
	Start, End                 time.Time
	Spans, Errors              uint64
	Services                   []TraceService // by name
	Data                       ptrace.Traces  `json:"-"` // its spans; the zero value when only the summary was sent
	HasData                    bool
}

// TraceService is a service's part in a trace.
type TraceService struct {
	Name          string
	Spans, Errors uint64
}

// Search returns traces with a span that q selects, newest first, and whether there may be more than Limit.
func (j *Jaeger) Search(ctx context.Context, q TraceQuery) (list []Trace, more bool, err error) {
	// Kept whole, not request by request: which API answers is found out by asking, which a Jaeger that is down cannot be.
	key := j.key("search", q.params().Encode(), nil)
	if body, ok := j.kept(ctx, key, q.To); ok {
		list, err = decodeTraces(body)
		return list, len(list) >= q.Limit, err
	}
	list, err = j.summaries(ctx, q)
	if errors.Is(err, errAbsent) {
		list, err = j.search(ctx, q)
	}
	if errors.Is(err, errAbsent) {
		list, err = j.searchV1(ctx, q)
	}
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(list, func(a, b Trace) int {
		return cmp.Or(b.Start.Compare(a.Start), bytes.Compare(b.ID[:], a.ID[:]))
	})
	if j.settled(q.To) {
		if body, err := encodeTraces(list); err == nil {
			j.cache.put(ctx, key, body)
		}
	}
	return list, len(list) >= q.Limit, nil
}

// storedTrace is a Trace in the cache.
type storedTrace struct {
	Trace
	Proto []byte
}

func encodeTraces(list []Trace) ([]byte, error) {
	out := make([]storedTrace, len(list))
	for i, t := range list {
		out[i].Trace = t
		if !t.HasData {
			continue
		}
		var m ptrace.ProtoMarshaler
		var err error
		if out[i].Proto, err = m.MarshalTraces(t.Data); err != nil {
			return nil, err
		}
	}
	return json.Marshal(out)
}

func decodeTraces(body []byte) ([]Trace, error) {
	var stored []storedTrace
	if err := json.Unmarshal(body, &stored); err != nil {
		return nil, fmt.Errorf("raw: jaeger: a kept answer: %w", err)
	}
	list := make([]Trace, len(stored))
	for i := range stored {
		if list[i] = stored[i].Trace; !list[i].HasData {
			continue
		}
		var u ptrace.ProtoUnmarshaler
		var err error
		if list[i].Data, err = u.UnmarshalTraces(stored[i].Proto); err != nil {
			return nil, fmt.Errorf("raw: jaeger: a kept answer: %w", err)
		}
	}
	return list, nil
}

// Trace returns the spans of a trace; ErrNotFound when there are none.
func (j *Jaeger) Trace(ctx context.Context, id [16]byte) (ptrace.Traces, error) {
	name := hex.EncodeToString(id[:])
	key := j.key("trace", name, nil)
	if body, ok := j.kept(ctx, key, time.Unix(1, 0)); ok { // of old traces alone
		var u ptrace.ProtoUnmarshaler
		return u.UnmarshalTraces(body)
	}
	td, err := j.trace(holding(ctx), name)
	if err != nil {
		return td, err
	}
	if list := groupTraces(td); len(list) == 1 && j.settled(list[0].End) {
		var m ptrace.ProtoMarshaler
		if body, err := m.MarshalTraces(td); err == nil {
			j.cache.put(ctx, key, body)
		}
	}
	return td, nil
}

func (j *Jaeger) trace(ctx context.Context, id string) (ptrace.Traces, error) {
	td, err := j.v3(ctx, "api/v3/traces/"+id, nil)
	if errors.Is(err, errAbsent) {
		return j.traceV1(ctx, id)
	}
	if err == nil && td.SpanCount() == 0 {
		err = ErrNotFound
	}
	return td, err
}

// errAbsent says that this Jaeger does not serve an API.
var errAbsent = errors.New("this version of Jaeger does not serve it")

// absent distinguishes an API that does not exist from one without results. Jaeger answers unknown paths with its page, or with text.
func absent(a answer) bool {
	body := bytes.TrimSpace(a.Body)
	return len(body) == 0 || body[0] != '{'
}

// v3Problem reads the error of an answer of /api/v3.
func v3Problem(a answer) error {
	if absent(a) {
		return errAbsent
	}
	if a.Status == http.StatusOK {
		return nil
	}
	if a.Status == http.StatusNotFound {
		return ErrNotFound
	}
	return fmt.Errorf("jaeger %w: %d %s", ErrUnavailable, a.Status, excerpt(a.Body))
}

// missing remembers for a while that an API is not served.
func (j *Jaeger) missing(flag *atomic.Int64) bool { return j.now().Unix() < flag.Load() }
func (j *Jaeger) remember(flag *atomic.Int64)     { flag.Store(j.now().Add(absentFor).Unix()) }

// params are those of a search. Their names were camel case in some versions of Jaeger and all take snake case; the number of
// traces has had two names.
func (q *TraceQuery) params() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set("query."+name, value)
		}
	}
	set("service_name", q.Service)
	set("operation_name", q.Operation)
	set("start_time_min", q.From.UTC().Format(time.RFC3339Nano))
	set("start_time_max", q.To.UTC().Format(time.RFC3339Nano))
	set("num_traces", strconv.Itoa(q.Limit))
	set("search_depth", strconv.Itoa(q.Limit))
	if q.MinDuration > 0 {
		set("duration_min", q.MinDuration.String())
	}
	if q.MaxDuration > 0 {
		set("duration_max", q.MaxDuration.String())
	}
	if len(q.Attributes) > 0 {
		b, _ := json.Marshal(q.Attributes) // a map of strings always can be
		set("attributes", string(b))
	}
	return v
}

func (j *Jaeger) search(ctx context.Context, q TraceQuery) ([]Trace, error) {
	if j.missing(&j.noV3) {
		return nil, errAbsent
	}
	td, err := j.v3(ctx, "api/v3/traces", q.params())
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return groupTraces(td), nil
}

// v3 reads an answer of {"result": OTLP} objects, one or several.
func (j *Jaeger) v3(ctx context.Context, path string, q url.Values) (ptrace.Traces, error) {
	td := ptrace.NewTraces()
	if j.missing(&j.noV3) {
		return td, errAbsent
	}
	a, err := j.get(ctx, path, q, time.Time{})
	defer a.done()
	if err == nil {
		err = v3Problem(a)
	}
	if err != nil {
		if errors.Is(err, errAbsent) {
			j.remember(&j.noV3)
		}
		return td, err
	}
	for dec := json.NewDecoder(bytes.NewReader(a.Body)); ; {
		var part struct {
			Result json.RawMessage `json:"result"`
		}
		if err := dec.Decode(&part); errors.Is(err, io.EOF) {
			return td, nil
		} else if err != nil {
			return td, fmt.Errorf("jaeger %w: %w", ErrUnavailable, err)
		}
		if len(part.Result) == 0 {
			continue
		}
		var u ptrace.JSONUnmarshaler
		more, err := u.UnmarshalTraces(part.Result)
		if err != nil {
			return td, fmt.Errorf("jaeger %w: %w", ErrUnavailable, err)
		}
		more.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	}
}

// summaries asks for summaries alone, which Jaeger has since 2.19.
func (j *Jaeger) summaries(ctx context.Context, q TraceQuery) ([]Trace, error) {
	if j.missing(&j.noSummaries) {
		return nil, errAbsent
	}
	a, err := j.get(ctx, "api/v3/trace-summaries", q.params(), time.Time{})
	defer a.done()
	if err == nil {
		err = v3Problem(a)
	}
	switch {
	case errors.Is(err, errAbsent):
		j.remember(&j.noSummaries)
		return nil, err
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var body struct {
		Summaries []summaryJSON `json:"summaries"`
	}
	if err := json.Unmarshal(a.Body, &body); err != nil {
		return nil, fmt.Errorf("jaeger %w: %w", ErrUnavailable, err)
	}
	list := make([]Trace, 0, len(body.Summaries))
	for _, s := range body.Summaries {
		t, err := s.trace()
		if err != nil {
			return nil, fmt.Errorf("jaeger %w: %w", ErrUnavailable, err)
		}
		list = append(list, t)
	}
	return list, nil
}

// summaryJSON is a trace summary as proto3's JSON writes it.
type summaryJSON struct {
	TraceID       string    `json:"traceId"`
	RootService   string    `json:"rootServiceName"`
	RootOperation string    `json:"rootOperationName"`
	Start         jsonInt64 `json:"minStartTimeUnixNano"`
	End           jsonInt64 `json:"maxEndTimeUnixNano"`
	Spans         jsonInt64 `json:"spanCount"`
	Errors        jsonInt64 `json:"errorSpanCount"`
	Services      []struct {
		Name   string    `json:"name"`
		Spans  jsonInt64 `json:"spanCount"`
		Errors jsonInt64 `json:"errorSpanCount"`
	} `json:"services"`
}

// jsonInt64 is a number that may come as a string.
type jsonInt64 int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *jsonInt64) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 64)
	*n = jsonInt64(v)
	return err
}

func (s *summaryJSON) trace() (Trace, error) {
	t := Trace{RootService: s.RootService, RootOperation: s.RootOperation, Start: time.Unix(0, int64(s.Start)).UTC(),
		End: time.Unix(0, int64(s.End)).UTC(), Spans: uint64(s.Spans), Errors: uint64(s.Errors)}
	for _, v := range s.Services {
		t.Services = append(t.Services, TraceService{v.Name, uint64(v.Spans), uint64(v.Errors)})
	}
	slices.SortFunc(t.Services, func(a, b TraceService) int { return cmp.Compare(a.Name, b.Name) })
	var err error
	t.ID, err = traceID(s.TraceID)
	return t, err
}

// traceID reads up to 32 hex digits; shorter ones are the low part.
func traceID(s string) (id [16]byte, err error) {
	if len(s) > 32 {
		return id, fmt.Errorf("%q is no trace id", s)
	}
	b, err := hex.DecodeString(strings.Repeat("0", 32-len(s)) + s)
	copy(id[:], b)
	return id, err
}

// groupTraces groups spans by trace and summarizes each.
func groupTraces(td ptrace.Traces) []Trace {
	by := map[[16]byte]*grouped{}
	for _, rs := range td.ResourceSpans().All() {
		service := ""
		if v, ok := rs.Resource().Attributes().Get("service.name"); ok {
			service = attr.Text(v)
		}
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				id := [16]byte(sp.TraceID())
				g := by[id]
				if g == nil {
					g = &grouped{Trace: Trace{ID: id, Data: ptrace.NewTraces(), HasData: true}, services: map[string]*TraceService{}}
					by[id] = g
				}
				g.add(service, rs, ss, sp)
			}
		}
	}
	out := make([]Trace, 0, len(by))
	for _, g := range by {
		for _, name := range slices.Sorted(maps.Keys(g.services)) {
			g.Services = append(g.Services, *g.services[name])
		}
		out = append(out, g.Trace)
	}
	return out
}

type grouped struct {
	Trace
	services map[string]*TraceService
	rootAt   time.Time
	resource ptrace.ResourceSpans // that the last span was of
	scope    ptrace.ScopeSpans
	from     [2]any // where these came from
}

func (g *grouped) add(service string, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, sp ptrace.Span) {
	if g.from[0] != rs || g.from[1] != ss {
		g.from = [2]any{rs, ss}
		g.resource = g.Data.ResourceSpans().AppendEmpty()
		rs.Resource().CopyTo(g.resource.Resource())
		g.scope = g.resource.ScopeSpans().AppendEmpty()
		ss.Scope().CopyTo(g.scope.Scope())
	}
	sp.CopyTo(g.scope.Spans().AppendEmpty())
	start, end := sp.StartTimestamp().AsTime(), sp.EndTimestamp().AsTime()
	if end.Before(start) {
		end = start
	}
	if g.Spans == 0 || start.Before(g.Start) {
		g.Start = start
	}
	if end.After(g.End) {
		g.End = end
	}
	if sp.ParentSpanID().IsEmpty() && (g.rootAt.IsZero() || start.Before(g.rootAt)) {
		g.RootService, g.RootOperation, g.rootAt = service, sp.Name(), start
	}
	s := g.services[service]
	if s == nil {
		s = &TraceService{Name: service}
		g.services[service] = s
	}
	g.Spans++
	s.Spans++
	if sp.Status().Code() == ptrace.StatusCodeError {
		g.Errors++
		s.Errors++
	}
}

// Operation is a name that spans of a service have, with their kind: lower case, "" where Jaeger does not know it.
type Operation struct {
	Name string `json:"name"`
	Kind string `json:"spanKind"`
}

// Dependency is how often one service called another.
type Dependency struct {
	Parent    string `json:"parent"`
	Child     string `json:"child"`
	CallCount uint64 `json:"callCount"`
}

// maxNames bounds the names of one list.
const maxNames = 10_000

// Services names the services of all traces that Jaeger holds.
func (j *Jaeger) Services(ctx context.Context) ([]string, error) {
	var list []string
	if err := j.v1(ctx, "api/services", nil, time.Time{}, &list); err != nil {
		return nil, err
	}
	return list[:min(len(list), maxNames)], nil
}

// Operations names the operations of a service; none for one that Jaeger does not know.
func (j *Jaeger) Operations(ctx context.Context, service string) ([]Operation, error) {
	var list []Operation
	err := j.v1(ctx, "api/operations", url.Values{"service": {service}}, time.Time{}, &list)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return list[:min(len(list), maxNames)], err
}

// Dependencies counts the calls between services. Some of Jaeger's storages count them at intervals only. Jaeger takes what comes after the
// beginning of a range, so the lookback is a millisecond longer.
func (j *Jaeger) Dependencies(ctx context.Context, from, to time.Time) ([]Dependency, error) {
	q := url.Values{"endTs": {strconv.FormatInt(to.UnixMilli(), 10)}, "lookback": {strconv.FormatInt(to.Sub(from).Milliseconds()+1, 10)}}
	var list []Dependency
	err := j.v1(ctx, "api/dependencies", q, to, &list)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return list[:min(len(list), maxNames)], err
}
