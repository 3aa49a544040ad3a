package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/storage"
)

// Source is a watermill Subscriber over franz-go.
//
// The simple version: every partition of the topic is read from its stored position, and what a fetch brought of one partition
// is handed out as one message. Invariants:
//
//  1. At most one message of a partition is out; the next comes after its Ack, the same again after its Nack. So order holds
//     although watermill starts a goroutine per message. Partitions go on side by side.
//  2. Offsets are never reset silently. Where the log no longer has the position, OnTruncated is called first.
//  3. What is fetched ahead is bounded, per partition, in records and bytes.
//  4. A broker that is away, or a topic that does not exist yet, is one log line and a state, and ends by itself.
//
// There is no consumer group: positions are in storage, see GroupCommitter for what lag tools see.
type Source struct {
	c    Config
	opts []kgo.Opt
	big  chan struct{}

	mu     sync.Mutex
	closed bool
	subs   map[*subscription]struct{}
	topics atomic.Int32     // len(subs)
	looks  map[string]error // patterns that Watch looks for, with what is wrong
	wg     sync.WaitGroup
}

// Config is what New needs. Kafka alone is required.
type Config struct {
	Kafka kafka.Config
	// Position returns the stored position of a partition (nil: none is stored).
	Position func(topic string, partition int32) (storage.Position, bool)
	// StartLatest makes the partitions of a topic of which no position is stored start at their end; those that appear later always start
	// at their beginning. Begin is called with where they start before anything of them is read (nil: not called).
	StartLatest bool
	Begin       func(topic string, list []storage.Position) error
	// Begun reports whether Begin was called for a topic that did not exist, with no positions: whatever it holds came later.
	Begun func(topic string) bool
	// Lacks is called for a topic of which a partition without a stored position is read from its beginning, and had lost its oldest
	// records.
	Lacks func(topic string)
	// OnTruncated hears, before any record after it is handed out, that the records from..to-1 are gone (to < from: the log is
	// shorter than what was read, as after an unclean leader election, or the topic was made anew).
	OnTruncated func(topic string, partition int32, from, to int64)
	// DeadLetter takes a record that is stepped over. Without it a batch that is too large stops its partition.
	DeadLetter func(ctx context.Context, r *kgo.Record, reason string) error

	BatchRecords int // records in one message at most (0: 10,000)
	BatchBytes   int // bytes of values in one message, but for a single larger record (0: 4 MiB)
	// BufferBytes is what all partitions of a topic together may have fetched ahead (0: 256 MiB), FetchBytes what one request to a broker
	// may bring, compressed (0: 32 MiB). More than two topics share what two have.
	BufferBytes, FetchBytes int
	// DecompressBytes is what a record batch may decompress to (0: 64 MiB). A larger one is fetched again alone under
	// OversizeBytes (0: 512 MiB); its records over RecordBytes (0: 16 MiB) become dead letters.
	DecompressBytes, OversizeBytes, RecordBytes int

	// Recycle uses the memory of records again once their message is acknowledged: whoever handles messages keeps nothing of them.
	Recycle bool
	// Discover is how often topics are looked for that match a pattern (0: 5 s).
	Discover time.Duration
	// Refresh is how often end offsets are asked for and new partitions looked for (0: 1 s).
	Refresh time.Duration
	// RedeliverMax bounds how long a message that is Nacked again and again waits to come back (0: 1 s).
	RedeliverMax time.Duration
	Logger       zerolog.Logger
	// Version is that of the views that are read into; it keeps the metrics of two clients for one topic apart.
	Version uint32
}

// clientName is the client of a topic as metrics show it.
func (c Config) clientName(topic string) string {
	if c.Version == 0 {
		return topic
	}
	return fmt.Sprintf("%s v%d", topic, c.Version)
}

func (c Config) withDefaults() Config {
	c.BatchRecords = cmp.Or(c.BatchRecords, 10_000)
	c.BatchBytes = cmp.Or(c.BatchBytes, 4<<20)
	c.BufferBytes = cmp.Or(c.BufferBytes, 256<<20)
	c.FetchBytes = cmp.Or(c.FetchBytes, 32<<20)
	c.DecompressBytes = cmp.Or(c.DecompressBytes, 64<<20)
	c.OversizeBytes = cmp.Or(c.OversizeBytes, 512<<20)
	c.RecordBytes = cmp.Or(c.RecordBytes, 16<<20)
	c.Refresh = cmp.Or(c.Refresh, time.Second)
	c.Discover = cmp.Or(c.Discover, 5*time.Second)
	c.RedeliverMax = cmp.Or(c.RedeliverMax, time.Second)
	if c.Position == nil {
		c.Position = func(string, int32) (storage.Position, bool) { return storage.Position{}, false }
	}
	if c.OnTruncated == nil {
		c.OnTruncated = func(string, int32, int64, int64) {}
	}
	return c
}

// Batch is what one message carries: records of one partition, in order.
type Batch struct {
	Topic     string
	Partition int32
	TopicID   [16]byte
	Records   []*kgo.Record
	// Next is the offset to resume at once the batch is applied. It may lie beyond the last record: transaction markers and
	// dead letters are stepped over.
	Next          int64
	LeaderEpoch   int32 // of the last record
	HighWatermark int64 // as the fetch saw it
}

