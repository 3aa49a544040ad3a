package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

type ingestTest struct {
	*Ingest
	t       *testing.T
	kv      *storage.Mem
	set     *views.Set
	letters []string // reasons
	refuse  int      // how many dead letters fail to be delivered
}

func newIngestTest(t *testing.T) *ingestTest {
	t.Helper()
	it := &ingestTest{t: t, kv: storage.NewMem(storage.MemOptions{})}
	var err error
	if it.set, err = views.Open(it.kv, model.Config{TraceBytes: 1 << 20, LogBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	it.Ingest = New(Config{Set: it.set, KV: it.kv, MaxSpans: 10, MaxRecord: 10_000,
		DeadLetter: func(_ context.Context, _ *kgo.Record, reason string) error {
			if it.refuse > 0 {
				it.refuse--
				return errors.New("no broker")
			}
			it.letters = append(it.letters, reason)
			return nil
		}})
	return it
}

// batch is a message as the Source hands it out, its first record at an offset.
func batch(offset int64, values ...[]byte) *message.Message {
	b := source.Batch{Topic: pipelinetest.Topic, Next: offset + int64(len(values))}
	for i, v := range values {
		b.Records = append(b.Records, &kgo.Record{Topic: pipelinetest.Topic, Offset: offset + int64(i), Value: v,
			Timestamp: time.UnixMilli(1000)})
	}
	return message.NewMessageWithContext(source.ContextWithBatch(context.Background(), b), "", nil)
}

func (it *ingestTest) counters() model.Counters {
	it.t.Helper()
	if err := it.Checkpoint(it.t.Context(), time.Now()); err != nil {
		it.t.Fatal(err)
	}
	return it.set.Counters()
}

// TestPoisonGoesAlone: each kind of bad record is one dead letter with its reason; its neighbours in the batch are exact.
func TestPoisonGoesAlone(t *testing.T) {
	it := newIngestTest(t)
	scan := it.scan
	it.scan = func(b []byte, n int, f func(*model.Resource, *model.Span)) error {
		return scan(b, n, func(r *model.Resource, s *model.Span) {
			f(r, s)
			if string(r.Service) == "panics" {
				panic("a bug")
			}
		})
	}
	good := pipelinetest.Request(t, "web", 3)
	half := pipelinetest.Request(t, "half", 2)
	err := it.Handle(batch(0, good, []byte("no protobuf"), half[:len(half)-4], pipelinetest.Request(t, "many", 11), make([]byte, 10_001),
		pipelinetest.Request(t, "panics", 2), pipelinetest.Request(t, "cart", 4)))
	require.NoError(t, err)
	c := it.counters()
	if c.Spans != 7 || c.Records != 2 || c.DeadLetters != 5 {
		t.Errorf("%+v", c)
	}
	want := []string{"malformed", "malformed", "too many spans", "over the limit", "panic while applying: a bug"}
	for i, w := range want {
		if i >= len(it.letters) || !strings.Contains(it.letters[i], w) {
			t.Errorf("dead letters %q, want %q", it.letters, want)
			break
		}
	}
	if ps, _ := it.set.Positions(); len(ps) != 1 || ps[0].Offset != 7 {
		t.Errorf("positions %v", ps)
	}
	services, err := it.set.Services(time.Unix(0, 0), time.Unix(60, 0))
	if err != nil || len(services) != 2 {
		t.Errorf("services %v, %v: nothing of a bad record may be counted", services, err)
	}
}

// TestRedeliveryAppliesTheRest: a batch that failed half way comes again and counts once.
func TestRedeliveryAppliesTheRest(t *testing.T) {
	it := newIngestTest(t)
	it.refuse = 1
	values := [][]byte{pipelinetest.Request(t, "a", 1), []byte("poison"), pipelinetest.Request(t, "b", 2)}
	require.Error(t, it.Handle(batch(0, values...)), "a dead letter was not delivered, and the batch was taken")
	if c := it.counters(); c.Spans != 1 || c.DeadLetters != 0 {
		t.Errorf("before: %+v", c)
	}
	require.NoError(t, it.Handle(batch(0, values...)))
	if c := it.counters(); c.Spans != 3 || c.DeadLetters != 1 || c.Duplicates != 0 {
		t.Errorf("after: %+v", c)
	}
}

// TestUnwritableFolderPausesReading: handlers wait, nothing is dropped, each reason is logged once, and it goes on by itself.
func TestUnwritableFolderPausesReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		it, log := newIngestTest(t), &bytes.Buffer{}
		it.Config.MaxPending, it.Config.Logger = 4, zerolog.New(log)
		for _, reason := range []error{storage.ErrDiskFull, storage.ErrReadOnly, storage.ErrDescriptors, storage.ErrReopening,
			storage.ErrFolderGone} {
			for range 6 {
				it.kv.FailNext(fmt.Errorf("commit: %w (because)", reason))
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- it.Run(ctx) }()
		var handled atomic.Int32
		go func() {
			for i := range 50 {
				if err := it.Handle(batch(int64(i),
					pipelinetest.Request(t, string(rune('a'+i%26))+strings.Repeat("x", i), 2))); err != nil {
					t.Error(err)
				}
				handled.Add(1)
			}
		}()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !errors.Is(it.Last().Err, storage.ErrReadOnly) || handled.Load() > 20 {
			t.Errorf("%d batches were taken while nothing could be written; state %+v", handled.Load(), it.Last())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if c := it.set.Counters(); handled.Load() != 50 || c.Spans != 100 || it.Last().Err != nil {
			t.Errorf("after it could be written: %d batches, %+v, state %+v", handled.Load(), c, it.Last())
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if paused, on := strings.Count(log.String(), `"the data folder is not writable`),
			strings.Count(log.String(), `"the data folder is writable again`); paused != 5 || on != 1 {
			t.Errorf("%d and %d lines:\n%s", paused, on, log)
		}
	})
}

// TestStopWhileUnwritable: the end says that not all is stored, once.
func TestStopWhileUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		it := newIngestTest(t)
		for range 1000 {
			it.kv.FailNext(storage.ErrReadOnly)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- it.Run(ctx) }()
		if err := it.Handle(batch(0, pipelinetest.Request(t, "web", 1))); err != nil {
			t.Error(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		stop()
		if err := <-done; !errors.Is(err, storage.ErrReadOnly) || errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestCompleteWaitsForEveryPartition: a partition that is known and was not read yet holds the complete frontier back; an idle one
// follows the clock.
func TestCompleteWaitsForEveryPartition(t *testing.T) {
	it := newIngestTest(t)
	states := []source.PartitionState{{Topic: pipelinetest.Topic, Partition: -1}, {Topic: pipelinetest.Topic, Partition: 0},
		{Topic: pipelinetest.Topic, Partition: 1}}
	it.Config.States, it.Config.Lateness = func() []source.PartitionState { return states }, 2*time.Second
	require.NoError(t, it.Handle(batch(0, pipelinetest.Request(t, "web", 1))))
	now := time.Unix(100, 0)
	require.NoError(t, it.Checkpoint(t.Context(), now))
	if f := it.set.Frontier(); !f.Complete.IsZero() || f.Head.IsZero() {
		t.Errorf("with an unread partition the frontiers are %v and %v", f.Head, f.Complete)
	}
	states[1].Idle, states[2].Idle = true, true
	require.NoError(t, it.Checkpoint(t.Context(), now))
	if f := it.set.Frontier(); !f.Complete.Equal(time.Unix(98, 0)) {
		t.Errorf("with all idle complete is %v, want the clock less the lateness", f.Complete)
	}
	states[2].Overdue = 5 * time.Second // the broker does not answer: what was written meanwhile is not known
	require.NoError(t, it.Checkpoint(t.Context(), now.Add(10*time.Second)))
	if f := it.set.Frontier(); !f.Complete.Equal(time.Unix(103, 0)) {
		t.Errorf("with an answer 5 s overdue complete is %v, want 103 s", f.Complete)
	}
}

// TestCompleteWaitsForNoPartitionThatIsGone: a partition that its topic has lost, and those of a topic that is not read any more, hold
// neither the complete frontier nor the hashes that de-duplication keeps; a restart does not bring them back.
func TestCompleteWaitsForNoPartitionThatIsGone(t *testing.T) {
	it := newIngestTest(t)
	states := []source.PartitionState{{Topic: pipelinetest.Topic, Partition: 0}, {Topic: pipelinetest.Topic, Partition: 1},
		{Topic: "old", Partition: 0}}
	it.Config.States, it.Config.Lateness = func() []source.PartitionState { return states }, 2*time.Second
	b, _ := source.BatchFrom(batch(0, pipelinetest.Request(t, "web", 1)).Context())
	for _, id := range []source.PartitionID{{Topic: pipelinetest.Topic, Partition: 0}, {Topic: pipelinetest.Topic, Partition: 1},
		{Topic: "old", Partition: 0}} {
		b.Topic, b.Partition = id.Topic, id.Partition
		require.NoError(t, it.Handle(message.NewMessageWithContext(source.ContextWithBatch(context.Background(), b), "", nil)))
	}
	complete := func(at int64, want time.Time, when string) {
		t.Helper()
		require.NoError(t, it.Checkpoint(t.Context(), time.Unix(at, 0)))
		if f := it.set.Frontier(); !f.Complete.Equal(want) {
			t.Errorf("%s complete is %v, want %v", when, f.Complete, want)
		}
	}
	states[0].Idle, states[1].Idle, states[2].Idle = true, true, true
	complete(100, time.Unix(98, 0), "with all idle")
	states = states[:1] // asked of the broker for the first time
	states[0].Partial = true
	complete(110, time.Unix(98, 0), "while the broker has not listed all")
	states[0].Partial = false
	complete(120, time.Unix(98, 0), "while nothing is known of the old topic")
	it.Config.Reads = kafka.TopicsOf(pipelinetest.Topic).Match
	complete(130, time.Unix(128, 0), "without the partitions that are gone")
	for i := range 2 {
		var err error
		if it.set, err = views.Open(it.kv, model.Config{TraceBytes: 1 << 20, LogBytes: 1 << 20, FoldEvery: 1}); err != nil {
			t.Fatal(err)
		}
		it.Config.Set = it.set
		complete(int64(140+10*i), time.Unix(int64(138+10*i), 0), "after a restart")
	}
	states = append(states, source.PartitionState{Topic: pipelinetest.Topic, Partition: 1})
	complete(160, time.Unix(148, 0), "while a partition that is back has not been read")
	states[1].Idle = true
	complete(170, time.Unix(168, 0), "when it has")
}
