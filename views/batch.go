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
	red      cells.REDBatch
	known    int
	tables   [model.Tables]cells.TallyBatch
	traces   traces.Batch
	raw      [rawKinds]traces.RawBatch
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
	series [model.Kinds][model.Statuses]*cells.REDSeries
}

func newBatch() *batch {
	return &batch{services: map[serviceKey]*service{}, dims: map[string]seenDims{}, peers: map[peerKey]uint32{},
		traces: traces.Batch{At: map[[16]byte]uint32{}}}
}

// reset empties a batch after its checkpoint; series stay known.
func (b *batch) reset(spare *traces.RawSpare) {
	b.red.Reset()
	for i := range b.tables {
		b.tables[i].Reset()
	}
	b.traces.Reset()
	for i := range b.raw {
		b.raw[i].Reset(spare)
	}
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
	b.halves, b.hashes, b.spanKeys = b.halves[:0], b.hashes[:0], b.spanKeys[:0]
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

func (b *batch) series(n *model.Names, sv *service, name []byte, kind model.Kind, status model.Status) *cells.REDSeries {
	op := sv.ops[string(name)]
	if op == nil {
		op = &operation{}
		sv.ops[string(name)] = op
	}
	se := op.series[kind][status]
	if se == nil {
		id, ok := n.Series(sv.id, model.CleanText(name, model.MaxName), kind, status)
		se = &cells.REDSeries{ID: id, Over: !ok || sv.over}
		op.series[kind][status] = se
		b.known++
	}
	return se
}
