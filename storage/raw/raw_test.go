package raw

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage/raw/rawtest"
)

// The answers in testdata were recorded from Jaeger 2.13 (module v1.76.0) and Elasticsearch 8.19, but for jaeger_v3_summaries.json,
// which is written after the description of trace-summaries in jaeger-idl.

var traceTime = time.Unix(1764000000, 0).UTC() // when what was recorded happened

// recorded is a store that answers by path; what it was asked is in requests.
type recorded struct {
	*httptest.Server
	t        *testing.T
	mu       sync.Mutex
	answers  map[string]string // by path: a file of testdata, perhaps with a status before it
	requests []*url.URL
}

func newRecorded(t *testing.T, answers map[string]string) *recorded {
	r := &recorded{t: t, answers: answers}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *recorded) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, req.URL)
	status, file := 404, ""
	if a, ok := r.answers[req.URL.Path]; ok {
		status, file = 200, a
		if _, err := fmt.Sscanf(a, "%d %s", &status, &file); err != nil {
			status, file = 200, a
		}
	} else {
		http.NotFound(w, req)
		return
	}
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		r.t.Error(err)
	}
	w.WriteHeader(status)
	if _, err := w.Write(b); err != nil {
		r.t.Error(err)
	}
}

func (r *recorded) asked() (paths []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.requests {
		paths = append(paths, u.Path)
	}
	r.requests = nil
	return paths
}

func options(change ...func(*Options)) Options {
	o := Options{Metrics: NewMetrics(prometheus.NewRegistry(), nil), Policy: Policy{Retries: -1},
		Now: func() time.Time { return traceTime.Add(time.Hour) }}
	for _, f := range change {
		f(&o)
	}
	return o
}

func hourAround(q TraceQuery) TraceQuery {
	q.From, q.To, q.Limit = traceTime.Add(-time.Hour), traceTime.Add(time.Hour), 10
	return q
}

func describe(list []Trace) (out []string) {
	for _, t := range list {
		text := fmt.Sprintf("%x %s/%s %v %d/%d", t.ID[:2], t.RootService, t.RootOperation, t.End.Sub(t.Start), t.Errors, t.Spans)
		for _, s := range t.Services {
			text += fmt.Sprintf(" %s:%d/%d", s.Name, s.Errors, s.Spans)
		}
		out = append(out, text)
	}
	return out
}

var recordedTraces = []string{"abcd / 300ms 0/1 cart:0/1", "0000 web/GET / 30ms 0/1 web:0/1",
	"0af7 web/GET /cart 120ms 1/3 cart:1/1 web:0/2"}

func TestJaegerOfEachAge(t *testing.T) {
	for name, c := range map[string]struct {
		answers       map[string]string
		asked, second []string
		search        []string
	}{
		"with summaries": {
			answers: map[string]string{"/api/v3/trace-summaries": "jaeger_v3_summaries.json",
				"/api/v3/traces/0af7651916cd43dd8448eb211c80319c": "jaeger_v3_trace.json"},
			asked: []string{"/api/v3/trace-summaries"}, second: []string{"/api/v3/trace-summaries"}, search: recordedTraces,
		},
		"with v3, and a page at unknown paths": {
			answers: map[string]string{"/api/v3/trace-summaries": "jaeger_page.html", "/api/v3/traces": "jaeger_v3_traces.json",
				"/api/v3/traces/0af7651916cd43dd8448eb211c80319c": "jaeger_v3_trace.json"},
			asked: []string{"/api/v3/trace-summaries", "/api/v3/traces"}, second: []string{"/api/v3/traces"}, search: recordedTraces,
		},
		"with v1 alone": {
			answers: map[string]string{"/api/services": "jaeger_v1_services.json", "/api/traces": "jaeger_v1_traces.json",
				"/api/traces/0af7651916cd43dd8448eb211c80319c": "jaeger_v1_trace.json"},
			asked:  []string{"/api/v3/trace-summaries", "/api/v3/traces", "/api/services", "/api/traces", "/api/traces"},
			second: []string{"/api/services", "/api/traces", "/api/traces"},
			search: []string{recordedTraces[0], recordedTraces[2]}, // what was recorded was asked of one service
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorded(t, c.answers)
			j, err := OpenJaeger(r.URL, options())
			require.NoError(t, err)
			require.Equal(t, StateUnknown, j.Status().State)
			for _, want := range [][]string{c.asked, c.second} {
				list, more, err := j.Search(t.Context(), hourAround(TraceQuery{}))
				require.NoError(t, err)
				require.False(t, more)
				require.Equal(t, c.search, describe(list))
				require.Equal(t, want, r.asked(), "an API that is not served is asked for once")
			}
			td, err := j.Trace(t.Context(), list16("0af7651916cd43dd8448eb211c80319c"))
			require.NoError(t, err)
			require.Equal(t, recordedTraces[2:], describe(groupTraces(td)))
			spans := spansByName(td)
			failed := spans["Cart/Get"]
			require.Equal(t, ptrace.StatusCodeError, failed.Status().Code())
			require.Equal(t, "it broke", failed.Status().Message())
			require.Equal(t, ptrace.SpanKindServer, failed.Kind())
			require.Equal(t, "exception", failed.Events().At(0).Name())
			require.Equal(t, 1, failed.Links().Len())
			root := spans["GET /cart"].Attributes().AsRaw()
			require.Equal(t, int64(7), root["n"])
			require.Equal(t, true, root["ok"])
			require.Equal(t, 0.5, root["f"])
			require.Equal(t, []byte{1, 2}, root["bin"])
			require.Equal(t, StateOK, j.Status().State)
		})
	}
}

