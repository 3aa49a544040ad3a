package verify

import (
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
	service, dims string
	peer          string // the other side of a client that stays alone
	end, duration uint64 // nanoseconds
	failed        bool
	messaging     bool
	atOnce        bool // of a database system without a name: it does not wait for its server
	arrival
}

type group struct{ clients, servers []half }

// maxGroups bounds the calls of a window that are in memory, about 300 bytes each. With more, calls are not compared.
const maxGroups = 1_000_000

// calls are the calls of which both sides have to be known.
type calls struct {
	groups map[callID]*group
	only   map[callID]bool // sides that end outside of the window are taken for these; nil: for all
	over   bool            // there were more than maxGroups
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
func (c *recount) half(r *resource, s ptrace.Span, h half) {
	switch s.Kind() {
	case ptrace.SpanKindServer, ptrace.SpanKindConsumer:
		h.messaging = s.Kind() == ptrace.SpanKindConsumer
		if s.ParentSpanID().IsEmpty() { // no span called it
			c.edge(edgeKey{client: "user", server: h.service, serverDims: h.dims, connection: "virtual_node"}, h.end,
				count{failed: one(h.failed), server: h.duration, uncertain: h.uncertain})
			return
		}
		if g := c.calls.group(callID{s.TraceID(), s.ParentSpanID()}); g != nil {
			g.servers = append(g.servers, h)
		}
	case ptrace.SpanKindClient, ptrace.SpanKindProducer:
		h.messaging = s.Kind() == ptrace.SpanKindProducer
		text := func(name string) string { return textOf(s.Attributes(), name) }
		system := firstOf(text("db.system.name"), text("db.system"))
		if db := database(r, text, system); !h.messaging && db != "" {
			c.edge(edgeKey{client: h.service, clientDims: h.dims, server: clean(db, maxName), connection: "database"}, h.end,
				count{failed: one(h.failed), sum: h.duration, server: h.duration, uncertain: h.uncertain})
			return
		}
		h.peer = firstOf(text("peer.service"), text("server.address"), text("net.peer.name"), system, text("messaging.destination.name"), "unknown")
		if !h.messaging && system != "" {
			h.peer, h.atOnce = system, true
		}
		h.peer = clean(h.peer, maxName)
		if g := c.calls.group(callID{s.TraceID(), s.SpanID()}); g != nil {
			g.clients = append(g.clients, h)
		}
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

func (c *calls) group(id callID) *group {
	g := c.groups[id]
	if g == nil {
		if len(c.groups) >= maxGroups {
			c.over = true
			return nil
		}
		g = &group{}
		c.groups[id] = g
	}
	return g
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
	for id, g := range c.calls.groups {
		within := false
		for _, h := range append(g.clients[:len(g.clients):len(g.clients)], g.servers...) {
			within = within || h.end >= c.from && h.end < c.to
		}
		if within {
			of[id] = true
			c.call(g)
		}
	}
	return of
}

// after reports whether a side came so much later than another that it may not have met it.
func (h *half) after(o *half, wait time.Duration) bool {
	return h.ms-o.ms > wait.Milliseconds() || h.end > o.end+uint64(wait)
}

// call counts what the sides of one call mean. Where it depends on which met which, everything that they may mean is uncertain.
func (c *recount) call(g *group) {
	if len(g.clients) == 0 {
		return // its client was never seen: no edge
	}
	if c.unsure(g) {
		for i := range g.clients {
			c.alone(&g.clients[i], true)
			for j := range g.servers {
				c.met(&g.clients[i], &g.servers[j], true, true)
			}
		}
		return
	}
	client := &g.clients[0]
	if len(g.servers) == 0 {
		c.alone(client, false)
		return
	}
	first := 0
	for i, s := range g.servers {
		if s.end < g.servers[first].end {
			first = i
		}
	}
	for i := range g.servers { // each is a call; the client's latency is observed once
		c.met(client, &g.servers[i], i == first, false)
	}
}

// unsure reports whether the order of arrival may decide what the sides mean.
func (c *recount) unsure(g *group) bool {
	if len(g.clients) > 1 || g.clients[0].uncertain {
		return true
	}
	client := &g.clients[0]
	for i := range g.servers {
		s, wait := &g.servers[i], compensated
		if client.atOnce || len(g.servers) > 1 { // a call that has met its server waits for others no longer than that
			wait = c.Pairing
		}
		same := i > 0 && s.end == g.servers[i-1].end // which of them observes the client's latency
		if same || s.uncertain || client.after(s, c.Pairing/2) || s.after(client, wait/2) {
			return true
		}
	}
	return false
}

// alone counts a client whose server was not seen.
func (c *recount) alone(h *half, unsure bool) {
	c.edge(edgeKey{client: h.service, clientDims: h.dims, server: h.peer, connection: "virtual_node"}, h.end,
		count{failed: one(h.failed), sum: h.duration, uncertain: unsure})
}

// met counts a call of which both sides were seen.
func (c *recount) met(client, server *half, observes, unsure bool) {
	k := edgeKey{client: client.service, clientDims: client.dims, server: server.service, serverDims: server.dims}
	if client.messaging || server.messaging {
		k.connection = "messaging_system"
	}
	n := count{failed: one(client.failed || server.failed), server: server.duration, uncertain: unsure}
	if observes {
		n.sum = client.duration
	}
	c.edge(k, max(client.end, server.end), n)
}
