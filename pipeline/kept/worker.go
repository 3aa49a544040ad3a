package kept

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/kafka"
)

// Config says what is read, kept and written.
type Config struct {
	Kafka  kafka.Config
	Topics kafka.Topics // of spans
	Decode encoding.Decoder
	// To is the topic of kept traces, Group says which replica writes and holds the positions.
	To, Group string
	Keep      Keep
	// Earlier calls fn with blocks of OTLP that hold the spans of a trace which are still kept elsewhere; nil: none are.
	Earlier    func(id [16]byte, fn func(block []byte)) error
	Registerer prometheus.Registerer
	Logger     *slog.Logger

	// session is how long the group waits for a replica that does not answer; 0: 10 s.
	session time.Duration
}

// Keeper writes kept traces while it runs.
type Keeper struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
}

// New makes a Keeper; it needs no brokers.
func New(c Config) *Keeper {
	if c.session == 0 {
		c.session = 10 * time.Second
	}
	return &Keeper{cfg: c, log: c.Logger, metrics: newMetrics(c.Registerer)}
}

const (
	fetchBytes  = 16 << 20
	pollRecords = 500
	pollWait    = 500 * time.Millisecond
	commitEvery = 5 * time.Second
	findEvery   = 30 * time.Second
)

// Run works whenever this replica has the turn, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	failing := false
	for {
		err := k.cfg.Kafka.Lead(ctx, kafka.Led{Group: k.cfg.Group, Topic: k.cfg.To, Session: k.cfg.session, Prepare: k.create,
			Options: append(k.cfg.Kafka.Counted(k.cfg.To), kgo.ProducerLinger(0))}, func(ctx context.Context, l *kafka.Lead) error {
			k.log.Info("kept traces: this replica writes them", "topic", k.cfg.To)
			k.metrics.active.Set(1)
			defer k.metrics.active.Set(0)
			return (&turn{Keeper: k, Lead: l, buffer: newBuffer(k.cfg.Keep), at: map[place]*position{}}).work(ctx)
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		if err != nil && !failing && !errors.Is(err, kafka.ErrReplaced) {
			k.log.Warn("writing kept traces failed; retrying from the committed positions", "topic", k.cfg.To, "err", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(2 * time.Second):
		}
	}
}

// create creates the topic where that is missing.
func (k *Keeper) create(ctx context.Context, adm *kadm.Client) error {
	_, err := adm.CreateTopic(ctx, -1, -1, nil, k.cfg.To)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists), errors.Is(err, kerr.TopicAuthorizationFailed),
		errors.Is(err, kerr.ClusterAuthorizationFailed): // then it has to exist
		return nil
	}
	return fmt.Errorf("create topic %s: %w", k.cfg.To, err)
}

// A place is a partition.
type place struct {
	topic     string
	partition int32
}

// position is how far a partition has been read.
type position struct {
	committed int64
	next      int64
	passed    []mark // of what was read, the oldest first
}

// mark: what lies before an offset had been read at a time. One mark stands for a second.
type mark struct {
	offset    int64
	at, begin time.Time
}

// turn is one time of having the turn.
type turn struct {
	*Keeper
	*kafka.Lead
	buffer *buffer
	read   *kgo.Client
	at     map[place]*position
	looked bool // for topics
}

// work reads, decides, writes and commits, in this order and one after the other.
func (t *turn) work(ctx context.Context) (err error) {
	t.read, err = t.cfg.Kafka.Client(append(t.cfg.Kafka.Counted(t.cfg.To+" reads"), kgo.FetchMaxBytes(fetchBytes),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ConsumePartitions(nil))...)
	if err != nil {
		return err
	}
	defer t.read.Close()
	var found, committed time.Time
	for {
		now := time.Now()
		if now.Sub(found) >= findEvery {
			if err := t.find(ctx); err != nil {
				return err
			}
			found = now
		}
		poll, cancel := context.WithTimeout(ctx, pollWait)
		fetched := t.read.PollRecords(poll, pollRecords)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		now = time.Now()
		list, err := t.take(fetched, now)
		if err != nil {
			return err
		}
		if err := t.write(ctx, append(list, t.buffer.expire(now)...)); err != nil {
			return err
		}
		t.metrics.waiting.Set(float64(t.buffer.bytes))
		if now.Sub(committed) >= commitEvery {
			if err := t.commit(ctx, now); err != nil {
				return err
			}
			committed = now
		}
	}
}

// find begins to read the partitions that are not read yet: at the committed offset. Where there is none, it is the end if the group has
// no offset at all, which is when kept traces are switched on, else the start: the partition is new.
func (t *turn) find(ctx context.Context) error {
	names, err := t.cfg.Topics.Find(ctx, t.Admin)
	if err != nil {
		return fmt.Errorf("find the topics of spans: %w", err)
	}
	listed, err := t.Admin.ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("list the topics of spans: %w", err)
	}
	committed, err := t.Committed(ctx)
	if err != nil {
		return err
	}
	fresh := len(committed) == 0 && !t.looked
	t.looked = true
	var exist []string
	for name, d := range listed {
		if d.Err == nil {
			exist = append(exist, name)
		}
	}
	if len(exist) == 0 {
		return nil
	}
	list := t.Admin.ListStartOffsets
	if fresh {
		list = t.Admin.ListEndOffsets
	}
	edges, err := list(ctx, exist...)
	if err == nil {
		err = edges.Error()
	}
	if err != nil {
		return fmt.Errorf("list the offsets of the topics of spans: %w", err)
	}
	if err := t.Identify(ctx, exist...); err != nil {
		return err
	}
	add := map[string]map[int32]kgo.Offset{}
	var first []kafka.At
	edges.Each(func(o kadm.ListedOffset) {
		p := place{o.Topic, o.Partition}
		if t.at[p] != nil {
			return
		}
		from := o.Offset
		if at, ok := committed.Lookup(o.Topic, o.Partition); ok && at.Err == nil && at.At >= 0 {
			from = at.At
		} else {
			first = append(first, kafka.At{Topic: o.Topic, Partition: o.Partition, Offset: from})
		}
		t.at[p] = &position{committed: from, next: from}
		if add[o.Topic] == nil {
			add[o.Topic] = map[int32]kgo.Offset{}
		}
		add[o.Topic][o.Partition] = kgo.NewOffset().At(from)
	})
	if len(first) > 0 {
		if err := t.Commit(ctx, first...); err != nil {
			return err
		}
	}
	t.read.AddConsumePartitions(add)
	return nil
}

