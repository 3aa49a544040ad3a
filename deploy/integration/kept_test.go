//go:build integration

package integration

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestKeptTraces kills watchingcat while it writes kept traces: in the end every span of every trace with an error is in their topic.
func TestKeptTraces(t *testing.T) {
	const kept = "otlp_spans_kept"
	a := newApp(t, broker(t), "WATCHINGCAT_KAFKA_KEPT_TOPIC="+kept, "WATCHINGCAT_KAFKA_KEPT_WAIT=10s", "WATCHINGCAT_TRACES_SAMPLE=0",
		"WATCHINGCAT_TRACES_SLOW=0s")
	a.start()
	a.ready()
	waitFor(t, func() bool { // reading begins at the end of the topics: what is written before is not kept
		n := 0
		for _, o := range offsetsOf(t, a, group+"-kept") {
			if o.At >= 0 {
				n++
			}
		}
		return n == partitions
	})
	a.Kill()
	w := startTraffic(t, a.brokers, topic, 2000)
	r := rand.New(rand.NewPCG(*seed, 13))
	for range max(3, *kills/8) {
		a.start()
		a.ready()
		waitFor(t, func() bool { // the group waits 10 s for the one that was killed
			active, err := a.metric("watchingcat_kept_active")
			return err == nil && active == 1
		})
		time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
		a.Kill()
	}
	a.start()
	a.ready()
	w.stop(t)
	failed, of := map[pcommon.TraceID]bool{}, map[pcommon.TraceID]map[pcommon.SpanID]bool{}
	spans(topicRecords(t, a.brokers, topic), func(s ptrace.Span) {
		failed[s.TraceID()] = failed[s.TraceID()] || s.Status().Code() == ptrace.StatusCodeError
		if of[s.TraceID()] == nil {
			of[s.TraceID()] = map[pcommon.SpanID]bool{}
		}
		of[s.TraceID()][s.SpanID()] = true
	})
	var written, others, missing, errors int
	complete := func() bool {
		written, others, missing, errors = 0, 0, 0, 0
		got := map[pcommon.TraceID]map[pcommon.SpanID]bool{}
		spans(topicRecords(t, a.brokers, kept), func(s ptrace.Span) {
			written++
			if !failed[s.TraceID()] {
				others++
			}
			if got[s.TraceID()] == nil {
				got[s.TraceID()] = map[pcommon.SpanID]bool{}
			}
			got[s.TraceID()][s.SpanID()] = true
		})
		for id, is := range failed {
			if is {
				errors++
				missing += len(of[id]) - len(got[id])
			}
		}
		return missing == 0
	}
	for deadline := time.Now().Add(3 * time.Minute); !complete() && time.Now().Before(deadline); time.Sleep(time.Second) {
	}
	t.Logf("%d traces, %d with errors: %d of their spans are missing; %d spans written, %d of traces without errors", len(of), errors, missing, written, others)
	if missing > 0 || errors == 0 || others > 0 {
		t.Fail()
	}
}

// spans calls fn with the spans of records that hold any.
func spans(records []*kgo.Record, fn func(ptrace.Span)) {
	var u ptrace.ProtoUnmarshaler
	for _, r := range records {
		if td, err := u.UnmarshalTraces(r.Value); err == nil {
			eachSpan(td, fn)
		}
	}
}
