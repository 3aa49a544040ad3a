package views

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/dedup"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// A Set is all views of one version and shard.
//
// The simple version: accumulators take records, a checkpoint adds what they took to the views and stores it with the positions.
// Three things make it fast and keep it exact. What a checkpoint stores is one journal entry, its inputs (counts by series and
// bucket, span halves), not the cells they change; every so often a fold writes the changed cells and cuts the journal. Whatever
// is derived from the inputs (pairing, totals, frontiers) is derived by the same code when the journal is read after a crash. And
// readers see a checkpoint only after it is committed.
//
//	Collect   take the batches away from the appliers (brief), encode the journal entry, pair halves
//	          the caller commits Checkpoint.Commit
//	Install   add it to what readers see, publish
//
// Collect, the commit and Install are called by one goroutine, in this order.
type Set struct {
	cfg   model.Config
	kv    model.State
	names *model.Names
	dedup *dedup.Records
	spans *dedup.Spans // nil: spans are not de-duplicated
	feed  model.Feed

	pending      atomic.Int64 // spans applied and not collected
	pendingBytes atomic.Int64 // bytes of their records

	partsMu sync.Mutex
	parts   map[model.Partition]*Accumulator

	// used by checkpoints alone
	pairing *edges.Pairing
	seq     uint64
	turn    int
	marks   model.Watermarks
	journal journal

	levels [model.Levels]model.Level

	mu       sync.RWMutex // guards what readers see
	red      *cells.Store[model.REDCounts, *model.REDCounts]
	edges    *cells.Store[model.EdgeCounts, *model.EdgeCounts]
	tables   [model.Tables]*cells.TableStore
	traces   *traces.Store
	spare    *traces.RawSpare // buffers of raw records
	rawSpans *traces.RawStore
	rawLogs  *traces.RawStore
	patterns *patterns
	sums     serviceSums
	hours    serviceHours
	edgeIDs  map[edges.EdgeID]uint32
	edgeList []edges.EdgeID
	// edgeLabel is, for each edge, the first with the same labels: nodes that differ by type or system are one in the labels of series.
	edgeLabel   []uint32
	edgeByLabel map[edges.EdgeID]uint32
	counters    model.Counters
	frontier    model.Frontier
	complete    uint64
	head        uint64
	oldest      int64 // start of the first 10 s bucket that was counted; 0: none was
	progress    map[model.Partition]model.Progress
	touchRED    []model.Touch
	touchMap    []model.Touch
	touched     model.TableSet
}

// journal says which journal entries are stored and how much was written since the last fold.
type journal struct {
	first  uint64 // oldest stored entry
	bytes  int
	count  int
	gen    uint32   // generation of the stored waiting groups
	chunks int      // how many chunks that has
	stray  [][]byte // keys of a generation that a crash kept from being finished
	defs   uint32   // stored chunks of names
	names  int      // how many names and series those hold
	series int
	edges  int
	last   int // length of the newest entry
}

