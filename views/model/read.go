package model

import (
	"cmp"
	"strings"
	"time"
)

// REDKey names one series of the red view.
type REDKey struct {
	Service, Operation string
	Kind               Kind
	Status             Status
	Dims               Dims // of the service
}

// EdgeKey names one edge of the servicemap view. Connection is "", "messaging_system", "database" or "virtual_node", or says why a
// half made no edge. The series of SelectEdges have neither System nor Entry, which no label shows.
type EdgeKey struct {
	Client, Server, Connection string
	System                     string // database system of Server
	ClientDims, ServerDims     Dims   // of the ends that are services
	Entry                      bool   // the client is a virtual node, not the server
}

// Types of connections, beside "" for a call between two services.
const (
	ConnectionMessaging = "messaging_system"
	ConnectionDatabase  = "database"
	ConnectionVirtual   = "virtual_node"
)

// Types of nodes.
const (
	NodeService  = "service"
	NodeDatabase = "database"
	NodeVirtual  = "virtual_node"
)

func (k *EdgeKey) clientVirtual() bool {
	return k.Entry || k.Connection == ConnectionVirtual && k.Client == "user" && k.ServerDims != ""
}

func (k *EdgeKey) serverVirtual() bool {
	return k.Connection == ConnectionDatabase || k.Connection == ConnectionVirtual && !k.clientVirtual()
}

// ClientNode is the edge's client.
func (k *EdgeKey) ClientNode() Node {
	if k.Entry {
		return Node{Name: k.Client, Type: NodeVirtual}
	}
	return Node{Name: k.Client, Type: NodeService, Dims: k.ClientDims}
}

// ServerNode is the edge's server.
func (k *EdgeKey) ServerNode() Node {
	switch {
	case k.Connection == ConnectionDatabase:
		return Node{Name: k.Server, Type: NodeDatabase, System: k.System}
	case k.Connection == ConnectionVirtual && !k.Entry:
		return Node{Name: k.Server, Type: NodeVirtual}
	}
	return Node{Name: k.Server, Type: NodeService, Dims: k.ServerDims}
}

// UnpairedPrefix begins the Connection of what counts halves that made no edge; the reason follows.
const UnpairedPrefix = "unpaired:"

// Unpaired reports whether the key is no edge's, but that of halves that made none, and why they did not.
func (k EdgeKey) Unpaired() (reason string, ok bool) {
	if reason, ok = strings.CutPrefix(k.Connection, UnpairedPrefix); !ok {
		return "", false
	}
	return reason, true
}

// Exemplar is one span worth looking at. The zero TraceID means none.
type Exemplar struct {
	TraceID  [16]byte
	SpanID   [8]byte
	End      uint64 // Unix nanoseconds
	Duration uint64 // nanoseconds
}

// Counts is what is kept of a set of spans.
type Counts struct {
	Calls uint64 // adjusted for sampling
	Size  uint64 // encoded bytes of the spans
	Sum   Nanos  // of durations
	Hist  Histogram
}

// REDCell is one series in one bucket.
type REDCell struct {
	Bucket int64 // start, Unix seconds
	Width  int64 // seconds: BucketSeconds, or more where finer buckets are no longer kept
	Counts
	Slowest, Latest Exemplar
}

// REDTimeline is one series over a range: what it counted before the range, and its buckets within it, ascending. The value of
// its counter at time t is Base plus every cell whose bucket starts before t.
type REDTimeline struct {
	ID    uint32 // stable within a view version
	Key   REDKey
	First int64 // start of the series' first bucket, Unix seconds
	Last  int64 // start of its newest bucket
	Base  Counts
	Cells []REDCell
}

// EdgeCounts is what is kept of the calls over one edge.
type EdgeCounts struct {
	Calls, Failed          uint64
	ClientSum, ServerSum   Nanos
	ClientHist, ServerHist Histogram
	Transit                Histogram // of messages, from the end of the producer span to the start of the consumer span
}

// EdgeCell is one edge in one bucket.
type EdgeCell struct {
	Bucket, Width int64
	EdgeCounts
}

