package samples

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views/dedup"
	viewmodel "github.com/gaurav/watchingcat/views/model"
)

// MetricsShard is the shard of everything that belongs to the metrics topic; no partition has this number.
const MetricsShard uint16 = 0xffff

// MetricsConfig is what OpenMetrics needs to know. The zero value of a field means its default.
type MetricsConfig struct {
	Version uint32
	// Retention is how much older than its record a point may be, and how long a silent series of deltas is remembered, in event time (6
	// h).
	Retention time.Duration
	// DedupWindow is how far apart, by record timestamp, equal records of deltas are one sent twice (5 min); negative turns it off.
	DedupWindow  time.Duration
	DedupRecords int // record hashes held (1,000,000)
	DeltaSeries  int // series of deltas whose running value is kept (200,000)
	HeldDeltas   int // deltas that wait for other partitions (500,000); above it the oldest wait no longer
	Families     int // metric families whose type, unit and help are kept (20,000)
	// Translation says how names and labels are made.
	Translation Translation
}

func (c MetricsConfig) withDefaults() MetricsConfig {
	viewmodel.Default(&c.Retention, 6*time.Hour)
	viewmodel.Default(&c.DedupWindow, 5*time.Minute)
	viewmodel.Default(&c.DedupRecords, 1_000_000)
	viewmodel.Default(&c.DeltaSeries, 200_000)
	viewmodel.Default(&c.HeldDeltas, 500_000)
	viewmodel.Default(&c.Families, 20_000)
	return c
}

// Metrics takes the records of the metrics topic and says which samples they make.
//
// The simple version: a record is converted, its samples wait for the next checkpoint, and the checkpoint writes them to the TSDB
// and then stores the positions. Since the TSDB takes the same samples twice without change, a crash in between costs nothing.
// What has a memory is stored with the positions: the running values of series that are sent as deltas, the deltas that wait, and
// the hashes of records with deltas. Records without deltas need no hash: sent again they say the same.
//
//	Apply     converts a record and puts it into the batch
//	Collect   takes the batch, releases deltas
//	          the caller writes Samples to the TSDB, then commits Before and Commit
//	Install   shows families and frontier, publishes to the feed
//
// Collect, the writes and Install are called by one goroutine, in this order; Apply by one goroutine for each partition.
type Metrics struct {
	cfg   MetricsConfig
	otlp  *translator
	kv    viewmodel.State
	dedup *dedup.Records
	feed  viewmodel.Feed

	mu    sync.Mutex // guards the batch
	batch *metricBatch
	next  map[viewmodel.Partition]int64
	ids   map[viewmodel.Partition][16]byte

	// used by checkpoints alone
	deltas   *deltas
	seq      uint64
	marks    viewmodel.Watermarks
	complete uint64
	head     uint64

	view     sync.RWMutex // guards what readers see
	families map[string]Family
	frontier viewmodel.Frontier
	progress map[viewmodel.Partition]viewmodel.Progress
	counters MetricCounters
}

// MetricCounters count what was committed since the process began.
type MetricCounters struct {
	Records uint64
	// Points are data points: each becomes Kept, or is counted once in Dropped, or is of HeldDeltas.
	Points, Kept uint64
	// Samples are those that the kept points made; increments that one sample adds up count each.
	Samples                 uint64
	Duplicates              uint64 // records sent again
	DeadLetters             uint64
	Early                   uint64            // deltas that did not wait for other partitions because too many did
	Overflowed              uint64            // metric families above the limit
	Dropped                 map[string]uint64 // points, by reason
	DeltaSeries, HeldDeltas int               // now
}

// metricBatch is what was applied since the last checkpoint.
type metricBatch struct {
	samples   []samples.Sample
	pieces    []*piece
	hashes    []dedup.Seen
	families  map[string]Family
	marks     map[viewmodel.Partition]viewmodel.Watermark
	positions map[viewmodel.Partition]storage.Position
	counters  MetricCounters
	pending   int
}

func newMetricBatch() *metricBatch {
	return &metricBatch{families: map[string]Family{}, marks: map[viewmodel.Partition]viewmodel.Watermark{},
		positions: map[viewmodel.Partition]storage.Position{}, counters: MetricCounters{Dropped: map[string]uint64{}}}
}

