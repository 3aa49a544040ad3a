package views

import (
	"cmp"
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// The servicemap view: calls, failures and durations over every edge (client, server, connection type), in buckets of the later
// end of the two spans that make a call.
//
// A call is seen as two halves: a client (or producer) span, and the server (or consumer) span whose parent it is. Halves meet in
// any order, in any record, in any partition. What a group of halves with one key adds to the map is a pure function of the group
// (contribute), so when a half comes the group's old contribution is taken back and the new one added: the map depends on the
// halves alone, not on their order. In short:
//
//	a client and its servers    one call for each server; the client's latency is observed once
//	a client alone              after the pairing window, a call to a virtual node; at once, if it names a database system
//	servers alone               after the pairing window, counted as unpaired
//
// A database client that names its database, and a server without a parent, need no other half.

type connection uint8

const (
	direct connection = iota
	messagingSystem
	database
	virtualNode
	unpaired      // not an edge: edgeID.client is an unpaired reason
	virtualClient // a virtual node calls a service
)

var connectionNames = [...]string{"", model.ConnectionMessaging, model.ConnectionDatabase, model.ConnectionVirtual, "unpaired", model.ConnectionVirtual}

// Reasons for which a half makes no edge.
const (
	reasonNoClient = iota
	reasonSecondClient
	reasonGivenUp
)

var unpairedReasons = [...]string{"no_client_span", "duplicate_client_span", "given_up"}

// edgeID is an EdgeKey with its nodes interned.
type edgeID struct {
	client, server uint32
	conn           connection
}

// half flags.
const (
	halfServer    = 1 << iota // else client
	halfMessaging             // producer or consumer
	halfFailed
	halfSettled // needs no other half: a named database, or a server without parent
	halfAtOnce  // client of a database system without a name: a virtual node until a server comes
)

// half is one side of a call.
type half struct {
	key [24]byte // trace id, the client's span id
	part
}

// part is what a group keeps of a half. Times in nanoseconds.
type part struct {
	end, dur  uint64
	svc, peer uint32 // peer names the other side of a client that stays alone; otherID: nothing does
	// came, of a half that is late, is its partition's watermark after its record, in Unix seconds; else 0. A group takes it over.
	came  uint32
	flags uint8
}

// lateBy is how far behind its partition's watermark a half is late.
const lateBy = uint64(2 * time.Second)

func (p *part) is(flag uint8) bool { return p.flags&flag != 0 }

// before is a total order of parts that differ; which comes first decides who observes the client's latency. Services compare by
// name, because their ids depend on which came first.
func (p *part) before(o *part, nodes func(a, b uint32) int) bool {
	c := cmp.Or(cmp.Compare(p.end, o.end), cmp.Compare(p.dur, o.dur), cmp.Compare(p.flags, o.flags))
	if c == 0 && p.svc != o.svc {
		c = nodes(p.svc, o.svc)
	}
	if c == 0 && p.peer != o.peer {
		c = nodes(p.peer, o.peer)
	}
	return c < 0
}

// call is one contribution to an edge.
type call struct {
	edge     edgeID
	end      uint64
	failed   bool
	server   uint64 // latency
	client   uint64
	observe  bool // the client's latency
	noServer bool // nothing observed at the server: an unpaired half
	transit  uint64
	message  bool // transit is that of a message, from the end of its producer to the start of its consumer
}

// contribute calls add with everything that clients and servers with one key mean, given whether the pairing window has passed.
func contribute(clients, servers []part, expired bool, nodes func(a, b uint32) int, add func(c call)) {
	first := func(ps []part) int {
		m := 0
		for i := range ps {
			if ps[i].before(&ps[m], nodes) {
				m = i
			}
		}
		return m
	}
	if len(clients) == 0 {
		if expired {
			for i := range servers {
				add(call{edge: edgeID{client: reasonNoClient, conn: unpaired}, end: servers[i].end, noServer: true})
			}
		}
		return
	}
	ci := first(clients)
	c := &clients[ci]
	for i := range clients {
		if i != ci {
			add(call{edge: edgeID{client: reasonSecondClient, conn: unpaired}, end: clients[i].end, noServer: true})
		}
	}
	if len(servers) == 0 {
		if expired || c.is(halfAtOnce) {
			add(call{edge: edgeID{c.svc, c.peer, virtualNode}, end: c.end, failed: c.is(halfFailed), client: c.dur, observe: true})
		}
		return
	}
	si := first(servers)
	for i := range servers {
		call := paired(c, &servers[i])
		call.observe = i == si
		add(call)
	}
}

// paired is what a client and a server mean.
func paired(c, s *part) call {
	conn := direct
	if (c.flags|s.flags)&halfMessaging != 0 {
		conn = messagingSystem
	}
	out := call{edge: edgeID{c.svc, s.svc, conn}, end: max(c.end, s.end), failed: (c.flags|s.flags)&halfFailed != 0, server: s.dur, client: c.dur, observe: true}
	if conn == messagingSystem {
		out.message = true
		if start := s.end - s.dur; start > c.end {
			out.transit = start - c.end // clocks may disagree: never less than nothing
		}
	}
	return out
}

// settled is what a half that needs no other means.
func settled(p *part) call {
	if p.is(halfServer) {
		return call{edge: edgeID{p.peer, p.svc, virtualClient}, end: p.end, failed: p.is(halfFailed), server: p.dur, observe: true}
	}
	return call{edge: edgeID{p.svc, p.peer, database}, end: p.end, failed: p.is(halfFailed), server: p.dur, client: p.dur, observe: true}
}

// addTo adds the call to c, or with sign -1 takes it away again.
func (e *call) addTo(c *model.EdgeCounts, sign uint64) {
	c.Calls += sign
	if e.failed {
		c.Failed += sign
	}
	if e.noServer {
		return
	}
	c.ServerSum.Signed(e.server, sign)
	c.ServerHist.Add(e.server, sign)
	if e.message {
		c.Transit.Add(e.transit, sign)
	}
	if e.observe {
		c.ClientSum.Signed(e.client, sign)
		c.ClientHist.Add(e.client, sign)
	}
}
