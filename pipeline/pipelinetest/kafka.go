package pipelinetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
)

// Topic is the topic of the spans.
const Topic = "otlp_spans"

// Broker is a kfake cluster on a network of its own, so that tests can run in a synctest bubble.
type Broker struct {
	*kfake.Cluster
	T      *testing.T
	Config kafka.Config
	Client *kgo.Client
	net    *kfake.VirtualNetwork
}

// NewBroker returns a broker whose topic has so many partitions; 0: there is none.
func NewBroker(t *testing.T, partitions int32, opts ...kfake.Opt) *Broker {
	t.Helper()
	b := &Broker{T: t, net: &kfake.VirtualNetwork{}}
	opts = append([]kfake.Opt{kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(b.net.Listen)}, opts...)
	if partitions > 0 {
		opts = append(opts, kfake.SeedTopics(partitions, Topic))
	}
	var err error
	if b.Cluster, err = kfake.NewCluster(opts...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Cluster.Close)
	b.Config = kafka.Config{Brokers: b.ListenAddrs(), Dialer: b.net.DialContext}
	if b.Client, err = b.Config.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Client.Close)
	return b
}

// Produce writes records with the values from..to-1 to a partition.
func (b *Broker) Produce(partition int32, from, to int) {
	b.T.Helper()
	var rs []*kgo.Record
	for i := from; i < to; i++ {
		rs = append(rs, &kgo.Record{Topic: Topic, Partition: partition, Value: []byte(fmt.Sprint(i))})
	}
	if err := b.Client.ProduceSync(b.T.Context(), rs...).FirstErr(); err != nil {
		b.T.Fatal(err)
	}
}

// Slow lets the broker wait before it answers requests of the kind. The wait ends with the test: a broker that sleeps does not see its end,
// and a synctest bubble whose test has returned has no time in which it could wake.
func (b *Broker) Slow(key kmsg.Key, wait time.Duration) {
	ended := make(chan struct{})
	b.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		select {
		case <-time.After(wait):
		case <-ended:
		}
		return nil, nil, false
	})
	b.T.Cleanup(func() { close(ended) })
}

// Source returns a source of the broker; change, if any, changes its settings.
func (b *Broker) Source(change func(*source.Config)) *source.Source {
	b.T.Helper()
	c := source.Config{Kafka: b.Config}
	if change != nil {
		change(&c)
	}
	s, err := source.New(c)
	if err != nil {
		b.T.Fatal(err)
	}
	b.T.Cleanup(func() { _ = s.Close() })
	return s
}

// Subscribe returns the messages of the topic.
func Subscribe(t *testing.T, s *source.Source) <-chan *message.Message {
	t.Helper()
	out, err := s.Subscribe(t.Context(), Topic)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Receive returns the next message and its batch.
func Receive(t *testing.T, out <-chan *message.Message) (*message.Message, source.Batch) {
	t.Helper()
	select {
	case m, ok := <-out:
		if !ok {
			t.Fatal("the subscription ended")
		}
		b, ok := source.BatchFrom(m.Context())
		if !ok {
			t.Fatal("message without a batch")
		}
		return m, b
	case <-time.After(time.Minute):
		t.Fatal("no message")
		return nil, source.Batch{}
	}
}

// Collect acknowledges messages until it has n values, and returns them by partition.
func Collect(t *testing.T, out <-chan *message.Message, n int) map[int32][]string {
	t.Helper()
	got := map[int32][]string{}
	for n > 0 {
		m, b := Receive(t, out)
		for _, r := range b.Records {
			got[b.Partition] = append(got[b.Partition], string(r.Value))
			n--
		}
		m.Ack()
	}
	return got
}

// Eventually waits until ok, in the bubble's time or in real time.
func Eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// Numbers returns from to to-1 as text.
func Numbers(from, to int) []string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// Stored is a Position function over a map.
func Stored(ps ...storage.Position) func(string, int32) (storage.Position, bool) {
	return func(topic string, partition int32) (storage.Position, bool) {
		for _, p := range ps {
			if p.Topic == topic && p.Partition == partition {
				return p, true
			}
		}
		return storage.Position{}, false
	}
}

// Losses keeps the calls of OnTruncated.
type Losses struct {
	mu   sync.Mutex
	list []string
}

// Add is an OnTruncated.
func (l *Losses) Add(topic string, partition int32, from, to int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, fmt.Sprintf("%s/%d %d-%d", topic, partition, from, to))
}

// All returns what was lost.
func (l *Losses) All() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.list...)
}

// Letters keeps what DeadLetter was given, and fails the first fails calls.
type Letters struct {
	mu    sync.Mutex
	Fails int
	List  []string
}

// Add is a DeadLetter.
func (l *Letters) Add(_ context.Context, r *kgo.Record, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Fails > 0 {
		l.Fails--
		return fmt.Errorf("planted")
	}
	l.List = append(l.List, fmt.Sprintf("%s/%d/%d %d bytes: %s", r.Topic, r.Partition, r.Offset, len(r.Value), reason))
	return nil
}

// Request is an export request of n spans of a service.
func Request(t *testing.T, service string, n int) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	ss := rs.ScopeSpans().AppendEmpty()
	for i := range n {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, byte(i)})
		s.SetSpanID(pcommon.SpanID{2})
		s.SetName("op")
		s.SetEndTimestamp(pcommon.Timestamp(time.Second))
	}
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