// Open reads a Set from kv and brings it up to the last commit.
func Open(kv storage.KV, cfg model.Config) (*Set, error) {
	cfg = cfg.WithDefaults()
	ks := model.Keyspace{Version: cfg.Version, Shard: cfg.Shard}
	dimensions, err := storedDimensions(model.State{Keyspace: ks, KV: kv}, cfg.Dimensions)
	if err != nil {
		return nil, fmt.Errorf("views: open version %d: %w", cfg.Version, err)
	}
	s := &Set{
		cfg: cfg, kv: model.State{Keyspace: ks, KV: kv},
		names: model.NewNames(cfg.Limits, dimensions), dedup: dedup.NewRecords(cfg), spans: dedup.NewSpans(cfg),
		parts: map[model.Partition]*Accumulator{}, marks: model.NewWatermarks(), progress: map[model.Partition]model.Progress{},
		red: cells.NewStore[model.REDCounts](model.LetterRED), edges: cells.NewStore[model.EdgeCounts](model.LetterEdges), edgeIDs: map[edges.EdgeID]uint32{}, edgeByLabel: map[edges.EdgeID]uint32{},
		tables: cells.NewTables(&cfg.Limits), traces: traces.NewStore(cfg.Limits.RecentTraces), patterns: newPatterns(), levels: cfg.Levels(),
	}
	if s.rawSpans, err = traces.NewRawStore(model.RawSignalSpans, cfg.TraceBytes); err != nil {
		return nil, fmt.Errorf("views: %w", err)
	}
	if s.rawLogs, err = traces.NewRawStore(model.RawSignalLogs, cfg.LogBytes); err != nil {
		return nil, fmt.Errorf("views: %w", err)
	}
	s.sums.most, s.hours.most = cfg.CacheBytes/2/serviceSumBytes, cfg.CacheBytes/2
	s.spare = &traces.RawSpare{Most: cfg.SpareBytes}
	s.pairing = edges.NewPairing(cfg, s.names.Compare)
	s.frontier.Version = cfg.Version
	if err := s.restore(); err != nil {
		return nil, fmt.Errorf("views: open version %d: %w", cfg.Version, err)
	}
	return s, nil
}

// Partition returns the accumulator of a partition; it is the same one for every call.
func (s *Set) Partition(topic string, n int32) *Accumulator {
	s.partsMu.Lock()
	defer s.partsMu.Unlock()
	p := model.Partition{Topic: topic, N: n}
	a := s.parts[p]
	if a == nil {
		a = &Accumulator{set: s, topic: topic, partition: n, cur: newBatch(), spare: newBatch()}
		s.parts[p] = a
	}
	return a
}

// Positions returns where each partition is to be read on, as committed.
func (s *Set) Positions() ([]storage.Position, error) {
	ps, err := s.kv.KV.Positions(s.cfg.Version, s.cfg.Shard)
	if err != nil {
		return nil, fmt.Errorf("views: read positions: %w", err)
	}
	return ps, nil
}

// Config is what the Set was opened with, defaults filled in.
func (s *Set) Config() model.Config { return s.cfg }

// Feed tells about installed checkpoints.
func (s *Set) Feed() *model.Feed { return &s.feed }

// Pending is how many spans wait for a checkpoint.
func (s *Set) Pending() uint64 { return uint64(max(0, s.pending.Load())) }

// PendingBytes is how many bytes the records have that wait for a checkpoint.
func (s *Set) PendingBytes() uint64 { return uint64(max(0, s.pendingBytes.Load())) }