// OpenMetrics reads what kv holds of the metrics topic.
func OpenMetrics(kv storage.KV, cfg MetricsConfig) (*Metrics, error) {
	cfg = cfg.withDefaults()
	otlp, err := cfg.Translation.translator()
	if err != nil {
		return nil, err
	}
	m := &Metrics{
		cfg: cfg, otlp: otlp, kv: viewmodel.State{Keyspace: viewmodel.Keyspace{Version: cfg.Version, Shard: MetricsShard}, KV: kv},
		batch: newMetricBatch(),
		dedup: dedup.NewRecords(viewmodel.Config{DedupWindow: cfg.DedupWindow, Limits: viewmodel.Limits{DedupRecords: cfg.DedupRecords}}),
		next:  map[viewmodel.Partition]int64{}, ids: map[viewmodel.Partition][16]byte{}, deltas: newDeltas(cfg),
		marks: viewmodel.NewWatermarks(), families: map[string]Family{}, progress: map[viewmodel.Partition]viewmodel.Progress{},
		counters: MetricCounters{Dropped: map[string]uint64{}},
	}
	m.frontier.Version = cfg.Version
	if err := m.restore(); err != nil {
		return nil, fmt.Errorf("views: open metrics of version %d: %w", cfg.Version, err)
	}
	return m, nil
}

// Apply converts a record and adds it to the batch; a record that was applied before or was sent again changes nothing. md is
// used up.
func (m *Metrics) Apply(topic string, n int32, r viewmodel.Record, md pmetric.Metrics) {
	p := viewmodel.Partition{Topic: topic, N: n}
	if m.applied(p, r.Offset) {
		return
	}
	if r.Received > 0 {
		r.Timestamp = min(r.Timestamp, r.Received) // a producer whose clock is ahead
	}
	c := m.otlp.convert(md, r.Timestamp, m.cfg.Retention)
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.batch
	b.counters.Records++
	k := b.marks[p]
	end := c.Newest
	if r.Timestamp > 0 {
		end = min(end, r.Timestamp) // a host whose clock is ahead says nothing about the others
	}
	k.End, k.TS = max(k.End, uint64(end)*1e6), max(k.TS, r.Timestamp)
	b.marks[p] = k
	if len(c.Deltas) > 0 && c.Unique && m.again(b, r, k.End) {
		b.counters.Duplicates++
		m.advance(p, r.Offset+1, r.LeaderEpoch)
		return
	}
	b.counters.Points += uint64(c.Points)
	for reason, n := range c.Dropped {
		b.counters.Dropped[reason] += uint64(n)
	}
	b.samples = append(b.samples, c.Samples...)
	b.pieces = append(b.pieces, pieces(topic, n, r.Offset, c.Deltas)...)
	b.pending += len(c.Samples) + len(c.Deltas)
	for _, f := range c.Families {
		f.Help = f.Help[:min(len(f.Help), maxHelp)]
		b.families[f.Name] = f
	}
	m.advance(p, r.Offset+1, r.LeaderEpoch)
}

// again reports whether a record of deltas was sent before, and remembers it.
func (m *Metrics) again(b *metricBatch, r viewmodel.Record, end uint64) bool {
	if m.dedup.Window < 0 {
		return false
	}
	s := dedup.Seen{Hash: dedup.HashOf(r.Value), Times: dedup.Times{TS: r.Timestamp, End: end}}
	if _, ok := m.dedup.Reserve(s); !ok {
		return true
	}
	m.dedup.Applied(s)
	b.hashes = append(b.hashes, s)
	return false
}

func (m *Metrics) applied(p viewmodel.Partition, offset int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return offset < m.next[p]
}

// advance moves the position of a partition; mu is held.
func (m *Metrics) advance(p viewmodel.Partition, next int64, epoch int32) {
	m.next[p] = next
	m.batch.positions[p] = storage.Position{Topic: p.Topic, Partition: p.N, Offset: next, LeaderEpoch: epoch, TopicID: m.ids[p]}
}

// Skip moves the position past a record that went to the dead-letter topic.
func (m *Metrics) Skip(topic string, n int32, r viewmodel.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := viewmodel.Partition{Topic: topic, N: n}
	if r.Offset < m.next[p] {
		return
	}
	m.batch.counters.DeadLetters++
	m.advance(p, r.Offset+1, r.LeaderEpoch)
}

