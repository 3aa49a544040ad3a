package views

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// pairing holds the groups of span halves that may still change: those waiting for their other side, those counted alone that can
// be compensated, and those paired within the pairing window, because a client may have several servers.
//
// It is used by the checkpoint alone, in this order: take every half of the checkpoint, expire up to the complete frontier, read
// the edges that changed. Doing the same again with the same halves gives the same, which is how the journal restores it.
type pairing struct {
	window, compensation uint64 // nanoseconds
	limit                int
	nodes                func(a, b uint32) int // orders nodes by what they are
	complete             uint64                // as of the last checkpoint
	index                *halfIndex
	groups               groupPages
	free                 []uint32
	more                 map[uint32][]part  // further halves of a group; rare
	due                  map[int64][]uint32 // by second of event time, groups to look at then
	lists                [][]uint32         // emptied, to be used again
	waiting              int
	edges                map[edgeBucket]*model.EdgeCounts // changed by this checkpoint
	spare                []*model.EdgeCounts
	scratch              [2][]part
}

// maxSpareLists bounds the emptied lists that are kept.
const maxSpareLists = 32

type group struct {
	key            [24]byte
	client, server part
	has            uint8
	expired        bool
	// came is the newest watermark, in Unix seconds, that a late half of the group met: that of its partition, or the complete frontier when
	// the group began. A late half waits for its other side as long as one that is not.
	came uint32
}

const (
	hasClient = 1 << iota
	hasServer
	hasMore
	live
)

type edgeBucket struct {
	edge  edgeID
	start int64
}

func newPairing(c model.Config, nodes func(a, b uint32) int) *pairing {
	p := &pairing{nodes: nodes, window: uint64(c.PairingWindow), compensation: uint64(c.Compensation), limit: c.Limits.Waiting,
		more: map[uint32][]part{}, due: map[int64][]uint32{}, edges: map[edgeBucket]*model.EdgeCounts{}}
	p.index = newHalfIndex(func(i uint32) *[24]byte { return &p.groups.at(i).key })
	return p
}

// take counts one half.
func (p *pairing) take(h *half) {
	if h.is(halfSettled) {
		c := settled(&h.part)
		p.emit(&c, 1)
		return
	}
	i, ok := p.index.find(&h.key)
	if !ok {
		p.start(h)
		return
	}
	g := p.groups.at(i)
	g.came = max(g.came, h.came)
	p.contribution(i, ^uint64(0))
	switch {
	case !h.is(halfServer) && g.has&hasClient == 0:
		g.client, g.has = h.part, g.has|hasClient
	case h.is(halfServer) && g.has&hasServer == 0:
		g.server, g.has = h.part, g.has|hasServer
	default:
		p.more[i] = append(p.more[i], h.part)
		g.has |= hasMore
	}
	p.contribution(i, 1)
}

func (p *pairing) start(h *half) {
	var i uint32
	if n := len(p.free); n > 0 {
		i, p.free = p.free[n-1], p.free[:n-1]
	} else {
		i = p.groups.add()
	}
	g := p.groups.at(i)
	*g = group{key: h.key, has: live, came: max(h.came, uint32(p.complete/uint64(time.Second)))}
	if h.is(halfServer) {
		g.server, g.has = h.part, g.has|hasServer
	} else {
		g.client, g.has = h.part, g.has|hasClient
	}
	p.index.add(&h.key, i)
	p.schedule(i, p.until(i))
	p.contribution(i, 1)
}