func (s *Set) accumulators() []*Accumulator {
	s.partsMu.Lock()
	defer s.partsMu.Unlock()
	list := slices.Collect(maps.Values(s.parts))
	slices.SortFunc(list, func(a, b *Accumulator) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return list
}

// A Checkpoint is what the views took between two commits.
type Checkpoint struct {
	// Before are to be committed first, in order: parts of a fold too large for one transaction. Each may be tried again as it is.
	Before []storage.Commit
	Commit storage.Commit // to be committed then; may be tried again as it is
	Spans  uint64
	Logs   uint64
	Bytes  int // of the journal entry

	records uint64 // bytes of the records
	from    []*Accumulator
	taken   []*batch
	raw     [2]traces.RawMeta // of spans and of logs
	next    state
	marks   map[model.Partition]uint64
	gone    []model.Partition // see Mark.Gone
	sifted  int               // checkpoints whose raw blocks were sifted
	then    model.Later       // what a fold changes for readers once it is committed
}

// maxCheckpointPositions is how many partitions one checkpoint moves.
const maxCheckpointPositions = 5000

// state is what a checkpoint derives from its inputs for readers.
type state struct {
	seq      uint64
	counters model.Counters
	head     uint64
	complete uint64
}

// Collect takes what was applied since the last checkpoint. It returns nil when nothing was and no mark moves the frontier.
func (s *Set) Collect(marks []model.Mark) (*Checkpoint, error) {
	c := &Checkpoint{Commit: storage.Commit{Version: s.cfg.Version, Shard: s.cfg.Shard}}
	moved := false
	list := s.accumulators()
	for i := range list {
		if c.Spans+c.Logs >= s.cfg.MaxCheckpointSpans || c.records >= s.cfg.MaxCheckpointBytes || len(c.Commit.Positions) >= maxCheckpointPositions {
			s.turn += i // the others are first next time
			break
		}
		a := list[(s.turn+i)%len(list)]
		b := a.take()
		c.from, c.taken = append(c.from, a), append(c.taken, b)
		if b.moved {
			moved = true
			c.Commit.Positions = append(c.Commit.Positions, b.position)
			c.Spans += b.counts.Spans
			c.Logs += b.counts.Logs
			s.pending.Add(-int64(b.counts.Applied()))
			s.pendingBytes.Add(-int64(b.bytes))
			c.records += b.bytes
		}
	}
	idle := s.advance(c, marks)
	if !moved && !idle {
		s.release(c)
		return nil, nil
	}
	if s.foldDue() {
		if err := s.fold(c); err != nil {
			return nil, err
		}
	}
	s.seq++
	c.next.seq = s.seq
	s.collectTaken(c)
	if err := s.sift(c); err != nil {
		return nil, fmt.Errorf("sift raw spans: %w", err)
	}
	entry := s.appendJournal(make([]byte, 0, s.journal.last+s.journal.last/8+1024), c)
	s.journal.last = len(entry)
	c.Bytes = len(entry)
	s.journal.count++
	s.journal.bytes += len(entry)
	c.Commit.Entries = append(c.Commit.Entries, storage.Entry{Key: journalKey(s.kv.Keyspace, s.seq), Value: entry})
	if s.seq == 1 {
		c.Commit.Entries = append(c.Commit.Entries, s.formatEntry())
	}
	var hashes []dedup.Seen
	for _, b := range c.taken {
		hashes = append(hashes, b.hashes...)
	}
	c.Commit.Entries = s.dedup.Store(s.kv.Keyspace, s.seq, hashes, c.Commit.Entries)
	keys := make([][]dedup.SpanKey, len(c.taken))
	for i, b := range c.taken {
		keys[i] = b.spanKeys
	}
	c.Commit.Entries = s.spans.Store(s.kv.Keyspace, s.seq, keys, &c.next.counters, c.Commit.Entries)
	s.pair(c)
	return c, nil
}

// collectTaken makes what the batches hold ready to be stored: raw blocks get their numbers, and series that were forgotten while a
// batch still used them are defined again.
func (s *Set) collectTaken(c *Checkpoint) {
	raws := [2][]*traces.RawBatch{make([]*traces.RawBatch, len(c.taken)), make([]*traces.RawBatch, len(c.taken))}
	base := uint32(0)
	for i, b := range c.taken {
		for j := range b.traces.Parts {
			for k := range b.traces.Parts[j].Raw {
				r := &b.traces.Parts[j].Raw[k]
				r.Seq, r.N = s.seq, r.N+base
			}
		}
		base += uint32(len(b.rawSpans.Blocks))
		raws[0][i], raws[1][i] = &b.rawSpans, &b.rawLogs
		for t := range b.tables {
			for _, se := range b.tables[t].Dirty {
				s.tables[t].Dict.Again(se.ID, se.Key)
			}
		}
	}
	for i, raw := range []*traces.RawStore{s.rawSpans, s.rawLogs} {
		var entries []storage.Entry
		entries, c.raw[i] = raw.Collect(s.kv.Keyspace, s.seq, raws[i])
		c.ahead(entries, s.cfg.MaxCommitBytes)
	}
}

// drainsOf returns the log patterns that a partition has found so far.
func (s *Set) drainsOf(partition int32) *drain.Drains {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ds := drain.New(s.cfg.Limits.Patterns)
	for id, c := range s.patterns.by {
		if id.Partition == partition {
			ds.Restore(c)
		}
	}
	return ds
}

// pair meets the halves of a checkpoint.
func (s *Set) pair(c *Checkpoint) {
	for _, b := range c.taken {
		for i := range b.halves {
			s.pairing.Take(&b.halves[i])
		}
	}
	s.pairing.Expire(c.next.complete)
}

// advance moves watermarks and counters by what the batches hold. It reports whether marks alone moved the complete frontier by
// more than a second.
func (s *Set) advance(c *Checkpoint, marks []model.Mark) (moved bool) {
	c.next = state{seq: s.seq, counters: s.counters, head: s.head, complete: s.complete}
	for i, a := range c.from {
		b := c.taken[i]
		p := model.Partition{Topic: a.topic, N: a.partition}
		if b.moved {
			delete(s.marks.Gone, p)
		}
		if !s.marks.Gone[p] {
			s.marks.Raise(p, model.Watermark{End: b.mark, TS: b.ts})
		}
		c.next.counters.Add(&b.counts)
		c.next.head = max(c.next.head, b.mark)
	}
	c.gone = s.marks.Take(marks, func(p model.Partition, m model.Watermark) { s.Partition(p.Topic, p.N).follow(m.End) })
	c.marks = s.marks.Ends()
	c.next.complete = max(s.marks.Complete(), s.complete)
	return c.next.complete >= s.complete+uint64(time.Second)
}

func (s *Set) release(c *Checkpoint) {
	for i, a := range c.from {
		a.giveBack(c.taken[i])
	}
}

// Install makes a committed checkpoint visible and tells the feed.
func (s *Set) Install(c *Checkpoint) error {
	s.mu.Lock()
	err := s.install(c)
	fr, red, edges, tables := s.frontier, s.touchRED, s.touchMap, s.touched
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("views: install checkpoint %d: %w", c.next.seq, err)
	}
	s.release(c)
	s.feed.Publish(fr, red, edges, tables)
	return nil
}