func list16(s string) [16]byte {
	id, err := traceID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func spansByName(td ptrace.Traces) map[string]ptrace.Span {
	out := map[string]ptrace.Span{}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				out[sp.Name()] = sp
			}
		}
	}
	return out
}

func TestJaegerHasNoSuchTrace(t *testing.T) {
	for _, answers := range []map[string]string{{"/api/v3/traces/00000000000000000000000000000005": "404 jaeger_v3_none.json"},
		{"/api/traces/00000000000000000000000000000005": "404 jaeger_v1_none.json"}} {
		j, err := OpenJaeger(newRecorded(t, answers).URL, options())
		require.NoError(t, err)
		_, err = j.Trace(t.Context(), list16("5"))
		require.ErrorIs(t, err, ErrNotFound)
		require.Equal(t, StateOK, j.Status().State)
	}
	j, err := OpenJaeger(newRecorded(t, nil).URL, options())
	require.NoError(t, err)
	_, err = j.Trace(t.Context(), list16("5"))
	require.ErrorIs(t, err, ErrUnavailable, "whoever listens there is no Jaeger")
}

func TestElasticsearchLayouts(t *testing.T) {
	r := newRecorded(t, map[string]string{"/logs-*/_search": "elasticsearch_search.json",
		"/logs-*/_field_caps": "elasticsearch_field_caps.json"})
	e, err := OpenElasticsearch(r.URL, "logs-*", options())
	require.NoError(t, err)
	res, err := e.Search(t.Context(), LogQuery{From: traceTime.Add(-time.Hour), To: traceTime.Add(time.Hour), Limit: 4})
	require.NoError(t, err)
	require.Len(t, res.Lines, 4)
	require.Equal(t, &LogPlace{At: traceTime.UnixNano() + 500_250_000, Seen: []string{"o3"}}, res.Next)
	ecs := res.Lines[0]
	require.Equal(t, LogLine{ID: "e3", Index: "logs-ecs", Time: traceTime.Add(time.Second), Service: "checkout", SeverityText: "info",
		Body: "order 3 placed in 12ms", TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: "b7ad6b7169203331",
		Attributes: object{"http.response.status_code": int64(203)}, Resource: object{"service.name": "checkout", "host.name": "h1"}},
		ecs)
	otel := res.Lines[3]
	require.Equal(t, "payment", otel.Service)
	require.Equal(t, int32(9), otel.SeverityNumber)
	require.Equal(t, `{"structured":{"a":1}}`, otel.Body)
	require.Equal(t, int64(3), otel.Attributes["k.x"])
	require.Equal(t, "h2", otel.Resource["host.name"])

	groups, err := e.grouping(t.Context(), serviceFields)
	require.NoError(t, err)
	require.Equal(t, []string{"service.name.keyword", "resource.attributes.service.name"}, groups)
	r.mu.Lock()
	r.answers["/logs-*/_search"] = "elasticsearch_volume.json"
	r.mu.Unlock()
	list, incomplete, err := e.Volume(t.Context(), LogQuery{From: traceTime.Add(-time.Hour), To: traceTime.Add(time.Hour)}, time.Second)
	require.NoError(t, err)
	require.Empty(t, incomplete)
	require.Contains(t, list, LogBucket{Time: traceTime, Service: "checkout", Level: "ERROR", Count: 2})
	require.Contains(t, list, LogBucket{Time: traceTime, Service: "payment", Level: "INFO", SeverityNumber: 9, Count: 2})
	total := int64(0)
	for _, b := range list {
		total += b.Count
	}
	require.Equal(t, int64(10), total)

	r.mu.Lock()
	r.answers["/logs-*/_search"] = "400 elasticsearch_error.json"
	r.mu.Unlock()
	_, err = e.Search(t.Context(), LogQuery{Limit: 1})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "Text fields are not optimised")
}

