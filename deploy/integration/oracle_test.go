//go:build integration

package integration

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// The oracle: every record of a topic from offset 0, folded by the counting rules with pdata and maps. It knows nothing of how
// the product counts, and nothing of batches, checkpoints, restarts or arrival order.

// cells are what was counted, as text: one line for each (series, bucket).
type cells map[string]string

type redKey struct {
	service, operation, kind, status string
	bucket                           int64
}

type redCount struct {
	calls, sum uint64
	durations  []uint64
}

type edgeKey struct {
	client, server, connection string
	bucket                     int64
}

type edgeCount struct {
	calls, failed                    uint64
	clientDurations, serverDurations []uint64
}

type oracle struct {
	red      map[redKey]*redCount
	edges    map[edgeKey]*edgeCount
	unpaired uint64

	traces    map[pcommon.TraceID]*traceCount
	databases map[dbKey]*dbCount

	spans, unattributed, duplicates, dead uint64
	seen                                  map[[32]byte]bool // nil: every record counts
	clients, servers                      map[pairKey][]half
}

type traceCount struct {
	spans, errors uint64
	start, end    uint64
}

type dbKey struct {
	service, system, namespace, operation, collection string
	bucket                                            int64
}

type dbCount struct{ calls, failed, sum uint64 }

type pairKey struct {
	trace pcommon.TraceID
	span  pcommon.SpanID // of the client
}

type half struct {
	service, peer     string
	start, end        uint64
	failed, messaging bool
}

func newOracle(dedup bool) *oracle {
	o := &oracle{red: map[redKey]*redCount{}, edges: map[edgeKey]*edgeCount{}, clients: map[pairKey][]half{}, servers: map[pairKey][]half{},
		traces: map[pcommon.TraceID]*traceCount{}, databases: map[dbKey]*dbCount{}}
	if dedup {
		o.seen = map[[32]byte]bool{}
	}
	return o
}

// fold takes the records of a topic in any order.
func (o *oracle) fold(records []*kgo.Record) {
	var u ptrace.ProtoUnmarshaler
	for _, r := range records {
		td, err := u.UnmarshalTraces(r.Value)
		if err != nil {
			o.dead++
			continue
		}
		if o.seen != nil {
			id := sha256.Sum256(r.Value)
			if o.seen[id] {
				o.duplicates++
				continue
			}
			o.seen[id] = true
		}
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					o.span(rs.Resource(), s)
				}
			}
		}
	}
	o.pair()
}

func (o *oracle) span(res pcommon.Resource, s ptrace.Span) {
	o.spans++
	o.summary(res, s)
	name, ok := res.Attributes().Get("service.name")
	if !ok { // rule 1
		o.unattributed++
		return
	}
	service := name.AsString()
	start, end := uint64(s.StartTimestamp()), uint64(s.EndTimestamp())
	k := redKey{service, s.Name(), "SPAN_KIND_" + upper(s.Kind().String()), "STATUS_CODE_" + upper(s.Status().Code().String()),
		bucketOf(end)}
	c := o.red[k]
	if c == nil {
		c = &redCount{durations: make([]uint64, len(bounds)+1)}
		o.red[k] = c
	}
	d, n := lasted(start, end), adjusted(s.TraceState().AsRaw())
	c.calls += n
	c.sum += d * n
	observe(c.durations, d, n)
	h := half{service: service, start: start, end: end, failed: s.Status().Code() == ptrace.StatusCodeError}
	switch s.Kind() {
	case ptrace.SpanKindProducer, ptrace.SpanKindClient:
		h.messaging = s.Kind() == ptrace.SpanKindProducer
		o.client(res, s, h)
	case ptrace.SpanKindConsumer, ptrace.SpanKindServer:
		h.messaging = s.Kind() == ptrace.SpanKindConsumer
		if s.ParentSpanID().IsEmpty() { // rule 7: no span called it
			o.edge("user", service, "virtual_node", end, h.failed, &d, ptr(uint64(0)))
			return
		}
		k := pairKey{s.TraceID(), s.ParentSpanID()}
		o.servers[k] = append(o.servers[k], h)
	}
}

