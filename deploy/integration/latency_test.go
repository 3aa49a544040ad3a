//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const latencyRules = `groups:
  - name: latency
    rules:
      - alert: Errors
        expr: sum by (service_name) (increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m])) > 2
        for: 0s
`

const latencyReceivers = `route:
  receiver: test
  group_by: [alertname, service_name]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: test
    webhook_configs:
      - url: URL
        send_resolved: false
`

// TestLatency measures, for a service that begins to fail, the time from Kafka's acknowledgement of its spans to the webhook. It
// asserts that every alert arrives, once.
func TestLatency(t *testing.T) {
	k := startKafka(t, 1)
	notified := make(chan string, 1000)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			Alerts []struct {
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			notified <- err.Error()
			return
		}
		for _, alert := range body.Alerts {
			notified <- alert.Labels["service_name"]
		}
	}))
	t.Cleanup(hook.Close)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := newApp(t, k.Brokers(), "WATCHINGCAT_RULE_FILES="+file("rules.yml", latencyRules),
		"WATCHINGCAT_ALERTMANAGER_CONFIG="+file("alertmanager.yml", strings.ReplaceAll(latencyReceivers, "URL", hook.URL)))
	a.start()
	a.ready()
	cl, err := kgo.NewClient(kgo.SeedBrokers(a.brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	r := rand.New(rand.NewPCG(*seed, 17))
	var shown, sent []time.Duration
	for i := range *rounds {
		service := fmt.Sprintf("round-%d", i)
		record := kgo.SliceRecord(failingSpans(t, service, i))
		if err := cl.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
		acked := time.Now()
		visible := make(chan time.Duration, 1)
		go func() { visible <- untilShown(t.Context(), a, record, acked) }()
		select {
		case got := <-notified:
			if got != service {
				t.Fatalf("round %d: notified of %q", i, got)
			}
			sent = append(sent, time.Since(acked))
		case <-time.After(patience):
			t.Fatalf("round %d: no notification", i)
		}
		shown = append(shown, <-visible)
		time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond)
	}
	select {
	case again := <-notified:
		t.Fatalf("notified twice of %q", again)
	case <-time.After(3 * time.Second):
	}
	slices.Sort(shown)
	slices.Sort(sent)
	at := func(list []time.Duration, q float64) time.Duration {
		return list[int(q*float64(len(list)-1))].Round(time.Millisecond)
	}
	t.Logf("%d rounds, from Kafka's acknowledgement: shown by the API p50 %v p99 %v max %v; webhook p50 %v p99 %v max %v", len(sent),
		at(shown, .5), at(shown, .99), at(shown, 1), at(sent, .5), at(sent, .99), at(sent, 1))
}

// untilShown waits until the API's answers hold a record.
func untilShown(ctx context.Context, a *app, r *kgo.Record, since time.Time) time.Duration {
	err := get(ctx, fmt.Sprintf("http://%s/api/v1/services?min_position=%s/%d/%d", a.addr, r.Topic, r.Partition, r.Offset), nil)
	if err != nil {
		return time.Hour // stands out
	}
	return time.Since(since)
}

// failingSpans is a record of three failed spans of a service, as they end now.
func failingSpans(t *testing.T, service string, n int) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	for i := range 3 {
		s := addSpan(td, service)
		s.SetTraceID(pcommon.TraceID{0: 1, 13: byte(n >> 8), 14: byte(n), 15: byte(i)})
		s.SetSpanID(pcommon.SpanID{0: 1, 7: byte(i)})
		s.SetName("op")
		s.SetKind(ptrace.SpanKindServer)
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		s.SetStartTimestamp(s.EndTimestamp() - 5e6)
		s.Status().SetCode(ptrace.StatusCodeError)
	}
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
