package views

import (
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/dedup"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// resourceSeen is a resource of the record and what it was found to be.
type resourceSeen struct {
	seq uint64
	sv  *service
}

// batch is what one partition applied between two checkpoints.
type batch struct {
	services map[serviceKey]*service
	last     *service
	dims     map[string]seenDims // by their values as they came
	peers    map[peerKey]uint32
	dirty    []*redSeries
	known    int
	tables   [model.Tables]cells.TallyBatch
	traces   traces.Batch
	rawSpans traces.RawBatch
	rawLogs  traces.RawBatch
	patterns drain.Batch // the clusters that log lines joined
	halves   []edges.Half
	hashes   []dedup.Seen
	spanKeys []dedup.SpanKey
	counts   model.Counters
	bytes    uint64 // of the records
	mark     uint64 // newest end, Unix nanoseconds
	ts       int64  // newest record timestamp
	position storage.Position
	moved    bool
	free     []*model.REDCounts
}

// serviceKey is a service as it came: its name may have to be cleaned.
type serviceKey struct {
	name string
	dims model.Dims
}

type peerKey struct{ name, system string }

type seenDims struct {
	dims model.Dims
	over bool
}

type service struct {
	serviceKey
	id   uint32
	over bool
	ops  map[string]*operation
}

type operation struct {
	series [model.Kinds][model.Statuses]*redSeries
}

// redSeries is a series in a batch with the few buckets that the batch touched.
type redSeries struct {
	id    uint32
	over  bool
	cells []redCell
}

type redCell struct {
	start int64
	c     *model.REDCounts
}

func newBatch() *batch {
	return &batch{services: map[serviceKey]*service{}, dims: map[string]seenDims{}, peers: map[peerKey]uint32{},
		traces: traces.Batch{At: map[[16]byte]uint32{}}}
}

// reset empties a batch after its checkpoint; series stay known.
func (b *batch) reset(spare *traces.RawSpare) {
	for _, s := range b.dirty {
		for i := range s.cells {
			s.cells[i].c.Reset()
			b.free = append(b.free, s.cells[i].c)
		}
		s.cells = s.cells[:0]
	}
	for i := range b.tables {
		b.tables[i].Reset()
	}
	b.traces.Reset()
	b.rawSpans.Reset(spare)
	b.rawLogs.Reset(spare)
	b.patterns.Clusters = nil
	if b.known > model.MaxLocalSeries {
		*b = *newBatch()
		return
	}
	if len(b.peers) > model.MaxLocalSeries {
		clear(b.peers)
	}
	if len(b.dims) > model.MaxLocalSeries {
		clear(b.dims)
	}
	b.dirty, b.halves, b.hashes, b.spanKeys = b.dirty[:0], b.halves[:0], b.hashes[:0], b.spanKeys[:0]
	b.counts, b.bytes, b.mark, b.ts, b.moved = model.Counters{}, 0, 0, 0, false
}

func (b *batch) service(n *model.Names, name []byte, dims model.Dims) *service {
	if b.last != nil && b.last.name == string(name) && b.last.dims == dims {
		return b.last
	}
	s := b.services[serviceKey{string(name), dims}]
	if s == nil {
		id, ok := n.Service(model.CleanText(name, model.MaxName), dims)
		s = &service{serviceKey: serviceKey{string(name), dims}, id: id, over: !ok, ops: map[string]*operation{}}
		b.services[s.serviceKey] = s
		b.known++
	}
	b.last = s
	return s
}

func (b *batch) series(n *model.Names, sv *service, name []byte, kind model.Kind, status model.Status) *redSeries {
	op := sv.ops[string(name)]
	if op == nil {
		op = &operation{}
		sv.ops[string(name)] = op
	}
	se := op.series[kind][status]
	if se == nil {
		id, ok := n.Series(sv.id, model.CleanText(name, model.MaxName), kind, status)
		se = &redSeries{id: id, over: !ok || sv.over}
		op.series[kind][status] = se
		b.known++
	}
	return se
}

func (b *batch) cell(s *redSeries, start int64) *model.REDCounts {
	for i := range s.cells {
		if s.cells[i].start == start {
			return s.cells[i].c
		}
	}
	if len(s.cells) == 0 {
		b.dirty = append(b.dirty, s)
	}
	var c *model.REDCounts
	if n := len(b.free); n > 0 {
		c, b.free = b.free[n-1], b.free[:n-1]
	} else {
		c = &model.REDCounts{}
	}
	s.cells = append(s.cells, redCell{start, c})
	return c
}
