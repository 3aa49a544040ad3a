//go:build integration

package integration

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// traffic writes traces with every kind of edge to a topic. The sides of a call fall into different records and partitions, some
// spans come late, some records are no protobuf and, where asked for, some are sent twice.
type traffic struct {
	cl       *kgo.Client
	topic    string
	r        *rand.Rand
	resend   float64
	poison   float64
	single   bool              // no client has two servers
	each     func(*kgo.Record) // before a record is sent
	fatten   func(ptrace.Span) // after a span is made
	late     []lateRecord
	stopping context.CancelFunc
	done     chan struct{}

	mu     sync.Mutex
	acked  []*kgo.Record
	failed []error
}

type lateRecord struct {
	at    time.Time
	value []byte
}

// missed reports whether the machine stood still for so long that the record's spans may come after the pairing window: it is not sent
// then.
func (l lateRecord) missed(now time.Time) bool { return now.Sub(l.at) > 2*time.Second }

// startTraffic begins to write about `rate` spans a second until stop.
func startTraffic(t *testing.T, brokers []string, topic string, rate int, opts ...func(*traffic)) *traffic {
	t.Helper()
	w := newTraffic(t, brokers, topic, opts...)
	ctx, cancel := context.WithCancel(context.Background())
	w.stopping, w.done = cancel, make(chan struct{})
	go func() {
		defer close(w.done)
		w.run(ctx, rate)
	}()
	return w
}

// newTraffic writes what step is called for.
func newTraffic(t *testing.T, brokers []string, topic string, opts ...func(*traffic)) *traffic {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.UniformBytesPartitioner(1, false, false, nil)), kgo.RecordRetries(1<<30), kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(1000))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	close(done)
	w := &traffic{cl: cl, topic: topic, r: rand.New(rand.NewPCG(*seed, 7)), poison: 0.002, stopping: func() {}, done: done}
	for _, o := range opts {
		o(w)
	}
	t.Cleanup(func() {
		w.stopping()
		<-w.done
		cl.Close()
	})
	return w
}

// stop ends the writing, waits for every acknowledgement, and returns how many records there are.
func (w *traffic) stop(t *testing.T) int64 {
	t.Helper()
	w.stopping()
	<-w.done
	now := time.Now()
	for _, l := range w.late { // of step alone
		if !l.missed(now) {
			w.send(l.value)
		}
	}
	w.late = nil
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := w.cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.failed) > 0 {
		t.Fatal(errors.Join(w.failed...))
	}
	return int64(len(w.acked))
}

func (w *traffic) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

func (w *traffic) run(ctx context.Context, rate int) {
	const step = 20 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	start, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			w.release(now)
			for sent < int(now.Sub(start).Seconds()*float64(rate)) {
				sent += w.step(now)
			}
		}
	}
}

// release sends the late records whose time has come: later than the pairing window, their spans would no longer be paired.
func (w *traffic) release(now time.Time) {
	for len(w.late) > 0 && w.late[0].at.Before(now) {
		if !w.late[0].missed(now) {
			w.send(w.late[0].value)
		}
		w.late = w.late[1:]
	}
}

// step sends a few traces, their spans dealt out over a few records.
func (w *traffic) step(now time.Time) (spans int) {
	records := make([]ptrace.Traces, 1+w.r.IntN(4))
	for i := range records {
		records[i] = ptrace.NewTraces()
	}
	for range 1 + w.r.IntN(5) {
		w.trace(now, func() ptrace.Traces { return records[w.r.IntN(len(records))] }, &spans)
	}
	var m ptrace.ProtoMarshaler
	for _, td := range records {
		b, err := m.MarshalTraces(td)
		if err != nil {
			panic(err) // pdata's own values always marshal
		}
		if w.r.Float64() < 0.05 {
			w.late = append(w.late, lateRecord{now.Add(3 * time.Second), b})
			continue
		}
		w.send(b)
	}
	if w.r.Float64() < w.poison {
		w.send([]byte("not OTLP at all, and different each time: " + fmt.Sprint(w.r.Uint64())))
	}
	return spans
}

func (w *traffic) send(value []byte) {
	w.produce(value)
	if w.r.Float64() < w.resend {
		w.produce(value)
	}
}

