package replay

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// Readiness says how far the views are, and what keeps them from being ready.
type Readiness struct {
	Partitions []progress.Partition // by topic
	failed     map[string]string    // by name of the check
}

// Ready reports whether nothing fails.
func (r *Readiness) Ready() bool { return len(r.failed) == 0 }

// Fails adds a check that fails.
func (r *Readiness) Fails(name, why string) { r.failed[name] = why }

// Checks are those that fail, ordered by name.
func (r *Readiness) Checks() (list []progress.Check) {
	for _, name := range slices.Sorted(maps.Keys(r.failed)) {
		list = append(list, progress.Check{Name: name, Detail: r.failed[name]})
	}
	return list
}

// ReadinessConfig says when views are ready.
type ReadinessConfig struct {
	Traces  kafka.Topics  // those that are named must exist
	Metrics kafka.Topics  // whose partitions are not looked at while its samples are being opened
	MaxLag  time.Duration // of event time
}

// Readiness compares the current views with the topics: they are ready when every partition is read to its end, or what was read last is
// young enough.
func (g *Generations) Readiness(now time.Time, c ReadinessConfig) *Readiness {
	r := &Readiness{failed: map[string]string{}}
	live, metrics := g.Current(), g.CurrentMetrics()
	states := g.states()
	if !slices.ContainsFunc(states, func(s source.PartitionState) bool { return !c.Metrics.Match(s.Topic) && s.Topic != c.Metrics.String() }) {
		r.Fails("kafka", "no partition of "+c.Traces.String()+" is known yet: the brokers do not answer or the topic does not exist")
	}
	opened, held := metrics == nil || metrics.Opened(), g.held()
	for _, st := range states {
		if st.Partition < 0 { // the topic as a whole
			// a team without logs or metrics in Kafka has no topic for them, and is ready
			if st.Err != nil && (st.Topic == c.Traces.String() || slices.Contains(c.Traces.Names(), st.Topic) || !errors.Is(st.Err, source.ErrNoTopic)) {
				r.Fails(st.Topic, st.Err.Error())
			}
			continue
		}
		p := held.with(&st)
		r.Partitions = append(r.Partitions, p)
		if c.Metrics.Match(st.Topic) && !opened { // nothing else waits for samples that are being opened
			continue
		}
		if why := p.Behind(now, c.MaxLag); why != "" {
			r.Fails(fmt.Sprintf("%s/%d", st.Topic, st.Partition), why)
		}
	}
	if err := live.Ingest.Last().Err; err != nil {
		r.Fails("checkpoint", err.Error())
	}
	if metrics != nil && metrics.Ingest.Last().Err != nil {
		r.Fails("metrics checkpoint", metrics.Ingest.Last().Err.Error())
	}
	return r
}

// Partitions are how far the current views are, ordered by topic.
func (g *Generations) Partitions() (list []progress.Partition) {
	held := g.held()
	for _, st := range g.states() {
		if st.Partition >= 0 {
			list = append(list, held.with(&st))
		}
	}
	return list
}

func (g *Generations) states() []source.PartitionState {
	states := g.Current().Source.States()
	if m := g.CurrentMetrics(); m != nil {
		states = append(states, m.Source.States()...)
	}
	slices.SortStableFunc(states, func(a, b source.PartitionState) int { return strings.Compare(a.Topic, b.Topic) })
	return states
}

// held is how far the views hold each partition.
type held map[source.PartitionID]progress.Partition

func (g *Generations) held() held {
	h := held{}
	for _, p := range append(g.Live().Progress(), g.Live().Metrics().Progress()...) {
		h[source.PartitionID{Topic: p.Topic, Partition: p.Partition}] = progress.Partition{Position: p.Position, Watermark: p.Watermark}
	}
	return h
}

// with adds what a source knows of a partition.
func (h held) with(st *source.PartitionState) progress.Partition {
	p := h[source.PartitionID{Topic: st.Topic, Partition: st.Partition}]
	p.Topic, p.Partition, p.End, p.Idle, p.Err = st.Topic, st.Partition, st.HighWatermark, st.Idle, st.Err
	p.NoTopic = errors.Is(st.Err, source.ErrNoTopic)
	p.Lag = max(0, p.End-p.Position)
	if st.HighWatermark < 0 || st.LastFetch.IsZero() {
		p.Lag = -1
	}
	return p
}