func (p *pairing) schedule(i uint32, at uint64) {
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
func (g *group) atOnce() bool { return g.has == hasClient|live && g.client.is(halfAtOnce) }

func (g *group) paired() bool { return g.has&(hasClient|hasServer) == hasClient|hasServer }

// contribution adds what group i means now, or with sign -1 takes it away.
func (p *pairing) contribution(i uint32, sign uint64) {
	g := p.groups.at(i)
	if g.has&hasMore == 0 && !g.paired() {
		if !g.expired && !g.atOnce() {
			p.waiting += int(int64(sign))
			return
		}
	}
	if g.has&hasMore == 0 && g.paired() { // as nearly all are
		c := paired(&g.client, &g.server)
		p.emit(&c, sign)
		return
	}
	cs, ss := p.scratch[0][:0], p.scratch[1][:0]
	if g.has&hasClient != 0 {
		cs = append(cs, g.client)
	}
	if g.has&hasServer != 0 {
		ss = append(ss, g.server)
	}
	if g.has&hasMore != 0 {
		for _, m := range p.more[i] {
			if m.is(halfServer) {
				ss = append(ss, m)
			} else {
				cs = append(cs, m)
			}
		}
		if !g.paired() && !g.expired {
			p.waiting += int(int64(sign)) * (len(cs) + len(ss))
		}
	}
	contribute(cs, ss, g.expired, p.nodes, func(c call) { p.emit(&c, sign) })
	p.scratch = [2][]part{cs, ss}
}

func (p *pairing) emit(c *call, sign uint64) {
	k := edgeBucket{c.edge, model.BucketStart(c.end)}
	e := p.edges[k]
	if e == nil {
		if n := len(p.spare); n > 0 {
			e, p.spare = p.spare[n-1], p.spare[:n-1]
		} else {
			e = &model.EdgeCounts{}
		}
		p.edges[k] = e
	}
	c.addTo(e, sign)
}

// expire handles every group that is due up to complete (Unix nanoseconds; 0: nothing is known, so nothing expires).
func (p *pairing) expire(complete uint64) {
	p.complete = max(p.complete, complete)
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
func (p *pairing) look(i uint32, complete uint64) {
	g := p.groups.at(i)
	if g.has&live == 0 {
		return
	}
	until := p.until(i)
	switch {
	case until > complete: // a half with a later end joined it
		p.schedule(i, until)
	case g.paired() || g.expired || g.atOnce():
		p.drop(i)
	default:
		p.contribution(i, ^uint64(0))
		g.expired = true
		p.contribution(i, 1)
		p.schedule(i, p.until(i))
	}
}

// until is the event time up to which a group stays as it is.
func (p *pairing) until(i uint32) uint64 {
	g := p.groups.at(i)
	end := max(g.client.end, g.server.end, uint64(g.came)*uint64(time.Second))
	for _, m := range p.more[i] {
		end = max(end, m.end)
	}
	if g.expired && !g.paired() || g.paired() && g.client.is(halfMessaging) {
		return end + p.window + p.compensation // a second consumer may lag far behind the first
	}
	return end + p.window
}

func (p *pairing) drop(i uint32) {
	g := p.groups.at(i)
	p.index.remove(&g.key, i)
	delete(p.more, i)
	*g = group{}
	p.free = append(p.free, i)
}

// bound gives up the groups that would be looked at first while there are more than the limit.
func (p *pairing) bound() {
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

func (p *pairing) giveUp(i uint32) {
	g := p.groups.at(i)
	if g.has&live == 0 {
		return
	}
	if !g.paired() && !g.expired {
		p.contribution(i, ^uint64(0))
		c := call{edge: edgeID{client: reasonGivenUp, conn: unpaired}, end: max(g.client.end, g.server.end), noServer: true}
		p.emit(&c, uint64(1+len(p.more[i])))
	}
	p.drop(i)
}

// forget empties the edges that a checkpoint changed, after they were added to the view.
func (p *pairing) forget() {
	for k, e := range p.edges {
		e.Reset()
		p.spare = append(p.spare, e)
		delete(p.edges, k)
	}
}

// maxChunk bounds one stored value of groups.
const maxChunk = 512 << 10

// Groups are stored as a whole by each fold, in chunks of a generation.
func waitingKey(ks model.Keyspace, gen uint32, n int) []byte {
	k := binary.BigEndian.AppendUint32(ks.Key(storage.TableWaiting), gen)
	return binary.BigEndian.AppendUint32(k, uint32(n))
}

// fold returns the entries of a generation and how many they are.
func (p *pairing) fold(ks model.Keyspace, gen uint32, entries []storage.Entry) (_ []storage.Entry, chunks int) {
	buf := []byte{}
	flush := func() {
		entries = append(entries, storage.Entry{Key: waitingKey(ks, gen, chunks), Value: buf})
		chunks++
		buf = make([]byte, 0, maxChunk)
	}
	for i := range p.groups.n {
		if p.groups.at(i).has&live == 0 {
			continue
		}
		if buf = p.appendGroup(buf, i); len(buf) >= maxChunk-4096 {
			flush()
		}
	}
	if len(buf) > 0 {
		flush()
	}
	return entries, chunks
}

// A group: key, flags, when it came, client, server, further parts.
func (p *pairing) appendGroup(b []byte, i uint32) []byte {
	g := p.groups.at(i)
	b = append(b, g.key[:]...)
	flags := g.has
	if g.expired {
		flags |= 1 << 7
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(g.came))
	if g.has&hasClient != 0 {
		b = g.client.append(b, 0)
	}
	if g.has&hasServer != 0 {
		b = g.server.append(b, 0)
	}
	if g.has&hasMore != 0 {
		b = binary.AppendUvarint(b, uint64(len(p.more[i])))
		for _, m := range p.more[i] {
			b = m.append(b, 0)
		}
	}
	return b
}

// append encodes a part; its end relative to base.
func (p *part) append(b []byte, base uint64) []byte {
	b = append(b, p.flags)
	b = binary.AppendVarint(b, int64(p.end-base))
	b = model.AppendUvarint(b, p.dur)
	b = model.AppendUvarint(b, uint64(p.svc))
	return model.AppendUvarint(b, uint64(p.peer))
}

func (p *part) decode(d *model.Decoder, base uint64) {
	p.flags = d.Byte()
	p.end = base + uint64(d.Varint())
	p.dur = d.Uvarint()
	p.svc, p.peer = uint32(d.Uvarint()), uint32(d.Uvarint())
}

// restore reads one stored chunk of groups.
func (p *pairing) restore(v []byte) error {
	d := model.Decoder{B: v}
	for len(d.B) > 0 && d.Err == nil {
		i := p.groups.add()
		g := p.groups.at(i)
		copy(g.key[:], d.Bytes(24))
		flags := d.Byte()
		g.has, g.expired, g.came = flags&^(1<<7), flags&(1<<7) != 0, uint32(d.Uvarint())
		if g.has&hasClient != 0 {
			g.client.decode(&d, 0)
		}
		if g.has&hasServer != 0 {
			g.server.decode(&d, 0)
		}
		if g.has&hasMore != 0 {
			for range d.Count() {
				var m part
				if m.decode(&d, 0); d.Err != nil {
					return d.Err
				}
				p.more[i] = append(p.more[i], m)
			}
		}
		p.index.add(&g.key, i)
		p.schedule(i, p.until(i))
		if !g.paired() && !g.expired && !g.atOnce() {
			p.waiting += 1 + len(p.more[i])
		}
	}
	return d.Err
}
