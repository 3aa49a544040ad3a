package source_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
)

// TestWatermill runs watermill's own suite on Source and Publisher, a record a message.
func TestWatermill(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
	require.NoError(t, err)
	t.Cleanup(c.Close) // not defer: the suite's parallel tests run after this function
	k := kafka.Config{Brokers: c.ListenAddrs()}
	construct := func(t *testing.T) (message.Publisher, message.Subscriber) {
		p, err := pipelinetest.NewPublisher(k)
		require.NoError(t, err)
		s, err := source.New(source.Config{Kafka: k, BatchRecords: 1, Refresh: 100 * time.Millisecond, RedeliverMax: time.Millisecond})
		require.NoError(t, err)
		return p, s
	}
	tests.TestPubSub(t, tests.Features{
		GuaranteedOrder: true, Persistent: true, NewSubscriberReceivesOldMessages: true, ForceShort: testing.Short(),
	}, construct, nil)
}

func TestOrderAndPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 3)
		for p := range int32(3) {
			b.Produce(p, 0, 500)
		}
		s := b.Source(func(c *source.Config) {
			c.BatchRecords = 64
			c.Position = pipelinetest.Stored(storage.Position{Topic: pipelinetest.Topic, Partition: 1, Offset: 100, LeaderEpoch: -1},
				storage.Position{Topic: pipelinetest.Topic, Partition: 2, Offset: 500, LeaderEpoch: -1})
		})
		out := pipelinetest.Subscribe(t, s)
		got := map[int32][]string{}
		next := map[int32]int64{1: 100}
		for len(got[0])+len(got[1]) < 900 {
			m, b := pipelinetest.Receive(t, out)
			if len(b.Records) > 64 || b.Records[0].Offset != next[b.Partition] {
				t.Fatalf("%d records from %d, expected from %d", len(b.Records), b.Records[0].Offset, next[b.Partition])
			}
			next[b.Partition] = b.Position().Offset
			for _, r := range b.Records {
				got[b.Partition] = append(got[b.Partition], string(r.Value))
			}
			if id := b.Position().TopicID; id != b.TopicID || id == [16]byte{} {
				t.Fatalf("topic id %x", id)
			}
			m.Ack()
		}
		if want := map[int32][]string{0: pipelinetest.Numbers(0, 500), 1: pipelinetest.Numbers(100, 500)}; !reflect.DeepEqual(got, want) {
			t.Fatal("records are missing, doubled or out of order")
		}
		pipelinetest.Eventually(t, "all idle", func() bool {
			states := s.States()
			return len(states) == 3 && !slices.ContainsFunc(states, func(p source.PartitionState) bool {
				return !p.Idle || p.Position != 500 || p.HighWatermark != 500 || p.Err != nil || p.Lag() != 0
			})
		})
	})
}

func TestOneInFlightAndRedelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 2)
		b.Produce(0, 0, 10)
		out := pipelinetest.Subscribe(t, b.Source(func(c *source.Config) { c.BatchRecords = 4 }))
		m, first := pipelinetest.Receive(t, out)
		select {
		case <-out:
			t.Fatal("a second message before the first was acknowledged")
		case <-time.After(time.Minute):
		}
		b.Produce(1, 100, 101) // another partition goes on
		other, ob := pipelinetest.Receive(t, out)
		if ob.Partition != 1 {
			t.Fatalf("partition %d", ob.Partition)
		}
		other.Ack()
		for range 3 {
			m.Nack()
			<-m.Context().Done()
			var again source.Batch
			m, again = pipelinetest.Receive(t, out)
			if !reflect.DeepEqual(again, first) {
				t.Fatalf("redelivered %v, first was %v", again, first)
			}
		}
		m.Ack()
		if got := pipelinetest.Collect(t, out, 6); !slices.Equal(got[0], pipelinetest.Numbers(4, 10)) {
			t.Fatalf("after redelivery: %v", got)
		}
	})
}

func TestNotIdleBeforeAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		b.Produce(0, 0, 1)
		s := b.Source(nil)
		out := pipelinetest.Subscribe(t, s)
		m, _ := pipelinetest.Receive(t, out)
		time.Sleep(5 * time.Second)
		if st := s.States()[0]; st.Idle || st.Position != 0 || st.Lag() != 1 {
			t.Fatalf("with a message out: %+v", st)
		}
		m.Ack()
		pipelinetest.Eventually(t, "idle", func() bool { return s.States()[0].Idle })
	})
}

// TestIdleAsLongAsTheBrokerSays: what a broker says of a partition holds for when it was asked. One that takes 3 s to answer is 2 s behind
// the second in which an answer is expected, also right after an answer.
func TestIdleAsLongAsTheBrokerSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		b.Produce(0, 0, 10)
		s := b.Source(func(c *source.Config) { c.Refresh = time.Second })
		pipelinetest.Collect(t, pipelinetest.Subscribe(t, s), 10)
		pipelinetest.Eventually(t, "idle", func() bool { st := s.States()[0]; return st.Idle && st.Overdue == 0 })
		b.Slow(kmsg.ListOffsets, 3*time.Second)
		time.Sleep(5 * time.Second)
		for range 200 {
			time.Sleep(50 * time.Millisecond)
			if st := s.States()[0]; !st.Idle || st.Overdue < 1900*time.Millisecond || st.Overdue > 6*time.Second {
				t.Fatalf("%+v", st)
			}
		}
	})
}

func TestSeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		b.Produce(0, 0, 100)
		s := b.Source(func(c *source.Config) { c.BatchRecords = 10 })
		out := pipelinetest.Subscribe(t, s)
		for range 4 {
			m, _ := pipelinetest.Receive(t, out)
			m.Ack()
		}
		m, _ := pipelinetest.Receive(t, out) // 40..49
		s.Seek(pipelinetest.Topic, 0, 15)
		m.Nack()
		if got := pipelinetest.Collect(t, out, 85); !slices.Equal(got[0], pipelinetest.Numbers(15, 100)) {
			t.Fatalf("after seek: %v", got)
		}
		pipelinetest.Eventually(t, "idle", func() bool { return s.States()[0].Idle })
	})
}

func TestNewPartitionsAndLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		b.Produce(0, 0, 10)
		s := b.Source(func(c *source.Config) { c.StartLatest = true })
		out := pipelinetest.Subscribe(t, s)
		pipelinetest.Eventually(t, "idle at the end", func() bool { st := s.States()[0]; return st.Idle && st.Position == 10 })
		req := kmsg.NewPtrCreatePartitionsRequest()
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = pipelinetest.Topic, 3
		req.Topics = append(req.Topics, rt)
		if _, err := req.RequestWith(t.Context(), b.Client); err != nil {
			t.Fatal(err)
		}
		b.Client.ForceMetadataRefresh()
		pipelinetest.Eventually(t, "the producer sees the partition", func() bool {
			return b.Client.ProduceSync(t.Context(),
				&kgo.Record{Topic: pipelinetest.Topic, Partition: 2, Value: []byte("new")}).FirstErr() == nil
		})
		b.Produce(0, 10, 12)
		if got := pipelinetest.Collect(t, out, 3); !reflect.DeepEqual(got, map[int32][]string{0: {"10", "11"}, 2: {"new"}}) {
			t.Fatalf("got %v", got)
		}
	})
}

func TestMissingTopicAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		b := pipelinetest.NewBroker(t, 0)
		s := b.Source(func(c *source.Config) { c.StartLatest = true; c.Logger = zerolog.New(zerolog.SyncWriter(&log)) })
		out := pipelinetest.Subscribe(t, s)
		time.Sleep(30 * time.Second)
		if st := s.States(); len(st) != 1 || st[0].Partition != -1 || !errors.Is(st[0].Err, source.ErrNoTopic) {
			t.Fatalf("states without the topic: %+v", st)
		}
		require.NoError(t, b.CreateTopic(pipelinetest.Topic, 2, nil))
		b.Produce(1, 0, 5) // records from before we noticed the topic count, whatever Start says
		if got := pipelinetest.Collect(t, out, 5); !slices.Equal(got[1], pipelinetest.Numbers(0, 5)) {
			t.Fatalf("got %v", got)
		}
		pipelinetest.Eventually(t, "idle", func() bool { return s.States()[1].Idle })
		s.Close()
		if n := strings.Count(log.String(), `"level":"warn"`); n != 1 {
			t.Fatalf("%d warnings, want one:\n%s", n, log.String())
		}
	})
}

