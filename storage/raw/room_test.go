package raw

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// readers are all requests that are sent to stores, by name.
func readers(t *testing.T, base string, o Options) map[string]func(context.Context) error {
	t.Helper()
	j, err := OpenJaeger(base, o)
	require.NoError(t, err)
	p, err := OpenPrometheus(base, o)
	require.NoError(t, err)
	e, err := OpenElasticsearch(base, "logs", o)
	require.NoError(t, err)
	name := labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")
	return map[string]func(context.Context) error{
		"jaeger trace": func(ctx context.Context) error { _, err := j.Trace(ctx, [16]byte{1}); return err },
		"jaeger search": func(ctx context.Context) error {
			_, _, err := j.Search(ctx, hourAround(TraceQuery{Service: "a"}))
			return err
		},
		"jaeger services": func(ctx context.Context) error { _, err := j.Services(ctx); return err },
		"jaeger operations": func(ctx context.Context) error {
			_, err := j.Operations(ctx, "a")
			return err
		},
		"jaeger dependencies": func(ctx context.Context) error {
			_, err := j.Dependencies(ctx, traceTime.Add(-time.Hour), traceTime)
			return err
		},
		"prometheus samples": func(ctx context.Context) error {
			q, err := p.Querier(0, traceTime.UnixMilli())
			if err != nil {
				return err
			}
			set := q.Select(ctx, true, nil, name)
			for set.Next() {
			}
			return set.Err()
		},
		"prometheus labels": func(ctx context.Context) error {
			q, err := p.Querier(0, traceTime.UnixMilli())
			if err != nil {
				return err
			}
			_, _, err = q.LabelNames(ctx, nil)
			return err
		},
		"prometheus exemplars": func(ctx context.Context) error {
			q, err := p.ExemplarQuerier(ctx)
			if err != nil {
				return err
			}
			_, err = q.Select(0, traceTime.UnixMilli(), []*labels.Matcher{name})
			return err
		},
		"elasticsearch lines": func(ctx context.Context) error {
			_, err := e.Search(ctx, LogQuery{From: traceTime.Add(-time.Hour), To: traceTime, Limit: 10})
			return err
		},
		"elasticsearch volume": func(ctx context.Context) error {
			_, _, err := e.Volume(ctx, LogQuery{From: traceTime.Add(-time.Hour), To: traceTime}, time.Minute)
			return err
		},
	}
}

