package export

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
)

func status(code int, change ...func(http.Header)) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	for _, c := range change {
		c(rec.Header())
	}
	rec.WriteHeader(code)
	return rec
}

func written(n int) func(http.Header) {
	return func(h http.Header) { h.Set("X-Prometheus-Remote-Write-Samples-Written", string(rune('0'+n))) }
}

func testSet(n int) *set {
	s := &set{t: 60_000}
	for i := range n {
		s.samples = append(s.samples, sample{l: labels.FromStrings(labels.MetricName, "calls_total", "n", string(rune('a'+i))), t: s.t, st: 30_000,
			v: float64(i)})
	}
	return s
}

// TestAnswers: what becomes of a part by what the receiver answers, one answer after the other.
func TestAnswers(t *testing.T) {
	v2, v1 := "application/x-protobuf;proto=io.prometheus.write.v2.Request", "application/x-protobuf"
	for name, c := range map[string]struct {
		answers []*httptest.ResponseRecorder
		full    bool // the queue
		types   []string
		refused int
		gaveUp  bool
		wait    time.Duration // at least
	}{
		"accepted":                {answers: []*httptest.ResponseRecorder{status(204, written(3))}, types: []string{v2}},
		"accepted in part":        {answers: []*httptest.ResponseRecorder{status(204, written(2))}, types: []string{v2}, refused: 1},
		"1.0 by content type":     {answers: []*httptest.ResponseRecorder{status(415), status(204)}, types: []string{v2, v1}},
		"1.0 that does not look":  {answers: []*httptest.ResponseRecorder{status(200), status(200)}, types: []string{v2, v1}},
		"1.0 that cannot decode":  {answers: []*httptest.ResponseRecorder{status(400), status(200)}, types: []string{v2, v1}},
		"refused":                 {answers: []*httptest.ResponseRecorder{status(422)}, types: []string{v2}, refused: 3},
		"refused in part":         {answers: []*httptest.ResponseRecorder{status(422, written(1))}, types: []string{v2}, refused: 2},
		"refused in both":         {answers: []*httptest.ResponseRecorder{status(400), status(400)}, types: []string{v2, v1}, refused: 3},
		"unavailable, then taken": {answers: []*httptest.ResponseRecorder{status(503), status(500), status(204, written(3))}, types: []string{v2, v2, v2}},
		"too many requests": {answers: []*httptest.ResponseRecorder{status(429, func(h http.Header) { h.Set("Retry-After", "90") }), status(204, written(3))},
			types: []string{v2, v2}, wait: 90 * time.Second},
		"no answer, then taken": {answers: []*httptest.ResponseRecorder{nil, status(204, written(3))}, types: []string{v2, v2}},
		"unavailable and full":  {answers: []*httptest.ResponseRecorder{status(503)}, full: true, types: []string{v2}, gaveUp: true},
		"redirected":            {answers: []*httptest.ResponseRecorder{status(302, func(h http.Header) { h.Set("Location", "http://other/") })}, types: []string{v2}, refused: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var types []string
				to := &Receiver{URL: &url.URL{Scheme: "http", Host: "receiver", Path: "/write", User: url.UserPassword("me", "secret"), RawQuery: "token=secret"},
					Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
						user, password, _ := r.BasicAuth()
						require.Equal(t, "me secret", user+" "+password)
						types = append(types, r.Header.Get("Content-Type"))
						if c.answers[len(types)-1] == nil {
							return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: io.ErrUnexpectedEOF}
						}
						return c.answers[len(types)-1].Result(), nil
					})}
				var lines strings.Builder
				s, err := newSender(to, slog.New(slog.NewTextHandler(&lines, nil)), newMetrics(nil))
				require.NoError(t, err)
				parts, _, err := encode(testSet(3))
				require.NoError(t, err)
				begin := time.Now()
				refused, gaveUp, err := s.send(t.Context(), &entry{t: 60_000, samples: 3, payload: parts[0].payload}, func() bool { return c.full })
				require.NoError(t, err)
				require.Equal(t, c.types, types)
				require.Equal(t, c.refused, refused)
				require.Equal(t, c.gaveUp, gaveUp)
				require.GreaterOrEqual(t, time.Since(begin), c.wait)
				require.NotContains(t, lines.String(), "secret")
			})
		})
	}
}

