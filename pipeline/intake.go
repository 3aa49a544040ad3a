package pipeline

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
)

// intake is a Source with what takes its batches and commits them: what a generation of views and one of metrics have in common.
type intake struct {
	Source *Source

	topics []string
	take   message.NoPublishHandlerFunc    // of a batch
	commit func(ctx context.Context) error // takes checkpoints until ctx ends, then once more
	gate   func(ctx context.Context) error // holds a batch back while it does not return; nil: none is held back
	// slowDown is how long to wait before a batch; nil: not at all.
	slowDown func() time.Duration
	log      zerolog.Logger
	lost     func(topic string, partition int32, to int64) // the log begins anew at to
	told     batchTelemetry

	kv      storage.KV
	version uint32
	shard   uint16
	mu      sync.Mutex
	gaps    []Gap
	began   Beginning
}

// Beginning says what was written before reading began, and was never read.
type Beginning struct {
	Latest  time.Time // when reading began at the end of a topic; zero: it began where the topics do
	Trimmed bool      // the topics had lost their oldest records by then
}

// later joins what is known of two topics or versions.
func (b Beginning) later(o Beginning) Beginning {
	if o.Latest.After(b.Latest) {
		b.Latest = o.Latest
	}
	b.Trimmed = b.Trimmed || o.Trimmed
	return b
}

// trimmed ends the keys of topics that had lost their oldest records.
const trimmed = "\x00trimmed"

// loadBeginning reads what a version noted when it began.
func loadBeginning(kv storage.KV, version uint32, shard uint16) (out Beginning, err error) {
	prefix := storage.Key(version, shard, storage.TableMeta, views.MetaBegun)
	err = kv.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		switch {
		case strings.HasSuffix(string(k), trimmed):
			out.Trimmed = true
		case len(v) == 8:
			out = out.later(Beginning{Latest: time.Unix(0, int64(binary.BigEndian.Uint64(v))).UTC()})
		}
		return nil
	})
	return out, err
}

// Began says what was never read.
func (n *intake) Began() Beginning {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.began
}

// lacks notes that a partition that is read from its beginning had lost its oldest records.
func (n *intake) lacks(topic string) {
	n.mu.Lock()
	known := n.began.Trimmed
	n.began.Trimmed = true
	n.mu.Unlock()
	if known {
		return
	}
	if err := n.kv.Commit(storage.Commit{Entries: []storage.Entry{{Key: append(n.begunKey(topic), trimmed...), Value: []byte{1}}}}); err != nil {
		n.log.Warn().Err(err).Msg("it could not be stored that a topic had lost its oldest records; answers about that time will not say so after the next start")
	}
}

// open reads positions and gaps; c is completed.
func (n *intake) open(c SourceConfig, positions []storage.Position, t Telemetry) (err error) {
	if n.told, err = newBatchTelemetry(t, n.topics); err != nil {
		return err
	}
	if n.gaps, err = LoadGaps(n.kv, n.version, n.shard); err != nil {
		return err
	}
	if n.began, err = loadBeginning(n.kv, n.version, n.shard); err != nil {
		return err
	}
	stored := map[PartitionID]storage.Position{}
	for _, p := range positions {
		stored[PartitionID{p.Topic, p.Partition}] = p
	}
	c.StartLatest, c.OnTruncated, c.Logger, c.Version = c.StartLatest && n.version == 0, n.truncated, n.log, n.version
	c.Begin, c.Begun, c.Lacks = n.begin, n.begun, n.lacks
	c.Position = func(topic string, partition int32) (storage.Position, bool) {
		p, ok := stored[PartitionID{topic, partition}]
		return p, ok
	}
	n.Source, err = NewSource(c)
	return err
}

func (n *intake) begunKey(topic string) []byte {
	return append(storage.Key(n.version, n.shard, storage.TableMeta, views.MetaBegun), topic...)
}

