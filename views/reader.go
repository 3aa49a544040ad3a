package views

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/sums"
)

var _ Reader = (*Set)(nil)

// Frontier says for which times the views speak.
func (s *Set) Frontier() model.Frontier {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.frontier
}

// Counters returns totals over all time.
func (s *Set) Counters() model.Counters {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.counters
}

// RangeOf widens a range to the edges of 10 s buckets.
func RangeOf(from, to time.Time) model.Range {
	r := model.Range{From: max(from.Unix()-from.Unix()%model.BucketSeconds, 0), To: to.Unix()}
	if to.Nanosecond() > 0 {
		r.To++
	}
	r.To = model.Ceil(r.To, model.BucketSeconds)
	return r
}

// A VersionRange is a range and the Set to read it from. Readers add up stretches, so that a Live can join versions: what they add up are
// counts, and quantiles are computed from the sums.
type VersionRange struct {
	Set *Set
	model.Range
	Dims model.DimFilter
}

// one is a range that only this Set answers.
func (s *Set) one(from, to time.Time) []VersionRange {
	return []VersionRange{{Set: s, Range: RangeOf(from, to)}}
}

// eachStretch calls fn for each stretch under the read lock of its Set.
func eachStretch(ps []VersionRange, fn func(s *Set, p VersionRange) error) error {
	for _, p := range ps {
		p.Set.mu.RLock()
		err := fn(p.Set, p)
		p.Set.mu.RUnlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// sumsOf covers a range for sums: from wide buckets where they fit.
func (s *Set) sumsOf(r model.Range) []model.Segment {
	at := s.since()
	return at.Cover(r, model.Levels-1)
}

// cellsAndAfter covers a range with the finest buckets that are kept, and separately all time after it, for sums. No bucket is in
// both: where the range ends within a wide bucket, that one belongs to the range. Under floor nothing is counted.
func (s *Set) cellsAndAfter(r model.Range, floor int64) (cells, after []model.Segment) {
	at := s.since()
	if r.To <= floor {
		return nil, at.Cover(model.Range{From: r.To, To: end}, model.Levels-1)
	}
	cells = at.Cover(r, 0)
	k := 0
	for k < model.Levels-1 && r.To < at[k] {
		k++
	}
	if n := len(cells); n > 0 {
		k = cells[n-1].Level
	}
	return cells, at.Cover(model.Range{From: model.Ceil(r.To, model.LevelSeconds[k]), To: end}, model.Levels-1)
}

// end is later than every bucket.
const end = 1<<32 - 1

// eachRED calls fn for the cells of every series that match accepts; where counts alone are wanted, exemplars may be missing.
func (s *Set) eachRED(r []model.Segment, counts bool, match func(id uint32, k model.REDKey) bool,
	fn func(id uint32, k *model.REDKey, at cells.BucketAt, c *model.REDCounts)) error {
	keys := s.names.REDKeys(match)
	want := func(id uint32) bool { return int(id) < len(keys) && keys[id] != nil }
	p := cells.PickOf(len(keys), want)
	p.Counts = counts
	return s.red.Each(s.kv, r, p, func(at cells.BucketAt, id uint32, c *model.REDCounts) error {
		fn(id, keys[id], at, c)
		return nil
	})
}

// Services returns every service with spans in the range.
func (s *Set) Services(from, to time.Time) ([]model.Service, error) { return Services(s.one(from, to)) }

// Service sums up a service over all its dimensions.
func (s *Set) Service(name string, from, to time.Time) (model.Service, bool, error) {
	return OneService(s.one(from, to), name)
}

// Services returns every service with spans in the ranges.
func Services(ps []VersionRange) ([]model.Service, error) {
	by, err := sumsOfServices(ps)
	out := make([]model.Service, 0, len(by))
	for _, t := range by {
		out = append(out, t.Model())
	}
	slices.SortFunc(out, func(a, b model.Service) int { return cmp.Or(cmp.Compare(a.Name, b.Name), a.Dims.Compare(b.Dims)) })
	return out, err
}

// OneService sums up a service over all its dimensions.
func OneService(ps []VersionRange, name string) (model.Service, bool, error) {
	by, err := sumsOfServices(ps)
	all, ok := sums.Service{Of: sums.Name{Name: name}}, false
	for k, t := range by {
		if k.Name == name {
			all.Merge(t)
			ok = true
		}
	}
	return all.Model(), ok, err
}

func sumsOfServices(ps []VersionRange) (map[sums.Name]*sums.Service, error) {
	by := map[sums.Name]*sums.Service{}
	err := eachStretch(ps, func(s *Set, p VersionRange) error {
		keys := s.names.REDKeys(all)
		for _, g := range s.sumsOf(p.Range) {
			if err := s.sumServices(g, keys, p.Dims, by); err != nil {
				return err
			}
		}
		return nil
	})
	return by, err
}

func all(uint32, model.REDKey) bool { return true }

// known reports whether any series, in or out of the range, is of this service (and operation, unless empty).
func (s *Set) known(service, operation string, f model.DimFilter) bool {
	for id := range s.red.Series {
		if k := s.names.REDKey(id); k.Service == service && (operation == "" || k.Operation == operation) && f.Accepts(k.Dims) {
			return true
		}
	}
	return false
}

// Operations returns every (name, kind) of a service with spans in the range.
func (s *Set) Operations(service string, from, to time.Time) ([]model.Operation, bool, error) {
	return Operations(s.one(from, to), service)
}

// Operations returns every (name, kind) of a service with spans in the ranges.
func Operations(ps []VersionRange, service string) ([]model.Operation, bool, error) {
	type opKey struct {
		name string
		kind model.Kind
	}
	known := false
	by := map[opKey]*sums.Sum{}
	err := eachStretch(ps, func(s *Set, p VersionRange) error {
		known = known || s.known(service, "", p.Dims)
		return s.eachRED(s.sumsOf(p.Range), true,
			func(_ uint32, k model.REDKey) bool { return k.Service == service && p.Dims.Accepts(k.Dims) },
			func(_ uint32, k *model.REDKey, _ cells.BucketAt, c *model.REDCounts) {
				o := opKey{k.Operation, k.Kind}
				if by[o] == nil {
					by[o] = &sums.Sum{}
				}
				by[o].Add(k, c)
			})
	})
	if !known {
		return nil, false, err
	}
	out := make([]model.Operation, 0, len(by))
	for k, t := range by {
		out = append(out, model.Operation{Name: k.name, Kind: k.kind, RED: t.RED()})
	}
	slices.SortFunc(out, func(a, b model.Operation) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return out, true, err
}

// Latencies returns the operations that match accepts, with their histograms.
func (s *Set) Latencies(from, to time.Time, match func(k model.REDKey) bool) ([]model.OperationLatency, error) {
	return Latencies(s.one(from, to), match)
}

// Latencies returns the operations with spans in the ranges that match accepts, over all their statuses and dimensions.
func Latencies(ps []VersionRange, match func(k model.REDKey) bool) ([]model.OperationLatency, error) {
	by := map[model.REDKey]*model.OperationLatency{}
	err := eachStretch(ps, func(s *Set, p VersionRange) error {
		return s.eachRED(s.sumsOf(p.Range), true,
			func(_ uint32, k model.REDKey) bool { return p.Dims.Accepts(k.Dims) && match(k) },
			func(_ uint32, k *model.REDKey, _ cells.BucketAt, c *model.REDCounts) {
				key := model.REDKey{Service: k.Service, Operation: k.Operation, Kind: k.Kind}
				o := by[key]
				if o == nil {
					o = &model.OperationLatency{Service: k.Service, Name: k.Operation, Kind: k.Kind}
					by[key] = o
				}
				o.Calls += c.Calls
				if k.Status == model.StatusError {
					o.Errors += c.Calls
				}
				o.Hist.Merge(&c.Hist)
			})
	})
	out := make([]model.OperationLatency, 0, len(by))
	for _, o := range by {
		out = append(out, *o)
	}
	slices.SortFunc(out, func(a, b model.OperationLatency) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return out, err
}

// Knows reports whether the Set knows a service (and operation).
func (s *Set) Knows(service, operation string, f model.DimFilter) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known(service, operation, f)
}

// ServicePoints returns a chart; step is rounded up to whole buckets.
func (s *Set) ServicePoints(service, operation string, from, to time.Time, step time.Duration) ([]model.Point, bool, error) {
	fr := s.Frontier()
	width := StepWidth(&fr, from, step)
	return ServicePoints(func(r model.Range) []VersionRange { return []VersionRange{{Set: s, Range: r}} }, service, operation, from, to,
		width)
}

// StepWidth is the width of a chart's steps in seconds.
func StepWidth(fr *model.Frontier, from time.Time, step time.Duration) int64 {
	width := max(model.BucketSeconds, int64((step+model.BucketSeconds*time.Second-1)/(model.BucketSeconds*time.Second))*model.BucketSeconds)
	if kept := int64(fr.WidthAt(from) / time.Second); kept > width || width%kept != 0 {
		width = model.Ceil(width, kept)
	}
	return width
}

// ServicePoints returns a chart with steps of width seconds; stretches says which Sets answer for a range.
func ServicePoints(stretches func(r model.Range) []VersionRange, service, operation string, from, to time.Time,
	width int64) ([]model.Point, bool, error) {
	r := RangeOf(from, to)
	r.From -= r.From % width
	steps := make([]sums.Step, max(0, (r.To-r.From+width-1)/width))
	step := func(start int64) *sums.Step { return &steps[max(0, start-r.From)/width] } // a wide bucket may begin before the range
	known := false
	err := eachStretch(stretches(r), func(s *Set, p VersionRange) error {
		match := func(_ uint32, k model.REDKey) bool {
			return k.Service == service && (operation == "" || k.Operation == operation) && p.Dims.Accepts(k.Dims)
		}
		known = known || s.known(service, operation, p.Dims)
		for _, g := range s.stepsOf(p.Range, width) {
			if g.Level == 1 && operation == "" && len(p.Dims) == 0 {
				if err := s.addMinutes(service, g, step); err != nil {
					return err
				}
				continue
			}
			err := s.eachRED([]model.Segment{g}, true, match,
				func(_ uint32, k *model.REDKey, at cells.BucketAt, c *model.REDCounts) { step(at.Start).Add(k, c) })
			if err != nil {
				return err
			}
		}
		return nil
	})
	if !known {
		return nil, false, err
	}
	out := make([]model.Point, len(steps))
	for i := range steps {
		out[i] = model.Point{Time: time.Unix(r.From+int64(i)*width, 0).UTC(), RED: steps[i].All.RED(), Entry: steps[i].Entry.RED()}
	}
	return out, true, err
}

// stepsOf covers a chart whose steps begin at multiples of width: from the widest buckets that fall into one step each.
func (s *Set) stepsOf(r model.Range, width int64) []model.Segment {
	k := 0
	for k+1 < model.Levels && width%model.LevelSeconds[k+1] == 0 {
		k++
	}
	at := s.since()
	return at.Cover(r, k)
}

// edgeKey is an edge with its nodes.
func (s *Set) edgeKey(id uint32) model.EdgeKey {
	e := s.edges.ids.List[id]
	if e.Conn == edges.Unpaired {
		return model.EdgeKey{Connection: model.UnpairedPrefix + edges.UnpairedReasons[e.Client]}
	}
	client, server := s.names.Node(e.Client), s.names.Node(e.Server)
	return model.EdgeKey{Client: client.Name, Server: server.Name, Connection: edges.ConnectionNames[e.Conn], System: server.System,
		ClientDims: client.Dims, ServerDims: server.Dims, Entry: e.Conn == edges.VirtualClient}
}

// ServiceMap returns the edges of a range, the nodes they join, and the halves that made no edge.
func (s *Set) ServiceMap(from, to time.Time) (model.Map, error) { return ServiceMap(s.one(from, to)) }

// ServiceMap returns the edges of the ranges, the nodes they join, and the halves that made no edge.
func ServiceMap(ps []VersionRange) (model.Map, error) {
	by, alone := map[model.EdgeKey]*model.EdgeCounts{}, map[uint32]uint64{}
	err := eachStretch(ps, func(s *Set, p VersionRange) error {
		return s.edges.Each(s.kv, s.sumsOf(p.Range), cells.EverySeries, func(_ cells.BucketAt, id uint32, c *model.EdgeCounts) error {
			if e := s.edges.ids.List[id]; e.Conn == edges.Unpaired {
				alone[e.Client] += c.Calls
				return nil
			}
			k := s.edgeKey(id)
			if !p.Dims.AcceptsEdge(&k) {
				return nil
			}
			if by[k] == nil {
				by[k] = &model.EdgeCounts{}
			}
			by[k].Merge(c)
			return nil
		})
	})
	m := model.Map{Nodes: []model.Node{}, Edges: []model.Edge{}, Unpaired: []model.Unpaired{}}
	nodes := map[model.Node]struct{}{}
	for reason, n := range alone {
		if n != 0 {
			m.Unpaired = append(m.Unpaired, model.Unpaired{Reason: edges.UnpairedReasons[reason], Count: n})
		}
	}
	for k, c := range by {
		if c.Zero() {
			continue
		}
		latency, sum := c.Latency()
		m.Edges = append(m.Edges, model.Edge{EdgeKey: k, Calls: c.Calls, Failed: c.Failed, ClientP95: c.ClientHist.Quantile(0.95),
			ServerP95: c.ServerHist.Quantile(0.95), Latency: latency, LatencySum: sum, ServerSum: c.ServerSum,
			Transit: c.Transit})
		nodes[k.ClientNode()], nodes[k.ServerNode()] = struct{}{}, struct{}{}
	}
	m.Nodes = slices.AppendSeq(m.Nodes, maps.Keys(nodes))
	slices.SortFunc(m.Nodes, model.Node.Compare)
	slices.SortFunc(m.Edges, func(a, b model.Edge) int { return a.Compare(b.EdgeKey) })
	slices.SortFunc(m.Unpaired, func(a, b model.Unpaired) int { return cmp.Compare(a.Reason, b.Reason) })
	return m, err
}

// SelectRED returns the series that match accepts, those without spans in the range included.
func (s *Set) SelectRED(from, to time.Time, match func(id uint32, k model.REDKey) bool) ([]model.REDTimeline, error) {
	return s.SelectREDIn(RangeOf(from, to), match)
}

// SelectREDIn is SelectRED with a range of whole buckets.
func (s *Set) SelectREDIn(r model.Range, match func(id uint32, k model.REDKey) bool) ([]model.REDTimeline, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at := map[uint32]*model.REDTimeline{}
	for id, se := range s.red.Series {
		if k := s.names.REDKey(id); match(id, k) {
			t := &model.REDTimeline{ID: id, Key: k, First: se.First, Last: se.Last}
			t.Base.Merge(&se.Total.Counts)
			at[id] = t
		}
	}
	want := cells.PickOf(s.names.REDCount(), func(id uint32) bool { return at[id] != nil })
	inRange, after := s.cellsAndAfter(r, s.red.Floor)
	err := s.red.Each(s.kv, after, want, func(_ cells.BucketAt, id uint32, c *model.REDCounts) error {
		at[id].Base.Sub(&c.Counts)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = s.red.Each(s.kv, inRange, want, func(b cells.BucketAt, id uint32, c *model.REDCounts) error {
		t := at[id]
		t.Base.Sub(&c.Counts)
		t.Cells = append(t.Cells, model.REDCell{Bucket: b.Start, Width: b.Width, Counts: c.Counts.Clone(), Slowest: c.Slowest,
			Latest: c.Latest})
		return nil
	})
	out := make([]model.REDTimeline, 0, len(at))
	for _, id := range slices.Sorted(maps.Keys(at)) {
		// late cells of a cold bucket come from memory, after the stored ones
		slices.SortStableFunc(at[id].Cells, func(a, b model.REDCell) int { return cmp.Compare(a.Bucket, b.Bucket) })
		out = append(out, *at[id])
	}
	return out, err
}

// SelectEdges returns the edges that match accepts, and among them what counts the halves that made none, see EdgeKey.Unpaired.
func (s *Set) SelectEdges(from, to time.Time, match func(id uint32, k model.EdgeKey) bool) ([]model.EdgeTimeline, error) {
	return s.SelectEdgesIn(RangeOf(from, to), match)
}

// SelectEdgesIn is SelectEdges with a range of whole buckets.
func (s *Set) SelectEdgesIn(r model.Range, match func(id uint32, k model.EdgeKey) bool) ([]model.EdgeTimeline, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at := map[uint32]*model.EdgeTimeline{} // by the first edge with the same labels
	for id, se := range s.edges.Series {
		if se.Total.Zero() {
			continue
		}
		k, first := s.edgeKey(id).Labels(), s.edges.ids.Label[id]
		if t := at[first]; t != nil {
			t.Base.Merge(&se.Total)
			model.Widen(&t.First, &t.Last, se.First, se.Last)
		} else if match(first, k) {
			t := &model.EdgeTimeline{ID: first, Key: k, First: se.First, Last: se.Last}
			t.Base.Merge(&se.Total)
			at[first] = t
		}
	}
	want := cells.PickOf(len(s.edges.ids.List), func(id uint32) bool { return at[s.edges.ids.Label[id]] != nil })
	inRange, after := s.cellsAndAfter(r, s.edges.Floor)
	err := s.edges.Each(s.kv, after, want, func(_ cells.BucketAt, id uint32, c *model.EdgeCounts) error {
		at[s.edges.ids.Label[id]].Base.Sub(c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = s.edges.Each(s.kv, inRange, want, func(b cells.BucketAt, id uint32, c *model.EdgeCounts) error {
		t := at[s.edges.ids.Label[id]]
		t.Base.Sub(c)
		cell := model.EdgeCell{Bucket: b.Start, Width: b.Width, EdgeCounts: *c}
		cell.ClientHist.Counts, cell.ServerHist.Counts, cell.Transit.Counts = slices.Clone(c.ClientHist.Counts),
			slices.Clone(c.ServerHist.Counts), slices.Clone(c.Transit.Counts)
		t.Cells = append(t.Cells, cell)
		return nil
	})
	out := make([]model.EdgeTimeline, 0, len(at))
	for _, id := range slices.Sorted(maps.Keys(at)) {
		t := at[id]
		slices.SortStableFunc(t.Cells, func(a, b model.EdgeCell) int {
			return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Width, b.Width))
		})
		t.Cells = joinCells(t.Cells)
		out = append(out, *t)
	}
	return out, err
}

// joinCells adds up the cells of one bucket: they are of edges with the same labels.
func joinCells(cells []model.EdgeCell) []model.EdgeCell {
	out := cells[:0]
	for i := range cells {
		if n := len(out); n > 0 && out[n-1].Bucket == cells[i].Bucket && out[n-1].Width == cells[i].Width {
			out[n-1].Merge(&cells[i].EdgeCounts)
			continue
		}
		out = append(out, cells[i])
	}
	return out
}