// TestCredentials: what a request carries.
func TestCredentials(t *testing.T) {
	for want, to := range map[string]*Receiver{
		"Bearer t":         {Bearer: "t"},
		"Basic dTpw":       {Username: "u", Password: "p"},
		"":                 {},
		"Basic bmFtZTpwdw": {URL: &url.URL{User: url.UserPassword("name", "pw")}},
	} {
		if to.URL == nil {
			to.URL = &url.URL{}
		}
		to.Headers = map[string]string{"X-Scope-OrgID": "tenant"}
		to.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			require.Equal(t, "tenant", r.Header.Get("X-Scope-OrgID"))
			require.Equal(t, want, strings.TrimRight(r.Header.Get("Authorization"), "="))
			return status(200).Result(), nil
		})
		res, err := to.RoundTrip(httptest.NewRequest(http.MethodPost, "http://receiver", nil))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
	}
}

// TestSets: counters begin at their zero, end with a marker, and are sent at aligned times behind the frontier only.
func TestSets(t *testing.T) {
	r := &evaltest.Reader{}
	r.Span(evaltest.Failing, evaltest.Observation{At: evaltest.At(12)})
	r.Commit(evaltest.At(15))
	match, err := ParseMatch("traces_span_metrics_calls_total")
	require.NoError(t, err)
	c := newCollector(&Config{Match: match, Labels: labels.FromStrings("site", "a", "service_name", "no"), Reader: r,
		Rules: func() []*promrules.Group { return nil }}, nil)
	sets, _, err := c.due(t.Context(), evaltest.At(0).UnixMilli(), Bucket, 2*Bucket)
	require.NoError(t, err)
	require.Empty(t, sets, "nothing is complete")
	r.Span(evaltest.Failing, evaltest.Observation{At: evaltest.At(47)})
	r.Commit(evaltest.At(50))
	sets, _, err = c.due(t.Context(), evaltest.At(0).UnixMilli(), Bucket, 2*Bucket)
	require.NoError(t, err)
	require.Len(t, sets, 2, "timestamps 20 and 30: the oldest bucket begins at 10")
	l := labels.FromStrings(labels.MetricName, "traces_span_metrics_calls_total", "service_name", "cart", "site", "a", "span_kind",
		"SPAN_KIND_SERVER", "span_name", "GET", "status_code", "STATUS_CODE_ERROR")
	require.Equal(t, []sample{{l: l, t: evaltest.At(20).UnixMilli(), st: evaltest.At(10).UnixMilli(), v: 1}}, sets[0].samples)
	before := ended(&sets[1], nil)
	next := &set{t: 5}
	require.Empty(t, ended(next, before))
	require.Len(t, next.samples, 1)
	require.True(t, value.IsStaleNaN(next.samples[0].v))
	require.Equal(t, l, next.samples[0].l)
}

// TestParts: a set larger than a request is sent in several, each within the size of a record, and a set beyond the bound is cut.
func TestParts(t *testing.T) {
	s := &set{t: 60_000}
	for range 12_000 {
		s.samples = append(s.samples, sample{l: labels.FromStrings(labels.MetricName, "x", "n", strings.Repeat("v", 200)), t: s.t, v: math.Pi})
	}
	parts, dropped, err := encode(s)
	require.NoError(t, err)
	require.Zero(t, dropped)
	n := 0
	for _, p := range parts {
		require.Less(t, len(p.payload), 900_000)
		n += p.samples
	}
	require.Equal(t, len(s.samples), n)
	require.Greater(t, len(parts), 2)
	big := &set{t: 60_000}
	for i := range setBytes / 60_000 * 2 {
		big.samples = append(big.samples, sample{l: labels.FromStrings(labels.MetricName, "x", "n", string(rune('a'+i%26))+strings.Repeat("v", 60_000)+string(rune(i))),
			t: s.t})
	}
	_, dropped, err = encode(big)
	require.NoError(t, err)
	require.Positive(t, dropped)
}