// Advance moves the position to next, over offsets that hold no record.
func (m *Metrics) Advance(topic string, n int32, next int64, epoch int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := (viewmodel.Partition{Topic: topic, N: n}); next > m.next[p] {
		m.advance(p, next, epoch)
	}
}

// Restart makes a partition begin again at next, because its log is not the one that was read.
func (m *Metrics) Restart(topic string, n int32, next int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(viewmodel.Partition{Topic: topic, N: n}, next, -1)
}

// SetTopicID notes which topic of that name is read; it is stored with the position.
func (m *Metrics) SetTopicID(topic string, n int32, id [16]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids[viewmodel.Partition{Topic: topic, N: n}] = id
}

// Pending is how many samples wait for a checkpoint.
func (m *Metrics) Pending() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(m.batch.pending)
}

func (c *MetricCounters) add(o *MetricCounters) {
	c.Records += o.Records
	c.Points += o.Points
	c.Duplicates += o.Duplicates
	c.DeadLetters += o.DeadLetters
	c.Early += o.Early
	c.Overflowed += o.Overflowed
	for reason, n := range o.Dropped {
		c.Dropped[reason] += n
	}
	c.DeltaSeries, c.HeldDeltas = o.DeltaSeries, o.HeldDeltas
}

// Counters returns what was counted.
func (m *Metrics) Counters() MetricCounters {
	m.view.RLock()
	defer m.view.RUnlock()
	c := m.counters
	c.Dropped = maps.Clone(c.Dropped)
	return c
}

// Families returns what is known of metric families, ordered by name.
func (m *Metrics) Families() []Family {
	m.view.RLock()
	defer m.view.RUnlock()
	return slices.SortedFunc(maps.Values(m.families), func(a, b Family) int { return cmp.Compare(a.Name, b.Name) })
}

// Frontier is how far the committed samples reach. Since is not set: the TSDB knows.
func (m *Metrics) Frontier() viewmodel.Frontier {
	m.view.RLock()
	defer m.view.RUnlock()
	return m.frontier
}

// Feed publishes installed checkpoints; its changes name no series.
func (m *Metrics) Feed() *viewmodel.Feed { return &m.feed }

// Progress returns the progress of every partition, ordered by topic and partition.
func (m *Metrics) Progress() []viewmodel.Progress {
	m.view.RLock()
	defer m.view.RUnlock()
	return slices.SortedFunc(maps.Values(m.progress), func(a, b viewmodel.Progress) int {
		return viewmodel.Partition{Topic: a.Topic, N: a.Partition}.Compare(viewmodel.Partition{Topic: b.Topic, N: b.Partition})
	})
}

// Positions returns where each partition is to be read on, as committed.
func (m *Metrics) Positions() ([]storage.Position, error) {
	ps, err := m.kv.KV.Positions(m.cfg.Version, MetricsShard)
	if err != nil {
		return nil, fmt.Errorf("views: read positions: %w", err)
	}
	return ps, nil
}

// maxHelp bounds the help text that is kept of a family.
const maxHelp = 1024

// combine adds sign times what o counted; what holds now stays that of c.
func (c MetricCounters) combine(o *MetricCounters, sign uint64) MetricCounters {
	for _, f := range []struct {
		to *uint64
		v  uint64
	}{{&c.Records, o.Records}, {&c.Points, o.Points}, {&c.Kept, o.Kept}, {&c.Samples, o.Samples}, {&c.Duplicates, o.Duplicates},
		{&c.DeadLetters, o.DeadLetters}, {&c.Early, o.Early}, {&c.Overflowed, o.Overflowed}} {
		*f.to += sign * f.v
	}
	dropped := maps.Clone(c.Dropped)
	if dropped == nil {
		dropped = map[string]uint64{}
	}
	for reason, n := range o.Dropped {
		dropped[reason] += sign * n
	}
	c.Dropped = dropped
	return c
}

// Plus is the sum of both; what holds now stays that of c.
func (c MetricCounters) Plus(o *MetricCounters) MetricCounters { return c.combine(o, 1) }

// Minus is c less what o counted; what holds now stays that of c.
func (c MetricCounters) Minus(o *MetricCounters) MetricCounters { return c.combine(o, ^uint64(0)) }
