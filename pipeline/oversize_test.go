package pipeline

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// These tests run outside a synctest bubble: finalizers of the zstd decoders that kgo pools close channels of the bubble.

// produceZstd writes the values as one batch.
func (b *broker) produceZstd(values ...[]byte) {
	b.t.Helper()
	opts, _ := b.c.Opts()
	cl, err := kgo.NewClient(append(opts, kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(64<<20), kgo.BrokerMaxWriteBytes(100<<20), kgo.ManualFlushing())...)
	if err != nil {
		b.t.Fatal(err)
	}
	defer cl.Close()
	// The client must know the topic first: records that wait for that are handed on one by one, beside the flush, and may become two batches.
	if err := cl.ProduceSync(b.t.Context(), &kgo.Record{Topic: topic, Partition: 1 << 20}).FirstErr(); err == nil {
		b.t.Fatal("a partition that does not exist was written to")
	}
	for _, v := range values {
		cl.Produce(b.t.Context(), &kgo.Record{Topic: topic, Value: v}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.t.Errorf("produce: %v", err)
			}
		})
	}
	if err := cl.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// TestZstdBomb: a batch over the bound is fetched alone; its large record becomes a dead letter, its others are handed out, and
// the partition goes on. What was written first fails and is tried again.
func TestZstdBomb(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, 0, 2)
	b.produceZstd([]byte("2"), bytes.Repeat([]byte{0}, 3<<20), []byte("4"))
	b.produce(0, 5, 7)
	dead := letters{fails: 2}
	s := b.source(func(c *SourceConfig) {
		c.DecompressBytes, c.OversizeBytes, c.RecordBytes = 1<<20, 8<<20, 2<<20
		c.DeadLetter = dead.add
	})
	out := subscribe(t, s)
	if got := collect(t, out, 6); !slices.Equal(got[0], []string{"0", "1", "2", "4", "5", "6"}) {
		t.Fatalf("got %v", got)
	}
	want := []string{topic + "/0/3 3145728 bytes: record of 3145728 bytes is over the limit of 2097152"}
	if !slices.Equal(dead.list, want) {
		t.Fatalf("dead letters %v, want %v", dead.list, want)
	}
	eventually(t, "idle", func() bool { st := s.States()[0]; return st.Idle && st.Position == 7 && st.Err == nil })
}

// TestZstdBombBeyondAll: a batch over the larger bound too is one dead letter that names the offsets; at the end of the log, the
// handler hears of the step.
func TestZstdBombBeyondAll(t *testing.T) {
	b := newBroker(t, 1)
	b.produceZstd(bytes.Repeat([]byte{0}, 3<<20), []byte("1"))
	var dead letters
	s := b.source(func(c *SourceConfig) {
		c.DecompressBytes, c.OversizeBytes = 1<<20, 2<<20
		c.DeadLetter = dead.add
	})
	out := subscribe(t, s)
	m, batch := receive(t, out)
	if len(batch.Records) != 0 || batch.Position().Offset != 2 {
		t.Fatalf("batch %+v", batch)
	}
	if len(dead.list) != 1 || !strings.Contains(dead.list[0], fmt.Sprintf("%s/0/0 0 bytes: record batch of offsets 0 to 1", topic)) {
		t.Fatalf("dead letters %v", dead.list)
	}
	m.Ack()
	eventually(t, "idle", func() bool { return s.States()[0].Idle })
}

// TestZstdBombWithoutDeadLetter: nothing is stepped over that cannot be kept.
func TestZstdBombWithoutDeadLetter(t *testing.T) {
	b := newBroker(t, 2)
	b.produceZstd(bytes.Repeat([]byte{0}, 3<<20))
	b.produce(1, 0, 3)
	s := b.source(func(c *SourceConfig) { c.DecompressBytes = 1 << 20 })
	out := subscribe(t, s)
	if got := collect(t, out, 3); !slices.Equal(got[1], numbers(0, 3)) {
		t.Fatalf("got %v", got)
	}
	eventually(t, "the state says why", func() bool {
		st := s.States()[0]
		return st.Err != nil && strings.Contains(st.Err.Error(), "decompresses") && !st.Idle && st.Position == 0
	})
}
