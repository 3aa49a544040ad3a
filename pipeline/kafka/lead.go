package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Lead is the turn of one of several processes: of those that join a consumer group for a topic, the one that partition 0 is assigned to.
type Lead struct {
	Client *kgo.Client // a member of the group
	Admin  *kadm.Client
	group  string
	ids    map[string][16]byte // of topics, by which newer brokers name them
}

// ErrReplaced is returned where another process leads now.
var ErrReplaced = errors.New("another replica has taken over")

// Led is how Lead joins.
type Led struct {
	Group, Topic string
	// Session is how long the group waits for one that does not answer.
	Session time.Duration
	// Prepare is called before it joins: it creates the topic.
	Prepare func(ctx context.Context, adm *kadm.Client) error
	// Consume says that the client reads the topic from the offset of the group, or from the start if there is none.
	Consume bool
	Options []kgo.Opt
}

// Lead joins a group, calls run when this process leads, and returns when run has or another process leads.
func (c Config) Lead(ctx context.Context, o Led, run func(ctx context.Context, l *Lead) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	assigned := make(chan struct{}, 1)
	has := func(m map[string][]int32) bool {
		for _, p := range m[o.Topic] {
			if p == 0 {
				return true
			}
		}
		return false
	}
	lost := func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
		if has(m) {
			end(ErrReplaced)
		}
	}
	cl, err := c.Client(append(o.Options, kgo.ConsumerGroup(o.Group), kgo.ConsumeTopics(o.Topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(o.Session), kgo.HeartbeatInterval(o.Session/4),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			if has(m) {
				assigned <- struct{}{}
			}
		}), kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if !o.Consume {
		cl.PauseFetchTopics(o.Topic)
	}
	l := &Lead{Client: cl, Admin: kadm.NewClient(cl), group: o.Group, ids: map[string][16]byte{}}
	if err := o.Prepare(ctx, l.Admin); err != nil {
		return err
	}
	select {
	case <-assigned:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err = run(ctx, l)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Identify reads the IDs of topics, which Commit needs.
func (l *Lead) Identify(ctx context.Context, topics ...string) error {
	var err error
	for range 20 { // a topic that was just created may not be known to every broker
		var listed kadm.TopicDetails
		if listed, err = l.Admin.ListTopics(ctx, topics...); err == nil {
			err = listed.Error()
		}
		if err == nil {
			for name, t := range listed {
				l.ids[name] = t.ID
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	return fmt.Errorf("read the ID of a topic: %w", err)
}

// Produce writes records and returns when the brokers have acknowledged or refused all of them, or ctx has ended. The client's ProduceSync
// waits beyond that: while no broker answers it cannot know whether a record was written, and a process could not end.
func (l *Lead) Produce(ctx context.Context, records ...*kgo.Record) (kgo.ProduceResults, error) {
	done := make(chan kgo.ProduceResults, 1)
	go func() { done <- l.Client.ProduceSync(ctx, records...) }() // ends with the client at the latest
	select {
	case results := <-done:
		return results, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// At is an offset to be committed.
type At struct {
	Topic     string
	Partition int32
	Offset    int64
	Metadata  string
}

const (
	commitAttempts = 20
	commitPause    = 500 * time.Millisecond
)

// Commit commits offsets of the group. The broker refuses it when another process leads; while the group is being rebalanced it is tried
// again.
func (l *Lead) Commit(ctx context.Context, list ...At) error {
	var err error
	for range commitAttempts {
		if err = l.commit(ctx, list); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(commitPause):
		}
	}
	return fmt.Errorf("commit offsets of group %s: %w", l.group, err)
}

// commit does not use the client's own way, which waits for a rebalance to end.
func (l *Lead) commit(ctx context.Context, list []At) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Group = l.group
	r.MemberID, r.Generation = l.Client.GroupMetadata()
	at := map[string]int{}
	for _, x := range list {
		i, ok := at[x.Topic]
		if !ok {
			i = len(r.Topics)
			at[x.Topic] = i
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.TopicID = x.Topic, l.ids[x.Topic]
			r.Topics = append(r.Topics, t)
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = x.Partition, x.Offset, kmsg.StringPtr(x.Metadata)
		r.Topics[i].Partitions = append(r.Topics[i].Partitions, p)
	}
	res, err := r.RequestWith(ctx, l.Client)
	if err != nil {
		return err
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// Committed are the offsets that the group has.
func (l *Lead) Committed(ctx context.Context) (kadm.OffsetResponses, error) {
	all, err := l.Admin.FetchOffsets(ctx, l.group)
	if err != nil {
		return nil, fmt.Errorf("read the offsets of group %s: %w", l.group, err)
	}
	return all, nil
}
