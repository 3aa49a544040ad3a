package pipeline

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
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gaurav/watchingcat/storage"
)

// TestWatermill runs watermill's own suite on Source and Publisher, a record a message.
func TestWatermill(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close) // not defer: the suite's parallel tests run after this function
	k := KafkaConfig{Brokers: c.ListenAddrs()}
	construct := func(t *testing.T) (message.Publisher, message.Subscriber) {
		p, err := NewPublisher(k)
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSource(SourceConfig{Kafka: k, BatchRecords: 1, Refresh: 100 * time.Millisecond, RedeliverMax: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return p, s
	}
	tests.TestPubSub(t, tests.Features{
		GuaranteedOrder: true, Persistent: true, NewSubscriberReceivesOldMessages: true, ForceShort: testing.Short(),
	}, construct, nil)
}

func TestOrderAndPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 3)
		for p := range int32(3) {
			b.produce(p, 0, 500)
		}
		s := b.source(func(c *SourceConfig) {
			c.BatchRecords = 64
			c.Position = stored(storage.Position{Topic: topic, Partition: 1, Offset: 100, LeaderEpoch: -1}, storage.Position{Topic: topic, Partition: 2, Offset: 500, LeaderEpoch: -1})
		})
		out := subscribe(t, s)
		got := map[int32][]string{}
		next := map[int32]int64{1: 100}
		for len(got[0])+len(got[1]) < 900 {
			m, b := receive(t, out)
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
		if want := map[int32][]string{0: numbers(0, 500), 1: numbers(100, 500)}; !reflect.DeepEqual(got, want) {
			t.Fatal("records are missing, doubled or out of order")
		}
		eventually(t, "all idle", func() bool {
			states := s.States()
			return len(states) == 3 && !slices.ContainsFunc(states, func(p PartitionState) bool {
				return !p.Idle || p.Position != 500 || p.HighWatermark != 500 || p.Err != nil || p.Lag() != 0
			})
		})
	})
}

func TestOneInFlightAndRedelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 2)
		b.produce(0, 0, 10)
		out := subscribe(t, b.source(func(c *SourceConfig) { c.BatchRecords = 4 }))
		m, first := receive(t, out)
		select {
		case <-out:
			t.Fatal("a second message before the first was acknowledged")
		case <-time.After(time.Minute):
		}
		b.produce(1, 100, 101) // another partition goes on
		other, ob := receive(t, out)
		if ob.Partition != 1 {
			t.Fatalf("partition %d", ob.Partition)
		}
		other.Ack()
		for range 3 {
			m.Nack()
			<-m.Context().Done()
			var again Batch
			m, again = receive(t, out)
			if !reflect.DeepEqual(again, first) {
				t.Fatalf("redelivered %v, first was %v", again, first)
			}
		}
		m.Ack()
		if got := collect(t, out, 6); !slices.Equal(got[0], numbers(4, 10)) {
			t.Fatalf("after redelivery: %v", got)
		}
	})
}

func TestNotIdleBeforeAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 1)
		b.produce(0, 0, 1)
		s := b.source(nil)
		out := subscribe(t, s)
		m, _ := receive(t, out)
		time.Sleep(5 * time.Second)
		if st := s.States()[0]; st.Idle || st.Position != 0 || st.Lag() != 1 {
			t.Fatalf("with a message out: %+v", st)
		}
		m.Ack()
		eventually(t, "idle", func() bool { return s.States()[0].Idle })
	})
}

// TestIdleAsLongAsTheBrokerSays: what a broker says of a partition holds for when it was asked. One that takes 3 s to answer is 2 s behind the
// second in which an answer is expected, also right after an answer.
func TestIdleAsLongAsTheBrokerSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 1)
		b.produce(0, 0, 10)
		s := b.source(func(c *SourceConfig) { c.Refresh = time.Second })
		collect(t, subscribe(t, s), 10)
		eventually(t, "idle", func() bool { st := s.States()[0]; return st.Idle && st.Overdue == 0 })
		b.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
			b.KeepControl()
			time.Sleep(3 * time.Second)
			return nil, nil, false
		})
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
		b := newBroker(t, 1)
		b.produce(0, 0, 100)
		s := b.source(func(c *SourceConfig) { c.BatchRecords = 10 })
		out := subscribe(t, s)
		for range 4 {
			m, _ := receive(t, out)
			m.Ack()
		}
		m, _ := receive(t, out) // 40..49
		s.Seek(topic, 0, 15)
		m.Nack()
		if got := collect(t, out, 85); !slices.Equal(got[0], numbers(15, 100)) {
			t.Fatalf("after seek: %v", got)
		}
		eventually(t, "idle", func() bool { return s.States()[0].Idle })
	})
}

func TestNewPartitionsAndLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 1)
		b.produce(0, 0, 10)
		s := b.source(func(c *SourceConfig) { c.StartLatest = true })
		out := subscribe(t, s)
		eventually(t, "idle at the end", func() bool { st := s.States()[0]; return st.Idle && st.Position == 10 })
		req := kmsg.NewPtrCreatePartitionsRequest()
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = topic, 3
		req.Topics = append(req.Topics, rt)
		if _, err := req.RequestWith(t.Context(), b.cl); err != nil {
			t.Fatal(err)
		}
		b.cl.ForceMetadataRefresh()
		eventually(t, "the producer sees the partition", func() bool {
			return b.cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 2, Value: []byte("new")}).FirstErr() == nil
		})
		b.produce(0, 10, 12)
		if got := collect(t, out, 3); !reflect.DeepEqual(got, map[int32][]string{0: {"10", "11"}, 2: {"new"}}) {
			t.Fatalf("got %v", got)
		}
	})
}

func TestMissingTopicAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		b := newBroker(t, 0)
		s := b.source(func(c *SourceConfig) { c.StartLatest = true; c.Logger = zerolog.New(zerolog.SyncWriter(&log)) })
		out := subscribe(t, s)
		time.Sleep(30 * time.Second)
		if st := s.States(); len(st) != 1 || st[0].Partition != -1 || !errors.Is(st[0].Err, ErrNoTopic) {
			t.Fatalf("states without the topic: %+v", st)
		}
		if err := b.CreateTopic(topic, 2, nil); err != nil {
			t.Fatal(err)
		}
		b.produce(1, 0, 5) // records from before we noticed the topic count, whatever Start says
		if got := collect(t, out, 5); !slices.Equal(got[1], numbers(0, 5)) {
			t.Fatalf("got %v", got)
		}
		eventually(t, "idle", func() bool { return s.States()[1].Idle })
		s.Close()
		if n := strings.Count(log.String(), `"level":"warn"`); n != 1 {
			t.Fatalf("%d warnings, want one:\n%s", n, log.String())
		}
	})
}

// TestTopicMadeAgain: what a topic no longer has is no state after a few answers of the broker; until then it is known to be unreachable.
func TestTopicMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 3)
		s := b.source(nil)
		out := subscribe(t, s)
		b.produce(2, 0, 5)
		if got := collect(t, out, 5); !slices.Equal(got[2], numbers(0, 5)) {
			t.Fatalf("got %v", got)
		}
		eventually(t, "idle", func() bool { st := s.States(); return len(st) == 3 && st[2].Idle && !st[2].Partial })
		adm := kadm.NewClient(b.cl)
		if _, err := adm.DeleteTopics(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is gone", func() bool {
			st := s.States()
			return len(st) == 1 && st[0].Partition == -1 && st[0].Absent && errors.Is(st[0].Err, ErrNoTopic)
		})
		if err := b.CreateTopic(topic, 1, nil); err != nil {
			t.Fatal(err)
		}
		b.cl.PurgeTopicsFromClient(topic) // the id that it knows
		b.produce(0, 0, 3)
		if got := collect(t, out, 3); !slices.Equal(got[0], numbers(0, 3)) {
			t.Fatalf("got %v", got)
		}
		eventually(t, "one partition", func() bool {
			st := s.States()
			return len(st) == 1 && st[0].Partition == 0 && st[0].Idle && !st[0].Partial
		})
	})
}

func TestTruncatedBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 2)
		b.produce(0, 0, 50)
		b.produce(1, 0, 50)
		for p, offset := range []int64{30, 50} {
			if err := b.DeleteRecords(topic, int32(p), offset); err != nil {
				t.Fatal(err)
			}
		}
		var lost losses
		s := b.source(func(c *SourceConfig) {
			c.OnTruncated = lost.add
			c.Position = stored(storage.Position{Topic: topic, Partition: 0, Offset: 10, LeaderEpoch: -1}, storage.Position{Topic: topic, Partition: 1, Offset: 80, LeaderEpoch: -1})
		})
		out := subscribe(t, s)
		if got := collect(t, out, 20); !slices.Equal(got[0], numbers(30, 50)) {
			t.Fatalf("got %v", got)
		}
		eventually(t, "idle", func() bool { st := s.States(); return st[0].Idle && st[1].Idle })
		got := lost.all()
		slices.Sort(got)
		if want := []string{topic + "/0 10-30", topic + "/1 80-50"}; !slices.Equal(got, want) {
			t.Fatalf("reported %v, want %v", got, want)
		}
	})
}

func TestTruncatedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 1)
		b.produce(0, 0, 10)
		var lost losses
		s := b.source(func(c *SourceConfig) { c.OnTruncated = lost.add })
		out := subscribe(t, s)
		collect(t, out, 10)
		eventually(t, "idle", func() bool { return s.States()[0].Idle })
		// the brokers lose sight of us while records are written and deleted
		cut := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.LeaderNotAvailable, Count: -1})
		time.Sleep(2 * time.Second)
		b.produce(0, 10, 60)
		if err := b.DeleteRecords(topic, 0, 40); err != nil {
			t.Fatal(err)
		}
		cut.Remove()
		var got []string
		for len(got) < 20 {
			m, batch := receive(t, out)
			if len(batch.Records) == 0 && batch.Next != 40 {
				t.Fatalf("stepped to %d", batch.Next)
			}
			if len(batch.Records) > 0 && len(lost.all()) == 0 {
				t.Fatal("records after a loss that was not reported")
			}
			for _, r := range batch.Records {
				got = append(got, string(r.Value))
			}
			m.Ack()
		}
		if !slices.Equal(got, numbers(40, 60)) || !slices.Equal(lost.all(), []string{topic + "/0 10-40"}) {
			t.Fatalf("got %v, reported %v", got, lost.all())
		}
	})
}

func TestTopicMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 1)
		b.produce(0, 0, 10)
		var lost losses
		s := b.source(func(c *SourceConfig) { c.OnTruncated = lost.add })
		out := subscribe(t, s)
		collect(t, out, 10)
		eventually(t, "idle", func() bool { return s.States()[0].Idle })
		if err := b.DeleteTopic(topic); err != nil {
			t.Fatal(err)
		}
		if err := b.CreateTopic(topic, 1, nil); err != nil {
			t.Fatal(err)
		}
		b.cl.PurgeTopicsFromClient(topic)
		b.produce(0, 100, 115)
		if got := collect(t, out, 15); !slices.Equal(got[0], numbers(100, 115)) {
			t.Fatalf("got %v", got)
		}
		if got := lost.all(); !slices.Equal(got, []string{topic + "/0 10-0"}) {
			t.Fatalf("reported %v", got)
		}
	})
}

// TestMadeAnewWhileDown: the stored position belongs to another topic of the same name, which is longer than it.
func TestMadeAnewWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 1)
		b.produce(0, 0, 10)
		var lost losses
		out := subscribe(t, b.source(func(c *SourceConfig) {
			c.OnTruncated = lost.add
			c.Position = stored(storage.Position{Topic: topic, Offset: 5, LeaderEpoch: 0, TopicID: [16]byte{1}})
		}))
		if got := collect(t, out, 10); !slices.Equal(got[0], numbers(0, 10)) || !slices.Equal(lost.all(), []string{topic + "/0 5-0"}) {
			t.Fatalf("got %v, reported %v", got, lost.all())
		}
	})
}

func TestBrokerErrorsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		b := newBroker(t, 1)
		s := b.source(func(c *SourceConfig) { c.Logger = zerolog.New(zerolog.SyncWriter(&log)) })
		broken := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.LeaderNotAvailable, Count: -1})
		out := subscribe(t, s)
		b.produce(0, 0, 5)
		time.Sleep(time.Minute)
		if st := s.States()[0]; st.Idle || st.Err == nil {
			t.Fatalf("state while the broker fails: %+v", st)
		}
		broken.Remove()
		if got := collect(t, out, 5); !slices.Equal(got[0], numbers(0, 5)) {
			t.Fatalf("got %v", got)
		}
		// a broker that answers nothing for a while
		silent := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets}, Err: kerr.NotLeaderForPartition, Count: -1})
		b.produce(0, 5, 9)
		eventually(t, "the state says so", func() bool { st := s.States()[0]; return !st.Idle && st.Err != nil })
		time.Sleep(time.Minute)
		silent.Remove()
		if got := collect(t, out, 4); !slices.Equal(got[0], numbers(5, 9)) {
			t.Fatalf("got %v", got)
		}
		eventually(t, "idle", func() bool { st := s.States()[0]; return st.Idle && st.Err == nil })
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
		c := KafkaConfig{Brokers: []string{"127.0.0.1:9092"}, Dialer: net.DialContext}
		s, err := NewSource(SourceConfig{Kafka: c})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out := subscribe(t, s)
		time.Sleep(time.Minute)
		if st := s.States(); len(st) != 1 || st[0].Err == nil {
			t.Fatalf("states: %+v", st)
		}
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.SeedTopics(1, topic), kfake.ListenFn(net.Listen))
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		p, err := NewPublisher(c)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.Publish(topic, message.NewMessage("1", []byte("x"))); err != nil {
			t.Fatal(err)
		}
		if got := collect(t, out, 1); got[0][0] != "x" {
			t.Fatalf("got %v", got)
		}
	})
}

func TestSubscribeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 1)
		b.produce(0, 0, 3)
		s := b.source(nil)
		ctx, cancel := context.WithCancel(t.Context())
		out, err := s.Subscribe(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := receive(t, out)
		cancel()
		<-m.Context().Done()
		for range out {
			t.Fatal("a message after the end")
		}
		eventually(t, "no state is left", func() bool { return len(s.States()) == 0 })
		again := subscribe(t, s)
		if got := collect(t, again, 3); !slices.Equal(got[0], numbers(0, 3)) {
			t.Fatalf("got %v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for range again {
			t.Fatal("a message after Close")
		}
		if _, err := s.Subscribe(t.Context(), topic); !errors.Is(err, errSourceClosed) {
			t.Fatalf("subscribe after Close: %v", err)
		}
	})
}

// TestTransactions: aborted records are left out, markers are stepped over, and the partition becomes idle at its end.
func TestTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 1)
		opts, _ := b.c.Opts()
		cl, err := kgo.NewClient(append(opts, kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for j := range 3 {
				r := &kgo.Record{Topic: topic, Value: []byte(fmt.Sprint(10*i + j))}
				if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			if err := cl.EndTransaction(t.Context(), end); err != nil {
				t.Fatal(err)
			}
		}
		s := b.source(nil)
		out := subscribe(t, s)
		if got := collect(t, out, 6); !slices.Equal(got[0], []string{"0", "1", "2", "20", "21", "22"}) {
			t.Fatalf("got %v", got)
		}
		eventually(t, "idle behind the last marker", func() bool { st := s.States()[0]; return st.Idle && st.Position == 16 && st.Gaps == 6 })
	})
}

// TestPauseBoundsMemory: a partition that is not read does not stop the others, nor pile up.
func TestPauseBoundsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, 2)
		s := b.source(func(c *SourceConfig) { c.BatchRecords = 100; c.BatchBytes = 1000 })
		out := subscribe(t, s)
		b.produce(0, 0, 1)
		stuck, _ := receive(t, out)
		for i := range 20 {
			b.produce(0, 1+1000*i, 1+1000*(i+1))
			b.produce(1, 1000*i, 1000*(i+1))
			if got := collect(t, out, 1000); len(got[1]) != 1000 {
				t.Fatalf("got %d", len(got[1]))
			}
		}
		for sub := range s.subs {
			p := sub.parts[0]
			p.mu.Lock()
			n, paused := len(p.pending), p.paused
			p.mu.Unlock()
			if !paused || n > 5000 {
				t.Errorf("%d records wait, paused %v", n, paused)
			}
		}
		stuck.Ack()
		if got := collect(t, out, 20000); !slices.Equal(got[0], numbers(1, 20001)) {
			t.Fatal("records of the partition that stood are missing or out of order")
		}
	})
}