// Position is where to resume once the batch is applied.
func (b Batch) Position() storage.Position {
	return storage.Position{Topic: b.Topic, Partition: b.Partition, Offset: b.Next, LeaderEpoch: b.LeaderEpoch, TopicID: b.TopicID}
}

type batchKey struct{}

// ContextWithBatch returns a context from which BatchFrom takes b.
func ContextWithBatch(ctx context.Context, b Batch) context.Context {
	return context.WithValue(ctx, batchKey{}, b)
}

// BatchFrom returns the batch that a message's context carries.
func BatchFrom(ctx context.Context) (Batch, bool) {
	b, ok := ctx.Value(batchKey{}).(Batch)
	return b, ok
}

// PartitionState is what a Source knows of a partition.
type PartitionState struct {
	Topic         string
	Partition     int32
	Position      int64 // next record to be handed out; those before it are acknowledged
	HighWatermark int64
	LastFetch     time.Time // when the broker was last asked for the high watermark, or sent it
	// Idle means that the broker, asked after everything was acknowledged, said there is no more. It answers each Refresh; Overdue is for
	// how long its next answer has been.
	Idle    bool
	Overdue time.Duration
	Gaps    int64 // offsets that the log left out: compacted, or of aborted transactions
	Err     error // why the partition does not go on
	// Absent, with Partition -1, means that the broker said several times in a row that there is no such topic.
	Absent bool
	// Partial means that the broker has not listed all partitions of the topic yet.
	Partial bool
}

// Watermark is that of an idle partition: it follows the clock as long as the broker answers.
func (s *PartitionState) Watermark(now time.Time, lateness time.Duration) time.Time {
	return now.Add(-lateness - s.Overdue)
}

var _ message.Subscriber = (*Source)(nil)

// partitionBytes is what one request may bring of a partition, compressed, but for a larger batch. Spans become twenty times as large; all of
// it is in memory until it is applied.
const partitionBytes = 256 << 10

// New checks the configuration; it does not need the brokers to be there.
func New(c Config) (*Source, error) {
	opts, err := c.Kafka.Opts()
	if err != nil {
		return nil, err
	}
	c = c.withDefaults()
	opts = append(opts,
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // never silently
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),               // or the position could not reach the end of a topic with transactions
		kgo.FetchMaxWait(500*time.Millisecond), // bounds how long a new partition waits behind a fetch of the others
		kgo.MaxDecompressBatchBytes(c.DecompressBytes),
		kgo.MetadataMinAge(250*time.Millisecond),
		kgo.MetadataMaxAge(30*time.Second),
	)
	if c.Recycle {
		opts = append(opts, kgo.WithPools(&pool{most: c.DecompressBytes}))
	}
	return &Source{c: c, opts: opts, big: make(chan struct{}, 1), subs: map[*subscription]struct{}{}, looks: map[string]error{}}, nil
}

var errSourceClosed = errors.New("pipeline: source is closed")

// Subscribe reads topic from its positions until ctx ends or the Source is closed. Each call reads for itself.
func (s *Source) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errSourceClosed
	}
	fetch := max(1<<20, s.c.FetchBytes*2/max(2, len(s.subs)+1))
	fetch = min(fetch, s.c.FetchBytes)
	bounds := []kgo.Opt{kgo.FetchMaxBytes(int32(fetch)), kgo.FetchMaxPartitionBytes(int32(min(partitionBytes, fetch)))}
	cl, err := kgo.NewClient(slices.Concat(s.opts, bounds, s.c.Kafka.Counted(s.c.clientName(topic)))...)
	if err != nil {
		return nil, fmt.Errorf("pipeline: kafka client: %w", err)
	}
	sub := newSubscription(ctx, s, cl, topic)
	s.subs[sub] = struct{}{}
	s.topics.Store(int32(len(s.subs)))
	s.wg.Go(func() {
		sub.run()
		s.mu.Lock()
		delete(s.subs, sub)
		s.topics.Store(int32(len(s.subs)))
		s.mu.Unlock()
	})
	return sub.out, nil
}

// Seek makes a partition go on at offset, after the message that is out: what was fetched is dropped, and a Nack of that
// message does not bring it again. Ingest uses it to go back to the committed position.
func (s *Source) Seek(topic string, partition int32, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.subs {
		if sub.topic == topic {
			sub.seek(partition, offset)
		}
	}
}

// States returns the state of every partition, ordered by topic and partition. A topic that cannot be reached or does not exist
// yet has one state with partition -1.
func (s *Source) States() []PartitionState {
	s.mu.Lock()
	subs := slices.Collect(maps.Keys(s.subs))
	var list []PartitionState
	for pattern, err := range s.looks {
		if err != nil {
			list = append(list, PartitionState{Topic: pattern, Partition: -1, Err: err})
		}
	}
	s.mu.Unlock()
	for _, sub := range subs {
		list = append(list, sub.states()...)
	}
	slices.SortFunc(list, func(a, b PartitionState) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return list
}

// Close ends every subscription and waits until their channels are closed.
func (s *Source) Close() error {
	s.mu.Lock()
	s.closed = true
	for sub := range s.subs {
		sub.cancel()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}