// TestPlacesNameLinesOfOneInstant pages through lines that share their time.
func TestPlacesNameLinesOfOneInstant(t *testing.T) {
	lines := []LogLine{{ID: "a", Time: traceTime.Add(1)}, {ID: "b", Time: traceTime}, {ID: "c", Time: traceTime}}
	p := PlaceAfter(lines, nil)
	require.Equal(t, &LogPlace{At: traceTime.UnixNano(), Seen: []string{"b", "c"}}, p)
	p = PlaceAfter([]LogLine{{ID: "d", Time: traceTime}}, p)
	require.Equal(t, []string{"b", "c", "d"}, p.Seen)
	p = PlaceAfter([]LogLine{{ID: "e", Time: traceTime.Add(-1)}}, p)
	require.Equal(t, &LogPlace{At: traceTime.UnixNano() - 1, Seen: []string{"e"}}, p)
}

// TestAStoreThatIsGoneOrHangs is asked a few times and then left alone for a while.
func TestAStoreThatIsGoneOrHangs(t *testing.T) {
	for name, hangs := range map[string]bool{"gone": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, broken := 0, true
				g := newGuard("jaeger", Policy{Failures: 2}, NewMetrics(prometheus.NewRegistry(), nil))
				ask := func() error {
					return g.run(t.Context(), func(ctx context.Context) error {
						asked++
						switch {
						case broken && hangs:
							<-ctx.Done()
							return ctx.Err()
						case broken:
							return fmt.Errorf("connection refused")
						}
						return nil
					})
				}
				for g.status().State != StateDown {
					require.ErrorIs(t, ask(), ErrUnavailable)
				}
				require.NotEmpty(t, g.status().Error)
				before, began := asked, time.Now()
				require.ErrorIs(t, ask(), ErrUnavailable)
				require.Equal(t, before, asked, "it is left alone")
				require.Zero(t, time.Since(began), "which costs no time")
				broken = false
				time.Sleep(6 * time.Second)
				require.Equal(t, StateProbing, g.status().State)
				require.NoError(t, ask())
				require.Equal(t, Status{Name: "jaeger", State: StateOK}, g.status())
			})
		})
	}
}

func TestWhoGoesAwayIsNotTheStoresFailure(t *testing.T) {
	g := newGuard("jaeger", Policy{Failures: 1, Retries: -1}, NewMetrics(prometheus.NewRegistry(), nil))
	ctx, cancel := context.WithCancel(t.Context())
	err := g.run(ctx, func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() })
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, StateUnknown, g.status().State)
}

func TestFailuresAreRepeatedTimeoutsAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMetrics(prometheus.NewRegistry(), nil)
		g := newGuard("jaeger", Policy{Failures: 10}, m)
		n := 0
		require.NoError(t, g.run(t.Context(), func(context.Context) error {
			if n++; n < 3 {
				return &statusError{503, "busy"}
			}
			return nil
		}))
		require.Equal(t, 2.0, testutil.ToFloat64(m.retries.WithLabelValues("jaeger")))
		n = 0
		require.ErrorContains(t, g.run(t.Context(), func(ctx context.Context) error { n++; <-ctx.Done(); return ctx.Err() }), "in time")
		require.Equal(t, 1, n)
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard("jaeger", Policy{Concurrent: 2}, NewMetrics(prometheus.NewRegistry(), nil))
		var running, most atomic.Int64
		var refused atomic.Int64
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				err := g.run(t.Context(), func(context.Context) error {
					most.Store(max(most.Load(), running.Add(1)))
					defer running.Add(-1)
					time.Sleep(3 * time.Second)
					return nil
				})
				if err != nil {
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(2), most.Load())
		require.Equal(t, int64(3), refused.Load())
		require.Equal(t, StateOK, g.status().State, "being busy is no failure of the store")
	})
}