// summary counts a span in its trace, and if it is one, as a database call.
func (o *oracle) summary(res pcommon.Resource, s ptrace.Span) {
	start, end := uint64(s.StartTimestamp()), uint64(s.EndTimestamp())
	t := o.traces[s.TraceID()]
	if t == nil {
		t = &traceCount{start: math.MaxUint64}
		o.traces[s.TraceID()] = t
	}
	t.spans++
	t.start, t.end = min(t.start, start, end), max(t.end, end)
	service, named := res.Attributes().Get("service.name")
	failed := s.Status().Code() == ptrace.StatusCodeError
	if named && failed {
		t.errors++
	}
	attr := func(keys ...string) string {
		for _, k := range keys {
			if v, ok := s.Attributes().Get(k); ok && v.AsString() != "" {
				return v.AsString()
			}
		}
		return ""
	}
	system := attr("db.system.name", "db.system")
	if !named || s.Kind() != ptrace.SpanKindClient || system == "" {
		return
	}
	k := dbKey{service.AsString(), system, attr("db.namespace", "db.name"), attr("db.operation.name", "db.operation"),
		attr("db.collection.name"), bucketOf(end)}
	c := o.databases[k]
	if c == nil {
		c = &dbCount{}
		o.databases[k] = c
	}
	n := adjusted(s.TraceState().AsRaw())
	c.calls += n
	c.sum += n * lasted(start, end)
	if failed {
		c.failed += n
	}
}

func (o *oracle) client(res pcommon.Resource, s ptrace.Span, h half) {
	d := lasted(h.start, h.end)
	attr := func(names ...string) string {
		for _, n := range names {
			if v, ok := s.Attributes().Get(n); ok && v.AsString() != "" {
				return v.AsString()
			}
		}
		return ""
	}
	if !h.messaging { // rule 4
		if db := attr("db.name", "db.namespace"); db != "" {
			o.edge(h.service, db, "database", h.end, h.failed, &d, &d)
			return
		}
	}
	h.peer = attr("peer.service", "server.address", "net.peer.name", "db.system.name", "db.system", "messaging.destination.name")
	if system := attr("db.system.name", "db.system"); !h.messaging && system != "" {
		h.peer = system
	}
	if h.peer == "" {
		h.peer = "unknown"
	}
	k := pairKey{s.TraceID(), s.SpanID()}
	o.clients[k] = append(o.clients[k], h)
}

// pair gives what became of the halves once every window has passed.
func (o *oracle) pair() {
	for k, clients := range o.clients {
		first := func(a, b half) int { return int(int64(a.end - b.end)) }
		slices.SortFunc(clients, first)
		c, servers := clients[0], o.servers[k]
		o.unpaired += uint64(len(clients) - 1)
		d := lasted(c.start, c.end)
		if len(servers) == 0 { // rule 7
			o.edge(c.service, c.peer, "virtual_node", c.end, c.failed, ptr(uint64(0)), &d)
		}
		slices.SortFunc(servers, first)
		for i, s := range servers { // rule 6: each a call, the client's latency once
			observed := &d
			if i > 0 {
				observed = nil
			}
			connection := ""
			if c.messaging || s.messaging { // rule 5
				connection = "messaging_system"
			}
			// rule 3
			o.edge(c.service, s.service, connection, max(c.end, s.end), c.failed || s.failed, ptr(lasted(s.start, s.end)), observed)
		}
		delete(o.servers, k)
	}
	for _, servers := range o.servers { // their client was never seen
		o.unpaired += uint64(len(servers))
	}
	clear(o.clients)
	clear(o.servers)
}

func (o *oracle) edge(client, server, connection string, end uint64, failed bool, serverD, clientD *uint64) {
	k := edgeKey{client, server, connection, bucketOf(end)}
	c := o.edges[k]
	if c == nil {
		c = &edgeCount{clientDurations: make([]uint64, len(bounds)+1), serverDurations: make([]uint64, len(bounds)+1)}
		o.edges[k] = c
	}
	c.calls++
	if failed {
		c.failed++
	}
	if serverD != nil {
		observe(c.serverDurations, *serverD, 1)
	}
	if clientD != nil {
		observe(c.clientDurations, *clientD, 1)
	}
}

// bounds are those of the collector's connectors, of Tempo's span metrics and of Tempo's service graphs, in nanoseconds.
var bounds = func() []uint64 {
	list := []uint64{2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000}
	for i := range 14 {
		list = append(list, 2<<i)
	}
	for i := range 8 {
		list = append(list, 100<<i)
	}
	slices.Sort(list)
	for i := range list {
		list[i] *= 1e6
	}
	return slices.Compact(list)
}()

