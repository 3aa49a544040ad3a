package ingest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

// identity reads spans from OTLP bytes into views.
type identity struct {
	t      *testing.T
	set    *views.Set
	ingest *Ingest
	offset int64
	now    time.Time
	td     ptrace.Traces
	ids    byte
}

func newIdentity(t *testing.T, cfg model.Config) *identity {
	t.Helper()
	kv := storage.NewMem(storage.MemOptions{})
	cfg.TraceBytes = 1 << 20
	set, err := views.Open(kv, cfg)
	require.NoError(t, err)
	x := &identity{t: t, set: set, now: time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC), td: ptrace.NewTraces()}
	x.ingest = New(Config{Set: set, KV: kv})
	return x
}

type attrs map[string]any

func (a attrs) put(m pcommon.Map) {
	for k, v := range a {
		if err := m.PutEmpty(k).FromRaw(v); err != nil {
			panic(err)
		}
	}
}

// span adds a span that ended at x.now.
func (x *identity) span(resource attrs, kind ptrace.SpanKind, name string, a attrs) ptrace.Span {
	rs := x.td.ResourceSpans().AppendEmpty()
	resource.put(rs.Resource().Attributes())
	sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	x.ids++
	sp.SetTraceID(pcommon.TraceID{1, x.ids})
	sp.SetSpanID(pcommon.SpanID{x.ids})
	sp.SetName(name)
	sp.SetKind(kind)
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(x.now.Add(-100 * time.Millisecond)))
	sp.SetEndTimestamp(pcommon.NewTimestampFromTime(x.now))
	a.put(sp.Attributes())
	return sp
}

// send applies what was added as one record with a timestamp.
func (x *identity) send(timestamp time.Time) {
	x.t.Helper()
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(x.td)
	require.NoError(x.t, err)
	x.td = ptrace.NewTraces()
	a := x.set.Partition("otlp_spans", 0)
	rec := model.Record{Offset: x.offset, Timestamp: timestamp.UnixMilli(), Received: x.now.UnixMilli()}
	x.offset++
	require.NoError(x.t, x.ingest.apply(a, &kgo.Record{Topic: "otlp_spans", Value: b}, rec))
	require.NoError(x.t, x.ingest.Checkpoint(x.t.Context(), x.now))
}

func (x *identity) around() (from, to time.Time) { return x.now.Add(-time.Hour), x.now.Add(time.Hour) }

func (x *identity) serviceMap(f model.DimFilter) (nodes, edges []string) {
	x.t.Helper()
	from, to := x.around()
	m, err := live.Narrow(x.set, f).ServiceMap(from, to)
	require.NoError(x.t, err)
	for _, n := range m.Nodes {
		nodes = append(nodes, strings.TrimSpace(strings.Join([]string{n.Name, n.Type, n.System, n.Dims.String()}, " ")))
	}
	for _, e := range m.Edges {
		edges = append(edges, fmt.Sprintf("%s>%s %s %d", e.Client, e.Server, e.Connection, e.Calls))
	}
	slices.Sort(nodes)
	slices.Sort(edges)
	return nodes, edges
}

