package configtopic

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/storage"
)

// Topic is the compacted topic of what users make: rules of the page, SLOs, users, tokens, the audit trail. It is the one
// source of truth for all replicas; each folds it into its store, by one transaction of objects and position.
//
// The simple version: a record is one object, its key "kind/id", its value JSON, no value a deletion. Write produces and waits until
// this replica has folded what it wrote, so that who has written also reads it.
type Topic struct {
	cfg     kafka.Config
	topic   string
	kv      storage.KV
	log     zerolog.Logger
	changed func(kinds map[string]bool)
	cl      *kgo.Client // produces
	adm     *kadm.Client

	writing sync.Mutex // one Write at a time: what it says was before is what it replaces

	mu     sync.Mutex
	next   int64 // offset of the record to be folded next
	placed bool  // next is known to lie within the topic as it is now
	folded chan struct{}
}

// Open opens the topic on what kv holds of it. changed is called after each fold with the kinds of objects that changed,
// and before Write returns.
func Open(c kafka.Config, topic string, kv storage.KV, log zerolog.Logger, changed func(kinds map[string]bool)) (*Topic, error) {
	cl, err := c.Client(append(c.Counted(topic+" writes"), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.UnknownTopicRetries(0), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return nil, err
	}
	t := &Topic{cfg: c, topic: topic, kv: kv, log: log, changed: changed, cl: cl, adm: kadm.NewClient(cl), folded: make(chan struct{})}
	b, err := storage.GetObject(kv, "", "position")
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return t, nil
	case err == nil:
		err = json.Unmarshal(b, &t.next)
	}
	if err != nil {
		cl.Close()
		return nil, fmt.Errorf("pipeline: position in %s: %w", topic, err)
	}
	return t, nil
}

// Close ends the producer.
func (t *Topic) Close() error {
	t.cl.Close()
	return nil
}

// Run reads the topic until ctx ends. While the brokers do not answer, what is stored stays in force.
func (t *Topic) Run(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		err := t.read(ctx, func() {
			if failing {
				t.log.Info().Str("topic", t.topic).Msg("reading the configuration topic works again")
			}
			failing = false
		})
		if ctx.Err() != nil {
			return nil
		}
		if !failing {
			t.log.Warn().Err(err).Str("topic", t.topic).
				Msg("reading the configuration topic failed; the known objects stay active and cannot be changed; retrying")
		}
		failing = true
		pause.Reset(time.Second)
	}
}

// read folds records until something fails; connected is called after the first answer.
func (t *Topic) read(ctx context.Context, connected func()) error {
	if err := t.ensure(ctx); err != nil {
		return err
	}
	next, err := t.within(ctx)
	if err != nil {
		return err
	}
	cl, err := t.cfg.Client(append(t.cfg.Counted(t.topic), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(time.Second), kgo.ConsumePartitions(
			map[string]map[int32]kgo.Offset{t.topic: {0: kgo.NewOffset().At(next)}}))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return err
		}
		connected()
		if err := t.fold(fs.Records()); err != nil {
			return err
		}
	}
}

// within is the position at which the topic can be read on: compaction keeps the newest record of each object, so what a topic has
// lost before its start is written again later in it. A topic that ends before the position was made anew.
func (t *Topic) within(ctx context.Context) (int64, error) {
	starts, err := t.adm.ListStartOffsets(ctx, t.topic)
	if err != nil {
		return 0, err
	}
	ends, err := t.adm.ListEndOffsets(ctx, t.topic)
	if err != nil {
		return 0, err
	}
	start, ok := starts.Lookup(t.topic, 0)
	end, ok2 := ends.Lookup(t.topic, 0)
	if err := errors.Join(start.Err, end.Err); err != nil || !ok || !ok2 {
		return 0, errors.Join(err, fmt.Errorf("pipeline: %s has no partition 0", t.topic))
	}
	t.mu.Lock()
	position := t.next
	t.mu.Unlock()
	if recreated := position > end.Offset; recreated {
		if end.Offset == start.Offset {
			if err := t.restore(ctx); err != nil {
				return 0, err
			}
		}
		t.log.Warn().Str("topic", t.topic).Int64("position", position).Int64("end", end.Offset).
			Msg("the configuration topic was recreated: reading it from its start; objects that it lacks are kept")
		position = start.Offset
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = position
	t.next, t.placed = max(t.next, start.Offset), true
	t.wake()
	return t.next, nil
}

// restore writes the objects that this replica knows into a topic that has none: after a move to other brokers, or a loss.
func (t *Topic) restore(ctx context.Context) error {
	var list []storage.Object
	for _, kind := range storage.Kinds {
		of, err := storage.Objects(t.kv, kind)
		if err != nil {
			return err
		}
		list = append(list, of...)
	}
	if len(list) == 0 {
		return nil
	}
	// A Write waits until the topic is read, so it holds its lock while this runs, and writes after it.
	if _, err := t.send(ctx, list); err != nil {
		return err
	}
	t.log.Info().Str("topic", t.topic).Int("objects", len(list)).Msg("the configuration topic was empty: wrote the known objects into it")
	return nil
}

// ensure creates the topic where that is missing and allowed.
func (t *Topic) ensure(ctx context.Context) error {
	compact := "compact"
	_, err := t.adm.CreateTopic(ctx, 1, -1, map[string]*string{"cleanup.policy": &compact}, t.topic)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists), errors.Is(err, kerr.TopicAuthorizationFailed),
		errors.Is(err, kerr.ClusterAuthorizationFailed):
		return nil
	}
	return fmt.Errorf("create topic %s: %w", t.topic, err)
}

