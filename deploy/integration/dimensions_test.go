//go:build integration

package integration

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestCollectorDimensions: with two dimensions in the connectors, each series of span metrics and of the service graph has the same labels
// and the same value there and here: of resources with both, one or none of them, and of spans with a value of their own.
func TestCollectorDimensions(t *testing.T) {
	k := startKafka(t, 1)
	a := newApp(t, k.Brokers())
	a.start()
	a.up()
	otlpGRPC, otlpHTTP, metrics := port(t), port(t), port(t)
	kafka := "KAFKA=" + k.Brokers()[0]
	startCollector(t, "reference-dimensions", kafka, fmt.Sprint("METRICS=", metrics))
	startCollector(t, "defaults", kafka, fmt.Sprint("OTLP_GRPC=", otlpGRPC), fmt.Sprint("OTLP_HTTP=", otlpHTTP))
	traces := fmt.Sprintf("http://127.0.0.1:%d/v1/traces", otlpHTTP)
	waitFor(t, func() bool { return post(t.Context(), traces, ptrace.NewTraces()) == nil })
	if err := post(t.Context(), traces, dimensionTraffic()); err != nil {
		t.Fatal(err)
	}
	equal := 0
	compare := func() (diff []string) {
		theirs, err := scrape(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics))
		if err != nil {
			return []string{err.Error()}
		}
		ours := counts(a.query(`{__name__=~"traces_span_metrics_(calls_total|duration_milliseconds_(bucket|count|sum))|traces_service_graph_request_.*(total|bucket|count|sum)"}`), comparedDimensions...)
		connectors := counts(theirs, comparedDimensions...)
		keys := maps.Clone(ours)
		maps.Copy(keys, connectors)
		equal = 0
		for key := range keys {
			o, c := ours[key], connectors[key]
			if o != c && (!has(key, "_sum") || math.Abs(o-c) > 1e-9*math.Abs(c)) {
				diff = append(diff, fmt.Sprintf("%s: ours %v, the connector's %v", key, o, c))
				continue
			}
			equal++
		}
		slices.Sort(diff)
		return diff
	}
	end := time.Now().Add(90 * time.Second) // the connector waits for 10 s
	for diff := compare(); len(diff) > 0 || equal == 0; diff = compare() {
		if time.Now().After(end) {
			t.Fatalf("%d equal, %d differences:\n%s", equal, len(diff), strings.Join(diff[:min(30, len(diff))], "\n"))
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Logf("%d values with dimensions equal the connectors'", equal)
}

// dimensionTraffic are calls between services, to a database, by messages, from outside and to outside, in each combination of two
// dimensions.
func dimensionTraffic() ptrace.Traces {
	td, id := ptrace.NewTraces(), uint64(1000)
	at := time.Now()
	span := func(service, environment, namespace string, kind ptrace.SpanKind, trace pcommon.TraceID, parent pcommon.SpanID) (ptrace.Span,
		pcommon.SpanID) {
		id++
		sp := addSpan(td, service)
		res := td.ResourceSpans().At(td.ResourceSpans().Len() - 1).Resource().Attributes()
		if environment != "" {
			res.PutStr("deployment.environment.name", environment)
		}
		if namespace != "" {
			res.PutStr("service.namespace", namespace)
		}
		var own pcommon.SpanID
		binary.BigEndian.PutUint64(own[:], id)
		sp.SetTraceID(trace)
		sp.SetSpanID(own)
		sp.SetParentSpanID(parent)
		sp.SetName("op")
		sp.SetKind(kind)
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(-time.Duration(id%50) * time.Millisecond)))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(at))
		return sp, own
	}
	for _, environment := range []string{"production", "staging", ""} {
		for _, namespace := range []string{"shop", "bank", ""} {
			for range 3 {
				id++
				trace := pcommon.TraceID{7, 7, 15: byte(id), 14: byte(id >> 8)}
				_, root := span("web", environment, namespace, ptrace.SpanKindServer, trace, pcommon.SpanID{})
				_, call := span("web", environment, namespace, ptrace.SpanKindClient, trace, root)
				_, served := span("cart", environment, "", ptrace.SpanKindServer, trace, call)
				db, _ := span("cart", environment, namespace, ptrace.SpanKindClient, trace, served)
				db.Attributes().PutStr("db.system.name", "postgresql")
				db.Attributes().PutStr("db.namespace", "orders")
				_, sent := span("cart", environment, namespace, ptrace.SpanKindProducer, trace, served)
				span("mail", environment, namespace, ptrace.SpanKindConsumer, trace, sent)
				out, _ := span("cart", environment, namespace, ptrace.SpanKindClient, trace, served)
				out.Attributes().PutStr("server.address", "api.example.com")
				own, _ := span("cart", environment, namespace, ptrace.SpanKindInternal, trace, served)
				if environment == "production" { // of several resources, the exporter would show one
					own.Attributes().PutStr("deployment.environment.name", "canary")
				}
			}
		}
	}
	return td
}
