package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// PartitionID names a partition.
type PartitionID struct {
	Topic     string
	Partition int32
}

// EndOffsets asks the brokers for the high watermarks of topics. Partitions that answered are returned even with an error; the
// error of a topic that does not exist is kerr.UnknownTopicOrPartition. ctx should have a deadline: the client retries.
func EndOffsets(ctx context.Context, adm *kadm.Client, topics ...string) (map[PartitionID]int64, error) {
	listed, err := adm.ListEndOffsets(ctx, topics...)
	return offsets("end", listed, err)
}

// StartOffsets asks the brokers for the first offsets that topics still hold, as EndOffsets does.
func StartOffsets(ctx context.Context, adm *kadm.Client, topics ...string) (map[PartitionID]int64, error) {
	listed, err := adm.ListStartOffsets(ctx, topics...)
	return offsets("start", listed, err)
}

// Placed is where records from some time on begin in a partition.
type Placed struct {
	Offset int64
	// First is the timestamp of the record there; zero when there is none.
	First time.Time
}

// OffsetsFrom asks the brokers where records with a timestamp from t on begin. Without such a record it is the end.
func OffsetsFrom(ctx context.Context, adm *kadm.Client, t time.Time, topics ...string) (map[PartitionID]Placed, error) {
	listed, err := adm.ListOffsetsAfterMilli(ctx, max(0, t.UnixMilli()), topics...)
	at, err := offsets("placed", listed, err)
	m := map[PartitionID]Placed{}
	for id, offset := range at {
		p := Placed{Offset: offset}
		if o, ok := listed.Lookup(id.Topic, id.Partition); ok && o.Timestamp > 0 {
			p.First = time.UnixMilli(o.Timestamp).UTC()
		}
		m[id] = p
	}
	return m, err
}

func offsets(what string, listed kadm.ListedOffsets, err error) (map[PartitionID]int64, error) {
	errs := []error{err}
	m := map[PartitionID]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			errs = append(errs, fmt.Errorf("%s/%d: %w", o.Topic, o.Partition, o.Err))
			return
		}
		m[PartitionID{o.Topic, o.Partition}] = o.Offset
	})
	if err := errors.Join(errs...); err != nil {
		return m, fmt.Errorf("pipeline: list %s offsets: %w", what, err)
	}
	return m, nil
}

// Lag is how many records a partition has beyond the position.
func (s PartitionState) Lag() int64 { return max(0, s.HighWatermark-s.Position) }
