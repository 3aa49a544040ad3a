//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/deploy/servers"
)

const searchedTraces = 400

// searchedSpans are traces of a quarter of an hour with attributes in each place where a search looks, by the second in which they end.
func searchedSpans(r *rand.Rand, from time.Time) (out []ptrace.Traces) {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	attributes := func(m pcommon.Map) {
		for range r.IntN(3) {
			switch r.IntN(5) {
			case 0:
				m.PutStr("order.id", pick("a-1", "b-2", "GET /x"))
			case 1:
				m.PutInt("size", int64(r.IntN(3)))
			case 2:
				m.PutBool("retry", r.IntN(2) == 0)
			case 3:
				m.PutDouble("ratio", float64(r.IntN(4))/2)
			case 4:
				m.PutEmptySlice("tags").AppendEmpty().SetStr(pick("a", "b"))
			}
		}
	}
	for n := range searchedTraces {
		td := ptrace.NewTraces()
		id := pcommon.TraceID{1, byte(n >> 8), byte(n), 7, 15: byte(n)}
		begin := from.Add(time.Duration(n) * 900 * time.Second / searchedTraces)
		for i := range r.IntN(4) + 1 {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", pick("web", "cart", "mail"))
			attributes(rs.Resource().Attributes())
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName("lib")
			attributes(ss.Scope().Attributes())
			sp := ss.Spans().AppendEmpty()
			sp.SetTraceID(id)
			sp.SetSpanID(pcommon.SpanID{byte(n >> 8), byte(n), 6: 1, 7: byte(i + 1)})
			if i > 0 {
				sp.SetParentSpanID(pcommon.SpanID{byte(n >> 8), byte(n), 6: 1, 7: byte(r.IntN(i) + 1)})
			}
			sp.SetName(pick("get", "put"))
			sp.SetKind(ptrace.SpanKind(r.IntN(6)))
			sp.Status().SetCode(ptrace.StatusCode(r.IntN(3)))
			start := begin.Add(time.Duration(r.IntN(5)) * time.Duration(r.IntN(10e6)) * time.Microsecond)
			sp.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			sp.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add([]time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond,
				2 * time.Second, 30 * time.Second}[r.IntN(5)])))
			attributes(sp.Attributes())
			for range r.IntN(2) {
				e := sp.Events().AppendEmpty()
				e.SetTimestamp(sp.StartTimestamp())
				e.SetName("it happened")
				attributes(e.Attributes())
			}
		}
		out = append(out, td)
	}
	return out
}

