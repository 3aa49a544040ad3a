package views

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

var _ Reader = (*Set)(nil)

// Frontier says for which times the views speak.
func (s *Set) Frontier() Frontier {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.frontier
}

// Counters returns totals over all time.
func (s *Set) Counters() Counters {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.counters
}

// span is a range in bucket starts: from inclusive, to exclusive.
type span struct{ from, to int64 }

// rangeOf widens a range to the edges of 10 s buckets.
func rangeOf(from, to time.Time) span {
	r := span{max(from.Unix()-from.Unix()%BucketSeconds, 0), to.Unix()}
	if to.Nanosecond() > 0 {
		r.to++
	}
	r.to = ceil(r.to, BucketSeconds)
	return r
}

// A stretch is a range and the Set to read it from. Readers add up stretches, so that a Live can join versions: what they add up are counts,
// and quantiles are computed from the sums.
type stretch struct {
	set *Set
	span
	dims DimFilter
}

// one is a range that only this Set answers.
func (s *Set) one(from, to time.Time) []stretch { return []stretch{{set: s, span: rangeOf(from, to)}} }

// eachStretch calls fn for each stretch under the read lock of its Set.
func eachStretch(ps []stretch, fn func(s *Set, p stretch) error) error {
	for _, p := range ps {
		p.set.mu.RLock()
		err := fn(p.set, p)
		p.set.mu.RUnlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// sumsOf covers a range for sums: from wide buckets where they fit.
func (s *Set) sumsOf(r span) []segment {
	at := s.since()
	return at.cover(r, levels-1)
}

// cellsAndAfter covers a range with the finest buckets that are kept, and separately all time after it, for sums. No bucket is in
// both: where the range ends within a wide bucket, that one belongs to the range. Under floor nothing is counted.
func (s *Set) cellsAndAfter(r span, floor int64) (cells, after []segment) {
	at := s.since()
	if r.to <= floor {
		return nil, at.cover(span{r.to, end}, levels-1)
	}
	cells = at.cover(r, 0)
	k := 0
	for k < levels-1 && r.to < at[k] {
		k++
	}
	if n := len(cells); n > 0 {
		k = cells[n-1].level
	}
	return cells, at.cover(span{ceil(r.to, levelSeconds[k]), end}, levels-1)
}

// end is later than every bucket.
const end = 1<<32 - 1

// eachRED calls fn for the cells of every series that match accepts; where counts alone are wanted, exemplars may be missing.
func (s *Set) eachRED(r []segment, counts bool, match func(id uint32, k REDKey) bool, fn func(id uint32, k *REDKey, at bucketAt, c *redCounts)) error {
	keys := s.names.redKeys(match)
	want := func(id uint32) bool { return int(id) < len(keys) && keys[id] != nil }
	p := pickOf(len(keys), want)
	p.counts = counts
	return s.red.each(s.kv, r, p, func(at bucketAt, id uint32, c *redCounts) error {
		fn(id, keys[id], at, c)
		return nil
	})
}

// sum gathers RED over cells.
type sum struct {
	calls, errors uint64
	hist          Histogram
}

func (t *sum) add(k *REDKey, c *redCounts) {
	t.calls += c.Calls
	if k.Status == StatusError {
		t.errors += c.Calls
	}
	t.hist.Merge(&c.Hist)
}

func (t *sum) merge(o *sum) {
	t.calls += o.calls
	t.errors += o.errors
	t.hist.Merge(&o.hist)
}

func (t *sum) red() RED { return RED{t.calls, t.errors, t.hist.Latency()} }

// Services returns every service with spans in the range.
func (s *Set) Services(from, to time.Time) ([]Service, error) { return services(s.one(from, to)) }

// Service sums up a service over all its dimensions.
func (s *Set) Service(name string, from, to time.Time) (Service, bool, error) {
	return oneService(s.one(from, to), name)
}

func services(ps []stretch) ([]Service, error) {
	by, err := sumsOfServices(ps)
	out := make([]Service, 0, len(by))
	for _, t := range by {
		out = append(out, t.service())
	}
	slices.SortFunc(out, func(a, b Service) int { return cmp.Or(cmp.Compare(a.Name, b.Name), a.Dims.Compare(b.Dims)) })
	return out, err
}

func oneService(ps []stretch, name string) (Service, bool, error) {
	by, err := sumsOfServices(ps)
	all, ok := serviceSum{of: serviceKey{name: name}}, false
	for k, t := range by {
		if k.name == name {
			all.merge(t)
			ok = true
		}
	}
	return all.service(), ok, err
}

func sumsOfServices(ps []stretch) (map[serviceKey]*serviceSum, error) {
	by := map[serviceKey]*serviceSum{}
	err := eachStretch(ps, func(s *Set, p stretch) error {
		keys := s.names.redKeys(all)
		for _, g := range s.sumsOf(p.span) {
			if err := s.sumServices(g, keys, p.dims, by); err != nil {
				return err
			}
		}
		return nil
	})
	return by, err
}

func (t *serviceSum) service() Service {
	t.rest.merge(&t.entry)
	return Service{Name: t.of.name, Dims: t.of.dims, RED: t.rest.red(), Entry: t.entry.red(), LastSeen: unixNano(t.last)}
}

// entry reports whether spans of the series are what was asked of their service.
func (k REDKey) entry() bool { return k.Kind == KindServer || k.Kind == KindConsumer }

func all(uint32, REDKey) bool { return true }

// known reports whether any series, in or out of the range, is of this service (and operation, unless empty).
func (s *Set) known(service, operation string, f DimFilter) bool {
	for id := range s.red.series {
		if k := s.names.redKey(id); k.Service == service && (operation == "" || k.Operation == operation) && f.Accepts(k.Dims) {
			return true
		}
	}
	return false
}

// Operations returns every (name, kind) of a service with spans in the range.
func (s *Set) Operations(service string, from, to time.Time) ([]Operation, bool, error) {
	return operations(s.one(from, to), service)
}

func operations(ps []stretch, service string) ([]Operation, bool, error) {
	type opKey struct {
		name string
		kind Kind
	}
	known := false
	by := map[opKey]*sum{}
	err := eachStretch(ps, func(s *Set, p stretch) error {
		known = known || s.known(service, "", p.dims)
		return s.eachRED(s.sumsOf(p.span), true, func(_ uint32, k REDKey) bool { return k.Service == service && p.dims.Accepts(k.Dims) }, func(_ uint32, k *REDKey, _ bucketAt, c *redCounts) {
			o := opKey{k.Operation, k.Kind}
			if by[o] == nil {
				by[o] = &sum{}
			}
			by[o].add(k, c)
		})
	})
	if !known {
		return nil, false, err
	}
	out := make([]Operation, 0, len(by))
	for k, t := range by {
		out = append(out, Operation{k.name, k.kind, t.red()})
	}
	slices.SortFunc(out, func(a, b Operation) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind)) })
	return out, true, err
}