func (w *traffic) produce(value []byte) {
	r := &kgo.Record{Topic: w.topic, Value: value}
	if w.each != nil {
		w.each(r)
	}
	w.cl.Produce(context.Background(), r, func(r *kgo.Record, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil {
			w.failed = append(w.failed, err)
			return
		}
		w.acked = append(w.acked, r)
	})
}

// trace is one request: user -> gateway -> a service that asks a database, a cache, a queue, and someone outside.
func (w *traffic) trace(now time.Time, record func() ptrace.Traces, n *int) {
	var trace pcommon.TraceID
	binary.BigEndian.PutUint64(trace[:], w.r.Uint64())
	binary.BigEndian.PutUint64(trace[8:], w.r.Uint64())
	span := func(service, name string, kind ptrace.SpanKind, parent pcommon.SpanID, attrs ...string) pcommon.SpanID {
		*n++
		s := addSpan(record(), service)
		var id pcommon.SpanID
		binary.BigEndian.PutUint64(id[:], w.r.Uint64())
		s.SetTraceID(trace)
		s.SetSpanID(id)
		s.SetParentSpanID(parent)
		s.SetName(name)
		s.SetKind(kind)
		end := now.Add(-time.Duration(w.r.IntN(3_000_000)) * time.Microsecond)
		if w.r.IntN(50) == 0 {
			end = end.Add(-time.Duration(w.r.IntN(60)) * time.Second)
		}
		length := time.Duration(w.r.ExpFloat64() * float64(30*time.Millisecond))
		switch w.r.IntN(100) {
		case 0:
			length = time.Duration(bounds[w.r.IntN(len(bounds))]) // on a bound
		case 1:
			length = -length // a clock that went back
		}
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(end))
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(end.Add(-length)))
		if w.r.IntN(20) == 0 {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
		for i := 0; i+1 < len(attrs); i += 2 {
			s.Attributes().PutStr(attrs[i], attrs[i+1])
		}
		if w.fatten != nil {
			w.fatten(s)
		}
		return id
	}
	root := span("gateway", fmt.Sprintf("GET /%d", w.r.IntN(10)), ptrace.SpanKindServer, pcommon.SpanID{})
	service := fmt.Sprintf("service-%d", w.r.IntN(12))
	call := span("gateway", "call "+service, ptrace.SpanKindClient, root, "server.address", service)
	for range w.some(10) { // now and then two servers under one client: a hedged request
		span(service, fmt.Sprintf("op-%d", w.r.IntN(8)), ptrace.SpanKindServer, call)
	}
	switch w.r.IntN(8) {
	case 0:
		span(service, "SELECT", ptrace.SpanKindClient, call, "db.system.name", "postgresql", "db.namespace", "orders")
	case 1:
		span(service, "GET", ptrace.SpanKindClient, call, "db.system", "redis")
	case 2:
		p := span(service, "orders publish", ptrace.SpanKindProducer, call, "messaging.destination.name", "orders")
		for range w.some(2) {
			span("shipping", "orders process", ptrace.SpanKindConsumer, p)
		}
	case 3:
		span(service, "POST", ptrace.SpanKindClient, call, "server.address", "payments.example.com")
	case 4:
		span("orphan", "client not seen", ptrace.SpanKindServer,
			pcommon.SpanID{1, 2, 3, byte(w.r.IntN(256)), 5, 6, 7, byte(w.r.IntN(256))})
	case 5:
		span("", "of a resource without a name", ptrace.SpanKindClient, call)
	case 6:
		span(service, "lost publish", ptrace.SpanKindProducer, call, "messaging.destination.name", "nobody-listens")
	default:
		span(service, "work", ptrace.SpanKindInternal, call)
	}
}

// some is 1, or 2 once in n.
func (w *traffic) some(n int) int {
	if w.r.IntN(n) == 0 && !w.single {
		return 2
	}
	return 1
}

// addSpan adds a span of a service; an empty name means a resource without one.
func addSpan(td ptrace.Traces, service string) ptrace.Span {
	rs := td.ResourceSpans().AppendEmpty()
	if service != "" {
		rs.Resource().Attributes().PutStr("service.name", service)
	}
	return rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
}
