package source

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/storage"
)

// GroupCommitter commits our positions as offsets of a consumer group, so that lag tools see us. They are never read
// back: what decides is the position in storage.
type GroupCommitter struct {
	cl    *kgo.Client
	adm   *kadm.Client
	group string
	log   zerolog.Logger
	last  map[PartitionID]int64
	down  bool
}

// NewGroupCommitter checks the configuration.
func NewGroupCommitter(c kafka.Config, group string, log zerolog.Logger) (*GroupCommitter, error) {
	cl, err := c.Client(c.Counted("group offsets")...)
	if err != nil {
		return nil, err
	}
	return &GroupCommitter{cl: cl, adm: kadm.NewClient(cl), group: group, log: log, last: map[PartitionID]int64{}}, nil
}

// Run commits what positions returns, every interval and once more at the end, until ctx ends. A failure is logged when it
// begins and tried again.
func (g *GroupCommitter) Run(ctx context.Context, interval time.Duration, positions func() []storage.Position) {
	defer g.cl.Close()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.try(ctx, positions())
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			g.try(last, positions())
			return
		}
	}
}

func (g *GroupCommitter) try(ctx context.Context, list []storage.Position) {
	err := g.commit(ctx, list)
	switch {
	case err != nil && !g.down:
		g.log.Warn().Err(err).Str("group", g.group).Msg("committing offsets to the brokers failed; only lag tools are affected")
	case err == nil && g.down:
		g.log.Info().Str("group", g.group).Msg("committing offsets to the brokers works again")
	}
	g.down = err != nil
}

// commit sends what changed.
func (g *GroupCommitter) commit(ctx context.Context, list []storage.Position) error {
	os := kadm.Offsets{}
	now := map[PartitionID]int64{}
	for _, p := range list {
		id := PartitionID{p.Topic, p.Partition}
		if now[id] = p.Offset; g.last[id] != p.Offset {
			os.AddOffset(p.Topic, p.Partition, p.Offset, p.LeaderEpoch)
		}
	}
	if len(os) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, err := g.adm.CommitOffsets(ctx, g.group, os)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("pipeline: commit offsets of group %s: %w", g.group, err)
	}
	g.last = now
	return nil
}