// TestQueueFull: while the receiver does not answer, the topic fills; beyond the bound the oldest samples are dropped and counted, and
// what remains is sent when it answers.
func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, b: pipelinetest.NewBroker(t, 0)}
		reg := prometheus.NewRegistry()
		in := newReceiver(1, true)
		in.calm.Store(true)
		var down atomic.Bool
		down.Store(true)
		const sets = 60
		x, err := New(Config{Kafka: w.b.Config, Topic: "out", Group: "g", Interval: Bucket, QueueBytes: 4000, Registerer: reg,
			Logger: slog.New(slog.DiscardHandler), Receiver: &Receiver{URL: &url.URL{Scheme: "http", Host: "r"},
				Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if down.Load() {
						return nil, io.ErrUnexpectedEOF
					}
					b, err := io.ReadAll(r.Body)
					require.NoError(t, err)
					rec, _ := in.serve(r.Header.Get("Content-Type"), b)
					return rec.Result(), nil
				})}})
		require.NoError(t, err)
		ctx, end := context.WithCancel(t.Context())
		joined := w.b.Config.Lead(ctx, kafka.Led{Group: "g", Topic: "out", Session: 10 * time.Second, Prepare: x.create, Consume: true,
			Options: []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}}, func(ctx context.Context, l *kafka.Lead) error {
			s := &session{Exporter: x, Lead: l}
			require.NoError(t, s.Identify(ctx, "out"))
			at := tail{}
			for i := range sets {
				one := testSet(3)
				one.t += int64(i) * 10_000
				for j := range one.samples {
					one.samples[j].t = one.t
				}
				require.NoError(t, s.put(ctx, one, &at))
			}
			ended := make(chan error, 1)
			go func() { ended <- s.drain(ctx, 0) }()
			time.Sleep(5 * time.Minute)
			require.Positive(t, testutil.ToFloat64(x.metrics.retries))
			down.Store(false)
			time.Sleep(time.Minute)
			end()
			<-ended
			return nil
		})
		require.ErrorIs(t, joined, context.Canceled)
		dropped := testutil.ToFloat64(x.metrics.dropped.WithLabelValues(dropQueueFull))
		require.Positive(t, dropped)
		require.InDelta(t, 3*sets, dropped+testutil.ToFloat64(x.metrics.sent), 0)
		newest := 60_000 + int64(sets-1)*10_000
		for series, ts := range in.values {
			require.Contains(t, ts, newest, series)
			require.NotContains(t, ts, int64(60_000), series)
		}
		require.Empty(t, in.differs)
		require.Zero(t, testutil.ToFloat64(x.metrics.queue))
	})
}

func TestMatch(t *testing.T) {
	m, err := ParseMatch(` a_total{x="1,{2",y=~'}'} , {__name__=~"b.+"},c:d,`)
	require.NoError(t, err)
	require.Len(t, m, 3)
	require.True(t, m.name("c:d"))
	require.False(t, m.name("c:e"))
	require.True(t, m.matches(labels.FromStrings(labels.MetricName, "a_total", "x", "1,{2", "y", "}")))
	require.False(t, m.matches(labels.FromStrings(labels.MetricName, "a_total")))
	for _, text := range []string{"", " , ", "sum(a)", "a{", `{x=""}`, "a b"} {
		_, err := ParseMatch(text)
		require.Error(t, err, text)
	}
}

// TestOlder: a request of 1.0 has the same series, values and times, with what is known of the metrics.
func TestOlder(t *testing.T) {
	parts, _, err := encode(testSet(3))
	require.NoError(t, err)
	b, err := older(parts[0].payload)
	require.NoError(t, err)
	in := newReceiver(1, false)
	require.Equal(t, 3, in.keepV1(b))
	out := newReceiver(1, true)
	require.Equal(t, 3, out.keepV2(parts[0].payload))
	require.Equal(t, out.values, in.values)
	require.Len(t, out.begun, 3)
	series := map[string]labels.Labels{}
	require.NoError(t, seriesOf(parts[0].payload, series))
	require.Len(t, series, 3)
}

// FuzzEntry: no record of the topic ends the process, and none that is not whole makes a set.
func FuzzEntry(f *testing.F) {
	parts, _, err := encode(testSet(3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("60000", "0/1", parts[0].payload)
	f.Add("-1", "7/2", []byte("no part"))
	f.Fuzz(func(t *testing.T, at, part string, payload []byte) {
		e, ok := parseEntry(&kgo.Record{Value: payload, Headers: []kgo.RecordHeader{header(headerTime, at), header(headerAttempt, "x"),
			header(headerPart, part), header(headerSamples, 3), header(headerBytes, len(payload))}})
		if ok && (e.t <= 0 || e.part >= e.of) {
			t.Fatal(e)
		}
		w := whole{}
		if set := w.add(e); ok && set != nil && e.of != 1 {
			t.Fatal("one part of several makes a set")
		}
		_ = seriesOf(payload, map[string]labels.Labels{})
		_, _ = older(payload)
	})
}

// FuzzMatch: what is taken for selectors is read again as it is printed.
func FuzzMatch(f *testing.F) {
	f.Add(`a_total{x="1,{2",y=~'}'},{__name__=~"b.+"},c:d`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMatch(text)
		if err != nil {
			return
		}
		for _, ms := range m {
			if len(ms) == 0 {
				t.Fatal("a selector without matchers selects everything")
			}
		}
	})
}