// ServicePoints returns a chart; step is rounded up to whole buckets.
func (s *Set) ServicePoints(service, operation string, from, to time.Time, step time.Duration) ([]Point, bool, error) {
	fr := s.Frontier()
	width := stepWidth(&fr, from, step)
	return servicePoints(func(r span) []stretch { return []stretch{{set: s, span: r}} }, service, operation, from, to, width)
}

// stepWidth is the width of a chart's steps in seconds.
func stepWidth(fr *Frontier, from time.Time, step time.Duration) int64 {
	width := max(BucketSeconds, int64((step+BucketSeconds*time.Second-1)/(BucketSeconds*time.Second))*BucketSeconds)
	if kept := int64(fr.WidthAt(from) / time.Second); kept > width || width%kept != 0 {
		width = ceil(width, kept)
	}
	return width
}

func servicePoints(stretches func(r span) []stretch, service, operation string, from, to time.Time, width int64) ([]Point, bool, error) {
	r := rangeOf(from, to)
	r.from -= r.from % width
	sums := make([]step, max(0, (r.to-r.from+width-1)/width))
	step := func(start int64) *step { return &sums[max(0, start-r.from)/width] } // a wide bucket may begin before the range
	known := false
	err := eachStretch(stretches(r), func(s *Set, p stretch) error {
		match := func(_ uint32, k REDKey) bool {
			return k.Service == service && (operation == "" || k.Operation == operation) && p.dims.Accepts(k.Dims)
		}
		known = known || s.known(service, operation, p.dims)
		for _, g := range s.stepsOf(p.span, width) {
			if g.level == 1 && operation == "" && len(p.dims) == 0 {
				if err := s.addMinutes(service, g, step); err != nil {
					return err
				}
				continue
			}
			err := s.eachRED([]segment{g}, true, match, func(_ uint32, k *REDKey, at bucketAt, c *redCounts) { step(at.start).add(k, c) })
			if err != nil {
				return err
			}
		}
		return nil
	})
	if !known {
		return nil, false, err
	}
	out := make([]Point, len(sums))
	for i := range sums {
		out[i] = Point{time.Unix(r.from+int64(i)*width, 0).UTC(), sums[i].all.red(), sums[i].entry.red()}
	}
	return out, true, err
}

