package verify

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage/attr"
)

// callID names the two sides of a call: the trace and the span of the client.
type callID struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// half is one side of a call.
type half struct {
	service, peer uint32 // numbers of names; peer is the other side of a client that stays alone
	next          uint32 // number of another side of the call, from 1 on
	is            uint8
	end, duration uint64 // nanoseconds
	ms            int64  // timestamp of its record, Unix milliseconds
}

// What a half is.
const (
	isServer = 1 << iota
	isFailed
	isMessaging
	isAtOnce // a client of a database system without a name: it does not wait for its server
	isUncertain
)

// calls are the calls of which both sides have to be known.
type calls struct {
	last   map[callID]uint32 // number of the last side that came, from 1 on
	halves []half
	ids    map[named]uint32
	names  []named
	only   map[callID]bool // sides that end outside of the window are taken for these; nil: for all
	most   int             // how many sides are kept
	over   bool            // there were more
}

// named is a service with its dimensions, or a peer.
type named struct{ name, dims string }

func newCalls(only map[callID]bool, most int) calls {
	return calls{last: map[callID]uint32{}, ids: map[named]uint32{}, only: only, most: most}
}

// id is the number of a name.
func (c *calls) id(n named) uint32 {
	id, ok := c.ids[n]
	if !ok {
		id = uint32(len(c.names))
		c.ids[n] = id
		c.names = append(c.names, n)
	}
	return id
}

// add takes a side of a call.
func (c *calls) add(id callID, h half) {
	if len(c.halves) >= c.most {
		c.over = true
		return
	}
	h.next = c.last[id]
	c.halves = append(c.halves, h)
	c.last[id] = uint32(len(c.halves))
}

// wants reports whether a span that ends outside of the window may be a side of a call that ends within.
func (c *calls) wants(s ptrace.Span) bool {
	switch s.Kind() {
	case ptrace.SpanKindClient, ptrace.SpanKindProducer:
		return c.only == nil || c.only[callID{s.TraceID(), s.SpanID()}]
	case ptrace.SpanKindServer, ptrace.SpanKindConsumer:
		return !s.ParentSpanID().IsEmpty() && (c.only == nil || c.only[callID{s.TraceID(), s.ParentSpanID()}])
	}
	return false
}

// half takes a span's side of a call, if it has one.
func (c *recount) half(r *resource, s ptrace.Span, of named, end, duration uint64, at arrival) {
	h := half{end: end, duration: duration, ms: at.ms}
	failed := s.Status().Code() == ptrace.StatusCodeError
	h.set(isFailed, failed)
	h.set(isUncertain, at.uncertain)
	h.set(isMessaging, s.Kind() == ptrace.SpanKindProducer || s.Kind() == ptrace.SpanKindConsumer)
	switch s.Kind() {
	case ptrace.SpanKindServer, ptrace.SpanKindConsumer:
		if s.ParentSpanID().IsEmpty() { // no span called it
			c.edge(edgeKey{client: "user", server: of.name, serverDims: of.dims, connection: "virtual_node"}, end,
				count{failed: one(failed), server: duration, uncertain: at.uncertain})
			return
		}
		h.set(isServer, true)
		h.service = c.calls.id(of)
		c.calls.add(callID{s.TraceID(), s.ParentSpanID()}, h)
	case ptrace.SpanKindClient, ptrace.SpanKindProducer:
		text := func(name string) string { return textOf(s.Attributes(), name) }
		system := firstOf(text("db.system.name"), text("db.system"))
		if db := database(r, text, system); !h.isA(isMessaging) && db != "" {
			c.edge(edgeKey{client: of.name, clientDims: of.dims, server: clean(db, maxName), connection: "database"}, end,
				count{failed: one(failed), sum: duration, server: duration, uncertain: at.uncertain})
			return
		}
		peer := firstOf(text("peer.service"), text("server.address"), text("net.peer.name"), system, text("messaging.destination.name"), "unknown")
		if !h.isA(isMessaging) && system != "" {
			peer = system
			h.set(isAtOnce, true)
		}
		h.service, h.peer = c.calls.id(of), c.calls.id(named{name: clean(peer, maxName)})
		c.calls.add(callID{s.TraceID(), s.SpanID()}, h)
	}
}

func (h *half) isA(flag uint8) bool { return h.is&flag != 0 }

