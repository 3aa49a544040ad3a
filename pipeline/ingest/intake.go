package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// Intake is a Source with what takes its batches and commits them: what a generation of views and one of metrics have in common.
type Intake struct {
	Source *source.Source

	Topics []kafka.Topics
	Take   message.NoPublishHandlerFunc    // of a batch
	Commit func(ctx context.Context) error // takes checkpoints until ctx ends, then once more
	Gate   func(ctx context.Context) error // holds a batch back while it does not return; nil: none is held back
	// SlowDown is how long to wait before a batch; nil: not at all.
	SlowDown func() time.Duration
	// OTLP makes protobuf of a record; nil: records are OTLP.
	OTLP     func(*kgo.Record) ([]byte, error)
	Log      zerolog.Logger
	Lost     func(topic string, partition int32, to int64) // the log begins anew at to
	observed batchTelemetry

	KV      storage.KV
	Version uint32
	Shard   uint16
	mu      sync.Mutex
	gaps    []progress.Gap
	began   progress.Beginning
	latest  bool                                    // reading begins at the end of topics
	stored  map[source.PartitionID]storage.Position // as they were opened
}

// Reads reports whether a topic is one that is read.
func (n *Intake) Reads(topic string) bool {
	return slices.ContainsFunc(n.Topics, func(t kafka.Topics) bool { return t.Match(topic) })
}

// trimmed ends the keys of topics that had lost their oldest records.
const trimmed = "\x00trimmed"

// LoadBeginning reads what a version noted when it began.
func LoadBeginning(kv storage.KV, version uint32, shard uint16) (out progress.Beginning, err error) {
	prefix := storage.Key(version, shard, storage.TableMeta, model.MetaBegun)
	err = kv.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		switch {
		case strings.HasSuffix(string(k), trimmed):
			out.Trimmed = true
		case len(v) == 8:
			out = out.Later(progress.Beginning{Latest: time.Unix(0, int64(binary.BigEndian.Uint64(v))).UTC()})
		}
		return nil
	})
	return out, err
}

// Began says what was never read.
func (n *Intake) Began() progress.Beginning {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.began
}

// lacks notes that a partition that is read from its beginning had lost its oldest records.
func (n *Intake) lacks(topic string) {
	n.mu.Lock()
	known := n.began.Trimmed
	n.began.Trimmed = true
	n.mu.Unlock()
	if known {
		return
	}
	if err := n.KV.Commit(storage.Commit{Entries: []storage.Entry{{Key: append(n.begunKey(topic), trimmed...),
		Value: []byte{1}}}}); err != nil {
		n.Log.Warn().Err(err).Msg("storing the gap at the beginning of a topic failed; after a restart, answers about that time will lack the warning")
	}
}

// Open reads positions and gaps; c is completed.
func (n *Intake) Open(c source.Config, positions []storage.Position, t Telemetry) (err error) {
	if n.observed, err = newBatchTelemetry(t, n.OTLP); err != nil {
		return err
	}
	if n.gaps, err = LoadGaps(n.KV, n.Version, n.Shard); err != nil {
		return err
	}
	if n.began, err = LoadBeginning(n.KV, n.Version, n.Shard); err != nil {
		return err
	}
	stored := map[source.PartitionID]storage.Position{}
	for _, p := range positions {
		stored[source.PartitionID{Topic: p.Topic, Partition: p.Partition}] = p
	}
	n.latest = c.StartLatest && n.Version == 0
	c.StartLatest, c.OnTruncated, c.Logger, c.Version = n.latest, n.truncated, n.Log, n.Version
	c.Begin, c.Begun, c.Lacks, c.Recycle = n.begin, n.begun, n.lacks, true
	n.stored = stored
	c.Position = func(topic string, partition int32) (storage.Position, bool) {
		p, ok := stored[source.PartitionID{Topic: topic, Partition: partition}]
		return p, ok
	}
	n.Source, err = source.New(c)
	return err
}

func (n *Intake) begunKey(topic string) []byte {
	return append(storage.Key(n.Version, n.Shard, storage.TableMeta, model.MetaBegun), topic...)
}

// begin stores when reading begins at the end of a topic, and where its partitions do; with none that the topic does not exist.
func (n *Intake) begin(topic string, list []storage.Position) error {
	now := time.Now().UTC()
	c := storage.Commit{Version: n.Version, Shard: n.Shard, Positions: list,
		Entries: []storage.Entry{{Key: n.begunKey(topic), Value: binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))}}}
	if err := n.KV.Commit(c); err != nil {
		return err
	}
	n.mu.Lock()
	n.began = n.began.Later(progress.Beginning{Latest: now})
	n.mu.Unlock()
	for _, p := range list {
		n.Lost(p.Topic, p.Partition, p.Offset)
	}
	return nil
}

func (n *Intake) begun(topic string) bool {
	_, err := n.KV.Get(n.begunKey(topic))
	return err == nil
}

// truncated notes that a topic lost records before they were read; every answer says so from then on.
func (n *Intake) truncated(topic string, partition int32, from, to int64) {
	gap := progress.Gap{Topic: topic, Partition: partition, From: from, To: to, Found: time.Now().UTC()}
	n.Log.Error().Str("topic", topic).Int32("partition", partition).Int64("from", from).Int64("to", to).Uint32("version", n.Version).
		Msg("the topic no longer holds the stored position: records are missing; reading continues at the oldest record")
	if to < from {
		n.Lost(topic, partition, to)
	}
	if err := SaveGap(n.KV, n.Version, n.Shard, gap); err != nil {
		n.Log.Error().Err(err).Msg("storing the gap failed; it will be lost at the next start")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gaps = append(n.gaps, gap)
}

// Gaps are the stretches that were gone when they were to be read.
func (n *Intake) Gaps() []progress.Gap {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]progress.Gap(nil), n.gaps...)
}

