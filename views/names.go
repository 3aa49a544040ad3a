package views

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/gaurav/watchingcat/storage"
)

// Other is the name under which everything above a limit is counted: totals stay exact, and the overflow is visible.
const Other = "_other"

// names interns nodes (services and what they call) and gives red series their ids. Appliers of all partitions share it; each
// remembers what it looked up, so the lock is taken for new names only.
//
// A name or series that an applier looked up is defined in the next checkpoint, before anything refers to it.
type names struct {
	mu         sync.Mutex
	limits     Limits
	dimensions *Dimensions
	dimValues  [MaxDimensions]map[string]struct{} // seen, without Other
	ids        map[node]uint32
	list       []node
	labelOf    []uint32 // the first node with the same labels: another may differ by its system
	byLabels   map[node]uint32
	ops        map[uint32]int // operations of each service
	red        map[redID]uint32
	redList    []redID
	defined    struct{ names, red int } // how many earlier checkpoints have written
}

// node is something that calls or is called. What kind of thing it is says the connection that it stands in.
type node struct {
	name   string
	system string // of a database: two databases of one name in two systems are two
	dims   Dims   // of a service
}

// redID is a REDKey with its service interned.
type redID struct {
	service uint32
	op      string
	kind    Kind
	status  Status
}

const otherID = 0 // of the node Other

func newNames(l Limits, d *Dimensions) *names {
	n := &names{limits: l, dimensions: d, ids: map[node]uint32{}, byLabels: map[node]uint32{}, ops: map[uint32]int{}, red: map[redID]uint32{}}
	for i := range n.dimValues {
		n.dimValues[i] = map[string]struct{}{}
	}
	n.addName(node{name: Other})
	return n
}

func (n *names) addName(k node) uint32 {
	id := uint32(len(n.list))
	n.ids[k] = id
	n.list = append(n.list, k)
	labels := node{name: k.name, dims: k.dims}
	first, ok := n.byLabels[labels]
	if !ok {
		first = id
		n.byLabels[labels] = id
	}
	n.labelOf = append(n.labelOf, first)
	return id
}

// peer interns something that is called. The bound is above that of services: what calls name is less trusted.
func (n *names) peer(k node) (uint32, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok := n.ids[k]; ok {
		return id, true
	}
	if len(n.list) >= 2*n.limits.Services {
		return otherID, false
	}
	return n.addName(k), true
}

// service interns a service that sends spans.
func (n *names) service(name string, dims Dims) (uint32, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := node{name: name, dims: dims}
	id, ok := n.ids[k]
	if ok {
		if _, known := n.ops[id]; known {
			return id, true
		}
	}
	if len(n.ops) >= n.limits.Services {
		n.ops[otherID] += 0
		return otherID, false
	}
	if !ok {
		id = n.addName(k)
	}
	n.ops[id] += 0
	return id, true
}

// series gives a red series its id; ok is false when it is an overflow series.
func (n *names) series(service uint32, op string, kind Kind, status Status) (id uint32, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := redID{service, op, kind, status}
	if id, ok := n.red[k]; ok {
		return id, true
	}
	if len(n.redList) >= n.limits.Series {
		k = redID{otherID, Other, kind, status}
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
func (n *names) hasOperation(k redID) bool {
	for kind := range kinds {
		for st := range statuses {
			if _, ok := n.red[redID{k.service, k.op, kind, st}]; ok {
				return true
			}
		}
	}
	return false
}

func (n *names) addSeries(k redID) uint32 {
	id := uint32(len(n.redList))
	n.red[k] = id
	n.redList = append(n.redList, k)
	return id
}

func (n *names) node(id uint32) node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list[id]
}

// compare orders nodes by what they are, not by their ids, which depend on which came first.
func (n *names) compare(a, b uint32) int {
	x, y := n.node(a), n.node(b)
	return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.system, y.system), cmp.Compare(x.dims, y.dims))
}

// labels is the first node with the same labels.
func (n *names) labels(id uint32) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.labelOf[id]
}

func (n *names) redKey(id uint32) REDKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := &n.redList[id]
	s := &n.list[k.service]
	return REDKey{s.name, k.op, k.kind, k.status, s.dims}
}

// redCount is how many red series there are.
func (n *names) redCount() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.redList)
}

// redKeys returns the keys that match accepts, by series id; nil for the others.
func (n *names) redKeys(match func(id uint32, k REDKey) bool) []*REDKey {
	n.mu.Lock()
	list, names := n.redList, n.list // both grow only
	n.mu.Unlock()
	keys := make([]*REDKey, len(list))
	for id := range list {
		r := &list[id]
		s := &names[r.service]
		if k := (REDKey{s.name, r.op, r.kind, r.status, s.dims}); match(uint32(id), k) {
			accepted := k // k itself would be allocated for each series
			keys[id] = &accepted
		}
	}
	return keys
}

// appendNew encodes every definition since the last call: the number of the first, how many, and each.
func (n *names) appendNew(b []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	b = n.appendFrom(b, n.defined.names, n.defined.red)
	n.defined.names, n.defined.red = len(n.list), len(n.redList)
	return b
}

func (n *names) appendFrom(b []byte, names, red int) []byte {
	b = binary.AppendUvarint(b, uint64(names))
	b = binary.AppendUvarint(b, uint64(len(n.list)-names))
	for _, k := range n.list[names:] {
		b = appendString(appendString(appendString(b, k.name), k.system), string(k.dims))
	}
	b = binary.AppendUvarint(b, uint64(red))
	b = binary.AppendUvarint(b, uint64(len(n.redList)-red))
	for _, k := range n.redList[red:] {
		b = binary.AppendUvarint(b, uint64(k.service))
		b = appendString(b, k.op)
		b = append(b, byte(k.kind), byte(k.status))
	}
	return b
}

// slice is the definitions up to some number of names and series, for encoding.
func (n *names) slice(upTo, red int) *names {
	return &names{list: n.list[:upTo], redList: n.redList[:red]}
}

// decode reads what appendNew wrote; definitions that are already known are passed over.
func (n *names) decode(d *decoder) {
	n.mu.Lock()
	defer n.mu.Unlock()
	first := int(d.uvarint())
	for i := range d.count() {
		k := node{name: d.string(), system: d.string(), dims: Dims(d.string())}
		if d.err == nil && first+i >= len(n.list) {
			n.addName(k)
			n.noteDims(k.dims)
		}
	}
	first = int(d.uvarint())
	for i := range d.count() {
		k := redID{service: uint32(d.uvarint()), op: d.string(), kind: Kind(d.byte()), status: Status(d.byte())}
		if d.err == nil && first+i >= len(n.redList) {
			if !n.hasOperation(k) {
				n.ops[k.service]++
			}
			n.addSeries(k)
		}
	}
	n.defined.names, n.defined.red = len(n.list), len(n.redList)
}

// The definitions are also kept in chunks of their own, so that the journal can be cut: chunk k holds what was defined between
// two cuts.
func namesKey(version uint32, shard uint16, chunk uint32) []byte {
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