func TestNodesAreNameAndType(t *testing.T) {
	x := newIdentity(t, model.Config{})
	billing := attrs{"service.name": "billing"}
	x.span(billing, ptrace.SpanKindClient, "q", attrs{"db.namespace": "orders", "db.system.name": "postgresql"})
	x.span(billing, ptrace.SpanKindClient, "q", attrs{"db.namespace": "orders", "db.system.name": "mysql"})
	x.span(attrs{"service.name": "orders"}, ptrace.SpanKindServer, "GET", nil)
	x.span(attrs{"service.name": "user"}, ptrace.SpanKindServer, "GET", nil)
	x.span(billing, ptrace.SpanKindClient, "q", attrs{"db.namespace": "0", "db.system.name": "redis", "server.address": "cache-1"})
	x.span(billing, ptrace.SpanKindClient, "q", attrs{"db.name": 0, "db.system": "redis", "net.peer.name": "cache-2"})
	x.span(billing, ptrace.SpanKindClient, "q", attrs{"db.name": "old", "db.namespace": "new", "db.system.name": "postgresql"})
	x.send(x.now)
	nodes, edges := x.serviceMap(nil)
	require.Equal(t, []string{"billing service", "new database postgresql", "orders database mysql", "orders database postgresql",
		"orders service", "redis:cache-1 database redis", "redis:cache-2 database redis", "user service", "user virtual_node"}, nodes)
	require.Equal(t, []string{"billing>new database 1", "billing>orders database 1", "billing>orders database 1",
		"billing>redis:cache-1 database 1", "billing>redis:cache-2 database 1", "user>orders virtual_node 1", "user>user virtual_node 1"},
		edges)
	// the labels of series cannot distinguish the two databases: they are one series
	from, to := x.around()
	lines, err := x.set.SelectEdges(from, to, func(_ uint32, k model.EdgeKey) bool { return k.Server == "orders" })
	require.NoError(t, err)
	got := map[string]uint64{}
	for _, l := range lines {
		require.Empty(t, l.Key.System)
		for _, c := range l.Cells {
			got[l.Key.Client+" "+l.Key.Connection] += c.Calls
		}
	}
	require.Equal(t, map[string]uint64{"billing database": 2, "user virtual_node": 1}, got)
	require.Len(t, lines, 2)
}

func TestOldAndNewConventions(t *testing.T) {
	x := newIdentity(t, model.Config{})
	r := attrs{"service.name": "s"}
	for _, a := range []attrs{
		{"db.system": "mysql", "db.name": "shop", "db.sql.table": "items", "db.operation": "SELECT"},
		{"db.system": "mongodb", "db.name": "shop", "db.mongodb.collection": "items", "db.operation": "find"},
		{"db.system": "cassandra", "db.name": "shop", "db.cassandra.table": "items", "db.operation": "GET"},
		{"db.system": "x", "db.system.name": "postgresql", "db.name": "oldname", "db.namespace": "newname", "db.sql.table": "oldtable",
			"db.collection.name": "newtable",
			"db.operation":       "oldop", "db.operation.name": "newop"},
	} {
		x.span(r, ptrace.SpanKindClient, "q", a)
	}
	x.span(r, ptrace.SpanKindProducer, "p", attrs{"messaging.system": "kafka", "messaging.destination": "orders"})
	x.span(r, ptrace.SpanKindProducer, "p",
		attrs{"messaging.system": "kafka", "messaging.destination": "old", "messaging.destination.name": "new"})
	x.send(x.now)
	from, to := x.around()
	rows := func(table model.Table) (out []string) {
		list, err := x.set.TableRows(table, from, to, func([]string) bool { return true })
		require.NoError(t, err)
		for _, r := range list {
			out = append(out, strings.TrimSpace(strings.Join(r.Labels, " ")))
		}
		return out
	}
	require.Equal(t, []string{"s cassandra shop GET items", "s mongodb shop find items", "s mysql shop SELECT items",
		"s postgresql newname newop newtable"}, rows(model.TableDatabases))
	require.Equal(t, []string{"s kafka new producer", "s kafka orders producer"}, rows(model.TableMessaging))
	_, edges := x.serviceMap(nil)
	require.Contains(t, edges, "s>newname database 1")
}