// TestRawStoresSearchAsJaeger: 150 searches find the same traces in a real Jaeger, in the views, and in views that have read nothing and
// ask that Jaeger; by both versions of Jaeger's API, and by the REST API with limits of a span's duration.
func TestRawStoresSearchAsJaeger(t *testing.T) {
	fetched(t, "jaeger")
	jaeger, err := servers.NewJaeger(*runDir, t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(jaeger.Close)
	if err := jaeger.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	brokers := startKfake(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	r := rand.New(rand.NewPCG(11, 12))
	from := time.Now().Add(-20 * time.Minute).Truncate(time.Second)
	all := searchedSpans(r, from)
	for _, td := range all {
		var m ptrace.ProtoMarshaler
		b, err := m.MarshalTraces(td)
		if err == nil {
			err = cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: b}).FirstErr()
		}
		if err == nil {
			err = post(t.Context(), jaeger.OTLP, td)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	views, fresh := newApp(t, brokers), newApp(t, brokers, "WATCHINGCAT_KAFKA_START=latest", "WATCHINGCAT_JAEGER_URL="+jaeger.URL)
	for _, a := range []*app{views, fresh} {
		a.start()
		a.ready()
	}
	views.settled(searchedTraces)

	type ids []string
	search := func(base, path string, q url.Values) ids {
		t.Helper()
		var body struct {
			Data      []struct{ TraceID string }
			Summaries []struct{ TraceID string }
			Traces    []struct{ TraceID string }
			Next      *string
			Meta      rawMeta
		}
		if err := get(t.Context(), base+path+"?"+q.Encode(), &body); err != nil {
			t.Fatal(err)
		}
		if body.Meta.Partial || body.Next != nil {
			t.Fatalf("%s?%s is not all: %v", path, q.Encode(), body.Meta)
		}
		var out ids
		for _, v := range slices.Concat(body.Data, body.Summaries, body.Traces) {
			out = append(out, v.TraceID)
		}
		slices.Sort(out)
		return out
	}
	waitFor(t, func() bool { // Jaeger has all
		has := map[string]bool{}
		for _, service := range []string{"web", "cart", "mail"} {
			q := url.Values{"service": {service}, "limit": {"1000"}, "start": {fmt.Sprint(from.UnixMicro())},
				"end": {fmt.Sprint(time.Now().UnixMicro())}}
			for _, id := range search(jaeger.URL, "/api/traces", q) {
				has[id] = true
			}
		}
		return len(has) == searchedTraces
	})
	found := 0
	for i := range 150 {
		start := from.Add(time.Duration(r.IntN(900)) * time.Second)
		end := start.Add(time.Duration(1+r.IntN(600)) * time.Second)
		service, operation, tags := []string{"web", "cart", "mail"}[r.IntN(3)], "", map[string]string{}
		var shortest, longest time.Duration
		if r.IntN(3) == 0 {
			operation = []string{"get", "put"}[r.IntN(2)]
		}
		if r.IntN(2) == 0 {
			shortest = []time.Duration{time.Millisecond, 20 * time.Millisecond, time.Second}[r.IntN(3)]
		}
		if r.IntN(4) == 0 {
			longest = []time.Duration{time.Second, 20 * time.Second}[r.IntN(2)]
		}
		for _, tag := range [][2]string{{"order.id", "a-1"}, {"order.id", "GET /x"}, {"size", "1"}, {"retry", "true"}, {"ratio", "0.5"},
			{"tags", `["a"]`}} {
			if r.IntN(8) == 0 {
				tags[tag[0]] = tag[1]
			}
		}
		v1 := url.Values{"service": {service}, "limit": {"1000"}, "start": {fmt.Sprint(start.UnixMicro())},
			"end": {fmt.Sprint(end.UnixMicro())}}
		v3 := v3Search(url.Values{"query.serviceName": {service}}, start, end)
		own := url.Values{"service": {service}, "limit": {"1000"}, "start": {rfc(start)}, "end": {rfc(end.Add(1))}}
		if operation != "" {
			v1.Set("operation", operation)
			v3.Set("query.operationName", operation)
			own.Set("operation", operation)
		}
		for name, d := range map[string]time.Duration{"min": shortest, "max": longest} {
			if d > 0 {
				v1.Set(name+"Duration", d.String())
				v3.Set("query.duration"+map[string]string{"min": "Min", "max": "Max"}[name], d.String())
				own.Set(name+"_span_duration", d.String())
			}
		}
		if longest > 0 && shortest > longest {
			continue
		}
		if len(tags) > 0 {
			b, err := json.Marshal(tags)
			if err != nil {
				t.Fatal(err)
			}
			v1.Set("tags", string(b))
			v3.Set("query.attributes", string(b))
			for k, v := range tags {
				own.Add("attributes", k+"="+v)
			}
		}
		want := search(jaeger.URL, "/api/traces", v1)
		found += len(want)
		for name, a := range map[string]*app{"views": views, "store behind empty views": fresh} {
			for _, way := range []struct {
				path string
				q    url.Values
			}{{"/jaeger/api/traces", v1}, {"/jaeger/api/v3/trace-summaries", v3}, {"/api/v1/traces", own}} {
				if got := search("http://"+a.addr, way.path, way.q); !slices.Equal(got, want) {
					t.Fatalf("search %d, %s, %s?%s:\n%v\nJaeger:\n%v", i, name, way.path, way.q.Encode(), got, want)
				}
			}
		}
	}
	t.Logf("%d traces found", found)
	if found < 1000 {
		t.Fatalf("only %d traces found: the searches show little", found)
	}
}

func v3Search(q url.Values, from, to time.Time) url.Values {
	q.Set("query.startTimeMin", rfc(from))
	q.Set("query.startTimeMax", rfc(to))
	q.Set("query.searchDepth", "1000")
	return q
}