// endless writes text until the client goes away, and counts the bytes.
func endless(w io.Writer, text string, sent *atomic.Int64) {
	piece := []byte(strings.Repeat(text, 64<<10/len(text)))
	for {
		n, err := w.Write(piece)
		sent.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// TestAnswersWithoutAnEnd: whatever a store sends without an end, compressed or not, or however large it says that it is, each reader fails
// soon with an error that names the store and the limit, it is counted, and the store stays in use.
func TestAnswersWithoutAnEnd(t *testing.T) {
	const limit = 2 << 20
	var sent atomic.Int64
	header := func(w http.ResponseWriter) { w.Header().Set("X-Elastic-Product", "Elasticsearch") }
	for kind, serve := range map[string]http.HandlerFunc{
		"json": func(w http.ResponseWriter, _ *http.Request) {
			header(w)
			_, _ = io.WriteString(w, `{"result":{},"data":["`)
			endless(w, "x", &sent)
		},
		"failure": func(w http.ResponseWriter, _ *http.Request) {
			header(w)
			w.WriteHeader(http.StatusInternalServerError)
			endless(w, "broken ", &sent)
		},
		"refusal": func(w http.ResponseWriter, _ *http.Request) {
			header(w)
			w.WriteHeader(http.StatusBadRequest)
			endless(w, "wrong ", &sent)
		},
		"gzip": func(w http.ResponseWriter, r *http.Request) {
			header(w)
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") { // remote read asks for snappy
				endless(w, " ", &sent)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			endless(z, " ", new(atomic.Int64))
		},
		"announced": func(w http.ResponseWriter, _ *http.Request) {
			header(w)
			w.Header().Set("Content-Length", "1000000000000")
			endless(w, " ", &sent)
		},
		"chunked samples": func(w http.ResponseWriter, _ *http.Request) {
			header(w)
			w.Header().Set("Content-Type", "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
			endless(w, "\xff", &sent)
		},
	} {
		t.Run(kind, func(t *testing.T) {
			srv := httptest.NewServer(serve)
			defer srv.Close()
			o := options(func(o *Options) { o.Room, o.Policy.Timeout, o.Policy.Retries = NewRoom(limit, limit), time.Minute, 2 })
			for name, read := range readers(t, srv.URL, o) {
				store, _, _ := strings.Cut(name, " ")
				before := testutil.ToFloat64(o.Metrics.tooLarge.WithLabelValues(store))
				sent.Store(0)
				err := read(t.Context())
				require.ErrorContains(t, err, fmt.Sprintf("%s sent too much: its answer is larger than %d bytes", store, limit), name)
				require.Equal(t, before+1, testutil.ToFloat64(o.Metrics.tooLarge.WithLabelValues(store)), name)
				require.Less(t, sent.Load(), int64(limit+32<<20), "%s: bytes that the sockets hold beside the answer", name)
			}
			require.True(t, o.Room.all.TryAcquire(limit), "everything was given back")
		})
	}
}

// TestSamplesThatClaimToBeLarge: ten bytes that say that they hold four gigabytes are not decoded.
func TestSamplesThatClaimToBeLarge(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Header().Set("Content-Encoding", "snappy")
		_, _ = w.Write(append(binary.AppendUvarint(nil, 1<<32-1), 0, 'x'))
	}))
	defer srv.Close()
	o := options()
	require.ErrorContains(t, readers(t, srv.URL, o)["prometheus samples"](t.Context()), "prometheus sent too much")
	require.Equal(t, 1.0, testutil.ToFloat64(o.Metrics.tooLarge.WithLabelValues("prometheus")))
}

// TestLargeAnswersWaitForEachOther: large answers of all stores share the room; small ones do not wait; one for which there is no room is
// refused, which is no failure of the store. The answer about a trace keeps its part until its request has ended.
func TestLargeAnswersWaitForEachOther(t *testing.T) {
	const limit = 4 << 20
	large := `{"result":{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01000000000000000000000000000000","spanId":"0100000000000000","name":"` + strings.Repeat("x", 3<<20) + `"}]}]}]}}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/services") {
			_, _ = io.WriteString(w, `{"data":["a"]}`)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/trace-summaries") {
			http.NotFound(w, r)
			return
		}
		w.(http.Flusher).Flush() // its length is not known
		_, _ = io.WriteString(w, large)
	}))
	defer srv.Close()
	o := options(func(o *Options) {
		o.Metrics, o.Room = NewMetrics(prometheus.NewRegistry(), nil), NewRoom(limit, limit)
		o.Policy.Wait, o.Policy.Timeout = time.Nanosecond, time.Minute // what is free needs no wait
	})
	j, err := OpenJaeger(srv.URL, o)
	require.NoError(t, err)
	ctx, end := context.WithCancel(t.Context())
	td, err := j.Trace(ctx, [16]byte{1})
	require.NoError(t, err)
	require.Equal(t, 1, td.SpanCount())
	for range 5 { // more than the failures after which a store is left alone
		_, err = j.Trace(t.Context(), [16]byte{1})
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorContains(t, err, "jaeger did not answer: other large answers are being read")
	}
	require.Equal(t, 5.0, testutil.ToFloat64(o.Metrics.requests.WithLabelValues("jaeger", "refused")))
	require.Equal(t, StateOK, j.Status().State)
	_, err = j.Services(t.Context())
	require.NoError(t, err)
	end()
	require.NoError(t, o.Room.all.Acquire(t.Context(), limit)) // it is given back
	o.Room.all.Release(limit)
	for range 3 { // searches keep nothing
		list, _, err := j.Search(t.Context(), hourAround(TraceQuery{Service: "a"}))
		require.NoError(t, err)
		require.Len(t, list, 1)
	}
}