func (s *Set) install(c *Checkpoint) error {
	for _, f := range c.then {
		f()
	}
	s.touchRED, s.touchMap, s.touched = s.touchRED[:0], s.touchMap[:0], 0
	s.head, s.complete, s.counters = c.next.head, c.next.complete, c.next.counters
	since := s.since()
	for _, b := range c.taken {
		for _, se := range b.dirty {
			touched := model.Touched{Bucket: math.MaxInt64}
			for _, cell := range se.cells {
				if cell.c.Calls == 0 {
					continue
				}
				touched.Bucket, touched.Calls = min(touched.Bucket, cell.start), touched.Calls+cell.c.Calls
				late, err := s.red.Add(s.kv, c.next.seq, se.id, cell.start, cell.c, since)
				if err != nil {
					return err
				}
				switch {
				case late:
					s.counters.TooLate += cell.c.Calls
				case cell.start >= s.red.Floor && (s.oldest == 0 || cell.start < s.oldest):
					s.oldest = cell.start
				}
			}
			s.touchRED = append(s.touchRED, model.Touch{ID: se.id, Touched: touched})
		}
		for t := range b.tables {
			if len(b.tables[t].Dirty) > 0 {
				s.touched = s.touched.With(model.Table(t))
			}
			if err := s.tables[t].Install(s.kv, c.next.seq, &b.tables[t], since); err != nil {
				return err
			}
		}
		for i := range b.traces.Parts {
			if err := s.traces.Install(s.kv, &b.traces.Parts[i]); err != nil {
				return err
			}
		}
	}
	for i, b := range c.taken {
		if len(b.clusters) > 0 {
			s.patterns.install(c.from[i].partition, b.clusters)
		}
	}
	s.rawSpans.Install(c.raw[0])
	s.rawLogs.Install(c.raw[1])
	s.numberEdges()
	for k, e := range s.pairing.Edges {
		id := s.edgeIDOf(k.Edge)
		if _, err := s.edges.Add(s.kv, c.next.seq, id, k.Start, e, since); err != nil {
			return err
		}
		s.touchMap = append(s.touchMap, model.Touch{ID: s.edgeLabel[id], Touched: model.Touched{Bucket: k.Start}})
	}
	s.pairing.Forget()
	s.progressed(c)
	s.counters.Waiting = uint64(s.pairing.Waiting)
	s.frontier = model.Frontier{Seq: c.next.seq, Version: s.cfg.Version, Since: s.sinceTime(), Head: model.Time(s.head), Complete: model.Time(s.complete)}
	for l, at := range s.since() {
		s.frontier.Levels[l].Width = time.Duration(model.LevelSeconds[l]) * time.Second
		if s.head != 0 {
			s.frontier.Levels[l].Since = time.Unix(at, 0).UTC()
		}
	}
	return nil
}