// stepsOf covers a chart whose steps begin at multiples of width: from the widest buckets that fall into one step each.
func (s *Set) stepsOf(r span, width int64) []segment {
	k := 0
	for k+1 < levels && width%levelSeconds[k+1] == 0 {
		k++
	}
	at := s.since()
	return at.cover(r, k)
}

// edgeKey is an edge with its nodes.
func (s *Set) edgeKey(id uint32) EdgeKey {
	e := s.edgeList[id]
	if e.conn == unpaired {
		return EdgeKey{Connection: unpairedPrefix + unpairedReasons[e.client]}
	}
	client, server := s.names.node(e.client), s.names.node(e.server)
	return EdgeKey{Client: client.name, Server: server.name, Connection: connectionNames[e.conn], System: server.system,
		ClientDims: client.dims, ServerDims: server.dims, Entry: e.conn == virtualClient}
}

// labels is the key as the labels of series show it.
func (k EdgeKey) labels() EdgeKey {
	k.System, k.Entry = "", false
	return k
}

// ServiceMap returns the edges of a range, the nodes they join, and the halves that made no edge.
func (s *Set) ServiceMap(from, to time.Time) (Map, error) { return serviceMap(s.one(from, to)) }

func serviceMap(ps []stretch) (Map, error) {
	by, alone := map[EdgeKey]*EdgeCounts{}, map[uint32]uint64{}
	err := eachStretch(ps, func(s *Set, p stretch) error {
		return s.edges.each(s.kv, s.sumsOf(p.span), everySeries, func(_ bucketAt, id uint32, c *EdgeCounts) error {
			if e := s.edgeList[id]; e.conn == unpaired {
				alone[e.client] += c.Calls
				return nil
			}
			k := s.edgeKey(id)
			if !p.dims.AcceptsEdge(&k) {
				return nil
			}
			if by[k] == nil {
				by[k] = &EdgeCounts{}
			}
			by[k].merge(c)
			return nil
		})
	})
	m := Map{Nodes: []Node{}, Edges: []Edge{}, Unpaired: []Unpaired{}}
	nodes := map[Node]struct{}{}
	for reason, n := range alone {
		if n != 0 {
			m.Unpaired = append(m.Unpaired, Unpaired{unpairedReasons[reason], n})
		}
	}
	for k, c := range by {
		if c.zero() {
			continue
		}
		latency, sum := c.latency()
		m.Edges = append(m.Edges, Edge{EdgeKey: k, Calls: c.Calls, Failed: c.Failed, ClientP95: c.ClientHist.Quantile(0.95), ServerP95: c.ServerHist.Quantile(0.95),
			Latency: latency, LatencySum: sum, Transit: c.Transit})
		nodes[k.ClientNode()], nodes[k.ServerNode()] = struct{}{}, struct{}{}
	}
	m.Nodes = slices.AppendSeq(m.Nodes, maps.Keys(nodes))
	slices.SortFunc(m.Nodes, Node.Compare)
	slices.SortFunc(m.Edges, func(a, b Edge) int { return a.compare(b.EdgeKey) })
	slices.SortFunc(m.Unpaired, func(a, b Unpaired) int { return cmp.Compare(a.Reason, b.Reason) })
	return m, err
}

func (k EdgeKey) compare(o EdgeKey) int {
	return cmp.Or(cmp.Compare(k.Client, o.Client), cmp.Compare(k.Server, o.Server), cmp.Compare(k.Connection, o.Connection), cmp.Compare(k.System, o.System),
		k.ClientDims.Compare(o.ClientDims), k.ServerDims.Compare(o.ServerDims), bool2int(k.Entry)-bool2int(o.Entry))
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *EdgeCounts) latency() (h Histogram, sum Nanos) {
	if c.ClientSum.Zero() { // a side that was not seen is observed as 0
		return c.ServerHist, c.ServerSum
	}
	return c.ClientHist, c.ClientSum
}

// SelectRED returns the series that match accepts, those without spans in the range included.
func (s *Set) SelectRED(from, to time.Time, match func(id uint32, k REDKey) bool) ([]REDTimeline, error) {
	return s.selectRED(rangeOf(from, to), match)
}