func TestDimensions(t *testing.T) {
	x := newIdentity(t, model.Config{Dimensions: []string{"deployment.environment.name", "service.namespace"},
		Limits: model.Limits{DimensionValues: 3}})
	call := func(env attrs) {
		client, server := attrs{"service.name": "web"}, attrs{"service.name": "cart"}
		for k, v := range env {
			client[k], server[k] = v, v
		}
		c := x.span(client, ptrace.SpanKindClient, "call", attrs{"peer.service": "cart"})
		s := x.span(server, ptrace.SpanKindServer, "serve", nil)
		s.SetTraceID(c.TraceID())
		s.SetParentSpanID(c.SpanID())
		x.span(client, ptrace.SpanKindClient, "q", attrs{"db.namespace": "main", "db.system.name": "pg"})
	}
	call(attrs{"deployment.environment.name": "production"})
	call(attrs{"deployment.environment": "staging"}) // the old name
	call(attrs{"deployment.environment": "old", "deployment.environment.name": "production"})
	// a span's own attribute wins
	x.span(attrs{"service.name": "web", "deployment.environment.name": "production"}, ptrace.SpanKindInternal, "own",
		attrs{"deployment.environment.name": "canary"})
	x.send(x.now)
	from, to := x.around()
	services := func(f model.DimFilter) (out []string) {
		list, err := live.Narrow(x.set, f).Services(from, to)
		require.NoError(t, err)
		for _, s := range list {
			out = append(out, fmt.Sprint(s.Name, " ", s.Dims.String(), " ", s.Calls))
		}
		return out
	}
	env := func(v string) model.DimFilter { return model.DimFilter{"deployment.environment.name": v} }
	require.Equal(t, []string{"cart deployment.environment.name=production 2", "cart deployment.environment.name=staging 1",
		"web deployment.environment.name=canary 1", "web deployment.environment.name=production 4",
		"web deployment.environment.name=staging 2"}, services(nil))
	require.Equal(t, []string{"cart deployment.environment.name=staging 1", "web deployment.environment.name=staging 2"},
		services(env("staging")))
	_, edges := x.serviceMap(env("staging"))
	require.Equal(t, []string{"web>cart  1", "web>main database 1"}, edges)
	nodes, edges := x.serviceMap(nil)
	require.Len(t, nodes, 5)
	require.Equal(t, []string{"web>cart  1", "web>cart  2", "web>main database 1", "web>main database 2"}, edges)
	rows, err := live.Narrow(x.set, env("production")).TableRows(model.TableDatabases, from, to, func([]string) bool { return true })
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.EqualValues(t, 2, rows[0].Calls)
	found, err := live.Narrow(x.set, env("canary")).(*live.View).SearchTraces(views.TraceQuery{Limit: 10})
	require.NoError(t, err)
	require.Len(t, found.Traces, 1)
	require.Equal(t, []model.Dimension{{Name: "deployment.environment.name", Values: []string{"canary", "production", "staging"}},
		{Name: "service.namespace", Values: []string{}}}, x.set.DimensionValues())

	// beyond the limit: totals stay exact
	for i := range 5 {
		x.span(attrs{"service.name": "web", "deployment.environment.name": fmt.Sprint("pr-", i)}, ptrace.SpanKindInternal, "own", nil)
	}
	x.send(x.now)
	require.Equal(t, []string{"web deployment.environment.name=_other 5"}, services(env(model.Other)))
	require.EqualValues(t, 5, x.set.Counters().Overflowed)
}

// TestDimensionsAreKept: a version keeps the dimensions that it was made with, whatever is configured later.
func TestDimensionsAreKept(t *testing.T) {
	kv := storage.NewMem(storage.MemOptions{})
	for i, dims := range [][]string{{"service.namespace"}, {"deployment.environment.name"}, nil} {
		set, err := views.Open(kv, model.Config{Dimensions: dims})
		require.NoError(t, err)
		require.Equal(t, []string{"service.namespace"}, set.Dimensions().Names())
		g := New(Config{Set: set, KV: kv})
		x := &identity{t: t, set: set, ingest: g, now: time.Now(), td: ptrace.NewTraces(), offset: int64(i)}
		x.span(attrs{"service.name": "web", "service.namespace": "shop"}, ptrace.SpanKindInternal, "own", nil)
		x.send(x.now)
		from, to := x.around()
		list, err := set.Services(from, to)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, "shop", list[0].Dims.Get("service.namespace"))
		require.EqualValues(t, i+1, list[0].Calls)
	}
	for _, bad := range [][]string{{"a.b", "a_b"}, {"span.name"}, {""}, {"ключ"}, {"le"},
		slices.Repeat([]string{"x"}, model.MaxDimensions+1)} {
		_, err := model.NewDimensions(bad)
		require.Error(t, err, bad)
	}
}