// Progress returns the progress of every partition, ordered by topic and partition.
func (s *Set) Progress() []model.Progress {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]model.Progress, 0, len(s.progress))
	for _, p := range s.progress {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b model.Progress) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

func (s *Set) progressed(c *Checkpoint) {
	for _, p := range c.gone {
		delete(s.progress, p)
	}
	for p, end := range c.marks {
		at := s.progress[p]
		at.Topic, at.Partition, at.Watermark = p.Topic, p.N, model.Time(end)
		s.progress[p] = at
	}
	for _, pos := range c.Commit.Positions {
		p := model.Partition{Topic: pos.Topic, N: pos.Partition}
		at := s.progress[p]
		at.Topic, at.Partition, at.Position = p.Topic, p.N, pos.Offset
		s.progress[p] = at
	}
}

// numberEdges gives ids to the edges that a checkpoint brings, in an order that a replay of the journal repeats.
func (s *Set) numberEdges() {
	var fresh []edges.EdgeID
	for k := range s.pairing.Edges {
		if _, ok := s.edgeIDs[k.Edge]; !ok {
			fresh = append(fresh, k.Edge)
		}
	}
	slices.SortFunc(fresh, func(a, b edges.EdgeID) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Conn, b.Conn))
	})
	for _, e := range fresh {
		s.edgeIDOf(e)
	}
}

// edgeIDOf returns an edge's id; above the limit it is the edge from Other to Other.
func (s *Set) edgeIDOf(e edges.EdgeID) uint32 {
	id, ok := s.edgeIDs[e]
	if ok {
		return id
	}
	if len(s.edgeList) >= s.cfg.Limits.Edges && e.Conn != edges.Unpaired {
		s.counters.Overflowed++
		e = edges.EdgeID{Client: model.OtherID, Server: model.OtherID, Conn: e.Conn}
		if id, ok := s.edgeIDs[e]; ok {
			return id
		}
	}
	return s.addEdge(e)
}

func (s *Set) addEdge(e edges.EdgeID) uint32 {
	id := uint32(len(s.edgeList))
	s.edgeIDs[e] = id
	s.edgeList = append(s.edgeList, e)
	k := e
	if k.Conn != edges.Unpaired {
		k.Client, k.Server = s.names.Labels(e.Client), s.names.Labels(e.Server)
	}
	if k.Conn == edges.VirtualClient {
		k.Conn = edges.VirtualNode
	}
	first, ok := s.edgeByLabel[k]
	if !ok {
		first = id
		s.edgeByLabel[k] = id
	}
	s.edgeLabel = append(s.edgeLabel, first)
	return id
}

func (s *Set) sinceTime() time.Time {
	if s.head == 0 {
		return time.Time{}
	}
	oldest := s.oldest
	if oldest == 0 { // no span was counted: what there is are log lines
		oldest = s.tables[model.TableLogs].First(s.since())
	}
	return time.Unix(max(s.since()[model.Levels-1], oldest), 0).UTC()
}