// TestTopicMadeAgain: what a topic no longer has is no state after a few answers of the broker; until then it is known to be unreachable.
func TestTopicMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 3)
		s := b.Source(nil)
		out := pipelinetest.Subscribe(t, s)
		b.Produce(2, 0, 5)
		if got := pipelinetest.Collect(t, out, 5); !slices.Equal(got[2], pipelinetest.Numbers(0, 5)) {
			t.Fatalf("got %v", got)
		}
		pipelinetest.Eventually(t, "idle", func() bool { st := s.States(); return len(st) == 3 && st[2].Idle && !st[2].Partial })
		adm := kadm.NewClient(b.Client)
		if _, err := adm.DeleteTopics(t.Context(), pipelinetest.Topic); err != nil {
			t.Fatal(err)
		}
		pipelinetest.Eventually(t, "it is gone", func() bool {
			st := s.States()
			return len(st) == 1 && st[0].Partition == -1 && st[0].Absent && errors.Is(st[0].Err, source.ErrNoTopic)
		})
		require.NoError(t, b.CreateTopic(pipelinetest.Topic, 1, nil))
		b.Client.PurgeTopicsFromClient(pipelinetest.Topic) // the id that it knows
		b.Produce(0, 0, 3)
		if got := pipelinetest.Collect(t, out, 3); !slices.Equal(got[0], pipelinetest.Numbers(0, 3)) {
			t.Fatalf("got %v", got)
		}
		pipelinetest.Eventually(t, "one partition", func() bool {
			st := s.States()
			return len(st) == 1 && st[0].Partition == 0 && st[0].Idle && !st[0].Partial
		})
	})
}

func TestTruncatedBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 2)
		b.Produce(0, 0, 50)
		b.Produce(1, 0, 50)
		for p, offset := range []int64{30, 50} {
			require.NoError(t, b.DeleteRecords(pipelinetest.Topic, int32(p), offset))
		}
		var lost pipelinetest.Losses
		s := b.Source(func(c *source.Config) {
			c.OnTruncated = lost.Add
			c.Position = pipelinetest.Stored(storage.Position{Topic: pipelinetest.Topic, Partition: 0, Offset: 10, LeaderEpoch: -1},
				storage.Position{Topic: pipelinetest.Topic, Partition: 1, Offset: 80, LeaderEpoch: -1})
		})
		out := pipelinetest.Subscribe(t, s)
		if got := pipelinetest.Collect(t, out, 20); !slices.Equal(got[0], pipelinetest.Numbers(30, 50)) {
			t.Fatalf("got %v", got)
		}
		pipelinetest.Eventually(t, "idle", func() bool { st := s.States(); return st[0].Idle && st[1].Idle })
		got := lost.All()
		slices.Sort(got)
		if want := []string{pipelinetest.Topic + "/0 10-30", pipelinetest.Topic + "/1 80-50"}; !slices.Equal(got, want) {
			t.Fatalf("reported %v, want %v", got, want)
		}
	})
}

func TestTruncatedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		b.Produce(0, 0, 10)
		var lost pipelinetest.Losses
		s := b.Source(func(c *source.Config) { c.OnTruncated = lost.Add })
		out := pipelinetest.Subscribe(t, s)
		pipelinetest.Collect(t, out, 10)
		pipelinetest.Eventually(t, "idle", func() bool { return s.States()[0].Idle })
		// the brokers lose sight of us while records are written and deleted
		cut := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.LeaderNotAvailable, Count: -1})
		time.Sleep(2 * time.Second)
		b.Produce(0, 10, 60)
		require.NoError(t, b.DeleteRecords(pipelinetest.Topic, 0, 40))
		cut.Remove()
		var got []string
		for len(got) < 20 {
			m, batch := pipelinetest.Receive(t, out)
			if len(batch.Records) == 0 && batch.Next != 40 {
				t.Fatalf("stepped to %d", batch.Next)
			}
			if len(batch.Records) > 0 && len(lost.All()) == 0 {
				t.Fatal("records after a loss that was not reported")
			}
			for _, r := range batch.Records {
				got = append(got, string(r.Value))
			}
			m.Ack()
		}
		if !slices.Equal(got, pipelinetest.Numbers(40, 60)) || !slices.Equal(lost.All(), []string{pipelinetest.Topic + "/0 10-40"}) {
			t.Fatalf("got %v, reported %v", got, lost.All())
		}
	})
}

func TestTopicMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		b.Produce(0, 0, 10)
		var lost pipelinetest.Losses
		s := b.Source(func(c *source.Config) { c.OnTruncated = lost.Add })
		out := pipelinetest.Subscribe(t, s)
		pipelinetest.Collect(t, out, 10)
		pipelinetest.Eventually(t, "idle", func() bool { return s.States()[0].Idle })
		require.NoError(t, b.DeleteTopic(pipelinetest.Topic))
		require.NoError(t, b.CreateTopic(pipelinetest.Topic, 1, nil))
		b.Client.PurgeTopicsFromClient(pipelinetest.Topic)
		b.Produce(0, 100, 115)
		if got := pipelinetest.Collect(t, out, 15); !slices.Equal(got[0], pipelinetest.Numbers(100, 115)) {
			t.Fatalf("got %v", got)
		}
		if got := lost.All(); !slices.Equal(got, []string{pipelinetest.Topic + "/0 10-0"}) {
			t.Fatalf("reported %v", got)
		}
	})
}

// TestMadeAnewWhileDown: the stored position belongs to another topic of the same name, which is longer than it.
func TestMadeAnewWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		b.Produce(0, 0, 10)
		var lost pipelinetest.Losses
		out := pipelinetest.Subscribe(t, b.Source(func(c *source.Config) {
			c.OnTruncated = lost.Add
			c.Position = pipelinetest.Stored(storage.Position{Topic: pipelinetest.Topic, Offset: 5, LeaderEpoch: 0, TopicID: [16]byte{1}})
		}))
		if got := pipelinetest.Collect(t, out, 10); !slices.Equal(got[0], pipelinetest.Numbers(0, 10)) || !slices.Equal(lost.All(),
			[]string{pipelinetest.Topic + "/0 5-0"}) {
			t.Fatalf("got %v, reported %v", got, lost.All())
		}
	})
}

func TestBrokerErrorsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		b := pipelinetest.NewBroker(t, 1)
		s := b.Source(func(c *source.Config) { c.Logger = zerolog.New(zerolog.SyncWriter(&log)) })
		broken := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.LeaderNotAvailable, Count: -1})
		out := pipelinetest.Subscribe(t, s)
		b.Produce(0, 0, 5)
		time.Sleep(time.Minute)
		if st := s.States()[0]; st.Idle || st.Err == nil {
			t.Fatalf("state while the broker fails: %+v", st)
		}
		broken.Remove()
		if got := pipelinetest.Collect(t, out, 5); !slices.Equal(got[0], pipelinetest.Numbers(0, 5)) {
			t.Fatalf("got %v", got)
		}
		// a broker that answers nothing for a while
		silent := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets}, Err: kerr.NotLeaderForPartition, Count: -1})
		b.Produce(0, 5, 9)
		pipelinetest.Eventually(t, "the state says so", func() bool { st := s.States()[0]; return !st.Idle && st.Err != nil })
		time.Sleep(time.Minute)
		silent.Remove()
		if got := pipelinetest.Collect(t, out, 4); !slices.Equal(got[0], pipelinetest.Numbers(5, 9)) {
			t.Fatalf("got %v", got)
		}
		pipelinetest.Eventually(t, "idle", func() bool { st := s.States()[0]; return st.Idle && st.Err == nil })
		s.Close()
		if n := strings.Count(log.String(), `"level":"warn"`); n != 2 {
			t.Fatalf("%d warnings in two outages:\n%s", n, log.String())
		}
	})
}