// fold keeps what records say.
func (t *Topic) fold(records []*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	kinds := map[string]bool{}
	entries := map[string]storage.Entry{} // by key: the last one counts
	for _, r := range records {
		kind, id, ok := strings.Cut(string(r.Key), "/")
		if !ok || kind == "" || r.Value != nil && !json.Valid(r.Value) {
			t.log.Warn().Str("topic", t.topic).Int64("offset", r.Offset).Msg("skipping unknown record in the configuration topic")
			continue
		}
		kinds[kind] = true
		e := storage.Object{Kind: kind, ID: id, Value: bytes.Clone(r.Value)}.Entry()
		entries[string(e.Key)] = e
	}
	next := records[len(records)-1].Offset + 1
	position, err := json.Marshal(next)
	if err != nil {
		return err
	}
	c := storage.Commit{Entries: []storage.Entry{storage.Object{ID: "position", Value: position}.Entry()}}
	for _, e := range entries {
		c.Entries = append(c.Entries, e)
	}
	if err := t.kv.Commit(c); err != nil {
		return fmt.Errorf("pipeline: keep settings: %w", err)
	}
	if t.changed != nil {
		t.changed(kinds)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = next
	t.wake()
	return nil
}

func (t *Topic) wake() {
	close(t.folded)
	t.folded = make(chan struct{})
}

// Write makes an edit durable in the topic, with its entries of the audit trail, and returns once this replica has folded it. now is
// the wall clock.
func (t *Topic) Write(ctx context.Context, e storage.Edit, now time.Time) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	if err := t.Sync(ctx); err != nil {
		return err
	}
	list := slices.Clone(e.Objects)
	for _, o := range e.Objects {
		a, err := t.audit(e, o, now)
		if err != nil {
			return err
		}
		list = append(list, a)
	}
	next, err := t.produce(ctx, list)
	if err != nil {
		return err
	}
	return t.wait(ctx, next)
}

// Put makes objects durable in the topic; they are folded a little later. Unlike Write it may be called after Run has ended.
func (t *Topic) Put(ctx context.Context, list []storage.Object) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	if err := t.ensure(ctx); err != nil {
		return err
	}
	_, err := t.produce(ctx, list)
	return err
}

// produce writes objects, and takes out the oldest entries of the audit trail where new ones among them need room. next is the offset
// after the last record.
func (t *Topic) produce(ctx context.Context, list []storage.Object) (next int64, err error) {
	old, err := t.expired(list)
	if err != nil {
		return 0, err
	}
	return t.send(ctx, slices.Concat(list, old))
}

// send writes objects as they are; next is the offset after the last record.
func (t *Topic) send(ctx context.Context, list []storage.Object) (next int64, err error) {
	var records []*kgo.Record
	for _, o := range list {
		records = append(records, &kgo.Record{Topic: t.topic, Partition: 0, Key: []byte(o.Kind + "/" + o.ID), Value: o.Value})
	}
	for _, r := range t.cl.ProduceSync(ctx, records...) {
		if r.Err != nil {
			t.cl.PurgeTopicsFromProducing(t.topic)
			return 0, fmt.Errorf("pipeline: write to %s: %w", t.topic, r.Err)
		}
		next = max(next, r.Record.Offset+1)
	}
	return next, nil
}

// Sync returns once this replica has folded all that the topic holds now: what other replicas wrote too.
func (t *Topic) Sync(ctx context.Context) error {
	if err := t.ensure(ctx); err != nil {
		return err
	}
	ends, err := t.adm.ListEndOffsets(ctx, t.topic)
	if err != nil {
		return fmt.Errorf("pipeline: end of %s: %w", t.topic, err)
	}
	end, ok := ends.Lookup(t.topic, 0)
	if !ok || end.Err != nil {
		return fmt.Errorf("pipeline: end of %s: %w", t.topic, cmp.Or[error](end.Err, kerr.UnknownTopicOrPartition))
	}
	t.mu.Lock()
	t.placed = t.placed && t.next <= end.Offset
	t.mu.Unlock()
	return t.wait(ctx, end.Offset)
}

// wait returns once everything before next is folded.
func (t *Topic) wait(ctx context.Context, next int64) error {
	for {
		t.mu.Lock()
		reached, more := t.placed && t.next >= next, t.folded
		t.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("pipeline: %s was written and is not read back yet: %w", t.topic, ctx.Err())
		}
	}
}

// audit is the entry of the audit trail for one object of an edit.
func (t *Topic) audit(e storage.Edit, o storage.Object, now time.Time) (storage.Object, error) {
	a := storage.AuditEntry{ID: storage.NewAuditID(now), Time: now.UTC(), By: e.By, Action: e.Action, Kind: o.Kind, Object: o.ID}
	if !e.Secret {
		before, err := storage.GetObject(t.kv, o.Kind, o.ID)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return storage.Object{}, err
		}
		a.Before, a.After = before, o.Value
	}
	return a.Stored()
}

// expired are deletions of the oldest entries of the audit trail, so that those of list fit.
func (t *Topic) expired(list []storage.Object) ([]storage.Object, error) {
	added := map[string]int{}
	for _, o := range list {
		if o.Value != nil {
			added[o.Kind]++
		}
	}
	var out []storage.Object
	for kind, limit := range storage.Trails {
		if added[kind] == 0 {
			continue
		}
		kept, err := storage.Objects(t.kv, kind)
		if err != nil {
			return nil, err
		}
		for _, o := range kept[:max(0, len(kept)+added[kind]-limit)] {
			out = append(out, storage.Object{Kind: o.Kind, ID: o.ID})
		}
	}
	return out, nil
}