func (s *Set) selectRED(r span, match func(id uint32, k REDKey) bool) ([]REDTimeline, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at := map[uint32]*REDTimeline{}
	for id, se := range s.red.series {
		if k := s.names.redKey(id); match(id, k) {
			t := &REDTimeline{ID: id, Key: k, First: se.first, Last: se.last}
			t.Base.merge(&se.total.Counts)
			at[id] = t
		}
	}
	want := pickOf(s.names.redCount(), func(id uint32) bool { return at[id] != nil })
	cells, after := s.cellsAndAfter(r, s.red.floor)
	err := s.red.each(s.kv, after, want, func(_ bucketAt, id uint32, c *redCounts) error {
		at[id].Base.sub(&c.Counts)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = s.red.each(s.kv, cells, want, func(b bucketAt, id uint32, c *redCounts) error {
		t := at[id]
		t.Base.sub(&c.Counts)
		t.Cells = append(t.Cells, REDCell{b.start, b.width, c.Counts.clone(), c.Slowest, c.Latest})
		return nil
	})
	out := make([]REDTimeline, 0, len(at))
	for _, id := range slices.Sorted(maps.Keys(at)) {
		// late cells of a cold bucket come from memory, after the stored ones
		slices.SortStableFunc(at[id].Cells, func(a, b REDCell) int { return cmp.Compare(a.Bucket, b.Bucket) })
		out = append(out, *at[id])
	}
	return out, err
}

// clone copies counts that belong to the view.
func (c *Counts) clone() Counts {
	n := *c
	n.Hist.Counts = slices.Clone(c.Hist.Counts)
	return n
}

// SelectEdges returns the edges that match accepts, and among them what counts the halves that made none, see EdgeKey.Unpaired.
func (s *Set) SelectEdges(from, to time.Time, match func(id uint32, k EdgeKey) bool) ([]EdgeTimeline, error) {
	return s.selectEdges(rangeOf(from, to), match)
}

func (s *Set) selectEdges(r span, match func(id uint32, k EdgeKey) bool) ([]EdgeTimeline, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at := map[uint32]*EdgeTimeline{} // by the first edge with the same labels
	for id, se := range s.edges.series {
		if se.total.zero() {
			continue
		}
		k, first := s.edgeKey(id).labels(), s.edgeLabel[id]
		if t := at[first]; t != nil {
			t.Base.merge(&se.total)
			widen(&t.First, &t.Last, se.first, se.last)
		} else if match(first, k) {
			t := &EdgeTimeline{ID: first, Key: k, First: se.first, Last: se.last}
			t.Base.merge(&se.total)
			at[first] = t
		}
	}
	want := pickOf(len(s.edgeList), func(id uint32) bool { return at[s.edgeLabel[id]] != nil })
	cells, after := s.cellsAndAfter(r, s.edges.floor)
	err := s.edges.each(s.kv, after, want, func(_ bucketAt, id uint32, c *EdgeCounts) error {
		at[s.edgeLabel[id]].Base.sub(c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = s.edges.each(s.kv, cells, want, func(b bucketAt, id uint32, c *EdgeCounts) error {
		t := at[s.edgeLabel[id]]
		t.Base.sub(c)
		cell := EdgeCell{b.start, b.width, *c}
		cell.ClientHist.Counts, cell.ServerHist.Counts, cell.Transit.Counts = slices.Clone(c.ClientHist.Counts), slices.Clone(c.ServerHist.Counts), slices.Clone(c.Transit.Counts)
		t.Cells = append(t.Cells, cell)
		return nil
	})
	out := make([]EdgeTimeline, 0, len(at))
	for _, id := range slices.Sorted(maps.Keys(at)) {
		t := at[id]
		slices.SortStableFunc(t.Cells, func(a, b EdgeCell) int { return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Width, b.Width)) })
		t.Cells = joinCells(t.Cells)
		out = append(out, *t)
	}
	return out, err
}

// joinCells adds up the cells of one bucket: they are of edges with the same labels.
func joinCells(cells []EdgeCell) []EdgeCell {
	out := cells[:0]
	for i := range cells {
		if n := len(out); n > 0 && out[n-1].Bucket == cells[i].Bucket && out[n-1].Width == cells[i].Width {
			out[n-1].merge(&cells[i].EdgeCounts)
			continue
		}
		out = append(out, cells[i])
	}
	return out
}
