package intake

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

// Kinds of raw records.
const (
	RawSpans = iota
	RawLogs
	RawKinds
)

// Batch is what one partition applied between two checkpoints.
type Batch struct {
	services map[serviceKey]*service
	last     *service
	dims     map[string]seenDims // by their values as they came
	peers    map[peerKey]uint32
	RED      cells.REDBatch
	known    int
	Tables   [model.Tables]cells.TallyBatch
	Traces   traces.Batch
	Raw      [RawKinds]traces.RawBatch
	Patterns drain.Batch // the clusters that log lines joined
	Halves   []edges.Half
	Hashes   []dedup.Seen
	SpanKeys []dedup.SpanKey
	Counts   model.Counters
	Bytes    uint64 // of the records
	Mark     uint64 // newest end, Unix nanoseconds
	TS       int64  // newest record timestamp
	Position storage.Position
	Moved    bool
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

// NewBatch returns an empty Batch.
func NewBatch() *Batch {
	return &Batch{services: map[serviceKey]*service{}, dims: map[string]seenDims{}, peers: map[peerKey]uint32{},
		Traces: traces.Batch{At: map[[16]byte]uint32{}}}
}

// reset empties a batch after its checkpoint; series stay known.
func (b *Batch) reset(spare *traces.RawSpare) {
	b.RED.Reset()
	for i := range b.Tables {
		b.Tables[i].Reset()
	}
	b.Traces.Reset()
	for i := range b.Raw {
		b.Raw[i].Reset(spare)
	}
	b.Patterns.Clusters = nil
	if b.known > model.MaxLocalSeries {
		*b = *NewBatch()
		return
	}
	if len(b.peers) > model.MaxLocalSeries {
		clear(b.peers)
	}
	if len(b.dims) > model.MaxLocalSeries {
		clear(b.dims)
	}
	b.Halves, b.Hashes, b.SpanKeys = b.Halves[:0], b.Hashes[:0], b.SpanKeys[:0]
	b.Counts, b.Bytes, b.Mark, b.TS, b.Moved = model.Counters{}, 0, 0, 0, false
}

func (b *Batch) service(n *model.Names, name []byte, dims model.Dims) *service {
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

func (b *Batch) series(n *model.Names, sv *service, name []byte, kind model.Kind, status model.Status) *cells.REDSeries {
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