func (h *half) set(flag uint8, on bool) {
	if on {
		h.is |= flag
	}
}

// database is the name of the node of a named database; "" if the call is to none.
func database(r *resource, text func(string) string, system string) string {
	name := firstOf(textOf(r.attrs, "db.namespace"), text("db.namespace"), textOf(r.attrs, "db.name"), text("db.name"))
	if name == "" || strings.Trim(name, "0123456789") != "" {
		return name
	}
	node := firstOf(system, "database") // a number is no name: it is an index within a server
	if host := firstOf(text("server.address"), text("net.peer.name"), text("peer.service")); host != "" {
		node += ":" + host
	}
	return node
}

func textOf(m pcommon.Map, name string) string {
	v, ok := m.Get(name)
	if !ok {
		return ""
	}
	return attr.Text(v)
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// edge counts a call, if it ends within the window.
func (c *recount) edge(k edgeKey, end uint64, n count) {
	if end < c.from || end >= c.to {
		return
	}
	n.n, k.bucket = 1, c.bucket(end)
	add(c.edges, k, n)
}

// pair counts the calls whose sides were all read, and returns those that a wider reading has to look at: the ones with a side in the
// window.
func (c *recount) pair() map[callID]bool {
	of := map[callID]bool{}
	var clients, servers []*half
	for id, last := range c.calls.last {
		clients, servers = clients[:0], servers[:0]
		within := false
		for n := last; n > 0; {
			h := &c.calls.halves[n-1]
			within = within || h.end >= c.from && h.end < c.to
			if h.isA(isServer) {
				servers = append(servers, h)
			} else {
				clients = append(clients, h)
			}
			n = h.next
		}
		if within {
			of[id] = true
			c.call(clients, servers)
		}
	}
	return of
}

// call counts what the sides of one call mean. Where it depends on which met which, everything that they may mean is uncertain.
func (c *recount) call(clients, servers []*half) {
	if len(clients) == 0 {
		return // its client was never seen: no edge
	}
	if len(clients) > 1 || c.unsure(clients[0], servers) {
		for _, client := range clients {
			c.alone(client, true)
			for _, server := range servers {
				c.met(client, server, true, true)
			}
		}
		return
	}
	if len(servers) == 0 {
		c.alone(clients[0], false)
		return
	}
	first := slices.MinFunc(servers, func(a, b *half) int { return cmp.Compare(a.end, b.end) })
	for _, server := range servers { // each is a call; the client's latency is observed once
		c.met(clients[0], server, server == first, false)
	}
}

// unsure reports whether the order of arrival may decide which servers met the client.
func (c *recount) unsure(client *half, servers []*half) bool {
	wait := compensated
	if client.isA(isAtOnce) || len(servers) > 1 { // a call that has met its server waits for others no longer than that
		wait = c.Pairing
	}
	for i, s := range servers {
		same := i > 0 && s.end == servers[i-1].end // which of them observes the client's latency
		if same || s.isA(isUncertain) || client.after(s, c.Pairing/2) || s.after(client, wait/2) {
			return true
		}
	}
	return client.isA(isUncertain)
}

// after reports whether a side came so much later than another that it may not have met it.
func (h *half) after(o *half, wait time.Duration) bool {
	return h.ms-o.ms > wait.Milliseconds() || h.end > o.end+uint64(wait)
}

// alone counts a client whose server was not seen.
func (c *recount) alone(h *half, unsure bool) {
	of := c.calls.names[h.service]
	c.edge(edgeKey{client: of.name, clientDims: of.dims, server: c.calls.names[h.peer].name, connection: "virtual_node"}, h.end,
		count{failed: one(h.isA(isFailed)), sum: h.duration, uncertain: unsure})
}

// met counts a call of which both sides were seen.
func (c *recount) met(client, server *half, observes, unsure bool) {
	from, to := c.calls.names[client.service], c.calls.names[server.service]
	k := edgeKey{client: from.name, clientDims: from.dims, server: to.name, serverDims: to.dims}
	if (client.is|server.is)&isMessaging != 0 {
		k.connection = "messaging_system"
	}
	n := count{failed: one((client.is|server.is)&isFailed != 0), server: server.duration, uncertain: unsure}
	if observes {
		n.sum = client.duration
	}
	c.edge(k, max(client.end, server.end), n)
}
