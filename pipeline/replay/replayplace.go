package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/samples"
)

// margin is how much earlier and later than asked for records are read: the other halves of calls, and what was exported late.
func (g *Generations) margin() time.Duration { return g.c.Views.PairingWindow + time.Minute }

// placeReplay asks the brokers where to begin, and stores that.
func (g *Generations) placeReplay(ctx context.Context, r *Replay) error {
	pause := 500 * time.Millisecond
	for {
		next := *r
		err := g.askPlaces(ctx, &next)
		if err == nil {
			return g.storePlaces(r, next)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g.c.Logger.Warn().Err(err).Str("replay", r.ID).Msg("the brokers did not return the offsets at which the replay begins, retrying")
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		pause = min(2*pause, 10*time.Second)
	}
}

// storePlaces stores the places in next and gives it a version. The positions in the metrics topic go before: they alone are no
// replay, and are dropped as what belongs to none.
func (g *Generations) storePlaces(r *Replay, next Replay) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	layout := g.layout
	if g.c.Blank {
		next.Floor = 0 // no other version has what is older
	}
	versions, err := storage.Versions(g.c.KV)
	if err != nil {
		return err
	}
	next.Version = max(1, layout.Next)
	if n := len(versions); n > 0 {
		next.Version = max(next.Version, versions[n-1]+1)
	}
	layout.Next = next.Version + 1
	pointer, err := layout.Entry()
	if err != nil {
		return err
	}
	c := storage.Commit{Version: next.Version, Shard: g.c.Views.Shard, Entries: []storage.Entry{pointer}}
	metrics := storage.Commit{Version: next.Version, Shard: samples.MetricsShard}
	if next.Floor > 0 {
		c.Entries = append(c.Entries, views.FloorEntry(next.Version, g.c.Views.Shard, next.Floor))
	}
	for _, p := range next.Parts {
		to := &c
		if next.Metrics && g.c.Metrics.Topics.Match(p.Topic) {
			to = &metrics
		}
		to.Positions = append(to.Positions, storage.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Start, LeaderEpoch: -1})
	}
	if len(metrics.Positions) > 0 {
		if err := g.c.KV.Commit(metrics); err != nil {
			return fmt.Errorf("pipeline: store where replay %s begins: %w", r.ID, err)
		}
	}
	if err := g.save(&next, c); err != nil {
		return err
	}
	*r, g.layout = next, layout
	return nil
}

// askPlaces finds where each partition begins and ends, and from when on the topics are whole.
func (g *Generations) askPlaces(ctx context.Context, r *Replay) error {
	cl, err := g.c.Kafka.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	g.mu.Lock()
	live, stored := g.layout.Live, g.layout.LiveSamples()
	g.mu.Unlock()
	held, err := g.c.KV.Positions(live, g.c.Views.Shard)
	if err != nil {
		return err
	}
	a := placing{adm: kadm.NewClient(cl), r: r, margin: g.margin(), now: time.Now()}
	topics, err := findTopics(ctx, a.adm, g.c.Spans, g.c.Logs)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		if err := a.topic(ctx, topic, held); err != nil {
			return err
		}
	}
	r.Floor = a.floor(g.c.Views.PairingWindow)
	if !r.Metrics {
		r.Parts = a.parts
		return nil
	}
	if held, err = g.c.KV.Positions(stored, samples.MetricsShard); err != nil {
		return err
	}
	a.whole = time.Time{}
	known := len(a.parts)
	if topics, err = findTopics(ctx, a.adm, g.c.Metrics.Topics); err != nil {
		return err
	}
	for _, topic := range topics {
		if err := a.topic(ctx, topic, held); err != nil {
			return err
		}
	}
	r.Parts, r.SamplesFloor = a.parts, a.floor(0)
	r.Metrics = len(r.Parts) > known // without the topic there is nothing to rebuild the samples from
	return nil
}

// placing asks the brokers about topic after topic.
type placing struct {
	adm    *kadm.Client
	r      *Replay
	margin time.Duration
	now    time.Time

	parts []Partition
	whole time.Time // the topics hold every record from here on
}

// topic asks about one topic, of which held has been read into what is shown.
func (a *placing) topic(ctx context.Context, topic string, held []storage.Position) error {
	starts, err := source.StartOffsets(ctx, a.adm, topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil
	}
	if err != nil {
		return err
	}
	begin := time.Unix(0, 0)
	if !a.r.From.IsZero() {
		begin = a.r.From.Add(-a.margin)
	}
	from, err := source.OffsetsFrom(ctx, a.adm, begin, topic)
	if err != nil {
		return err
	}
	ends, err := source.EndOffsets(ctx, a.adm, topic)
	if err != nil {
		return err
	}
	until := ends
	if !a.r.To.IsZero() {
		placed, err := source.OffsetsFrom(ctx, a.adm, a.r.To.Add(a.margin), topic)
		if err != nil {
			return err
		}
		until = map[source.PartitionID]int64{}
		for id, p := range placed {
			until[id] = p.Offset
		}
	}
	topics, err := a.adm.ListTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("pipeline: describe topic %s: %w", topic, err)
	}
	for _, id := range slices.SortedFunc(maps.Keys(starts), func(a, b source.PartitionID) int { return int(a.Partition - b.Partition) }) {
		start := max(starts[id], from[id].Offset)
		if a.r.From.IsZero() {
			start = starts[id]
		}
		a.parts = append(a.parts, Partition{Topic: topic, Partition: id.Partition, Start: start, End: max(start, until[id])})
		known := slices.IndexFunc(held, func(p storage.Position) bool { return p.Topic == topic && p.Partition == id.Partition })
		// a log made anew begins at 0 too, but what came before it is not in there
		same := known < 0 || held[known].Offset <= ends[id] &&
			(held[known].TopicID == [16]byte{} || held[known].TopicID == topics[topic].ID)
		if cut := starts[id] > 0 || !same; !cut || start != starts[id] {
			continue
		}
		first := from[id].First
		if first.IsZero() && starts[id] == ends[id] { // all is gone: what is shown stays with the old version
			first = a.now
		}
		if first.After(a.whole) {
			a.whole = first
		}
	}
	return nil
}

// floor is from when on the new version counts, Unix seconds; 0: it counts all.
func (a *placing) floor(window time.Duration) int64 {
	whole := a.whole
	if !whole.IsZero() {
		whole = whole.Add(window)
	}
	if a.r.From.After(whole) {
		whole = a.r.From
	}
	switch {
	case whole.IsZero():
		return 0
	case !a.r.From.IsZero() && whole.Equal(a.r.From):
		return ceilTo(a.r.From.Unix(), model.BucketSeconds)
	}
	return ceilTo(whole.Unix()+1, model.BucketSeconds)
}