// TestBrokerDownAtStart: there is nothing at the address, then there is.
func TestBrokerDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &kfake.VirtualNetwork{}
		c := kafka.Config{Brokers: []string{"127.0.0.1:9092"}, Dialer: net.DialContext}
		s, err := source.New(source.Config{Kafka: c})
		require.NoError(t, err)
		defer s.Close()
		out := pipelinetest.Subscribe(t, s)
		time.Sleep(time.Minute)
		if st := s.States(); len(st) != 1 || st[0].Err == nil {
			t.Fatalf("states: %+v", st)
		}
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.SeedTopics(1, pipelinetest.Topic),
			kfake.ListenFn(net.Listen))
		require.NoError(t, err)
		defer cluster.Close()
		p, err := pipelinetest.NewPublisher(c)
		require.NoError(t, err)
		defer p.Close()
		require.NoError(t, p.Publish(pipelinetest.Topic, message.NewMessage("1", []byte("x"))))
		if got := pipelinetest.Collect(t, out, 1); got[0][0] != "x" {
			t.Fatalf("got %v", got)
		}
	})
}

func TestSubscribeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		b.Produce(0, 0, 3)
		s := b.Source(nil)
		ctx, cancel := context.WithCancel(t.Context())
		out, err := s.Subscribe(ctx, pipelinetest.Topic)
		require.NoError(t, err)
		m, _ := pipelinetest.Receive(t, out)
		cancel()
		<-m.Context().Done()
		for range out {
			t.Fatal("a message after the end")
		}
		pipelinetest.Eventually(t, "no state is left", func() bool { return len(s.States()) == 0 })
		again := pipelinetest.Subscribe(t, s)
		if got := pipelinetest.Collect(t, again, 3); !slices.Equal(got[0], pipelinetest.Numbers(0, 3)) {
			t.Fatalf("got %v", got)
		}
		require.NoError(t, s.Close())
		for range again {
			t.Fatal("a message after Close")
		}
		if _, err := s.Subscribe(t.Context(), pipelinetest.Topic); !errors.Is(err, source.ErrClosed) {
			t.Fatalf("subscribe after Close: %v", err)
		}
	})
}

// TestTransactions: aborted records are left out, markers are stepped over, and the partition becomes idle at its end.
func TestTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		opts, _ := b.Config.Opts()
		cl, err := kgo.NewClient(append(opts, kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		require.NoError(t, err)
		defer cl.Close()
		for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
			require.NoError(t, cl.BeginTransaction())
			for j := range 3 {
				r := &kgo.Record{Topic: pipelinetest.Topic, Value: []byte(fmt.Sprint(10*i + j))}
				require.NoError(t, cl.ProduceSync(t.Context(), r).FirstErr())
			}
			require.NoError(t, cl.EndTransaction(t.Context(), end))
		}
		s := b.Source(nil)
		out := pipelinetest.Subscribe(t, s)
		if got := pipelinetest.Collect(t, out, 6); !slices.Equal(got[0], []string{"0", "1", "2", "20", "21", "22"}) {
			t.Fatalf("got %v", got)
		}
		pipelinetest.Eventually(t, "idle behind the last marker",
			func() bool { st := s.States()[0]; return st.Idle && st.Position == 16 && st.Gaps == 6 })
	})
}

// TestPauseBoundsMemory: a partition that is not read does not stop the others, nor pile up.
func TestPauseBoundsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 2)
		s := b.Source(func(c *source.Config) { c.BatchRecords = 100; c.BatchBytes = 1000 })
		out := pipelinetest.Subscribe(t, s)
		b.Produce(0, 0, 1)
		stuck, _ := pipelinetest.Receive(t, out)
		for i := range 20 {
			b.Produce(0, 1+1000*i, 1+1000*(i+1))
			b.Produce(1, 1000*i, 1000*(i+1))
			if got := pipelinetest.Collect(t, out, 1000); len(got[1]) != 1000 {
				t.Fatalf("got %d", len(got[1]))
			}
		}
		if n, paused := s.Waiting(0); !paused || n > 5000 {
			t.Errorf("%d records wait, paused %v", n, paused)
		}
		stuck.Ack()
		if got := pipelinetest.Collect(t, out, 20000); !slices.Equal(got[0], pipelinetest.Numbers(1, 20001)) {
			t.Fatal("records of the partition that stood are missing or out of order")
		}
	})
}