// TestSettledAnswersAreKept in memory, and in Redis for the next process; a Redis that is gone changes no answer.
func TestSettledAnswersAreKept(t *testing.T) {
	redis := miniredis.RunT(t)
	addr := redis.Addr()
	r := newRecorded(t, map[string]string{"/api/v3/trace-summaries": "jaeger_v3_summaries.json",
		"/api/v3/traces/0af7651916cd43dd8448eb211c80319c": "jaeger_v3_trace.json"})
	process := func() *Jaeger {
		o := options()
		var err error
		o.Cache, err = NewCache("redis://"+addr, o.Metrics)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, o.Cache.Close()) })
		j, err := OpenJaeger(r.URL, o)
		require.NoError(t, err)
		return j
	}
	settled := hourAround(TraceQuery{})
	settled.To = traceTime.Add(10 * time.Second)
	ask := func(j *Jaeger, q TraceQuery) {
		t.Helper()
		list, _, err := j.Search(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, recordedTraces, describe(list))
		td, err := j.Trace(t.Context(), list16("0af7651916cd43dd8448eb211c80319c"))
		require.NoError(t, err)
		require.Equal(t, 3, td.SpanCount())
	}
	first := process()
	ask(first, settled)
	require.Len(t, r.asked(), 2)
	ask(first, settled)
	require.Empty(t, r.asked(), "memory")
	second := process()
	ask(second, settled)
	require.Empty(t, r.asked(), "redis")
	ask(second, hourAround(TraceQuery{}))
	require.Len(t, r.asked(), 1, "a range that is not over is asked for")
	redis.Close()
	third := process()
	ask(third, settled)
	require.Len(t, r.asked(), 2)
	state, ok := third.cache.Status()
	require.True(t, ok)
	require.NotEqual(t, StateOK, state.State)
	ask(third, settled)
	require.Empty(t, r.asked(), "memory goes on")
}

func TestPrometheusLabelsOfWhatIsOlder(t *testing.T) {
	var asked []url.Values
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query())
		user, password, _ := r.BasicAuth()
		if user != "u" || password != "p" {
			t.Errorf("user %q, password %q", user, password)
		}
		if _, err := w.Write([]byte(`{"status":"success","data":["a","b"],"warnings":["odd"]}`)); err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	p, err := OpenPrometheus(strings.Replace(s.URL, "http://", "http://u:p@", 1), options())
	require.NoError(t, err)
	ctx, answered := WithAnswered(t.Context())
	q, err := p.Querier(traceTime.Add(-time.Minute).UnixMilli(), traceTime.Add(time.Minute).UnixMilli())
	require.NoError(t, err)
	names, warnings, err := q.LabelValues(ctx, "job", nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, names)
	require.Len(t, warnings, 1)
	require.Equal(t, []string{"prometheus"}, answered.Names())
	require.Equal(t, url.Values{"start": {"1763999940.000"}, "end": {"1764000060.000"}, "match[]": {`{__name__="up"}`}}, asked[0])
}

