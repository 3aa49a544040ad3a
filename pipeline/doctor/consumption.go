package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// consumption compares what WatchingCat committed with what the topic holds.
func (x *examination) consumption(ctx context.Context, t Topic, s *sampled) {
	a := about{x.r, "consumption", t.Name}
	x.kept(a, s)
	ctx, cancel := x.ask(ctx)
	defer cancel()
	committed, err := x.adm.FetchOffsetsForTopics(ctx, x.Group, t.Name)
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return // the group says so
	case errors.Is(err, kerr.GroupIDNotFound), unborn(err):
	case err != nil:
		a.found(Note, "lag", "Run the command again.", "", "the offsets of group %s cannot be read: %v", x.Group, err)
		return
	}
	lag, lost, seen := int64(0), int64(0), false
	for _, p := range s.partitions {
		o, ok := committed.Lookup(t.Name, p.id)
		if !ok || o.Err != nil || o.At < 0 {
			continue
		}
		seen = true
		lag += max(0, p.end-max(o.At, p.start))
		lost += max(0, p.start-o.At)
	}
	if !seen {
		a.ok("lag", "group %s has committed no offset: no WatchingCat has read the topic", x.Group)
		return
	}
	if lost > 0 {
		a.found(Failure, "gap", "Keep records longer (retention.ms, retention.bytes) than WatchingCat may be down.",
			"Answers about the time of these records carry a warning.", "Kafka deleted %s after the committed offset", many(int(lost), "record", "records"))
	}
	behind := time.Duration(0)
	if r := s.perSecond(); r > 0 {
		behind = time.Duration(float64(lag) / r * float64(time.Second)).Round(time.Second)
	}
	if behind > x.ReadyMaxLag {
		a.found(Warning, "lag", "Start WatchingCat if it is down; else see the runbook of WatchingCatLag.", "",
			"group %s is %s behind, about %v at the present rate", x.Group, many(int(lag), "record", "records"), behind)
		return
	}
	a.ok("lag", "group %s is %s behind", x.Group, many(int(lag), "record", "records"))
}

// kept measures how long records really stay, which retention.bytes may make shorter than retention.ms.
func (x *examination) kept(a about, s *sampled) {
	shortest, of := time.Duration(-1), int32(0)
	for _, p := range s.partitions {
		if p.start == 0 || p.first.IsZero() { // nothing was deleted yet
			continue
		}
		if age := s.at.Sub(p.first); shortest < 0 || age < shortest {
			shortest, of = age, p.id
		}
	}
	if shortest >= 0 && shortest < shortRetention {
		a.found(Warning, "topic_kept", "Raise retention.ms or retention.bytes of the topic.", whyRetention,
			"the oldest record of partition %d is %v old, and older ones were deleted", of, shortest.Round(time.Second))
	}
}

// unborn reports whether the cluster has had no consumer group yet.
func unborn(err error) bool {
	if errors.Is(err, kerr.CoordinatorNotAvailable) {
		return true
	}
	var shards *kadm.ShardErrors
	return errors.As(err, &shards) && len(shards.Errs) > 0 && errors.Is(shards.Errs[0].Err, kerr.CoordinatorNotAvailable)
}

// group judges the consumer group as a whole.
func (x *examination) group(ctx context.Context) {
	a := about{x.r, "consumption", "group " + x.Group}
	ctx, cancel := x.ask(ctx)
	defer cancel()
	groups, err := x.adm.DescribeGroups(ctx, x.Group)
	g, ok := groups[x.Group]
	if err == nil && ok {
		err = g.Err
	}
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		a.found(Warning, "group_permission", "Give WatchingCat's principal Read on the group.",
			"WatchingCat keeps its positions itself; without the group, tools that show lag do not see it.", "the client may not use the group")
	case errors.Is(err, kerr.GroupIDNotFound), unborn(err):
	case err != nil:
		a.found(Note, "group_permission", "Run the command again.", "", "the group cannot be read: %v", err)
	case len(g.Members) > 0:
		a.found(Failure, "group_members", "Give WatchingCat a group of its own (WATCHINGCAT_KAFKA_GROUP).",
			"WatchingCat does not join its group. Another consumer commits offsets into it, so that its lag is wrong and either overwrites the other.",
			"another consumer is a member: %s", g.Members[0].ClientID)
	}
}
