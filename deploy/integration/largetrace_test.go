//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var (
	traceSpans  = flag.Int("trace-spans", 1_000_000, "spans of the trace in TestReadersOfALargeTrace")
	traceMemory = flag.String("trace-memory", "1GiB", "WATCHINGCAT_MEMORY_LIMIT in TestReadersOfALargeTrace")
)

// TestReadersOfALargeTrace: six clients request one trace of a million spans at the same time. Each gets a part of it with a warning, or
// 503 when its turn does not come in time; the memory of the process stays near its limit, and small requests are answered meanwhile.
func TestReadersOfALargeTrace(t *testing.T) {
	a := newApp(t, startKfake(t), "WATCHINGCAT_MEMORY_LIMIT="+*traceMemory, "WATCHINGCAT_DEDUP_WINDOW=0s")
	a.start()
	a.ready()
	idle := a.resident(t, "VmRSS")
	id := pcommon.TraceID{1, 2, 3, 15: 9}
	w := newTraffic(t, a.brokers, topic)
	const each = 1000
	var m ptrace.ProtoMarshaler
	now := time.Now()
	for i := 0; i < *traceSpans; i += each {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "batch")
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for n := i; n < min(i+each, *traceSpans); n++ {
			sp := spans.AppendEmpty()
			sp.SetTraceID(id)
			sp.SetSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, uint64(n)+1)))
			sp.SetParentSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, uint64(n)/10)))
			sp.SetName("row")
			sp.SetKind(ptrace.SpanKindInternal)
			sp.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
			sp.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Millisecond)))
			sp.Attributes().PutStr("row.key", fmt.Sprintf("key-%x", uint64(n)*0x9e3779b97f4a7c15))
			sp.Attributes().PutInt("row.number", int64(n))
			sp.Attributes().PutStr("db.query.text", "SELECT * FROM rows WHERE key = ? AND tenant = ?")
		}
		value, err := m.MarshalTraces(td)
		if err != nil {
			t.Fatal(err)
		}
		w.produce(value)
	}
	sent := w.stop(t)
	a.settled(sent)
	ingested := a.resident(t, "VmHWM")
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", a.Pid), []byte("5"), 0); err != nil {
		t.Fatal(err) // it resets VmHWM
	}
	loaded := a.resident(t, "VmRSS")

	client := http.Client{Timeout: 2 * time.Minute}
	read := func(path string) (status, size, spans int, warned bool, err error) {
		resp, err := client.Get("http://" + a.addr + path + hex.EncodeToString(id[:]))
		if err != nil {
			return 0, 0, 0, false, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK || err != nil {
			return resp.StatusCode, len(body), 0, false, err
		}
		if !json.Valid(body) {
			return resp.StatusCode, len(body), 0, false, fmt.Errorf("the answer is no JSON")
		}
		return resp.StatusCode, len(body), bytes.Count(body, []byte(`"row.number"`)),
			resp.Header.Get("WatchingCat-Warning") != "" || bytes.Contains(body, []byte("an answer holds at most")), nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() { // small requests meanwhile
		n := 0
		for ctx.Err() == nil {
			if err := get(ctx, "http://"+a.addr+"/api/v1/services", nil); err != nil && ctx.Err() == nil {
				t.Errorf("a small request: %v", err)
			}
			n++
		}
		done <- n
	}()
	began := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	whole := 0
	for i := range 6 {
		path := []string{"/api/v1/traces/", "/jaeger/api/traces/", "/jaeger/api/v3/traces/"}[i%3]
		wg.Go(func() {
			status, size, spans, warned, err := read(path)
			t.Logf("%s: %d, %d spans in %d MiB, cut: %v, after %v", path, status, spans, size>>20, warned,
				time.Since(began).Round(time.Millisecond))
			switch {
			case err != nil:
				t.Errorf("%s: %v", path, err)
			case status == http.StatusOK && (spans == 0 || spans < *traceSpans && !warned):
				t.Errorf("%s: %d spans, without a warning", path, spans)
			case status != http.StatusOK && status != http.StatusServiceUnavailable:
				t.Errorf("%s: %d", path, status)
			}
			mu.Lock()
			defer mu.Unlock()
			if status == http.StatusOK {
				whole++
			}
		})
	}
	wg.Wait()
	cancel()
	small, peak := <-done, a.resident(t, "VmHWM")
	t.Logf("%d spans, limit %s: resident %d MiB idle, %d at most while the spans came in, %d before the readers, %d at most with six readers; %d of 6 served; %d small requests meanwhile",
		*traceSpans, *traceMemory, idle, ingested, loaded, peak, whole, small)
	if !a.Running() || whole == 0 {
		t.Fatalf("no reader was served, or the process ended:\n%s", a.Tail(20))
	}
}

// resident is a line of the process' status, in MiB.
func (a *app) resident(t *testing.T, line string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), line+":")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb >> 10
}
