package pipeline

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/storage"
)

const topic = "otlp_spans"

// broker is a kfake cluster on a network of its own, so that tests can run in a synctest bubble.
type broker struct {
	*kfake.Cluster
	t   *testing.T
	c   KafkaConfig
	cl  *kgo.Client
	net *kfake.VirtualNetwork
}

func newBroker(t *testing.T, partitions int32, opts ...kfake.Opt) *broker {
	t.Helper()
	b := &broker{t: t, net: &kfake.VirtualNetwork{}}
	opts = append([]kfake.Opt{kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(b.net.Listen)}, opts...)
	if partitions > 0 {
		opts = append(opts, kfake.SeedTopics(partitions, topic))
	}
	var err error
	if b.Cluster, err = kfake.NewCluster(opts...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Cluster.Close)
	b.c = KafkaConfig{Brokers: b.ListenAddrs(), Dialer: b.net.DialContext}
	copts, err := b.c.Opts()
	if err != nil {
		t.Fatal(err)
	}
	if b.cl, err = kgo.NewClient(append(copts, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.cl.Close)
	return b
}

// produce writes records with the values from..to-1 to a partition.
func (b *broker) produce(partition int32, from, to int) {
	b.t.Helper()
	var rs []*kgo.Record
	for i := from; i < to; i++ {
		rs = append(rs, &kgo.Record{Topic: topic, Partition: partition, Value: []byte(fmt.Sprint(i))})
	}
	if err := b.cl.ProduceSync(b.t.Context(), rs...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *broker) source(change func(*SourceConfig)) *Source {
	b.t.Helper()
	c := SourceConfig{Kafka: b.c}
	if change != nil {
		change(&c)
	}
	s, err := NewSource(c)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() })
	return s
}

func subscribe(t *testing.T, s *Source) <-chan *message.Message {
	t.Helper()
	out, err := s.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// receive returns the next message and its batch.
func receive(t *testing.T, out <-chan *message.Message) (*message.Message, Batch) {
	t.Helper()
	select {
	case m, ok := <-out:
		if !ok {
			t.Fatal("the subscription ended")
		}
		b, ok := BatchFrom(m.Context())
		if !ok {
			t.Fatal("message without a batch")
		}
		return m, b
	case <-time.After(time.Minute):
		t.Fatal("no message")
		return nil, Batch{}
	}
}

// collect acknowledges messages until it has n values, and returns them by partition.
func collect(t *testing.T, out <-chan *message.Message, n int) map[int32][]string {
	t.Helper()
	got := map[int32][]string{}
	for n > 0 {
		m, b := receive(t, out)
		for _, r := range b.Records {
			got[b.Partition] = append(got[b.Partition], string(r.Value))
			n--
		}
		m.Ack()
	}
	return got
}

// eventually waits until ok, in the bubble's time or in real time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func numbers(from, to int) []string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// stored is a Position function over a map.
func stored(ps ...storage.Position) func(string, int32) (storage.Position, bool) {
	return func(topic string, partition int32) (storage.Position, bool) {
		for _, p := range ps {
			if p.Topic == topic && p.Partition == partition {
				return p, true
			}
		}
		return storage.Position{}, false
	}
}

// losses keeps what OnTruncated was told.
type losses struct {
	mu   sync.Mutex
	list []string
}

func (l *losses) add(topic string, partition int32, from, to int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, fmt.Sprintf("%s/%d %d-%d", topic, partition, from, to))
}

func (l *losses) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.list...)
}

// letters keeps what DeadLetter was given, and fails the first fails calls.
type letters struct {
	mu    sync.Mutex
	fails int
	list  []string
}

func (l *letters) add(_ context.Context, r *kgo.Record, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails > 0 {
		l.fails--
		return fmt.Errorf("planted")
	}
	l.list = append(l.list, fmt.Sprintf("%s/%d/%d %d bytes: %s", r.Topic, r.Partition, r.Offset, len(r.Value), reason))
	return nil
}