// TestPrometheusAcceptsEveryRequest: what a Prometheus refuses (match[] that selects everything, times out of its range) is not sent.
func TestPrometheusAcceptsEveryRequest(t *testing.T) {
	prom := rawtest.NewPrometheus(t)
	series := labels.FromStrings("__name__", "up", "job", "shop", "größe", "xl")
	prom.Append(series, traceTime, 1)
	prom.Exemplar(series, exemplar.Exemplar{Labels: labels.FromStrings("trace_id", "0af7"), Value: math.Inf(1), Ts: traceTime.UnixMilli(),
		HasTs: true})
	p, err := OpenPrometheus(prom.URL, options())
	require.NoError(t, err)
	m := labels.MustNewMatcher
	sets := map[string][]*labels.Matcher{
		"none": nil, "empty": {m(labels.MatchEqual, "a", "")}, "anything": {m(labels.MatchRegexp, "a", ".*")},
		"not":         {m(labels.MatchNotRegexp, "__name__", "calls_total")},
		"two of them": {m(labels.MatchRegexp, "a", ".*"), m(labels.MatchNotEqual, "b", "c")},
		"name":        {m(labels.MatchEqual, "__name__", "up")}, "quoted": {m(labels.MatchEqual, "größe", "xl")},
	}
	const minTime, maxTime = -9223372036854775808/1000000 + 1, 9223372036854775807 / 1000 // beyond what Prometheus' own API reads
	for what, ms := range sets {
		for _, r := range [][2]int64{{traceTime.Add(-time.Hour).UnixMilli(), traceTime.UnixMilli()}, {minTime, maxTime},
			{math.MinInt64, math.MaxInt64}, {-5000, traceTime.UnixMilli()}, {0, lastYear + 1}} {
			q, err := p.Querier(r[0], r[1])
			require.NoError(t, err)
			for _, limit := range []int{0, 1} {
				names, _, err := q.LabelNames(t.Context(), &promstorage.LabelHints{Limit: limit}, ms...)
				require.NoError(t, err, "%s %v", what, r)
				require.NotEmpty(t, names, "%s %v", what, r)
				for _, name := range []string{"__name__", "größe", "job"} {
					values, _, err := q.LabelValues(t.Context(), name, &promstorage.LabelHints{Limit: limit}, ms...)
					require.NoError(t, err, "%s %v", what, r)
					require.Len(t, values, 1, "%s %v %s", what, r, name)
				}
			}
			eq, err := p.ExemplarQuerier(t.Context())
			require.NoError(t, err)
			found, err := eq.Select(r[0], r[1], ms, []*labels.Matcher{m(labels.MatchEqual, "a", "b")})
			require.NoError(t, err, "%s %v", what, r)
			require.Equal(t, []exemplar.QueryResult{{SeriesLabels: series,
				Exemplars: []exemplar.Exemplar{{Labels: labels.FromStrings("trace_id", "0af7"), Value: math.Inf(1),
					Ts: traceTime.UnixMilli(), HasTs: true}}}}, found)
			if n := 0; len(ms) > 0 { // a selector has a matcher
				set := q.Select(t.Context(), true, &promstorage.SelectHints{Start: r[0], End: r[1], Func: "series"}, ms...)
				for ; set.Next(); n++ {
					require.Equal(t, series, set.At().Labels())
				}
				require.NoError(t, set.Err(), "%s %v", what, r)
				require.Equal(t, 1, n, "%s %v", what, r)
			}
		}
	}
	for _, r := range prom.Requests() {
		require.Equal(t, 200, r.Status, "%s %v", r.Path, r.Query)
		if len(r.Query["match[]"]) > 0 {
			require.NotEqual(t, "{}", r.Query.Get("match[]"))
		}
	}
	q, err := p.Querier(0, traceTime.UnixMilli())
	require.NoError(t, err)
	_, _, err = q.LabelNames(t.Context(), nil)
	require.NoError(t, err)
	require.NotContains(t, prom.Requests()[0].Query, "match[]")
}

func TestAddressesAreNotShown(t *testing.T) {
	_, err := OpenJaeger("http://u:secret@ bad", options())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
	_, err = NewCache("http://u:secret@x", NewMetrics(prometheus.NewRegistry(), nil))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
	j, err := OpenJaeger("http://u:secret@127.0.0.1:1", options())
	require.NoError(t, err)
	_, _, err = j.Search(t.Context(), hourAround(TraceQuery{}))
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotContains(t, err.Error(), "secret")
	require.True(t, slices.Contains(States, j.Status().State))
}

func FuzzJaegerV1(f *testing.F) {
	b, err := os.ReadFile("testdata/jaeger_v1_trace.json")
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, body []byte) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/api/v3/") {
				_, _ = w.Write(body)
			}
		}))
		defer s.Close()
		j, err := OpenJaeger(s.URL, options())
		require.NoError(t, err)
		if td, err := j.Trace(t.Context(), list16("5")); err == nil {
			require.Positive(t, td.SpanCount())
			groupTraces(td)
		}
	})
}

// canned gives every request the same answer.
type canned struct {
	status int
	body   []byte
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(c.body)), Request: r}, nil
}