// EdgeTimeline is one edge over a range; see REDTimeline.
type EdgeTimeline struct {
	ID    uint32
	Key   EdgeKey
	First int64
	Last  int64
	Base  EdgeCounts
	Cells []EdgeCell
}

// Frontier says for which times the views speak.
type Frontier struct {
	Seq      uint64    // number of the last commit; grows by one with each
	Version  uint32    // view version; changes only when a replay swaps
	Since    time.Time // start of the oldest bucket retained; zero while nothing was counted
	Head     time.Time // newest event time counted; zero while nothing was counted
	Complete time.Time // up to here every partition has been read; zero while unknown
	// Levels says from when on buckets of each width are kept, the finest first; Since zero while nothing was counted.
	Levels [3]LevelSince
}

// LevelSince is where buckets of one width begin.
type LevelSince struct {
	Width time.Duration
	Since time.Time
}

// WidthAt is the width of the buckets that hold what happened at t.
func (f *Frontier) WidthAt(t time.Time) time.Duration {
	for _, l := range f.Levels {
		if !t.Before(l.Since) || l.Since.Unix() <= 0 {
			return l.Width
		}
	}
	return f.Levels[len(f.Levels)-1].Width
}

// Latency holds quantiles interpolated within histogram buckets.
type Latency struct{ P50, P95, P99 time.Duration }

// RED is what a service or an operation did in a range.
type RED struct {
	Calls, Errors uint64
	Latency       Latency
}

// Service is one service in a range.
type Service struct {
	Name     string
	Dims     Dims
	RED          // of all its spans, as calls_total counts them
	Entry    RED // of its SERVER and CONSUMER spans alone: what was asked of it
	LastSeen time.Time
}

// Operation is one (span name, kind) of a service in a range.
type Operation struct {
	Name string
	Kind Kind
	RED
}

// OperationLatency is how long the calls of one (span name, kind) of a service took in a range.
type OperationLatency struct {
	Service, Name string
	Kind          Kind
	Calls, Errors uint64
	Hist          Histogram
}

// Point is one step of a service's chart.
type Point struct {
	Time  time.Time // start of the step
	RED             // of all spans
	Entry RED       // of SERVER and CONSUMER spans alone
}

// Node is one place on the service map. It is known by all of its fields: a database is never a service of the same name.
type Node struct {
	Name, Type string
	System     string // of a database
	Dims       Dims   // of a service
}

// Compare orders nodes.
func (n Node) Compare(o Node) int {
	return cmp.Or(cmp.Compare(n.Name, o.Name), cmp.Compare(n.Type, o.Type), cmp.Compare(n.System, o.System), n.Dims.Compare(o.Dims))
}

// Edge is one edge of the service map in a range.
type Edge struct {
	EdgeKey
	Calls, Failed        uint64
	ClientP95, ServerP95 time.Duration
	Latency              Histogram // as the client sees it; as the server does, where no client did
	LatencySum           Nanos
	ServerSum            Nanos // as the server sees it; 0 where it sends no spans
	Transit              Histogram
}

// Unpaired counts span halves that made no edge, by reason.
type Unpaired struct {
	Reason string
	Count  uint64
}

// Map is the service map of a range.
type Map struct {
	Nodes    []Node
	Edges    []Edge
	Unpaired []Unpaired
}

// Entry reports whether spans of the series are what was asked of their service.
func (k REDKey) Entry() bool { return k.Kind == KindServer || k.Kind == KindConsumer }

// Labels is the key as the labels of series show it.
func (k EdgeKey) Labels() EdgeKey {
	k.System, k.Entry = "", false
	return k
}

// Compare orders by client, server and what distinguishes edges between them.
func (k EdgeKey) Compare(o EdgeKey) int {
	return cmp.Or(cmp.Compare(k.Client, o.Client), cmp.Compare(k.Server, o.Server), cmp.Compare(k.Connection, o.Connection),
		cmp.Compare(k.System, o.System), k.ClientDims.Compare(o.ClientDims), k.ServerDims.Compare(o.ServerDims),
		bool2int(k.Entry)-bool2int(o.Entry))
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}
