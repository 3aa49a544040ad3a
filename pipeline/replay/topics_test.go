package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// topicsTest is a broker with topics that come and go, and generations that read those of a pattern.
type topicsTest struct {
	*testing.T
	b   *pipelinetest.Broker
	adm *kadm.Client
	mem *storage.Mem
	g   *Generations
	end func()
}

func (t *topicsTest) create(names ...string) {
	t.Helper()
	_, err := t.adm.CreateTopics(t.Context(), 2, 1, nil, names...)
	require.NoError(t, err)
}

func (t *topicsTest) put(topic, service string, n int) {
	t.Helper()
	for i := range n {
		v := append(pipelinetest.Request(t.T, service, 1), 0x1a, 2, byte('a'+i), byte('a'+len(topic)))
		require.NoError(t, t.b.Client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: v,
			Timestamp: time.Now()}).FirstErr())
	}
}

func (t *topicsTest) start(spans string, latest bool) {
	t.Helper()
	of, err := kafka.ParseTopics(spans)
	require.NoError(t, err)
	stamp := &encoding.Stamp{Names: model.AttributeNames("deployment.environment.name"), Value: of.Group}
	t.g, err = OpenGenerations(GenerationsConfig{Store: t.mem, GenerationConfig: GenerationConfig{
		Kafka: t.b.Config, Views: model.Config{DedupWindow: -1, Dimensions: []string{"deployment.environment.name"}}, Spans: of,
		Encodings: ingest.Encodings{Stamp: stamp}, StartLatest: latest, Lateness: time.Second, Interval: 100 * time.Millisecond,
		DeadLetter: func(_ context.Context, r *kgo.Record, why string) error { t.Error(r.Topic, why); return nil }, Logger: zerolog.Nop()}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- t.g.Run(ctx) }()
	t.end = func() { cancel(); <-ended; require.NoError(t, t.g.Close()) }
}

// spans waits until so many are counted.
func (t *topicsTest) spans(n uint64) {
	t.Helper()
	until(t.T, fmt.Sprint(n, " spans"), func() bool { return t.g.Current().Set.Counters().Spans == n })
}

func topicsIn(t *testing.T, test func(t *topicsTest)) {
	t.Helper()
	synctest.Test(t, func(st *testing.T) {
		b := pipelinetest.NewBroker(st, 0)
		test(&topicsTest{T: st, b: b, adm: kadm.NewClient(b.Client), mem: storage.NewMem(storage.MemOptions{})})
	})
}

// TestTopicsOfAPattern: those that are there and those that come later are read, once, across a restart; others are not; records get the
// dimension of their topic. A topic that is deleted holds nothing back.
func TestTopicsOfAPattern(t *testing.T) {
	topicsIn(t, func(t *topicsTest) {
		t.start("/spans[.](prod|test)/", false)
		until(t.T, "it says that there is none", func() bool {
			r := t.g.Readiness(time.Now(), ReadinessConfig{Traces: t.g.c.Spans, MaxLag: time.Minute})
			return !r.Ready() && slices.ContainsFunc(t.g.Current().Source.States(), func(s source.PartitionState) bool {
				return s.Partition < 0 && errors.Is(s.Err, source.ErrNoTopic)
			})
		})
		t.create("spans.prod", "spans.dev", "other")
		t.put("spans.prod", "web", 3)
		t.put("spans.dev", "web", 5)
		t.spans(3)
		t.create("spans.test")
		t.put("spans.test", "web", 4)
		t.spans(7)
		services, err := t.g.Live().View().Services(time.Unix(0, 0), time.Now().Add(time.Hour))
		require.NoError(t, err)
		var got []string
		for _, s := range services {
			got = append(got, s.Name+" "+s.Dims.String())
		}
		slices.Sort(got)
		require.Len(t, got, 2, "one for each environment: %v", got)
		require.Contains(t, got[0], "prod")
		require.Contains(t, got[1], "test")
		t.end()
		t.put("spans.test", "web", 2)
		t.start("/spans[.](prod|test)/", false)
		t.spans(9)
		_, err = t.adm.DeleteTopics(t.Context(), "spans.test")
		require.NoError(t, err)
		moves(t, "after a topic was deleted")
		t.end()
		t.start("/spans[.](prod|test)/", false)
		moves(t, "after a restart without the topic")
		t.end()
	})
}

// TestPatternWithoutTopics: a process whose pattern matches no topic ends like any other.
func TestPatternWithoutTopics(t *testing.T) {
	topicsIn(t, func(t *topicsTest) {
		for _, wait := range []time.Duration{0, time.Minute} {
			t.start("/spans[.](prod|test)/", false)
			time.Sleep(wait)
			ended := make(chan struct{})
			go func() { t.end(); close(ended) }()
			select {
			case <-ended:
			case <-time.After(time.Hour):
				require.FailNow(t, "it does not end")
			}
		}
	})
}

// moves waits until the complete frontier follows the clock.
func moves(t *topicsTest, when string) {
	t.Helper()
	began := time.Now()
	until(t.T, when, func() bool { return t.g.Current().Set.Frontier().Complete.After(began.Add(time.Second)) })
}

// TestLatestOfAPattern: what was in the topics of a pattern at the first start is not read; topics that come later, also while the process
// is down, are read from their beginning.
func TestLatestOfAPattern(t *testing.T) {
	topicsIn(t, func(t *topicsTest) {
		t.create("spans.a")
		t.put("spans.a", "old", 3)
		t.start("^spans[.].*", true)
		until(t.T, "the first topic is read", func() bool {
			return slices.ContainsFunc(t.g.Current().Source.States(), func(s source.PartitionState) bool { return s.Idle })
		})
		t.create("spans.b")
		t.put("spans.b", "web", 2)
		t.spans(2)
		t.end()
		t.create("spans.c")
		t.put("spans.c", "web", 4)
		t.start("^spans[.].*", true)
		t.spans(6)
		t.end()
	})
}

// TestSeveralTopics: a list is read like one topic, and a replay rebuilds the views from all of them.
func TestSeveralTopics(t *testing.T) {
	topicsIn(t, func(t *topicsTest) {
		t.create("a", "b")
		t.put("a", "web", 3)
		t.put("b", "cart", 4)
		t.start("a, b", false)
		t.spans(7)
		var topics []string
		for _, p := range t.g.Partitions() {
			topics = append(topics, fmt.Sprint(p.Topic, "/", p.Partition))
		}
		require.Equal(t, []string{"a/0", "a/1", "b/0", "b/1"}, topics)
		r := &Reread{c: RereadConfig{Kafka: t.b.Config, Spans: t.g.c.Spans, To: time.Now(), MaxRecords: 100}, parts: map[source.PartitionID]*rereadPart{}}
		require.NoError(t, r.place(t.Context()))
		require.Equal(t, []string{"a", "b"}, r.topics())
		t.end()
	})
}