func TestNamesAreValidUTF8(t *testing.T) {
	x := newIdentity(t, model.Config{Dimensions: []string{"service.namespace"}})
	const raw, want = "a-\xff\xfe\xe4-z", "a-\uFFFD-z"
	x.span(attrs{"service.name": raw, "service.namespace": raw}, ptrace.SpanKindClient, raw,
		attrs{"peer.service": raw, "db.namespace": raw, "db.system.name": raw, "db.collection.name": raw}).
		Events().AppendEmpty().SetName("exception")
	x.span(attrs{"service.name": raw, "service.namespace": raw, "service.version": raw}, ptrace.SpanKindProducer, raw,
		attrs{"messaging.destination.name": raw})
	// the same when cleaned
	x.span(attrs{"service.name": "a-\xff-z", "service.namespace": "a-\xe4-z"}, ptrace.SpanKindInternal, strings.Repeat("é", 600), nil)
	x.send(x.now)
	from, to := x.around()
	list, err := x.set.Services(from, to)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, want, list[0].Name)
	require.Equal(t, want, list[0].Dims.Get("service.namespace"))
	require.EqualValues(t, 3, list[0].Calls)
	ops, ok, err := x.set.Operations(want, from, to)
	require.NoError(t, err)
	require.True(t, ok)
	for _, o := range ops {
		require.Contains(t, []string{want, strings.Repeat("é", 512)}, o.Name)
	}
	nodes, _ := x.serviceMap(nil)
	require.Equal(t, []string{want + " database " + want, want + " service  service.namespace=" + want}, nodes)
	for _, table := range []model.Table{model.TableDatabases, model.TableMessaging, model.TableVersions, model.TableErrors} {
		rows, err := x.set.TableRows(table, from, to, func([]string) bool { return true })
		require.NoError(t, err)
		for _, r := range rows {
			for _, l := range r.Labels[:len(r.Labels)-1] {
				require.Equal(t, strings.ToValidUTF8(l, ""), l)
				require.NotContains(t, l, "\xff")
			}
			require.Equal(t, want, r.Labels[0])
		}
	}
}

// TestOneExceptionThroughNestedSpans: an exception that runs up through three spans is one; two in a row are two.
func TestOneExceptionThroughNestedSpans(t *testing.T) {
	x := newIdentity(t, model.Config{})
	r := attrs{"service.name": "s"}
	throw := func(sp ptrace.Span, msg string) {
		e := sp.Events().AppendEmpty()
		e.SetName("exception")
		e.Attributes().PutStr("exception.type", "IOError")
		e.Attributes().PutStr("exception.message", msg)
	}
	top := x.span(r, ptrace.SpanKindServer, "top", nil)
	mid := x.span(r, ptrace.SpanKindInternal, "mid", nil)
	quiet := x.span(r, ptrace.SpanKindInternal, "quiet", nil)
	leaf := x.span(r, ptrace.SpanKindClient, "leaf", nil)
	for _, link := range [][2]ptrace.Span{{mid, top}, {quiet, mid}, {leaf, quiet}} {
		link[0].SetTraceID(top.TraceID())
		link[0].SetParentSpanID(link[1].SpanID())
	}
	for _, sp := range []ptrace.Span{top, mid, leaf} {
		throw(sp, "closed 17")
	}
	for range 2 { // a retry: two attempts fail alike
		sp := x.span(r, ptrace.SpanKindClient, "try", nil)
		sp.SetTraceID(top.TraceID())
		sp.SetParentSpanID(top.SpanID())
		throw(sp, "refused")
	}
	// a parent of itself must not loop
	odd := x.span(r, ptrace.SpanKindInternal, "odd", nil)
	odd.SetParentSpanID(odd.SpanID())
	throw(odd, "refused")
	throw(odd, "refused")
	x.send(x.now)
	from, to := x.around()
	rows, err := x.set.TableRows(model.TableErrors, from, to, func([]string) bool { return true })
	require.NoError(t, err)
	got := map[string]uint64{}
	for _, r := range rows {
		got[r.Labels[1]+" "+r.Labels[3]] += r.Calls
	}
	require.Equal(t, map[string]uint64{"leaf closed <*>": 1, "try refused": 2, "odd refused": 2}, got)
}