// take reads records, and returns what is to be written because of them.
func (t *turn) take(fetched kgo.Fetches, now time.Time) (list []out, err error) {
	for _, e := range fetched.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
			return nil, fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	fetched.EachRecord(func(r *kgo.Record) {
		x := t.at[place{r.Topic, r.Partition}]
		if x == nil {
			return
		}
		if r.Offset > x.next {
			t.metrics.lost.Add(float64(r.Offset - x.next))
		}
		x.next = r.Offset + 1
		if n := len(x.passed); n > 0 && now.Sub(x.passed[n-1].begin) < time.Second {
			x.passed[n-1].offset, x.passed[n-1].at = x.next, now
		} else {
			x.passed = append(x.passed, mark{x.next, now, now})
		}
		b, err := t.cfg.Decode.OTLP(r)
		var pieces []*piece
		if err == nil {
			pieces, err = split(b, nil)
		}
		if err != nil { // the ingest makes it a dead letter
			t.metrics.failed.Inc()
			return
		}
		for _, p := range pieces {
			list = append(list, t.buffer.add(p, now)...)
		}
		t.metrics.newest.Set(float64(r.Timestamp.UnixMilli()) / 1e3)
	})
	return list, nil
}

// write writes spans and waits until the brokers have acknowledged them.
func (t *turn) write(ctx context.Context, list []out) error {
	t.metrics.traces.Add(float64(t.buffer.seen))
	t.metrics.early.Add(float64(t.buffer.early))
	t.buffer.seen, t.buffer.early = 0, 0
	var records []*kgo.Record
	for _, o := range list {
		chunks := o.chunks
		if o.earlier {
			chunks = append(t.earlier(o.id), chunks...)
		}
		if o.first {
			t.metrics.kept.WithLabelValues(string(o.reason)).Inc()
		}
		t.metrics.spans.Add(float64(o.spans))
		key := []byte(hex.EncodeToString(o.id[:]))
		for _, value := range joined(chunks) {
			if o.reason == isSample {
				var err error
				if value, err = adjust(value, t.buffer.threshold); err != nil {
					return err
				}
			}
			records = append(records, &kgo.Record{Topic: t.cfg.To, Key: key, Value: value})
		}
	}
	results, err := t.Produce(ctx, records...)
	if err != nil {
		return err
	}
	for _, r := range results {
		switch {
		case r.Err == nil:
		case errors.Is(r.Err, kerr.MessageTooLarge):
			t.metrics.tooLarge.Inc()
			t.log.Error("a span is larger than the brokers take as one record; it is not in the topic of kept traces", "trace", string(r.Record.Key),
				"bytes", len(r.Record.Value))
		default:
			return fmt.Errorf("write to topic %s: %w", t.cfg.To, r.Err)
		}
	}
	return nil
}

// joined puts chunks together where they fit into one record.
func joined(chunks [][]byte) (list [][]byte) {
	for _, c := range chunks {
		if n := len(list); n > 0 && len(list[n-1])+len(c) <= maxChunk {
			list[n-1] = append(list[n-1], c...)
		} else {
			list = append(list, append([]byte(nil), c...))
		}
	}
	return list
}

// earlier are the spans of a trace that were dropped before and are still kept elsewhere.
func (t *turn) earlier(id pcommon.TraceID) (chunks [][]byte) {
	if t.cfg.Earlier == nil {
		return nil
	}
	size := 0
	err := t.cfg.Earlier(id, func(block []byte) {
		pieces, err := split(block, &id)
		if err != nil || size > maxEarlier {
			return
		}
		for _, p := range pieces {
			for _, c := range p.chunks {
				size += len(c)
				chunks = append(chunks, c)
			}
			t.metrics.spans.Add(float64(p.spans))
		}
	})
	if err != nil {
		t.log.Warn("spans of a trace that failed late cannot be read again; the later ones are kept", "trace", id.String(), "err", err)
	}
	return chunks
}

// maxEarlier bounds what is read again of one trace.
const maxEarlier = 16 << 20

// commit moves the positions behind what may be decided anew: records that came within two waits are read again after a kill, so that what
// comes late to a trace that is kept finds it.
func (t *turn) commit(ctx context.Context, now time.Time) error {
	var list []kafka.At
	for p, x := range t.at {
		at := x.committed
		for len(x.passed) > 0 && now.Sub(x.passed[0].at) >= 2*t.cfg.Keep.Wait {
			at, x.passed = x.passed[0].offset, x.passed[1:]
		}
		if at > x.committed {
			x.committed = at
			list = append(list, kafka.At{Topic: p.topic, Partition: p.partition, Offset: at})
		}
	}
	if len(list) == 0 {
		return nil
	}
	return t.Commit(ctx, list...)
}
