package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
)

// chain is n spans of a trace, each the child of the one before; where ends, the first is the child of the last.
func chain(id byte, from, n int, parent func(i int) int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "deep")
	ss := rs.ScopeSpans().AppendEmpty()
	spanID := func(i int) pcommon.SpanID {
		return pcommon.SpanID{1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
	}
	for i := from; i < from+n; i++ {
		sp := ss.Spans().AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{id})
		sp.SetSpanID(spanID(i))
		if p := parent(i); p >= 0 {
			sp.SetParentSpanID(spanID(p))
		}
		sp.SetName("call")
		sp.SetKind(ptrace.SpanKindInternal)
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(at(10 * time.Second)))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(at(20 * time.Second)))
	}
	return td
}

// TestTraceAnswersAreBounded: six readers of a trace that is larger than an answer get a part that says so, one after the other, and others
// are served meanwhile.
func TestTraceAnswersAreBounded(t *testing.T) {
	const records, each = 8, 5000
	b := newBench(t, func(c *Config) { c.Limits.TraceBytes, c.Limits.TracesBytes = 2<<20, 2<<20 })
	for i := range records {
		b.spansOf(chain(1, i*each, each, func(i int) int { return i - 1 }))
		b.commit()
	}
	wait := b.s.traces.Budget.Wait
	b.s.traces.Budget.Wait = time.Hour                        // however slow it is here
	wide := chain(3, 0, 30, func(i int) int { return i - 1 }) // large by its attributes
	for _, sp := range wide.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		sp.Attributes().PutStr("statement", strings.Repeat("x", 100<<10))
	}
	b.spansOf(wide)
	b.commit()
	b.spansOf(chain(2, 0, 3, func(i int) int { return i - 1 }))
	b.commit()
	srv := httptest.NewServer(b.s.Handler())
	defer srv.Close()
	get := func(path string) (spans int, warnings []string, header string) {
		resp, err := http.Get(srv.URL + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, 200, resp.StatusCode, path)
		var out struct {
			Trace struct{ Spans []json.RawMessage }
			Data  []struct{ Spans []json.RawMessage }
			Meta  struct {
				Partial  bool
				Warnings []string
			}
		}
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&out))
		require.Equal(t, len(out.Meta.Warnings) > 0, out.Meta.Partial)
		spans = len(out.Trace.Spans)
		for _, d := range out.Data {
			spans += len(d.Spans)
		}
		return spans, out.Meta.Warnings, resp.Header.Get(answer.WarningHeader)
	}
	large, small := fmt.Sprintf("01%030d", 0), fmt.Sprintf("02%030d", 0)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			spans, warnings, _ := get("/api/v1/traces/" + large)
			if spans == 0 || spans >= records*each || len(warnings) != 1 || !strings.Contains(warnings[0], "at most 2097152 bytes") {
				t.Errorf("%d spans, %v", spans, warnings)
			}
		})
		wg.Go(func() {
			spans, _, header := get("/jaeger/api/traces/" + large)
			if spans == 0 || spans >= records*each || !strings.Contains(header, "an answer holds at most") {
				t.Errorf("%d spans of Jaeger, %q", spans, header)
			}
		})
		wg.Go(func() {
			if spans, warnings, _ := get("/api/v1/traces/" + small); spans != 3 || len(warnings) > 0 {
				t.Errorf("%d spans of the small trace, %v", spans, warnings)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 12.0, counted(t, b, "watchingcat_trace_answers_cut_total", ""))

	// where one does not end, the next large one is refused; small ones are served
	ctx, end := context.WithCancel(t.Context())
	require.NoError(t, b.s.traces.Budget.Acquire(ctx, 2<<20))
	b.s.traces.Budget.Wait = 0
	for _, id := range []string{large, fmt.Sprintf("03%030d", 0)} {
		resp, err := http.Get(srv.URL + "/api/v1/traces/" + id)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	}
	require.Equal(t, 2.0, counted(t, b, "watchingcat_trace_answers_refused_total", ""))
	spans, _, _ := get("/api/v1/traces/" + small)
	require.Equal(t, 3, spans)
	end()
	b.s.traces.Budget.Wait = wait
	spans, _, _ = get("/api/v1/traces/" + large)
	require.NotZero(t, spans)
}

// TestDeepAndCircularTraces: 90,000 spans in a line, and in a circle, are answered whole by every API.
func TestDeepAndCircularTraces(t *testing.T) {
	const spans = 90_000
	b := newBench(t)
	b.spansOf(chain(1, 0, spans, func(i int) int { return i - 1 }))
	b.spansOf(chain(2, 0, spans, func(i int) int { return (i + spans - 1) % spans }))
	b.commit()
	srv := httptest.NewServer(b.s.Handler())
	defer srv.Close()
	for _, path := range []string{"/api/v1/traces/%s", "/jaeger/api/traces/%s", "/jaeger/api/v3/traces/%s"} {
		for _, id := range []string{fmt.Sprintf("01%030d", 0), fmt.Sprintf("02%030d", 0)} {
			resp, err := http.Get(srv.URL + fmt.Sprintf(path, id))
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, errors.Join(err, resp.Body.Close()))
			body := string(text)
			require.Equal(t, 200, resp.StatusCode, path)
			require.Equal(t, spans, max(strings.Count(body, `"operationName"`), strings.Count(body, `"name":"call"`)), path)
		}
	}
}
