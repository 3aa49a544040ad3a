package edges

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/gaurav/watchingcat/views/model"
)

// Numbers gives each edge its id, the same again when the journal is replayed. It is guarded by its Set.
type Numbers struct {
	List []EdgeID // by id
	// Label is, for each edge, the first with the same labels: nodes that differ by type or system are one in the labels of series.
	Label   []uint32
	limit   int
	node    func(id uint32) uint32 // the node that stands for a node in labels
	ids     map[EdgeID]uint32
	byLabel map[EdgeID]uint32
}

// NewNumbers returns Numbers of at most limit edges; node returns the node that stands for a node in labels.
func NewNumbers(limit int, node func(id uint32) uint32) *Numbers {
	return &Numbers{limit: limit, node: node, ids: map[EdgeID]uint32{}, byLabel: map[EdgeID]uint32{}}
}

// Number gives ids to the edges that are new, in the order of their nodes. It returns how many are beyond the limit.
func (x *Numbers) Number(changed map[Bucket]*model.EdgeCounts) (over uint64) {
	var fresh []EdgeID
	for k := range changed {
		if _, ok := x.ids[k.Edge]; !ok {
			fresh = append(fresh, k.Edge)
		}
	}
	slices.SortFunc(fresh, func(a, b EdgeID) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Conn, b.Conn))
	})
	for _, e := range fresh {
		if _, ok := x.ID(e); !ok {
			over++
		}
	}
	return over
}

// ID returns an edge's id; above the limit that of the edge from Other to Other, and false.
func (x *Numbers) ID(e EdgeID) (id uint32, ok bool) {
	if id, ok := x.ids[e]; ok {
		return id, true
	}
	ok = true
	if len(x.List) >= x.limit && e.Conn != Unpaired {
		ok = false
		e = EdgeID{Client: model.OtherID, Server: model.OtherID, Conn: e.Conn}
		if id, known := x.ids[e]; known {
			return id, false
		}
	}
	return x.add(e), ok
}

func (x *Numbers) add(e EdgeID) uint32 {
	id := uint32(len(x.List))
	x.ids[e] = id
	x.List = append(x.List, e)
	k := e
	if k.Conn != Unpaired {
		k.Client, k.Server = x.node(e.Client), x.node(e.Server)
	}
	if k.Conn == VirtualClient {
		k.Conn = VirtualNode
	}
	first, ok := x.byLabel[k]
	if !ok {
		first = id
		x.byLabel[k] = id
	}
	x.Label = append(x.Label, first)
	return id
}

// AppendFrom encodes the edges from an id on: the id, then each edge.
func (x *Numbers) AppendFrom(b []byte, from int) []byte {
	b = binary.AppendUvarint(b, uint64(from))
	for _, e := range x.List[from:] {
		b = binary.AppendUvarint(b, uint64(e.Client))
		b = binary.AppendUvarint(b, uint64(e.Server))
		b = append(b, byte(e.Conn))
	}
	return b
}

// Decode reads what AppendFrom wrote, up to the end.
func (x *Numbers) Decode(d *model.Decoder) {
	first := int(d.Uvarint())
	for i := 0; len(d.B) > 0 && d.Err == nil; i++ {
		e := EdgeID{Client: uint32(d.Uvarint()), Server: uint32(d.Uvarint()), Conn: Connection(d.Byte())}
		if d.Err == nil && first+i >= len(x.List) {
			x.add(e)
		}
	}
}