// TestClocks: what claims to be ahead of the receiver's clock is shifted, start and end together, and shown at that time everywhere; one
// that is behind stays where it is. Neither moves the newest time.
func TestClocks(t *testing.T) {
	for name, off := range map[string]time.Duration{"50 min ahead": 50 * time.Minute, "a day ahead": 24 * time.Hour,
		"a year ahead": 365 * 24 * time.Hour, "11 s ahead": 11 * time.Second} {
		for _, stamped := range []bool{false, true} { // the record's timestamp is ahead too
			x := newIdentity(t, model.Config{})
			good := attrs{"service.name": "good"}
			x.span(good, ptrace.SpanKindServer, "op", nil)
			x.send(x.now)
			sp := x.span(attrs{"service.name": "ahead"}, ptrace.SpanKindServer, "op", nil)
			sp.SetStartTimestamp(pcommon.NewTimestampFromTime(x.now.Add(off - 2*time.Second)))
			sp.SetEndTimestamp(pcommon.NewTimestampFromTime(x.now.Add(off)))
			sp.Events().AppendEmpty().SetTimestamp(pcommon.NewTimestampFromTime(x.now.Add(off - time.Second)))
			id := [16]byte(sp.TraceID())
			ts := x.now
			if stamped {
				ts = ts.Add(off)
			}
			x.send(ts)
			x.now = x.now.Add(time.Second)
			x.span(good, ptrace.SpanKindServer, "op", nil)
			x.send(x.now)
			require.False(t, x.set.Frontier().Head.After(x.now.Add(model.DefaultFutureTolerance)), name)
			require.EqualValues(t, 1, x.set.Counters().Future, name)
			head := x.set.Frontier().Head
			list, err := x.set.Services(head.Add(-15*time.Minute), head.Add(time.Second))
			require.NoError(t, err)
			require.Len(t, list, 2, name)
			sum, raw, _, ok, err := x.set.Trace(id)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, 2*time.Second, sum.Duration(), name)
			require.Equal(t, x.now.Add(-time.Second), sum.End, name)
			var um ptrace.ProtoUnmarshaler
			td, err := um.UnmarshalTraces(raw[0])
			require.NoError(t, err)
			shown := 0
			for _, rs := range td.ResourceSpans().All() {
				got := rs.ScopeSpans().At(0).Spans().At(0)
				if got.TraceID() == id {
					shown++
					require.Equal(t, sum.Start, got.StartTimestamp().AsTime(), name)
					require.Equal(t, sum.End, got.EndTimestamp().AsTime(), name)
					require.Equal(t, sum.End.Add(-time.Second), got.Events().At(0).Timestamp().AsTime(), name)
				}
			}
			require.Equal(t, 1, shown)
		}
	}
	t.Run("behind", func(t *testing.T) {
		x := newIdentity(t, model.Config{})
		x.span(attrs{"service.name": "good"}, ptrace.SpanKindServer, "op", nil)
		x.send(x.now)
		// its spans are right, but the collector that wrote the record is 50 minutes behind
		x.span(attrs{"service.name": "other"}, ptrace.SpanKindServer, "op", nil)
		x.send(x.now.Add(-50 * time.Minute))
		list, err := x.set.Services(x.now.Add(-time.Minute), x.now.Add(time.Second))
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Zero(t, x.set.Counters().Future)
	})
	t.Run("halves that are late still meet", func(t *testing.T) {
		x := newIdentity(t, model.Config{})
		x.span(attrs{"service.name": "good"}, ptrace.SpanKindServer, "op", nil)
		x.send(x.now)
		now := x.now
		x.now = now.Add(-50 * time.Minute)
		c := x.span(attrs{"service.name": "late"}, ptrace.SpanKindClient, "call", attrs{"peer.service": "x"})
		id, span := c.TraceID(), c.SpanID()
		x.now = now
		x.send(x.now)
		x.now = now.Add(-50 * time.Minute)
		s := x.span(attrs{"service.name": "server"}, ptrace.SpanKindServer, "serve", nil)
		s.SetTraceID(id)
		s.SetParentSpanID(span)
		x.now = now.Add(time.Second)
		x.send(x.now)
		_, edges := x.serviceMap(nil)
		require.Contains(t, edges, "late>server  1")
	})
}

