package views

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/dedup"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/intake"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/sums"
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
	taken intake.Shared // by accumulators

	partsMu sync.Mutex
	parts   map[model.Partition]*intake.Accumulator

	// used by checkpoints alone
	seq     uint64
	turn    int
	marks   model.Watermarks
	journal journal

	levels [model.Levels]model.Level

	views    []view // see listViews
	stateful []stateful

	mu        sync.RWMutex // guards what readers see
	red       *redView
	edges     *mapView
	tables    [model.Tables]*cells.TableStore
	traces    *traces.Store
	rawSpans  *traces.RawStore
	rawLogs   *traces.RawStore
	patterns  *drain.Store
	sums      sums.Buckets
	trends    sums.Trends
	hours     sums.Hours
	preparing preparing
	counters  model.Counters
	frontier  model.Frontier
	complete  uint64
	head      uint64
	progress  map[model.Partition]model.Progress
	touchRED  []model.Touch
	touchMap  []model.Touch
	touched   model.TableSet
}

// journal says which journal entries are stored and how much was written since the last fold.
type journal struct {
	first uint64 // oldest stored entry
	bytes int
	count int
	last  int // length of the newest entry
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
		parts: map[model.Partition]*intake.Accumulator{}, marks: model.NewWatermarks(), progress: map[model.Partition]model.Progress{},
		red: &redView{Store: cells.NewStore[model.REDCounts](model.LetterRED)}, tables: cells.NewTables(&cfg.Limits),
		traces: traces.NewStore(cfg.Limits.RecentTraces), patterns: drain.NewStore(), levels: cfg.Levels(),
	}
	if s.rawSpans, err = traces.NewRawStore(model.RawSignalSpans, cfg.TraceBytes); err != nil {
		return nil, fmt.Errorf("views: %w", err)
	}
	if s.rawLogs, err = traces.NewRawStore(model.RawSignalLogs, cfg.LogBytes); err != nil {
		return nil, fmt.Errorf("views: %w", err)
	}
	s.sums.Most, s.trends.Most, s.hours.Most = cfg.CacheBytes/2/sums.ServiceBytes, cfg.CacheBytes/8/sums.TrendBytes, cfg.CacheBytes*3/8
	s.taken.Config, s.taken.Names, s.taken.Records, s.taken.Spans = cfg, s.names, s.dedup, s.spans
	s.taken.Spare, s.taken.Patterns = &traces.RawSpare{Most: cfg.SpareBytes}, s.drainsOf
	for i, t := range s.tables {
		s.taken.Dicts[i] = t.Dict
	}
	s.edges = &mapView{Store: cells.NewStore[model.EdgeCounts](model.LetterEdges), pairing: edges.NewPairing(cfg, s.names.Compare),
		ids: edges.NewNumbers(cfg.Limits.Edges, s.names.Labels)}
	s.listViews()
	s.frontier.Version = cfg.Version
	if err := s.restore(); err != nil {
		return nil, fmt.Errorf("views: open version %d: %w", cfg.Version, err)
	}
	return s, nil
}

// Partition returns the accumulator of a partition; it is the same one for every call.
func (s *Set) Partition(topic string, n int32) *intake.Accumulator {
	s.partsMu.Lock()
	defer s.partsMu.Unlock()
	p := model.Partition{Topic: topic, N: n}
	a := s.parts[p]
	if a == nil {
		a = intake.New(&s.taken, topic, n)
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

// Feed publishes installed checkpoints.
func (s *Set) Feed() *model.Feed { return &s.feed }

// Pending is how many spans wait for a checkpoint.
func (s *Set) Pending() uint64 { return uint64(max(0, s.taken.Pending.Load())) }

// PendingBytes is how many bytes the records have that wait for a checkpoint.
func (s *Set) PendingBytes() uint64 { return uint64(max(0, s.taken.PendingBytes.Load())) }

func (s *Set) accumulators() []*intake.Accumulator {
	s.partsMu.Lock()
	defer s.partsMu.Unlock()
	list := slices.Collect(maps.Values(s.parts))
	slices.SortFunc(list, func(a, b *intake.Accumulator) int {
		p, q := a.Partition(), b.Partition()
		return cmp.Or(cmp.Compare(p.Topic, q.Topic), cmp.Compare(p.N, q.N))
	})
	return list
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

// listViews lists the views and, in the order of the stored format, what keeps something in the state.
func (s *Set) listViews() {
	names := &namesView{names: s.names, edges: s.edges.ids}
	s.views = []view{names, &stateView{marks: &s.marks}, s.red, s.edges}
	s.stateful = []stateful{s.edges.pairing, names, s.traces, s.red, s.edges}
	for i, t := range s.tables {
		s.views, s.stateful = append(s.views, &tableView{TableStore: t, table: model.Table(i)}), append(s.stateful, t)
	}
	s.views = append(s.views, &tracesView{store: s.traces},
		&patternsView{store: s.patterns, counted: s.tables[model.TablePatterns].Dict},
		&rawView{store: s.rawSpans, kind: intake.RawSpans}, &rawView{store: s.rawLogs, kind: intake.RawLogs},
		&recordsView{seen: s.dedup}, &spansView{seen: s.spans, window: s.cfg.DedupWindow})
}

// preparing is how far Prepare is: the hours from oldest to newest are done but for the services that are left of one.
type preparing struct {
	newest, oldest, at int64
	left               []serviceSize
	batch              int // series
}

// serviceSize is a service and how many series it has.
type serviceSize struct {
	name   string
	series int
}
