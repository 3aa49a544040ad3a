package edges

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

// Connection says what kind of call an edge stands for.
type Connection uint8

// Kinds of calls.
const (
	direct Connection = iota
	messagingSystem
	database
	VirtualNode
	Unpaired      // not an edge: edgeID.client is an unpaired reason
	VirtualClient // a virtual node calls a service
)

// ConnectionNames has what Connection of an EdgeKey says.
var ConnectionNames = [...]string{"", model.ConnectionMessaging, model.ConnectionDatabase, model.ConnectionVirtual, "unpaired",
	model.ConnectionVirtual}

// Reasons for which a half makes no edge.
const (
	reasonNoClient = iota
	reasonSecondClient
	reasonGivenUp
)

// UnpairedReasons has the names of the reasons for which a half makes no edge.
var UnpairedReasons = [...]string{"no_client_span", "duplicate_client_span", "given_up"}

// EdgeID is an EdgeKey with its nodes interned.
type EdgeID struct {
	Client, Server uint32
	Conn           Connection
}

// half flags.
const (
	HalfServer    = 1 << iota // else client
	HalfMessaging             // producer or consumer
	HalfFailed
	HalfSettled // needs no other half: a named database, or a server without parent
	HalfAtOnce  // client of a database system without a name: a virtual node until a server comes
)

// Half is one side of a call.
type Half struct {
	Key [24]byte // trace id, the client's span id
	Part
}

// Part is what a group keeps of a half. Times in nanoseconds.
type Part struct {
	End, Dur  uint64
	Svc, Peer uint32 // peer names the other side of a client that stays alone; otherID: nothing does
	// Came, of a half that is late, is its partition's watermark after its record, in Unix seconds; else 0. A group takes it over.
	Came  uint32
	Flags uint8
}

// LateBy is how far behind its partition's watermark a half is late.
const LateBy = uint64(2 * time.Second)

// Is reports whether any of the flags is set.
func (p *Part) Is(flag uint8) bool { return p.Flags&flag != 0 }

// before is a total order of parts that differ; which comes first decides who observes the client's latency. Services compare by
// name, because their ids depend on which came first.
func (p *Part) before(o *Part, nodes func(a, b uint32) int) bool {
	c := cmp.Or(cmp.Compare(p.End, o.End), cmp.Compare(p.Dur, o.Dur), cmp.Compare(p.Flags, o.Flags))
	if c == 0 && p.Svc != o.Svc {
		c = nodes(p.Svc, o.Svc)
	}
	if c == 0 && p.Peer != o.Peer {
		c = nodes(p.Peer, o.Peer)
	}
	return c < 0
}

// call is one contribution to an edge.
type call struct {
	edge     EdgeID
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
func contribute(clients, servers []Part, expired bool, nodes func(a, b uint32) int, add func(c call)) {
	first := func(ps []Part) int {
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
				add(call{edge: EdgeID{Client: reasonNoClient, Conn: Unpaired}, end: servers[i].End, noServer: true})
			}
		}
		return
	}
	ci := first(clients)
	c := &clients[ci]
	for i := range clients {
		if i != ci {
			add(call{edge: EdgeID{Client: reasonSecondClient, Conn: Unpaired}, end: clients[i].End, noServer: true})
		}
	}
	if len(servers) == 0 {
		if expired || c.Is(HalfAtOnce) {
			add(call{edge: EdgeID{c.Svc, c.Peer, VirtualNode}, end: c.End, failed: c.Is(HalfFailed), client: c.Dur, observe: true})
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
func paired(c, s *Part) call {
	conn := direct
	if (c.Flags|s.Flags)&HalfMessaging != 0 {
		conn = messagingSystem
	}
	out := call{edge: EdgeID{c.Svc, s.Svc, conn}, end: max(c.End, s.End), failed: (c.Flags|s.Flags)&HalfFailed != 0, server: s.Dur,
		client: c.Dur, observe: true}
	if conn == messagingSystem {
		out.message = true
		if start := s.End - s.Dur; start > c.End {
			out.transit = start - c.End // clocks may disagree: never less than nothing
		}
	}
	return out
}

// settled is what a half that needs no other means.
func settled(p *Part) call {
	if p.Is(HalfServer) {
		return call{edge: EdgeID{p.Peer, p.Svc, VirtualClient}, end: p.End, failed: p.Is(HalfFailed), server: p.Dur, observe: true}
	}
	return call{edge: EdgeID{p.Svc, p.Peer, database}, end: p.End, failed: p.Is(HalfFailed), server: p.Dur, client: p.Dur, observe: true}
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
