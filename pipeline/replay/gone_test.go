package replay

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// TestTopicWithFewerPartitions: after a topic was made again with fewer partitions the complete frontier goes on, also after a restart, and
// a replay is swapped in, although the partitions that are gone never reach their positions again.
func TestTopicWithFewerPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, mem := pipelinetest.NewBroker(t, 3), storage.NewMem(storage.MemOptions{})
		open := func() (*Generations, func()) {
			g, err := OpenGenerations(GenerationsConfig{Store: mem,
				GenerationConfig: GenerationConfig{Kafka: b.Config, Views: model.Config{DedupWindow: -1},
					Spans: kafka.TopicsOf(pipelinetest.Topic), DeadLetter: func(context.Context, *kgo.Record, string) error { return nil },
					Lateness: time.Second, Interval: 100 * time.Millisecond, Logger: zerolog.Nop()}, Behind: time.Second,
				Tick: 100 * time.Millisecond})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- g.Run(ctx) }()
			return g, func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		produce := func(partitions int32) {
			t.Helper()
			for p := range partitions {
				r := &kgo.Record{Topic: pipelinetest.Topic, Partition: p, Value: pipelinetest.Request(t, "web", 1), Timestamp: time.Now()}
				require.NoError(t, b.Client.ProduceSync(t.Context(), r).FirstErr())
			}
		}
		complete := func(g *Generations, when string) {
			t.Helper()
			from := time.Now()
			until(t, "complete goes on "+when, func() bool { return g.Current().Set.Frontier().Complete.After(from) })
		}
		g, stop := open()
		produce(3)
		complete(g, "with three partitions")
		if _, err := kadm.NewClient(b.Client).DeleteTopics(t.Context(), pipelinetest.Topic); err != nil {
			t.Fatal(err)
		}
		until(t, "the topic is gone", func() bool { st := g.Current().Source.States(); return len(st) == 1 && st[0].Absent })
		require.NoError(t, b.CreateTopic(pipelinetest.Topic, 1, nil))
		b.Client.PurgeTopicsFromClient(pipelinetest.Topic)
		produce(1)
		until(t, "all is counted", func() bool { return g.Current().Set.Counters().Spans == 4 })
		complete(g, "with one partition")
		stop()
		g, stop = open()
		defer func() { stop() }()
		complete(g, "after a restart")
		if list := g.Current().Set.Progress(); len(list) != 1 {
			t.Errorf("partitions that are read: %+v", list)
		}
		if _, err := g.StartReplay(Request{}); err != nil {
			t.Fatal(err)
		}
		until(t, "the replay is over", func() bool {
			p, err := g.Replay("1")
			if err != nil || p.State == Failed {
				t.Fatalf("%+v, %v", p, err)
			}
			return p.State == Swapped
		})
		if n := g.Current().Set.Counters().Spans; n != 1 {
			t.Errorf("%d spans after the replay, want that of the new topic", n)
		}
	})
}
