package replay

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
	"github.com/gaurav/watchingcat/views/metricstest"
	"github.com/gaurav/watchingcat/views/model"
)

// TestReplayTo rebuilds two hours in the middle of five, of views and of metrics: the new version answers for these hours, the live one
// for all others and goes on. Samples of one of the hours were lost, as by a damaged folder; they are there again.
func TestReplayTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &replaySim{folders: &simFolders{of: map[uint32]simFolder{}}, sampled: map[source.PartitionID]int64{},
			mem: storage.NewMem(storage.MemOptions{}),
			simulation: &simulation{t: t, r: rand.New(rand.NewPCG(5, 21)), letters: map[string]bool{},
				luck: rand.New(rand.NewPCG(5, 22))}}
		s.b = pipelinetest.NewBroker(t, 3, kfake.SeedTopics(metricPartitions, metricsTopic))
		begin := time.Now().Truncate(time.Hour).Add(-6 * time.Hour)
		hours := func(n float64) time.Time { return begin.Add(time.Duration(n * float64(time.Hour))) }
		for i := range 300 {
			s.minute(uint32(i), begin)
		}
		s.produce(s.records)
		s.produce(s.metrics)

		g, err := OpenGenerations(GenerationsConfig{Store: s.mem, GenerationConfig: GenerationConfig{
			Kafka: s.b.Config, Views: model.Config{}, Spans: kafka.TopicsOf(pipelinetest.Topic), DeadLetter: s.deadLetter, Lateness: time.Second,
			Interval: 100 * time.Millisecond, Logger: zerolog.Nop(), Metrics: s.folders.topicOf(&simProcess{}),
		}, Behind: time.Second, Tick: 100 * time.Millisecond})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		caught := func() bool { return caughtUp(g.Current().Set, s.ends()) && s.metricsRead(g) }
		until(t, "everything is read", caught)

		s.folders.lose(0, hours(2).UnixMilli(), hours(3).UnixMilli())
		if diff := s.compareHours(g, hours); diff == "" {
			t.Fatal("samples that are lost are not missed")
		}
		if _, err := g.StartReplay(Request{From: hours(0.9), To: hours(3.2)}); err != nil {
			t.Fatal(err)
		}
		until(t, "the replay is over", func() bool {
			p, err := g.Replay("1")
			if err != nil || p.State == Failed {
				t.Fatalf("%+v, %v", p, err)
			}
			return p.State == Swapped
		})
		if diff := s.compareHours(g, hours); diff != "" {
			t.Error(diff)
		}
		if got := g.layout.OfSamples(); len(got) != 3 ||
			got[1] != (model.Stretch{Version: 1, From: hours(1).Unix(), To: hours(3).Unix()}) || g.layout.Live != 0 {
			t.Errorf("samples are read from %+v, spans from %+v", got, g.layout)
		}

		before := len(s.records)
		for i := range 20 {
			s.minute(uint32(300+i), begin)
		}
		s.produce(s.records[before:])
		s.produce(s.metrics[before/2:])
		until(t, "the live version has gone on", caught)
		if diff := s.compareHours(g, hours); diff != "" {
			t.Error("later: " + diff)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// until waits for a condition, in the bubble's time.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("not in five minutes: %s", what)
}

// minute adds a call and the points of one minute.
func (s *replaySim) minute(n uint32, begin time.Time) {
	at := begin.Add(time.Duration(n)*time.Minute + 10*time.Second)
	client, server := s.call(n, at)
	for _, value := range [][]byte{client, server} {
		s.records = append(s.records, &kgo.Record{Topic: pipelinetest.Topic, Partition: int32(s.r.IntN(3)), Value: value,
			Timestamp: at.Add(100 * time.Millisecond)})
	}
	md := pmetric.NewMetrics()
	ms := metricstest.Resource(md, "cart", "cart-1")
	ts := pcommon.NewTimestampFromTime(at)
	metricstest.Gauge(ms, "queue", ts, float64(n))
	metricstest.Sum(ms, "requests", pmetric.AggregationTemporalityCumulative, pcommon.NewTimestampFromTime(begin),
		ts).SetIntValue(int64(7 * n))
	value, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	if err != nil {
		s.t.Fatal(err)
	}
	s.metrics = append(s.metrics, &kgo.Record{Topic: metricsTopic, Partition: int32(n % metricPartitions), Value: value,
		Timestamp: at.Add(100 * time.Millisecond)})
}

// lose takes the samples of a time out of a folder.
func (f *simFolders) lose(version uint32, from, to int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, values := range f.of[version] {
		for t := range values {
			if t >= from && t < to {
				delete(values, t)
			}
		}
	}
}

// compareHours holds what is read of each half hour, and all samples, against what the records say.
func (s *replaySim) compareHours(g *Generations, hours func(float64) time.Time) string {
	want, text := s.plainSet(model.Config{}, s.records)
	if text != "" {
		return text
	}
	for n := 0.0; n < 6; n += .5 {
		if diff := differs(g, want, hours(n), hours(n+.5)); diff != "" {
			return diff
		}
	}
	splice := s.folders.splice(&g.layout)
	if diff := seeds.Diff(splice.dump(), plainSamples(s.t, s.metrics).dump()); diff != "" {
		return "samples: " + diff
	}
	return ""
}
