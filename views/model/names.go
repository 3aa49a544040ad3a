package model

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/gaurav/watchingcat/storage"
)

// Other is the name under which everything above a limit is counted: totals stay exact, and the overflow is visible.
const Other = "_other"

// Names interns nodes (services and what they call) and gives red series their ids. Appliers of all partitions share it; each
// remembers what it looked up, so the lock is taken for new names only.
//
// A name or series that an applier looked up is defined in the next checkpoint, before anything refers to it.
type Names struct {
	mu         sync.Mutex
	limits     Limits
	Dimensions *Dimensions
	dimValues  [MaxDimensions]map[string]struct{} // seen, without Other
	ids        map[NodeKey]uint32
	list       []NodeKey
	labelOf    []uint32 // the first node with the same labels: another may differ by its system
	byLabels   map[NodeKey]uint32
	ops        map[uint32]int // operations of each service
	red        map[REDSeries]uint32
	redList    []REDSeries
	defined    struct{ names, red int } // how many earlier checkpoints have written
}

// NodeKey is something that calls or is called. What kind of thing it is says the connection that it stands in.
type NodeKey struct {
	Name   string
	System string // of a database: two databases of one name in two systems are two
	Dims   Dims   // of a service
}

// REDSeries is a REDKey with its service interned.
type REDSeries struct {
	service uint32
	op      string
	kind    Kind
	status  Status
}

// OtherID is the id of the node Other.
const OtherID = 0

// NewNames returns Names that know the node Other alone.
func NewNames(l Limits, d *Dimensions) *Names {
	n := &Names{limits: l, Dimensions: d, ids: map[NodeKey]uint32{}, byLabels: map[NodeKey]uint32{}, ops: map[uint32]int{},
		red: map[REDSeries]uint32{}}
	for i := range n.dimValues {
		n.dimValues[i] = map[string]struct{}{}
	}
	n.addName(NodeKey{Name: Other})
	return n
}

func (n *Names) addName(k NodeKey) uint32 {
	id := uint32(len(n.list))
	n.ids[k] = id
	n.list = append(n.list, k)
	labels := NodeKey{Name: k.Name, Dims: k.Dims}
	first, ok := n.byLabels[labels]
	if !ok {
		first = id
		n.byLabels[labels] = id
	}
	n.labelOf = append(n.labelOf, first)
	return id
}

// Peer interns something that is called. The bound is above that of services: what calls name is less trusted.
func (n *Names) Peer(k NodeKey) (uint32, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok := n.ids[k]; ok {
		return id, true
	}
	if len(n.list) >= 2*n.limits.Services {
		return OtherID, false
	}
	return n.addName(k), true
}

// Service interns a service that sends spans.
func (n *Names) Service(name string, dims Dims) (uint32, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := NodeKey{Name: name, Dims: dims}
	id, ok := n.ids[k]
	if ok {
		if _, known := n.ops[id]; known {
			return id, true
		}
	}
	if len(n.ops) >= n.limits.Services {
		n.ops[OtherID] += 0
		return OtherID, false
	}
	if !ok {
		id = n.addName(k)
	}
	n.ops[id] += 0
	return id, true
}

// Series gives a red series its id; ok is false when it is an overflow series.
func (n *Names) Series(service uint32, op string, kind Kind, status Status) (id uint32, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := REDSeries{service, op, kind, status}
	if id, ok := n.red[k]; ok {
		return id, true
	}
	if len(n.redList) >= n.limits.Series {
		k = REDSeries{OtherID, Other, kind, status}
	} else if n.ops[service] >= n.limits.OperationsPerService && !n.hasOperation(k) {
		k.op = Other
	}
	if id, found := n.red[k]; found {
		return id, k.op != Other
	}
	if !n.hasOperation(k) {
		n.ops[k.service]++
	}
	return n.addSeries(k), k.op != Other
}

// hasOperation reports whether an operation of this name already has a series of another kind or status.
func (n *Names) hasOperation(k REDSeries) bool {
	for kind := range Kinds {
		for st := range Statuses {
			if _, ok := n.red[REDSeries{k.service, k.op, kind, st}]; ok {
				return true
			}
		}
	}
	return false
}

func (n *Names) addSeries(k REDSeries) uint32 {
	id := uint32(len(n.redList))
	n.red[k] = id
	n.redList = append(n.redList, k)
	return id
}

// Node returns the node with an id.
func (n *Names) Node(id uint32) NodeKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list[id]
}

// Compare orders nodes by what they are, not by their ids, which depend on which came first.
func (n *Names) Compare(a, b uint32) int {
	x, y := n.Node(a), n.Node(b)
	return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.System, y.System), cmp.Compare(x.Dims, y.Dims))
}