// Consume reads until ctx ends or a part fails. It drains: reading stops, then what was read is committed.
func (n *Intake) Consume(ctx context.Context) error {
	router, err := n.router()
	if err != nil {
		return errors.Join(err, n.Source.Close())
	}
	base := context.WithoutCancel(ctx)
	reading, stopReading := context.WithCancel(base)
	defer stopReading()
	committing, stopCommitting := context.WithCancel(base)
	defer stopCommitting()
	hold := make(held) // its handler has a name that no topic has
	if slices.ContainsFunc(n.Topics, kafka.Topics.Pattern) {
		router.AddConsumerHandler("/", "", hold, func(*message.Message) error { return nil })
	}
	read, commit := make(chan error, 1), make(chan error, 1)
	go func() { read <- router.Run(reading) }()
	watching := sync.WaitGroup{}
	for _, t := range n.Topics {
		if t.Pattern() {
			watching.Go(func() { n.watch(reading, router, t) })
		}
	}
	go func() { commit <- n.Commit(committing) }()
	var errs []error
	select {
	case <-ctx.Done():
	case err := <-read:
		errs = append(errs, err)
		read <- nil
	case err := <-commit:
		errs = append(errs, err)
		commit <- nil
	}
	if len(errs) == 1 && errs[0] == nil {
		errs[0] = errors.New("pipeline: a part of the generation ended by itself")
	}
	stopReading()
	watching.Wait()
	close(hold)
	errs = append(errs, <-read, n.Source.Close())
	stopCommitting()
	return errors.Join(append(errs, <-commit)...)
}

// held keeps a router running that has no topic yet: by itself it ends with its last handler, and one that begins without any may never end.
type held chan *message.Message

// Subscribe returns messages that never come; its end ends the handler.
func (h held) Subscribe(context.Context, string) (<-chan *message.Message, error) { return h, nil }

// Close does nothing: the end is decided when no topic can be added any more.
func (h held) Close() error { return nil }

// router is watermill's: a handler for each topic, retried while dead letters cannot be delivered.
func (n *Intake) router() (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return nil, fmt.Errorf("pipeline: router: %w", err)
	}
	retry := middleware.Retry{MaxRetries: 8, InitialInterval: 100 * time.Millisecond, MaxInterval: 5 * time.Second, Multiplier: 2,
		OnRetryHook: func(try int, _ time.Duration) {
			n.Log.Warn().Int("attempt", try).Msg("a batch failed and is retried")
		}}
	router.AddMiddleware(retry.Middleware, middleware.Recoverer)
	for _, t := range n.Topics {
		for _, topic := range t.Names() {
			router.AddConsumerHandler(topic, topic, n.Source, n.handle)
		}
	}
	return router, nil
}

// watch reads the topics that match a pattern, as they appear. Topics that were read before are read on although they are not there: the
// views must not wait for what is gone.
func (n *Intake) watch(ctx context.Context, router *message.Router, t kafka.Topics) {
	select {
	case <-router.Running():
	case <-ctx.Done():
		return
	}
	var known []string
	for id := range n.stored {
		if t.Match(id.Topic) && !slices.Contains(known, id.Topic) {
			known = append(known, id.Topic)
		}
	}
	slices.Sort(known)
	n.Source.Watch(ctx, t, known, func(topic string, first bool) error {
		others := slices.DeleteFunc(slices.Clone(n.Topics), func(o kafka.Topics) bool { return !o.Match(topic) })
		if len(others) > 1 {
			return fmt.Errorf("pipeline: topic %s is one of %s and of %s: make the settings of spans and logs disjoint", topic, others[0], others[1])
		}
		if err := n.appeared(t, topic, first, slices.Contains(known, topic)); err != nil {
			return err
		}
		router.AddConsumerHandler(topic, topic, n.Source, n.handle)
		return router.RunHandlers(ctx)
	}, func() error { return n.watched(t) })
}

// appeared stores that a topic is read from its beginning: it came after the pattern's topics were first looked for.
func (n *Intake) appeared(t kafka.Topics, topic string, first, known bool) error {
	if !n.latest || known || n.begun(topic) {
		return nil
	}
	if first && !n.begun(t.String()) {
		return nil
	}
	return n.KV.Commit(storage.Commit{Entries: []storage.Entry{{Key: n.begunKey(topic), Value: []byte{1}}}})
}

// watched stores that the topics of a pattern have been looked for.
func (n *Intake) watched(t kafka.Topics) error {
	if !n.latest || n.begun(t.String()) {
		return nil
	}
	return n.KV.Commit(storage.Commit{Entries: []storage.Entry{{Key: n.begunKey(t.String()), Value: []byte{1}}}})
}

func (n *Intake) handle(msg *message.Message) error {
	if n.Gate != nil {
		if err := n.Gate(msg.Context()); err != nil {
			return err
		}
	}
	if n.SlowDown != nil {
		if d := n.SlowDown(); d > 0 {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-t.C:
			case <-msg.Context().Done():
				return msg.Context().Err()
			}
		}
	}
	return n.observed.take(msg, n.Take)
}

// Running is an intake that runs.
type Running struct {
	Stop context.CancelFunc
	Done chan struct{} // closed when it has ended, with err
	err  error
}

// Start runs the intake in a goroutine.
func (n *Intake) Start(ctx context.Context) *Running {
	ctx, stop := context.WithCancel(ctx)
	r := &Running{Stop: stop, Done: make(chan struct{})}
	go func() {
		defer close(r.Done)
		r.err = n.Consume(ctx)
	}()
	return r
}

// End stops the intake, waits for it and returns its error.
func (r *Running) End() error {
	r.Stop()
	<-r.Done
	return r.err
}
