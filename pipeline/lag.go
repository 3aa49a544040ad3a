package pipeline

import (
	"context"
	"errors"
	"fmt"

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