// TestMissingTimes: no end is the start, neither is the record's time, and an absurd start does not hide the trace.
func TestMissingTimes(t *testing.T) {
	x := newIdentity(t, model.Config{})
	r := attrs{"service.name": "s"}
	noEnd := x.span(r, ptrace.SpanKindServer, "no end", nil)
	noEnd.SetEndTimestamp(0)
	noEndID := [16]byte(noEnd.TraceID())
	neither := x.span(r, ptrace.SpanKindServer, "neither", nil)
	neither.SetStartTimestamp(0)
	neither.SetEndTimestamp(0)
	neitherID := [16]byte(neither.TraceID())
	endless := x.span(r, ptrace.SpanKindServer, "endless", nil)
	endless.SetEndTimestamp(math.MaxUint64)
	endlessID := [16]byte(endless.TraceID())
	x.send(x.now)
	for _, id := range [][16]byte{noEndID, neitherID, endlessID} {
		sum, _, _, ok, err := x.set.Trace(id)
		require.NoError(t, err)
		require.True(t, ok)
		require.Less(t, sum.End.Sub(x.now).Abs(), time.Second)
	}
	list, err := x.set.Services(x.now.Add(-time.Minute), x.now.Add(time.Minute))
	require.NoError(t, err)
	require.EqualValues(t, 3, list[0].Calls)
	require.Zero(t, x.set.Counters().TooLate)
}

// TestRootElsewhere: a trace whose root is not traced here is named by its first span, until a root comes.
func TestRootElsewhere(t *testing.T) {
	x := newIdentity(t, model.Config{})
	first := x.span(attrs{"service.name": "gateway"}, ptrace.SpanKindServer, "GET /", nil)
	first.SetParentSpanID(pcommon.SpanID{99})
	first.SetStartTimestamp(first.StartTimestamp() - 1e9)
	id := first.TraceID()
	second := x.span(attrs{"service.name": "cart"}, ptrace.SpanKindServer, "serve", nil)
	second.SetTraceID(id)
	second.SetParentSpanID(pcommon.SpanID{98})
	x.send(x.now)
	sum, _, _, _, err := x.set.Trace(id)
	require.NoError(t, err)
	require.Equal(t, "gateway GET /", sum.RootService+" "+sum.RootOperation)
	root := x.span(attrs{"service.name": "edge"}, ptrace.SpanKindServer, "root", nil)
	root.SetTraceID(id)
	x.send(x.now)
	sum, _, _, _, err = x.set.Trace(id)
	require.NoError(t, err)
	require.Equal(t, "edge root", sum.RootService+" "+sum.RootOperation)
}
