package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// sampled is what is known of one topic: its offsets and its newest records.
type sampled struct {
	Topic
	partitions []part
	records    []*kgo.Record
	bytes      int
	// left: not all partitions, or not all of their newest records, are in the sample.
	left bool
	// at is the clock of this machine when the sample was taken.
	at time.Time
}

// part is a partition: the records start..end-1 are in it.
type part struct {
	id         int32
	start, end int64
	// first is the timestamp of the oldest record; zero if there is none.
	first time.Time
	// recent is how many records came within the last rateWindow.
	recent int64
}

// window is the time over which the rate is measured: rateWindow, or less in a topic that is younger.
func (s *sampled) window() time.Duration {
	oldest := s.at
	for _, p := range s.partitions {
		if !p.first.IsZero() && p.first.Before(oldest) {
			oldest = p.first
		}
	}
	return min(rateWindow, max(time.Second, s.at.Sub(oldest)))
}

// perSecond is how many records arrived in a second, over the window.
func (s *sampled) perSecond() float64 {
	n := int64(0)
	for _, p := range s.partitions {
		n += p.recent
	}
	return float64(n) / s.window().Seconds()
}

// sample reads the newest records of a topic.
func (x *examination) sample(ctx context.Context, t Topic, detail kadm.TopicDetail) sampled {
	s := sampled{Topic: t, at: x.Now()}
	a := about{x.r, "records", t.Name}
	if err := x.offsets(ctx, &s, detail); err != nil {
		a.found(Failure, "records_readable", "Run the command again; look at the brokers' logs if it stays so.", "", "the offsets of the topic cannot be read: %v", err)
		return s
	}
	from, waiting := x.places(&s)
	if len(waiting) == 0 {
		return s
	}
	if err := x.read(ctx, &s, from, waiting); err != nil {
		a.found(Failure, "records_readable", "Give WatchingCat's principal Read on the topic; look at the brokers' logs if it has it.", "",
			"the newest records cannot be read: %v", err)
	}
	return s
}

// places are the offsets from which to read, and up to which to wait.
func (x *examination) places(s *sampled) (from map[int32]kgo.Offset, waiting map[int32]int64) {
	from, waiting = map[int32]kgo.Offset{}, map[int32]int64{}
	for _, p := range s.partitions {
		if p.end == p.start {
			continue
		}
		if len(waiting) == maxSampled {
			s.left = true
			break
		}
		at := max(p.start, p.end-int64(x.SampleRecords))
		s.left = s.left || at > p.start
		from[p.id], waiting[p.id] = kgo.NewOffset().At(at), p.end
	}
	return from, waiting
}

func (x *examination) offsets(ctx context.Context, s *sampled, detail kadm.TopicDetail) error {
	ctx, cancel := x.ask(ctx)
	defer cancel()
	starts, err := x.adm.ListStartOffsets(ctx, s.Name)
	if err != nil {
		return err
	}
	ends, err := x.adm.ListEndOffsets(ctx, s.Name)
	if err != nil {
		return err
	}
	recent, err := x.adm.ListOffsetsAfterMilli(ctx, s.at.Add(-rateWindow).UnixMilli(), s.Name)
	if err != nil {
		return err
	}
	oldest, err := x.adm.ListOffsetsAfterMilli(ctx, 0, s.Name)
	if err != nil {
		return err
	}
	for _, p := range detail.Partitions.Sorted() {
		start, ok1 := starts.Lookup(s.Name, p.Partition)
		end, ok2 := ends.Lookup(s.Name, p.Partition)
		if !ok1 || !ok2 || start.Err != nil || end.Err != nil {
			continue // without a leader, which is a finding of its own
		}
		of := part{id: p.Partition, start: start.Offset, end: end.Offset}
		if o, ok := recent.Lookup(s.Name, p.Partition); ok && o.Err == nil && o.Offset >= 0 {
			of.recent = max(0, end.Offset-max(o.Offset, start.Offset))
		}
		if o, ok := oldest.Lookup(s.Name, p.Partition); ok && o.Err == nil && o.Timestamp > 0 {
			of.first = time.UnixMilli(o.Timestamp)
		}
		s.partitions = append(s.partitions, of)
	}
	return nil
}

// read fetches until each partition is at its end, or a bound is reached.
func (x *examination) read(ctx context.Context, s *sampled, from map[int32]kgo.Offset, waiting map[int32]int64) error {
	cl, err := x.Kafka.Client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.Name: from}), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.MaxDecompressBatchBytes(decompressBatch), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.KeepControlRecords(), kgo.MaxConcurrentFetches(1))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, x.SampleTimeout)
	defer cancel()
	var failed error
	for len(waiting) > 0 && s.bytes < x.SampleBytes {
		fetched := cl.PollRecords(ctx, 1000)
		if ctx.Err() != nil {
			s.left = true
			break
		}
		fetched.EachError(func(_ string, p int32, err error) {
			if !errors.Is(err, context.DeadlineExceeded) {
				failed = err
			}
			delete(waiting, p)
		})
		fetched.EachRecord(func(r *kgo.Record) {
			if r.Offset >= waiting[r.Partition]-1 {
				delete(waiting, r.Partition)
			}
			if r.Attrs.IsControl() || s.bytes >= x.SampleBytes {
				return
			}
			s.records = append(s.records, r)
			s.bytes += len(r.Value) + len(r.Key)
		})
	}
	s.left = s.left || len(waiting) > 0
	if len(s.records) > 0 {
		return nil
	}
	return failed
}