func observe(counts []uint64, d, n uint64) {
	i, _ := slices.BinarySearch(bounds, d)
	counts[i] += n
}

// adjusted is how many spans a sampled one stands for (rule 8), where that is a whole number: of 2^56 random values those from
// the threshold on are sampled, and th is the threshold's hexadecimal digits without trailing zeros.
func adjusted(traceState string) uint64 {
	_, digits, ok := strings.Cut(traceState, "ot=th:")
	if !ok {
		return 1
	}
	threshold, err := strconv.ParseUint((digits + "00000000000000")[:14], 16, 64)
	if err != nil {
		return 1
	}
	return (1 << 56) / (1<<56 - threshold)
}

func lasted(start, end uint64) uint64 { // rule 2
	if end < start {
		return 0
	}
	return end - start
}

func bucketOf(end uint64) int64 { return int64(end/1e9) / 10 * 10 }

func ptr[T any](v T) *T { return &v }

func upper(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] >= 'a' && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// cells renders what the oracle counted.
func (o *oracle) cells() cells {
	out := cells{}
	for k, c := range o.red {
		out[fmt.Sprintf("red %+v", k)] = fmt.Sprint(c.calls, c.sum, c.durations)
	}
	for k, c := range o.edges {
		out[fmt.Sprintf("edge %+v", k)] = fmt.Sprint(c.calls, c.failed, c.clientDurations, c.serverDurations)
	}
	for id, t := range o.traces {
		out[fmt.Sprintf("trace %x", id[:])] = fmt.Sprint(t.spans, t.errors, t.start, t.end)
	}
	for k, c := range o.databases {
		out[fmt.Sprintf("database %+v", k)] = fmt.Sprint(c.calls, c.failed, c.sum)
	}
	out["counters"] = fmt.Sprintf("spans=%d unattributed=%d duplicates=%d dead_letters=%d unpaired=%d too_late=0 overflowed=0 waiting=0",
		o.spans, o.unattributed, o.duplicates, o.dead, o.unpaired)
	return out
}

