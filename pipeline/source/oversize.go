package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// oversized gets a partition over a record batch that decompresses to more than DecompressBytes: it is fetched again alone under
// the larger bound, its records over RecordBytes become dead letters, the others are handed out.
func (s *subscription) oversized(p *partition, large *kgo.ErrDecompressTooLarge) {
	moved, from := p.hold(large)
	if s.c.DeadLetter == nil {
		p.log.Error().Err(large).Msg("the record cannot be applied and no dead-letter topic is configured: the partition stops here")
		return
	}
	for try := 0; ; try++ {
		items, err := s.fetchOversized(large, from)
		if err == nil {
			s.do(func() { p.inject(moved, items, large.NextOffset) })
			return
		}
		if s.ctx.Err() != nil {
			return
		}
		p.unreachable(err)
		if !p.pause(try+4, moved) {
			return
		}
	}
}

// hold keeps the partition from being placed.
func (p *partition) hold(err error) (moved chan struct{}, from int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.running, p.idle, p.err = true, false, false, err
	return p.moved, p.fetched
}

// inject puts the items in place of the batch and goes on after it. It runs in the polling goroutine.
func (p *partition) inject(moved chan struct{}, items []item, next int64) {
	p.mu.Lock()
	if p.moved != moved {
		p.mu.Unlock()
		return
	}
	p.held = false
	for _, it := range items {
		p.pending = append(p.pending, it)
		if it.r != nil {
			p.bytes += len(it.r.Value)
		}
	}
	p.fetched = next
	p.signal()
	p.mu.Unlock()
	p.start(next, -1)
}

// fetchOversized returns what is left of the batch once its dead letters are written.
func (s *subscription) fetchOversized(large *kgo.ErrDecompressTooLarge, from int64) ([]item, error) {
	select { // one at a time, or memory would not be bounded
	case s.big <- struct{}{}:
		defer func() { <-s.big }()
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	records, err := s.fetchAlone(ctx, large)
	last := item{next: large.NextOffset, empty: true, epoch: large.Epoch}
	if errors.Is(err, kgo.ErrMaxDecompress) {
		r := &kgo.Record{Topic: large.Topic, Partition: large.Partition, Offset: large.Offset, LeaderEpoch: large.Epoch}
		reason := fmt.Sprintf("record batch of offsets %d to %d decompresses to more than %d bytes", large.Offset, large.NextOffset-1,
			s.c.OversizeBytes)
		return []item{last}, s.c.DeadLetter(ctx, r, reason)
	}
	if err != nil {
		return nil, err
	}
	var items []item
	for _, r := range records {
		switch {
		case r.Offset < from || r.Offset >= large.NextOffset || r.Attrs.IsControl():
		case len(r.Key)+len(r.Value) > s.c.RecordBytes:
			reason := fmt.Sprintf("record of %d bytes is over the limit of %d", len(r.Key)+len(r.Value), s.c.RecordBytes)
			if err := s.c.DeadLetter(ctx, r, reason); err != nil {
				return nil, err
			}
		default:
			items = append(items, item{r: r, next: r.Offset + 1, epoch: r.LeaderEpoch})
		}
	}
	return append(items, last), nil
}

// fetchAlone reads one batch with a client of its own.
func (s *subscription) fetchAlone(ctx context.Context, large *kgo.ErrDecompressTooLarge) ([]*kgo.Record, error) {
	at := kgo.NoResetOffset().At(large.Offset)
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, s.opts...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{large.Topic: {large.Partition: at}}),
		kgo.MaxDecompressBatchBytes(s.c.OversizeBytes),
		kgo.FetchMaxBytes(1), kgo.FetchMaxPartitionBytes(1), // a broker answers with one batch at least
	)...)
	if err != nil {
		return nil, fmt.Errorf("pipeline: kafka client: %w", err)
	}
	defer cl.Close()
	for {
		fetches := cl.PollRecords(ctx, 0)
		if records := fetches.Records(); len(records) > 0 {
			return records, nil
		}
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("pipeline: fetch batch at %s/%d/%d alone: %w", large.Topic, large.Partition, large.Offset, err)
		}
	}
}
