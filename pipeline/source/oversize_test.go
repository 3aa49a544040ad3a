package source_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// These tests run outside a synctest bubble: finalizers of the zstd decoders that kgo pools close channels of the bubble.

// produceZstd writes the values as one batch.
func produceZstd(b *pipelinetest.Broker, values ...[]byte) {
	b.T.Helper()
	opts, _ := b.Config.Opts()
	cl, err := kgo.NewClient(append(opts, kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(64<<20), kgo.BrokerMaxWriteBytes(100<<20),
		kgo.ManualFlushing())...)
	if err != nil {
		b.T.Fatal(err)
	}
	defer cl.Close()
	// The client must know the topic first: records that wait for that are handed on one by one, beside the flush, and may become two
	// batches.
	if err := cl.ProduceSync(b.T.Context(), &kgo.Record{Topic: pipelinetest.Topic, Partition: 1 << 20}).FirstErr(); err == nil {
		b.T.Fatal("a partition that does not exist was written to")
	}
	for _, v := range values {
		cl.Produce(b.T.Context(), &kgo.Record{Topic: pipelinetest.Topic, Value: v}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.T.Errorf("produce: %v", err)
			}
		})
	}
	if err := cl.Flush(b.T.Context()); err != nil {
		b.T.Fatal(err)
	}
}

// TestZstdBomb: a batch over the bound is fetched alone; its large record becomes a dead letter, its others are handed out, and
// the partition goes on. What was written first fails and is tried again.
func TestZstdBomb(t *testing.T) {
	b := pipelinetest.NewBroker(t, 1)
	b.Produce(0, 0, 2)
	produceZstd(b, []byte("2"), bytes.Repeat([]byte{0}, 3<<20), []byte("4"))
	b.Produce(0, 5, 7)
	dead := pipelinetest.Letters{Fails: 2}
	s := b.Source(func(c *source.Config) {
		c.DecompressBytes, c.OversizeBytes, c.RecordBytes = 1<<20, 8<<20, 2<<20
		c.DeadLetter = dead.Add
	})
	out := pipelinetest.Subscribe(t, s)
	if got := pipelinetest.Collect(t, out, 6); !slices.Equal(got[0], []string{"0", "1", "2", "4", "5", "6"}) {
		t.Fatalf("got %v", got)
	}
	want := []string{pipelinetest.Topic + "/0/3 3145728 bytes: record of 3145728 bytes is over the limit of 2097152"}
	if !slices.Equal(dead.List, want) {
		t.Fatalf("dead letters %v, want %v", dead.List, want)
	}
	pipelinetest.Eventually(t, "idle", func() bool { st := s.States()[0]; return st.Idle && st.Position == 7 && st.Err == nil })
}

// TestZstdBombBeyondAll: a batch over the larger bound too is one dead letter that names the offsets; at the end of the log, the
// handler hears of the step.
func TestZstdBombBeyondAll(t *testing.T) {
	b := pipelinetest.NewBroker(t, 1)
	produceZstd(b, bytes.Repeat([]byte{0}, 3<<20), []byte("1"))
	var dead pipelinetest.Letters
	s := b.Source(func(c *source.Config) {
		c.DecompressBytes, c.OversizeBytes = 1<<20, 2<<20
		c.DeadLetter = dead.Add
	})
	out := pipelinetest.Subscribe(t, s)
	m, batch := pipelinetest.Receive(t, out)
	if len(batch.Records) != 0 || batch.Position().Offset != 2 {
		t.Fatalf("batch %+v", batch)
	}
	if len(dead.List) != 1 || !strings.Contains(dead.List[0],
		fmt.Sprintf("%s/0/0 0 bytes: record batch of offsets 0 to 1", pipelinetest.Topic)) {
		t.Fatalf("dead letters %v", dead.List)
	}
	m.Ack()
	pipelinetest.Eventually(t, "idle", func() bool { return s.States()[0].Idle })
}

// TestZstdBombWithoutDeadLetter: nothing is stepped over that cannot be kept.
func TestZstdBombWithoutDeadLetter(t *testing.T) {
	b := pipelinetest.NewBroker(t, 2)
	produceZstd(b, bytes.Repeat([]byte{0}, 3<<20))
	b.Produce(1, 0, 3)
	s := b.Source(func(c *source.Config) { c.DecompressBytes = 1 << 20 })
	out := pipelinetest.Subscribe(t, s)
	if got := pipelinetest.Collect(t, out, 3); !slices.Equal(got[1], pipelinetest.Numbers(0, 3)) {
		t.Fatalf("got %v", got)
	}
	pipelinetest.Eventually(t, "the state says why", func() bool {
		st := s.States()[0]
		return st.Err != nil && strings.Contains(st.Err.Error(), "decompresses") && !st.Idle && st.Position == 0
	})
}
