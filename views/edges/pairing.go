package edges

import (
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// Pairing holds the groups of span halves that may still change: those waiting for their other side, those counted alone that can
// be compensated, and those paired within the pairing window, because a client may have several servers.
//
// It is used by the checkpoint alone, in this order: take every half of the checkpoint, expire up to the complete frontier, read
// the edges that changed. Doing the same again with the same halves gives the same, which is how the journal restores it.
type Pairing struct {
	window, compensation uint64 // nanoseconds
	limit                int
	nodes                func(a, b uint32) int // orders nodes by what they are
	Complete             uint64                // as of the last checkpoint
	index                *halfIndex
	Groups               groupPages
	free                 []uint32
	More                 map[uint32][]Part  // further halves of a group; rare
	due                  map[int64][]uint32 // by second of event time, groups to look at then
	lists                [][]uint32         // emptied, to be used again
	Waiting              int
	Edges                map[Bucket]*model.EdgeCounts // changed by this checkpoint
	spare                []*model.EdgeCounts
	scratch              [2][]Part

	stored stored
}

// maxSpareLists bounds the emptied lists that are kept.
const maxSpareLists = 32

type group struct {
	Key            [24]byte
	Client, Server Part
	Has            uint8
	Expired        bool
	// came is the newest watermark, in Unix seconds, that a late half of the group met: that of its partition, or the complete frontier
	// when the group began. A late half waits for its other side as long as one that is not.
	came uint32
}

// Sides that a group of halves has.
const (
	HasClient = 1 << iota
	HasServer
	hasMore
	Alive
)

// Bucket names an edge in one bucket, which starts at Start, Unix seconds.
type Bucket struct {
	Edge  EdgeID
	Start int64
}

// NewPairing returns a Pairing without groups; nodes orders nodes by what they are, not by their ids.
func NewPairing(c model.Config, nodes func(a, b uint32) int) *Pairing {
	p := &Pairing{nodes: nodes, window: uint64(c.PairingWindow), compensation: uint64(c.Compensation), limit: c.Limits.Waiting,
		More: map[uint32][]Part{}, due: map[int64][]uint32{}, Edges: map[Bucket]*model.EdgeCounts{}}
	p.index = newHalfIndex(func(i uint32) *[24]byte { return &p.Groups.At(i).Key })
	return p
}

// Take counts one half.
func (p *Pairing) Take(h *Half) {
	if h.Is(HalfSettled) {
		c := settled(&h.Part)
		p.emit(&c, 1)
		return
	}
	i, ok := p.index.find(&h.Key)
	if !ok {
		p.start(h)
		return
	}
	g := p.Groups.At(i)
	g.came = max(g.came, h.Came)
	p.contribution(i, ^uint64(0))
	switch {
	case !h.Is(HalfServer) && g.Has&HasClient == 0:
		g.Client, g.Has = h.Part, g.Has|HasClient
	case h.Is(HalfServer) && g.Has&HasServer == 0:
		g.Server, g.Has = h.Part, g.Has|HasServer
	default:
		p.More[i] = append(p.More[i], h.Part)
		g.Has |= hasMore
	}
	p.contribution(i, 1)
}

func (p *Pairing) start(h *Half) {
	var i uint32
	if n := len(p.free); n > 0 {
		i, p.free = p.free[n-1], p.free[:n-1]
	} else {
		i = p.Groups.add()
	}
	g := p.Groups.At(i)
	*g = group{Key: h.Key, Has: Alive, came: max(h.Came, uint32(p.Complete/uint64(time.Second)))}
	if h.Is(HalfServer) {
		g.Server, g.Has = h.Part, g.Has|HasServer
	} else {
		g.Client, g.Has = h.Part, g.Has|HasClient
	}
	p.index.add(&h.Key, i)
	p.schedule(i, p.until(i))
	p.contribution(i, 1)
}

func (p *Pairing) schedule(i uint32, at uint64) {
	sec := int64(at/uint64(time.Second)) + 1
	list := p.due[sec]
	if list == nil && len(p.lists) > 0 {
		n := len(p.lists) - 1
		list, p.lists = p.lists[n], p.lists[:n]
	}
	p.due[sec] = append(list, i)
}

// atOnce reports a single client that was counted when it came; it is not held for compensation, because a database system that
// sends spans sends them as promptly as any service, and calls to it are many.
func (g *group) atOnce() bool { return g.Has == HasClient|Alive && g.Client.Is(HalfAtOnce) }

// Paired reports whether both sides are there.
func (g *group) Paired() bool { return g.Has&(HasClient|HasServer) == HasClient|HasServer }

// contribution adds what group i means now, or with sign -1 takes it away.
func (p *Pairing) contribution(i uint32, sign uint64) {
	g := p.Groups.At(i)
	if g.Has&hasMore == 0 && !g.Paired() {
		if !g.Expired && !g.atOnce() {
			p.Waiting += int(int64(sign))
			return
		}
	}
	if g.Has&hasMore == 0 && g.Paired() { // as nearly all are
		c := paired(&g.Client, &g.Server)
		p.emit(&c, sign)
		return
	}
	cs, ss := p.scratch[0][:0], p.scratch[1][:0]
	if g.Has&HasClient != 0 {
		cs = append(cs, g.Client)
	}
	if g.Has&HasServer != 0 {
		ss = append(ss, g.Server)
	}
	if g.Has&hasMore != 0 {
		for _, m := range p.More[i] {
			if m.Is(HalfServer) {
				ss = append(ss, m)
			} else {
				cs = append(cs, m)
			}
		}
		if !g.Paired() && !g.Expired {
			p.Waiting += int(int64(sign)) * (len(cs) + len(ss))
		}
	}
	contribute(cs, ss, g.Expired, p.nodes, func(c call) { p.emit(&c, sign) })
	p.scratch = [2][]Part{cs, ss}
}

func (p *Pairing) emit(c *call, sign uint64) {
	k := Bucket{c.edge, model.BucketStart(c.end)}
	e := p.Edges[k]
	if e == nil {
		if n := len(p.spare); n > 0 {
			e, p.spare = p.spare[n-1], p.spare[:n-1]
		} else {
			e = &model.EdgeCounts{}
		}
		p.Edges[k] = e
	}
	c.addTo(e, sign)
}

// Expire handles every group that is due up to complete (Unix nanoseconds; 0: nothing is known, so nothing expires).
func (p *Pairing) Expire(complete uint64) {
	p.Complete = max(p.Complete, complete)
	to := int64(complete / uint64(time.Second))
	var secs []int64
	for sec := range p.due {
		if sec <= to {
			secs = append(secs, sec)
		}
	}
	slices.Sort(secs)
	for _, sec := range secs {
		list := p.due[sec]
		delete(p.due, sec)
		for _, i := range list {
			p.look(i, complete)
		}
		if len(p.lists) < maxSpareLists {
			p.lists = append(p.lists, list[:0])
		}
	}
	p.bound()
}

// look decides what becomes of a group whose time has come.
func (p *Pairing) look(i uint32, complete uint64) {
	g := p.Groups.At(i)
	if g.Has&Alive == 0 {
		return
	}
	until := p.until(i)
	switch {
	case until > complete: // a half with a later end joined it
		p.schedule(i, until)
	case g.Paired() || g.Expired || g.atOnce():
		p.drop(i)
	default:
		p.contribution(i, ^uint64(0))
		g.Expired = true
		p.contribution(i, 1)
		p.schedule(i, p.until(i))
	}
}

// until is the event time up to which a group stays as it is.
func (p *Pairing) until(i uint32) uint64 {
	g := p.Groups.At(i)
	end := max(g.Client.End, g.Server.End, uint64(g.came)*uint64(time.Second))
	for _, m := range p.More[i] {
		end = max(end, m.End)
	}
	if g.Expired && !g.Paired() || g.Paired() && g.Client.Is(HalfMessaging) {
		return end + p.window + p.compensation // a second consumer may lag far behind the first
	}
	return end + p.window
}

func (p *Pairing) drop(i uint32) {
	g := p.Groups.At(i)
	p.index.remove(&g.Key, i)
	delete(p.More, i)
	*g = group{}
	p.free = append(p.free, i)
}

// bound gives up the groups that would be looked at first while there are more than the limit.
func (p *Pairing) bound() {
	if p.index.count <= p.limit {
		return
	}
	var secs []int64
	for sec := range p.due {
		secs = append(secs, sec)
	}
	slices.Sort(secs)
	for _, sec := range secs {
		for _, i := range p.due[sec] {
			if p.index.count <= p.limit {
				return
			}
			p.giveUp(i)
		}
		delete(p.due, sec)
	}
}

func (p *Pairing) giveUp(i uint32) {
	g := p.Groups.At(i)
	if g.Has&Alive == 0 {
		return
	}
	if !g.Paired() && !g.Expired {
		p.contribution(i, ^uint64(0))
		c := call{edge: EdgeID{Client: reasonGivenUp, Conn: Unpaired}, end: max(g.Client.End, g.Server.End), noServer: true}
		p.emit(&c, uint64(1+len(p.More[i])))
	}
	p.drop(i)
}

// Forget empties the edges that a checkpoint changed, after they were added to the view.
func (p *Pairing) Forget() {
	for k, e := range p.Edges {
		e.Reset()
		p.spare = append(p.spare, e)
		delete(p.Edges, k)
	}
}
