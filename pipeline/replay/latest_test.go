package replay

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// TestLatestIsResolvedOnce: where a start at the end of the topics begins is stored when it is first known, so that what comes while the
// process is down is read, into partitions that gave no record yet, into topics that did not exist, and into partitions added meanwhile.
func TestLatestIsResolvedOnce(t *testing.T) {
	const fresh = "fresh"
	for _, kill := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := pipelinetest.NewBroker(t, 4)
			mem := storage.NewMem(storage.MemOptions{})
			span := func(n int) []byte { return pipelinetest.Request(t, fmt.Sprint("s", n%3), 1) }
			put := func(topic string, partition int32, n int) {
				t.Helper()
				require.NoError(t, b.Client.ProduceSync(t.Context(),
					&kgo.Record{Topic: topic, Partition: partition, Value: append(span(n), 0x1a, 1, byte('a'+n)),
						Timestamp: time.Now()}).FirstErr())
			}
			for n := range 4 { // before the first start: not to be read
				put(pipelinetest.Topic, int32(n), n)
			}
			start := func() (*Generations, func()) {
				g, err := OpenGenerations(GenerationsConfig{Store: mem,
					GenerationConfig: GenerationConfig{Kafka: b.Config, Views: model.Config{DedupWindow: -1},
						Spans: kafka.TopicsOf(pipelinetest.Topic, fresh), StartLatest: true,
						DeadLetter: func(context.Context, *kgo.Record, string) error { t.Error("dead letter"); return nil },
						Lateness:   time.Second, Interval: 100 * time.Millisecond, Logger: zerolog.Nop()}})
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- g.Run(ctx) }()
				return g, func() { cancel(); <-ended }
			}
			g, stop := start()
			until(t, "all partitions are idle", func() bool {
				idle := 0
				for _, s := range g.Current().Source.States() {
					if s.Idle {
						idle++
					}
				}
				return idle == 4
			})
			until(t, "positions are shown", func() bool {
				at := 0
				for _, p := range g.Current().Set.Progress() {
					if p.Topic == pipelinetest.Topic && p.Position == 1 {
						at++
					}
				}
				return at == 4
			})
			began := g.Began()
			require.False(t, began.Latest.IsZero(), "answers about the time before say so")
			require.False(t, began.Trimmed)
			if kill { // the positions are stored whatever happens then
				mem = mem.Crash(nil)
			}
			stop()
			for n := range 20 {
				put(pipelinetest.Topic, int32(n%4), 4+n)
			}
			require.NoError(t, b.CreateTopic(fresh, 2, nil))
			b.Client.ForceMetadataRefresh()
			until(t, "the producer sees the topic", func() bool {
				return b.Client.ProduceSync(t.Context(),
					&kgo.Record{Topic: fresh, Partition: 1, Value: span(1), Timestamp: time.Now()}).FirstErr() == nil
			})
			g, stop = start()
			until(t, "what came meanwhile is read", func() bool { return g.Live().Counters().Spans == 21 })
			time.Sleep(10 * time.Second)
			require.EqualValues(t, 21, g.Live().Counters().Spans)
			require.Equal(t, began.Latest.UnixNano(), g.Began().Latest.UnixNano(), "it is known after a restart")
			stop()
		})
	}
}

// TestTrimmedTopicsAreKnown: a topic that had lost its oldest records when it was first read is known to lack them, after a restart too;
// one that is read from its first record is not.
func TestTrimmedTopicsAreKnown(t *testing.T) {
	for _, trim := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := pipelinetest.NewBroker(t, 1)
			for n := range 4 {
				require.NoError(t, b.Client.ProduceSync(t.Context(),
					&kgo.Record{Topic: pipelinetest.Topic, Value: append(pipelinetest.Request(t, "s", 1), 0x1a, 1, byte('a'+n)),
						Timestamp: time.Now()}).FirstErr())
			}
			if trim {
				_, err := kadm.NewClient(b.Client).DeleteRecords(t.Context(),
					kadm.Offsets{pipelinetest.Topic: {0: {Topic: pipelinetest.Topic, Partition: 0, At: 2}}})
				require.NoError(t, err)
			}
			mem := storage.NewMem(storage.MemOptions{})
			for range 2 {
				g, err := OpenGenerations(GenerationsConfig{Store: mem,
					GenerationConfig: GenerationConfig{Kafka: b.Config, Views: model.Config{DedupWindow: -1},
						Spans:      kafka.TopicsOf(pipelinetest.Topic),
						DeadLetter: func(context.Context, *kgo.Record, string) error { t.Error("dead letter"); return nil },
						Lateness:   time.Second, Interval: 100 * time.Millisecond, Logger: zerolog.Nop()}})
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- g.Run(ctx) }()
				want := uint64(4)
				if trim {
					want = 2
				}
				until(t, "all is read", func() bool { return g.Live().Counters().Spans == want })
				require.Equal(t, progress.Beginning{Trimmed: trim}, g.Began())
				require.Empty(t, g.Gaps())
				cancel()
				<-ended
			}
		})
	}
}
