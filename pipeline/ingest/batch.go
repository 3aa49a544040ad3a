package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/views/model"
)

func batchOf(msg *message.Message) (source.Batch, error) {
	b, ok := source.BatchFrom(msg.Context())
	if !ok {
		return b, errors.New("pipeline: message without a batch: it does not come from a Source")
	}
	return b, nil
}

// each applies the records of a batch in their order, each once there is room for what it makes pending.
func (k *checkpointer) each(ctx context.Context, b source.Batch, pending func() uint64, half uint64,
	apply func(r *kgo.Record, received int64) error) error {
	received := time.Now().UnixMilli()
	for _, r := range b.Records {
		if r.Attrs.IsControl() {
			continue
		}
		if err := k.wait(ctx, pending, half); err != nil {
			return err
		}
		if err := apply(r, received); err != nil {
			return err
		}
	}
	return nil
}

func recordOf(r *kgo.Record, received int64) model.Record {
	return model.Record{Offset: r.Offset, LeaderEpoch: r.LeaderEpoch, Timestamp: r.Timestamp.UnixMilli(), Received: received,
		Value: r.Value}
}