// FuzzAnswers: whatever a store answers is read as what was asked for, within its bounds, or is an error that every caller knows.
func FuzzAnswers(f *testing.F) {
	files, err := filepath.Glob("testdata/*")
	require.NoError(f, err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(uint16(0), b)
	}
	for _, body := range []string{`{"summaries":[{"traceId":"5","minStartTimeUnixNano":"1764000000000000000","maxEndTimeUnixNano":1764000001000000000,"spanCount":3,"services":[{"name":"a","spanCount":"2"}]}]}`,
		`{"result":{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00000000000000000000000000000005","spanId":"0000000000000001","name":"x","startTimeUnixNano":"5"}]}]}]}}{"result":{}}`,
		`{"error":{"httpCode":404,"message":"trace not found"}}`, `{"data":["a","b"]}`,
		`{"status":"success","data":["a"],"warnings":["w"]}`, `{"error":{"reason":"r","root_cause":[{"reason":"c"}]}}`,
		`{"hits":{"hits":[{"_index":"i","_id":"1","_source":{"message":"m","log.level":"info","service":{"name":"s"},"trace.id":"AB","n":1e400,"body":{"a":[1]}},"sort":[1764000000000000000]}]},"timed_out":true,"_shards":{"failed":1}}`,
		`{"fields":{"service.name":{"keyword":{"aggregatable":true}}},"aggregations":{"by":{"after_key":{"0":"a"},"buckets":[{"key":{"time":1764000000000,"0":"s","1":null,"2":9},"doc_count":3}]}}}`} {
		f.Add(uint16(0), []byte(body))
		f.Add(uint16(200), []byte(body))
	}
	f.Add(uint16(204), []byte("page not found"))
	f.Add(uint16(303), []byte(""))
	f.Fuzz(func(t *testing.T, status uint16, body []byte) {
		answer := canned{200 + int(status)%400, body}
		// No pause after a failure: every reader is to see the answer.
		o := options(func(o *Options) { o.Policy = Policy{Retries: -1, Failures: 1000} })
		known := func(err error) {
			if err != nil {
				require.True(t, errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotFound), "%v", err)
			}
		}
		j, err := OpenJaeger("http://store", o)
		require.NoError(t, err)
		j.transport = answer
		list, _, err := j.Search(t.Context(), hourAround(TraceQuery{Limit: 3}))
		known(err)
		for _, tr := range list {
			require.False(t, tr.End.Before(tr.Start) && tr.HasData)
			require.True(t, !tr.HasData || uint64(tr.Data.SpanCount()) == tr.Spans)
		}
		td, err := j.Trace(t.Context(), list16("5"))
		known(err)
		require.True(t, err != nil || td.SpanCount() > 0)
		e, err := OpenElasticsearch("http://store", "logs-*", o)
		require.NoError(t, err)
		e.Backend.transport = answer
		found, err := e.Search(t.Context(), LogQuery{From: traceTime, To: traceTime.Add(time.Hour), Limit: 2})
		known(err)
		require.LessOrEqual(t, len(found.Lines), 2)
		for _, l := range found.Lines {
			_, err := json.Marshal(l)
			require.NoError(t, err, "it can be answered")
		}
		_, _, err = e.Volume(t.Context(), LogQuery{From: traceTime, To: traceTime.Add(time.Hour)}, time.Minute)
		known(err)
		p, err := OpenPrometheus("http://store", o)
		require.NoError(t, err)
		p.Backend.transport = answer
		q, err := p.Querier(0, traceTime.UnixMilli())
		require.NoError(t, err)
		_, _, err = q.LabelNames(t.Context(), nil)
		known(err)
		set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"))
		for set.Next() {
			require.NotNil(t, set.At())
		}
	})
}

// TestJaegerNames reads services, operations and dependencies as Jaeger 2 answers.
func TestJaegerNames(t *testing.T) {
	var asked []*url.URL
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL)
		body, ok := map[string]string{
			"/api/services":     `{"data":["web","cart"],"total":2,"limit":0,"offset":0,"errors":null}`,
			"/api/operations":   `{"data":[{"name":"GET","spanKind":"server"},{"name":"poll","spanKind":""}],"total":2,"limit":0,"offset":0,"errors":null}`,
			"/api/dependencies": `{"data":[{"parent":"web","child":"cart","callCount":7}],"total":0,"limit":0,"offset":0,"errors":null}`,
		}[r.URL.Path]
		if r.URL.Query().Get("service") == "nobody" {
			body = `{"data":null,"total":0,"limit":0,"offset":0,"errors":null}`
		}
		if !ok {
			http.NotFound(w, r)
		}
		_, _ = w.Write([]byte(body))
	}))
	defer s.Close()
	j, err := OpenJaeger(s.URL, options())
	require.NoError(t, err)
	services, err := j.Services(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"web", "cart"}, services)
	operations, err := j.Operations(t.Context(), "web")
	require.NoError(t, err)
	require.Equal(t, []Operation{{"GET", "server"}, {"poll", ""}}, operations)
	operations, err = j.Operations(t.Context(), "nobody")
	require.NoError(t, err)
	require.Empty(t, operations)
	calls, err := j.Dependencies(t.Context(), traceTime.Add(-time.Hour), traceTime)
	require.NoError(t, err)
	require.Equal(t, []Dependency{{"web", "cart", 7}}, calls)
	require.Equal(t, url.Values{"endTs": {"1764000000000"}, "lookback": {"3600001"}}, asked[len(asked)-1].Query())
	s.Close()
	_, err = j.Services(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
}