// held reads the views of a stopped process from its data folder.
func held(t *testing.T, dir string) cells {
	t.Helper()
	db, err := storage.Open(dir, storage.Options{MinFreeBytes: 1, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	layout, err := model.ReadLayout(db)
	if err != nil {
		t.Fatal(err)
	}
	set, err := views.Open(db, model.Config{Version: layout.Live})
	if err != nil {
		t.Fatal(err)
	}
	from, to := time.Unix(0, 0), time.Now().Add(time.Hour)
	out := cells{}
	series, err := set.SelectRED(from, to, func(uint32, model.REDKey) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range series {
		if s.Base.Calls != 0 {
			t.Fatalf("%v counted %d calls outside its buckets", s.Key, s.Base.Calls)
		}
		for _, c := range s.Cells {
			if c.Calls > 0 {
				k := redKey{s.Key.Service, s.Key.Operation, s.Key.Kind.String(), s.Key.Status.String(), c.Bucket}
				out[fmt.Sprintf("red %+v", k)] = fmt.Sprint(c.Calls, c.Sum.Lo, between(&c.Hist))
			}
		}
	}
	edges, err := set.SelectEdges(from, to, func(_ uint32, k model.EdgeKey) bool {
		_, unpaired := k.Unpaired()
		return !unpaired
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range edges {
		for _, c := range s.Cells {
			if c.Calls > 0 {
				k := edgeKey{s.Key.Client, s.Key.Server, s.Key.Connection, c.Bucket}
				out[fmt.Sprintf("edge %+v", k)] = fmt.Sprint(c.Calls, c.Failed, between(&c.ClientHist), between(&c.ServerHist))
			}
		}
	}
	heldTraces(t, set, out)
	calls, err := set.SelectTable(model.TableDatabases, from, to, func([]string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range calls {
		for _, c := range s.Cells {
			k := dbKey{s.Labels[0], s.Labels[1], s.Labels[2], s.Labels[3], s.Labels[4], c.Bucket}
			out[fmt.Sprintf("database %+v", k)] = fmt.Sprint(c.Calls, c.Failed, c.Sum.Lo)
		}
	}
	m, err := set.ServiceMap(from, to)
	if err != nil {
		t.Fatal(err)
	}
	unpaired := uint64(0)
	for _, u := range m.Unpaired {
		unpaired += u.Count
	}
	c := set.Counters()
	out["counters"] = fmt.Sprintf("spans=%d unattributed=%d duplicates=%d dead_letters=%d unpaired=%d too_late=%d overflowed=%d waiting=%d",
		c.Spans, c.Unattributed, c.Duplicates, c.DeadLetters, unpaired, c.TooLate, c.Overflowed, c.Waiting)
	return out
}

// heldTraces reads every summary, page by page, and of some traces all spans.
func heldTraces(t *testing.T, set *views.Set, out cells) {
	t.Helper()
	q := views.TraceQuery{Limit: 1000}
	for page := 0; ; page++ {
		r, err := set.SearchTraces(q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Traces {
			s := &r.Traces[i]
			out[fmt.Sprintf("trace %x", s.ID[:])] = fmt.Sprint(s.Spans, s.Errors, s.Start.UnixNano(), s.End.UnixNano())
			if i%100 == 0 {
				wholeTrace(t, set, s)
			}
		}
		if !r.More {
			return
		}
		q.After = &r.Traces[len(r.Traces)-1]
	}
}

// wholeTrace fails the test unless the raw spans of a trace are all kept.
func wholeTrace(t *testing.T, set *views.Set, s *views.TraceSummary) {
	t.Helper()
	_, blocks, missing, ok, err := set.Trace(s.ID)
	if err != nil || !ok || missing > 0 {
		t.Fatalf("trace %x: %v, found %v, %d blocks missing", s.ID[:], err, ok, missing)
	}
	var u ptrace.ProtoUnmarshaler
	n := uint64(0)
	for _, b := range blocks {
		td, err := u.UnmarshalTraces(b)
		if err != nil {
			t.Fatalf("trace %x: %v", s.ID[:], err)
		}
		eachSpan(td, func(sp ptrace.Span) {
			if sp.TraceID() == s.ID {
				n++
			}
		})
	}
	if n != s.Spans {
		t.Fatalf("trace %x has %d spans and %d are kept", s.ID[:], s.Spans, n)
	}
}

// between are the counts between the oracle's bounds, by the families' own answers.
func between(h *model.Histogram) []uint64 {
	upTo := map[uint64]uint64{}
	for _, family := range []model.Bounds{model.CollectorBounds, model.TempoBounds, model.TempoGraphBounds} {
		for i, n := range h.Cumulative(family) {
			upTo[uint64(family[i])] = n
		}
	}
	out := make([]uint64, 0, len(bounds)+1)
	last := uint64(0)
	for _, b := range bounds {
		n, ok := upTo[b]
		if !ok {
			n = math.MaxUint64
		}
		out = append(out, n-last)
		last = n
	}
	return append(out, h.Count()-last)
}

// differing are the cells in which two counts differ.
func differing(want, got cells) []string {
	var diff []string
	for k, w := range want {
		if g := got[k]; g != w {
			diff = append(diff, fmt.Sprintf("%s\n  oracle %s\n  views  %s", k, w, g))
		}
	}
	for k, g := range got {
		if _, ok := want[k]; !ok {
			diff = append(diff, fmt.Sprintf("%s\n  oracle nothing\n  views  %s", k, g))
		}
	}
	slices.Sort(diff)
	return diff
}

// report shows the first of many differences.
func report(diff []string) string {
	text := ""
	for _, d := range diff[:min(5, len(diff))] {
		text += d + "\n"
	}
	return text
}

// topicRecords reads a topic from offset 0 to its end.
func topicRecords(t *testing.T, brokers []string, topic string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	listed, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	listed.Each(func(l kadm.ListedOffset) {
		if l.Err != nil {
			t.Fatal(l.Err)
		}
		if l.Offset > 0 {
			left[l.Partition] = l.Offset
		}
	})
	var records []*kgo.Record
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < left[r.Partition] {
				records = append(records, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return records
}

// exact fails the test unless the views of a stopped process equal the fold of the topic.
func exact(t *testing.T, a *app, topic string, dedup bool) (records, cellsCompared int, spans uint64) {
	t.Helper()
	log := topicRecords(t, a.brokers, topic)
	o := newOracle(dedup)
	o.fold(log)
	want, got := o.cells(), held(t, a.data())
	if diff := differing(want, got); len(diff) > 0 {
		t.Fatalf("%d of %d cells differ\n%s", len(diff), len(want), report(diff))
	}
	return len(log), len(slices.Collect(maps.Keys(want))), o.spans
}
