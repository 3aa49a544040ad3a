package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// stretch is a range of offsets of a partition; to is exclusive.
type stretch struct{ from, to int64 }

// A Position is up to where the views hold a partition: the next offset, and the event time.
type Position struct {
	Offset    int64
	Watermark time.Time
}

// ErrGone is wrapped when the topics no longer hold all records of a window.
var ErrGone = errors.New("the topics no longer hold every record of the window")

// place finds the offsets of all records with timestamps of a range, up to the positions; a zero end has no limit but these.
func place(ctx context.Context, cl *kgo.Client, positions map[source.PartitionID]Position, from, to time.Time) (map[source.PartitionID]stretch, error) {
	var topics []string
	for id := range positions {
		topics = append(topics, id.Topic)
	}
	slices.Sort(topics)
	topics = slices.Compact(topics)
	if len(topics) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	adm := kadm.NewClient(cl)
	starts, err := source.StartOffsets(ctx, adm, topics...)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, err
	}
	begins, err := source.OffsetsFrom(ctx, adm, from, topics...)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, err
	}
	ends := map[source.PartitionID]source.Placed{}
	if !to.IsZero() {
		if ends, err = source.OffsetsFrom(ctx, adm, to, topics...); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, err
		}
	}
	out := map[source.PartitionID]stretch{}
	for id, position := range positions {
		begin, ok := begins[id]
		if !ok && position.Watermark.Before(from) {
			continue // it was deleted before
		}
		if !ok {
			return nil, fmt.Errorf("%w: %s/%d is gone", ErrGone, id.Topic, id.Partition)
		}
		if begin.Offset == starts[id] && begin.Offset > 0 {
			return nil, fmt.Errorf("%w: %s/%d begins at offset %d, within it", ErrGone, id.Topic, id.Partition, begin.Offset)
		}
		s := stretch{begin.Offset, position.Offset}
		if end, ok := ends[id]; ok {
			s.to = min(s.to, end.Offset)
		}
		if s.from < s.to {
			out[id] = s
		}
	}
	return out, nil
}

// stuckAfter is how long no partition may move while records are to be read.
const stuckAfter = 30 * time.Second

// read calls fn with the records of the stretches, partition by partition in order of their offsets.
func read(ctx context.Context, k kafka.Config, of map[source.PartitionID]stretch, fn func(r *kgo.Record) error) error {
	at := map[string]map[int32]kgo.Offset{}
	open := map[source.PartitionID]int64{}
	for id, s := range of {
		if at[id.Topic] == nil {
			at[id.Topic] = map[int32]kgo.Offset{}
		}
		at[id.Topic][id.Partition] = kgo.NewOffset().At(s.from)
		open[id] = s.to
	}
	if len(open) == 0 {
		return nil
	}
	cl, err := k.Client(kgo.ConsumePartitions(at), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.MaxDecompressBatchBytes(64<<20), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(open) > 0 {
		poll, cancel := context.WithTimeout(ctx, stuckAfter)
		fetches := cl.PollRecords(poll, 2_000)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if poll.Err() != nil && fetches.NumRecords() == 0 {
			return fmt.Errorf("no record came for %v, and %d partitions are not read to their ends: are the brokers there?", stuckAfter, len(open))
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) {
				return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		if err := each(fetches, open, fn); err != nil {
			return err
		}
		cl.PauseFetchPartitions(ended(of, open))
	}
	return nil
}

// each calls fn with the records that were fetched of open partitions, and closes those that are at their ends.
func each(fetches kgo.Fetches, open map[source.PartitionID]int64, fn func(r *kgo.Record) error) (err error) {
	fetches.EachRecord(func(r *kgo.Record) {
		id := source.PartitionID{Topic: r.Topic, Partition: r.Partition}
		to, ok := open[id]
		if err != nil || !ok {
			return
		}
		if r.Offset < to && !r.Attrs.IsControl() {
			err = fn(r)
		}
		if r.Offset >= to-1 {
			delete(open, id)
		}
	})
	return err
}

// ended are the partitions of which no more is needed.
func ended(of map[source.PartitionID]stretch, open map[source.PartitionID]int64) map[string][]int32 {
	done := map[string][]int32{}
	for id := range maps.Keys(of) {
		if _, ok := open[id]; !ok {
			done[id.Topic] = append(done[id.Topic], id.Partition)
		}
	}
	return done
}
