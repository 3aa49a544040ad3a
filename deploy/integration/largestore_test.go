//go:build integration

package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReadersOfALargeTraceOfJaeger: six clients request a trace that only the Jaeger behind the views holds: one with as many spans as fit
// an answer of a store, and one without an end. The first is served to some, one after the other; the second is an error that names the
// limit. Memory stays near its limit, and small requests are answered.
func TestReadersOfALargeTraceOfJaeger(t *testing.T) {
	const id, resource = "01020300000000000000000000000009",
		`{"result":{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"batch"}}]},"scopeSpans":[{"spans":[`
	var spans atomic.Int64 // of the trace; 0: without an end
	jaeger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, id) {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, resource)
		n := spans.Load()
		for i := int64(1); n == 0 || i <= n; i++ {
			comma := ","
			if i == 1 {
				comma = ""
			}
			_, err := fmt.Fprintf(w, `%s{"traceId":"%s","spanId":"%016x","parentSpanId":"%016x","name":"row","kind":1,"startTimeUnixNano":"1764000000000000000","endTimeUnixNano":"1764000000001000000","attributes":[{"key":"row.number","value":{"intValue":"%d"}}]}`,
				comma, id, i, i/10, i)
			if err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `]}]}]}}`)
	}))
	defer jaeger.Close()
	a := newApp(t, startKfake(t), "WATCHINGCAT_MEMORY_LIMIT="+*traceMemory, "WATCHINGCAT_JAEGER_URL="+jaeger.URL)
	a.start()
	a.ready()
	idle := a.resident(t, "VmRSS")
	client := http.Client{Timeout: 2 * time.Minute}
	for _, n := range []int64{100_000, 0} {
		spans.Store(n)
		var wg sync.WaitGroup
		var served, refused atomic.Int64
		for i := range 6 {
			path := []string{"/api/v1/traces/", "/jaeger/api/traces/", "/jaeger/api/v3/traces/"}[i%3]
			wg.Go(func() {
				resp, err := client.Get("http://" + a.addr + path + id)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					return
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				got := int64(strings.Count(string(body), `"row.number"`))
				switch {
				case err != nil:
					t.Errorf("%s: %v", path, err)
				case resp.StatusCode == http.StatusOK && n > 0 && got == n:
					served.Add(1)
				case resp.StatusCode >= 400 &&
					(strings.Contains(string(body), "sent too much: its answer is larger than") || strings.Contains(string(body),
						"other large answers are being read") || strings.Contains(string(body), "jaeger did not answer")):
					refused.Add(1)
				default:
					t.Errorf("%s: %d with %d spans: %.300s", path, resp.StatusCode, got, body)
				}
			})
		}
		wg.Wait()
		if err := get(t.Context(), "http://"+a.addr+"/api/v1/services", nil); err != nil {
			t.Error(err)
		}
		large, err := a.metric("watchingcat_backend_answers_too_large_total")
		t.Logf("%d spans, limit %s: resident %d MiB idle, %d at most; %d served, %d refused, %v answers too large (%v)", n, *traceMemory,
			idle, a.resident(t, "VmHWM"), served.Load(), refused.Load(), large, err)
		if n > 0 && served.Load() == 0 {
			t.Error("a trace within the limit was served to no one")
		}
		if n == 0 && large == 0 {
			t.Error("no answer was counted as too large")
		}
	}
}