// begin stores when reading begins at the end of a topic, and where its partitions do; with none that the topic does not exist.
func (n *intake) begin(topic string, list []storage.Position) error {
	now := time.Now().UTC()
	c := storage.Commit{Version: n.version, Shard: n.shard, Positions: list,
		Entries: []storage.Entry{{Key: n.begunKey(topic), Value: binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))}}}
	if err := n.kv.Commit(c); err != nil {
		return err
	}
	n.mu.Lock()
	n.began = n.began.later(Beginning{Latest: now})
	n.mu.Unlock()
	for _, p := range list {
		n.lost(p.Topic, p.Partition, p.Offset)
	}
	return nil
}

func (n *intake) begun(topic string) bool {
	_, err := n.kv.Get(n.begunKey(topic))
	return err == nil
}

// truncated notes that a topic lost records before they were read; every answer says so from then on.
func (n *intake) truncated(topic string, partition int32, from, to int64) {
	gap := Gap{Topic: topic, Partition: partition, From: from, To: to, Found: time.Now().UTC()}
	n.log.Error().Str("topic", topic).Int32("partition", partition).Int64("from", from).Int64("to", to).Uint32("version", n.version).
		Msg("the topic no longer has the position: records in between are missing; reading goes on where the log begins")
	if to < from {
		n.lost(topic, partition, to)
	}
	if err := SaveGap(n.kv, n.version, n.shard, gap); err != nil {
		n.log.Error().Err(err).Msg("the gap could not be stored and will be forgotten at the next start")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gaps = append(n.gaps, gap)
}

// Gaps are the stretches that were gone when they were to be read.
func (n *intake) Gaps() []Gap {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Gap(nil), n.gaps...)
}

// run reads until ctx ends or a part fails. It drains: reading stops, then what was read is committed.
func (n *intake) run(ctx context.Context) error {
	router, err := n.router()
	if err != nil {
		return errors.Join(err, n.Source.Close())
	}
	base := context.WithoutCancel(ctx)
	reading, stopReading := context.WithCancel(base)
	defer stopReading()
	committing, stopCommitting := context.WithCancel(base)
	defer stopCommitting()
	read, commit := make(chan error, 1), make(chan error, 1)
	go func() { read <- router.Run(reading) }()
	go func() { commit <- n.commit(committing) }()
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
	errs = append(errs, <-read, n.Source.Close())
	stopCommitting()
	return errors.Join(append(errs, <-commit)...)
}

// router is watermill's: a handler for each topic, retried while dead letters cannot be delivered.
func (n *intake) router() (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return nil, fmt.Errorf("pipeline: router: %w", err)
	}
	retry := middleware.Retry{MaxRetries: 8, InitialInterval: 100 * time.Millisecond, MaxInterval: 5 * time.Second, Multiplier: 2,
		OnRetryHook: func(try int, _ time.Duration) {
			n.log.Warn().Int("attempt", try).Msg("a batch could not be finished and is tried again")
		}}
	router.AddMiddleware(retry.Middleware, middleware.Recoverer)
	for _, topic := range n.topics {
		router.AddConsumerHandler(topic, topic, n.Source, n.handle)
	}
	return router, nil
}

func (n *intake) handle(msg *message.Message) error {
	if n.gate != nil {
		if err := n.gate(msg.Context()); err != nil {
			return err
		}
	}
	if n.slowDown != nil {
		if d := n.slowDown(); d > 0 {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-t.C:
			case <-msg.Context().Done():
				return msg.Context().Err()
			}
		}
	}
	return n.told.take(msg, n.take)
}

// running is an intake that runs.
type running struct {
	stop context.CancelFunc
	done chan struct{} // closed when it has ended, with err
	err  error
}

func (n *intake) start(ctx context.Context) *running {
	ctx, stop := context.WithCancel(ctx)
	r := &running{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = n.run(ctx)
	}()
	return r
}

func (r *running) end() error {
	r.stop()
	<-r.done
	return r.err
}