// Labels is the first node with the same labels.
func (n *Names) Labels(id uint32) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.labelOf[id]
}

// REDKey returns the key of the red series with an id.
func (n *Names) REDKey(id uint32) REDKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := &n.redList[id]
	s := &n.list[k.service]
	return REDKey{s.Name, k.op, k.kind, k.status, s.Dims}
}

// REDCount is how many red series there are.
func (n *Names) REDCount() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.redList)
}

// REDKeys returns the keys that match accepts, by series id; nil for the others.
func (n *Names) REDKeys(match func(id uint32, k REDKey) bool) []*REDKey {
	n.mu.Lock()
	list, names := n.redList, n.list // both grow only
	n.mu.Unlock()
	keys := make([]*REDKey, len(list))
	for id := range list {
		r := &list[id]
		s := &names[r.service]
		if k := (REDKey{s.Name, r.op, r.kind, r.status, s.Dims}); match(uint32(id), k) {
			accepted := k // k itself would be allocated for each series
			keys[id] = &accepted
		}
	}
	return keys
}

// EachSeries calls fn for every red series, in the order of their ids.
func (n *Names) EachSeries(fn func(id uint32, k REDKey)) {
	n.mu.Lock()
	list, names := n.redList, n.list // both grow only
	n.mu.Unlock()
	for id := range list {
		r := &list[id]
		s := &names[r.service]
		fn(uint32(id), REDKey{s.Name, r.op, r.kind, r.status, s.Dims})
	}
}

// AppendNew encodes every definition since the last call: the number of the first, how many, and each.
func (n *Names) AppendNew(b []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	b = n.appendFrom(b, n.defined.names, n.defined.red)
	n.defined.names, n.defined.red = len(n.list), len(n.redList)
	return b
}

func (n *Names) appendFrom(b []byte, names, red int) []byte {
	b = binary.AppendUvarint(b, uint64(names))
	b = binary.AppendUvarint(b, uint64(len(n.list)-names))
	for _, k := range n.list[names:] {
		b = AppendString(AppendString(AppendString(b, k.Name), k.System), string(k.Dims))
	}
	b = binary.AppendUvarint(b, uint64(red))
	b = binary.AppendUvarint(b, uint64(len(n.redList)-red))
	for _, k := range n.redList[red:] {
		b = binary.AppendUvarint(b, uint64(k.service))
		b = AppendString(b, k.op)
		b = append(b, byte(k.kind), byte(k.status))
	}
	return b
}

// Size is how many nodes and red series are defined.
func (n *Names) Size() (nodes, series int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.list), len(n.redList)
}

// Written is how many nodes and red series appendNew has encoded.
func (n *Names) Written() (nodes, series int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.defined.names, n.defined.red
}

// AppendWritten encodes, as appendNew does, the definitions from some number of nodes and series on that appendNew has encoded.
func (n *Names) AppendWritten(b []byte, nodes, series int) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	part := &Names{list: n.list[:n.defined.names], redList: n.redList[:n.defined.red]}
	return part.appendFrom(b, nodes, series)
}

// Decode reads what appendNew wrote; definitions that are already known are passed over.
func (n *Names) Decode(d *Decoder) {
	n.mu.Lock()
	defer n.mu.Unlock()
	first := int(d.Uvarint())
	for i := range d.Count() {
		k := NodeKey{Name: d.String(), System: d.String(), Dims: Dims(d.String())}
		if d.Err == nil && first+i >= len(n.list) {
			n.addName(k)
			n.noteDims(k.Dims)
		}
	}
	first = int(d.Uvarint())
	for i := range d.Count() {
		k := REDSeries{service: uint32(d.Uvarint()), op: d.String(), kind: Kind(d.Byte()), status: Status(d.Byte())}
		if d.Err == nil && first+i >= len(n.redList) {
			if !n.hasOperation(k) {
				n.ops[k.service]++
			}
			n.addSeries(k)
		}
	}
	n.defined.names, n.defined.red = len(n.list), len(n.redList)
}

// NamesKey is where the n-th chunk of definitions is stored.
// The definitions are also kept in chunks of their own, so that the journal can be cut: chunk k holds what was defined between
// two cuts.
func NamesKey(version uint32, shard uint16, chunk uint32) []byte {
	return binary.BigEndian.AppendUint32(storage.Key(version, shard, storage.TableMeta, metaNames), chunk)
}

// String is the key as text.
func (k REDKey) String() string {
	s := fmt.Sprintf("%s %q %s %s", k.Service, k.Operation, k.Kind, k.Status)
	if k.Dims != "" {
		s += " " + k.Dims.String()
	}
	return s
}
