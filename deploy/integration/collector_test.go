//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/deploy/servers"
)

// TestCollector puts the same traffic through a collector and real Kafka to watchingcat and to the collector's own connectors, and
// compares every count. deploy/docs/migrate-connectors.md lists the differences that the counting rules name; each is asserted here,
// everything else is equal.
func TestCollector(t *testing.T) {
	for _, config := range []string{"defaults", "by-trace"} {
		t.Run(config, func(t *testing.T) { compareWithConnectors(t, config) })
	}
}

func compareWithConnectors(t *testing.T, config string) {
	k := startKafka(t, 1)
	a := newApp(t, k.Brokers())
	a.start()
	a.up()
	otlpGRPC, otlpHTTP, metrics := port(t), port(t), port(t)
	kafka := "KAFKA=" + k.Brokers()[0]
	startCollector(t, "reference", kafka, fmt.Sprint("METRICS=", metrics))
	startCollector(t, config, kafka, fmt.Sprint("OTLP_GRPC=", otlpGRPC), fmt.Sprint("OTLP_HTTP=", otlpHTTP))
	traces := fmt.Sprintf("http://127.0.0.1:%d/v1/traces", otlpHTTP)
	waitFor(t, func() bool { return post(t.Context(), traces, ptrace.NewTraces()) == nil })

	late := ruleTraffic(t, traces)
	hotrod := replayHotROD(t, traces)
	telemetrygen(t, otlpGRPC, "--traces", "200", "--service", "generated")
	telemetrygen(t, otlpGRPC, "--traces", "50", "--service", "failing", "--status-code", "Error")
	telemetrygen(t, otlpGRPC, "--traces", "50", "--service", "rule6", "--child-spans", "3")
	sendAgain(t, k.Brokers())
	time.Sleep(14 * time.Second) // the connector's 10 s of waiting and its sweep every 2 s
	if err := post(t.Context(), traces, late); err != nil {
		t.Fatal(err)
	}
	var red, edges int
	compare := func() (diff []string) {
		theirs, err := scrape(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics))
		if err != nil {
			return []string{err.Error()}
		}
		ours := a.query(`{__name__=~"traces_span_metrics_(calls_total|duration_milliseconds_(bucket|count|sum))|traces_service_graph_request_.*(total|bucket|count|sum)"}`)
		diff, red, edges = unequal(counts(ours), counts(theirs))
		return diff
	}
	end := time.Now().Add(2 * time.Minute)
	for diff := compare(); len(diff) > 0; diff = compare() {
		if time.Now().After(end) {
			t.Fatalf("%d differences that no rule names:\n%s", len(diff), strings.Join(diff[:min(12, len(diff))], "\n"))
		}
		time.Sleep(500 * time.Millisecond)
	}
	a.settled(int64(len(topicRecords(t, a.brokers, topic))))
	time.Sleep(13 * time.Second) // nothing that waited on either side may change it any more
	if diff := compare(); len(diff) > 0 {
		t.Fatalf("equal at first, then %d differences:\n%s", len(diff), strings.Join(diff[:min(12, len(diff))], "\n"))
	}
	log := topicRecords(t, a.brokers, topic)
	keys := 0
	for _, r := range log {
		if len(r.Key) > 0 {
			keys++
		}
	}
	a.Kill()
	_, n, spans := exact(t, a, topic, true)
	t.Logf("%d spans (%d of HotROD) in %d records, %d with a key: %d values of RED series and %d of edges equal the connectors'; 0 of %d cells differ from the oracle",
		spans, hotrod, len(log), keys, red, edges, n)
}

func port(t *testing.T) int {
	t.Helper()
	n, err := freeport.Servers.Port()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func startCollector(t *testing.T, config string, env ...string) {
	t.Helper()
	file, err := filepath.Abs("../servers/collector/" + config + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := servers.Start(servers.Spec{Name: filepath.Base(config), Path: fetched(t, "collector"), Args: []string{"--config", file},
		Env: env, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last of the collector's log (%s):\n%s", config, p.Tail(10))
		}
		p.Kill()
	})
}

// post sends spans to an OTLP receiver.
func post(ctx context.Context, url string, td ptrace.Traces) error {
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	if err != nil {
		return err
	}
	return postOTLP(ctx, url, b)
}

// postOTLP sends an encoded export request.
func postOTLP(ctx context.Context, url string, b []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// replayHotROD sends what Jaeger's HotROD demo once sent (testdata, as a collector wrote it to Kafka), moved to the present.
func replayHotROD(t *testing.T, url string) (spans int) {
	t.Helper()
	f, err := os.Open("testdata/hotrod_otlp_spans.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var requests []ptrace.Traces
	var u ptrace.ProtoUnmarshaler
	last := pcommon.Timestamp(0)
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r struct{ Value []byte }
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		td, err := u.UnmarshalTraces(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, td)
		eachSpan(td, func(s ptrace.Span) { last = max(last, s.EndTimestamp()) })
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	shift := pcommon.NewTimestampFromTime(time.Now()) - last
	for _, td := range requests {
		eachSpan(td, func(s ptrace.Span) {
			s.SetStartTimestamp(s.StartTimestamp() + shift)
			s.SetEndTimestamp(s.EndTimestamp() + shift)
			spans++
		})
		if err := post(t.Context(), url, td); err != nil {
			t.Fatal(err)
		}
	}
	return spans
}

func eachSpan(td ptrace.Traces, fn func(ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				fn(s)
			}
		}
	}
}

func telemetrygen(t *testing.T, port int, args ...string) {
	t.Helper()
	args = append([]string{"traces", "--otlp-insecure", "--otlp-endpoint", fmt.Sprintf("127.0.0.1:%d", port), "--rate", "0"}, args...)
	if out, err := exec.CommandContext(t.Context(), fetched(t, "telemetrygen"), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// each is how many traces ruleTraffic sends for each case.
const each = 7

// ruleTraffic sends traces in which the counting rules and the connectors differ, a service for each rule, and some in which they
// must not. It returns spans to be sent when the pairing window has passed.
func ruleTraffic(t *testing.T, url string) (late ptrace.Traces) {
	t.Helper()
	now, late := ptrace.NewTraces(), ptrace.NewTraces()
	resent := ptrace.NewTraces()
	id := uint64(0)
	at := time.Now()
	// call adds a trace of a client and, unless empty, a server span.
	call := func(td, other ptrace.Traces, client string, ck ptrace.SpanKind, server string, sk ptrace.SpanKind,
		change func(c, s ptrace.Span)) {
		id++
		c, s := addSpan(td, client), ptrace.NewSpan()
		if server != "" {
			s = addSpan(other, server)
		}
		for _, sp := range []ptrace.Span{c, s} {
			sp.SetTraceID(pcommon.TraceID{1, 2, 3, 4, 15: byte(id)})
			sp.SetEndTimestamp(pcommon.NewTimestampFromTime(at))
			sp.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(-time.Duration(id) * time.Millisecond)))
			sp.SetName("op")
		}
		var span pcommon.SpanID
		binary.BigEndian.PutUint64(span[:], id)
		c.SetSpanID(span)
		s.SetParentSpanID(span)
		s.SetSpanID(pcommon.SpanID{9, 7: byte(id)})
		c.SetKind(ck)
		s.SetKind(sk)
		change(c, s)
	}
	const cl, sv, pr, co = ptrace.SpanKindClient, ptrace.SpanKindServer, ptrace.SpanKindProducer, ptrace.SpanKindConsumer
	same := func(_, _ ptrace.Span) {}
	attr := func(pairs ...string) func(c, s ptrace.Span) {
		return func(c, _ ptrace.Span) {
			for i := 0; i < len(pairs); i += 2 {
				c.Attributes().PutStr(pairs[i], pairs[i+1])
			}
		}
	}
	for range each {
		call(now, now, "", cl, "", 0, same)
		call(now, now, "rule2", cl, "rule2-server", sv, func(c, s ptrace.Span) {
			for _, sp := range []ptrace.Span{c, s} {
				sp.SetStartTimestamp(sp.EndTimestamp() + 5e6)
			}
		})
		call(now, now, "failing-half", cl, "failing-server", sv, func(_, s ptrace.Span) { s.Status().SetCode(ptrace.StatusCodeError) })
		call(now, now, "itself", cl, "itself", sv, same)
		call(now, now, "named-db", cl, "", 0, attr("db.system.name", "postgresql", "db.namespace", "orders"))
		call(now, now, "system-only", cl, "", 0, attr("db.system", "redis"))
		call(now, now, "rule4", cl, "", 0, attr("server.address", "db.example.com", "db.system.name", "postgresql"))
		call(now, now, "publisher", pr, "subscriber", co, same)
		call(now, now, "lost-publisher", pr, "", 0, attr("messaging.destination.name", "nobody-listens"))
		call(now, now, "outside", cl, "", 0, attr("server.address", "api.example.com"))
		call(now, now, "nowhere", cl, "", 0, same)
		call(now, now, "sampled", cl, "sampled-server", sv, func(c, s ptrace.Span) {
			c.TraceState().FromRaw("ot=th:8")
			s.TraceState().FromRaw("ot=th:c")
		})
		call(now, late, "rule7", cl, "rule7-server", sv, same)
		call(resent, resent, "rule8", cl, "rule8-server", sv, same)
	}
	if err := post(t.Context(), url, now); err != nil {
		t.Fatal(err)
	}
	// The consumer's half comes first: the connector takes the connection type of the half that comes last.
	mixed := ptrace.NewTraces()
	for range each {
		first, second := ptrace.NewTraces(), ptrace.NewTraces()
		call(second, first, "rule5", cl, "rule5-consumer", co, same)
		first.ResourceSpans().MoveAndAppendTo(mixed.ResourceSpans())
		second.ResourceSpans().MoveAndAppendTo(mixed.ResourceSpans())
	}
	if err := post(t.Context(), url, mixed); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // a batch of its own
	if err := post(t.Context(), url, resent); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	return late
}

// sendAgain writes the records that hold rule 8's spans to the topic once more, as a collector that got no acknowledgement does.
func sendAgain(t *testing.T, brokers []string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var again []*kgo.Record
	waitFor(t, func() bool {
		again = nil
		for _, r := range topicRecords(t, brokers, topic) {
			if bytes.Contains(r.Value, []byte("rule8")) {
				again = append(again, &kgo.Record{Key: r.Key, Value: r.Value})
			}
		}
		return len(again) > 0
	})
	if err := cl.ProduceSync(t.Context(), again...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// counted are values by metric and the labels that both sides have, summed over the others.
type counted map[string]float64

var compared = []string{"client", "server", "connection_type", "service_name", "span_name", "span_kind", "status_code", "le"}

// comparedDimensions are the labels that the two dimensions have, of a span and of the ends of an edge.
var comparedDimensions = []string{"deployment_environment_name", "service_namespace", "client_deployment_environment_name",
	"client_service_namespace", "server_deployment_environment_name", "server_service_namespace"}

func counts(samples []sample, more ...string) counted {
	c := counted{}
	for _, s := range samples {
		if !strings.HasPrefix(s.name, "traces_") || s.value == 0 {
			continue
		}
		key := s.name
		for _, l := range slices.Concat(compared, more) {
			v := s.labels[l]
			if l == "le" && v != "" {
				bound, err := strconv.ParseFloat(v, 64)
				if err != nil {
					bound = math.NaN()
				}
				v = fmt.Sprint(bound)
			}
			if v != "" {
				key += " " + l + "=" + strconv.Quote(v)
			}
		}
		c[key] += s.value
	}
	return c
}

// aRule is what a counting rule says of the two values of a key; ok is false when it does not speak of it.
type aRule struct {
	name string
	of   func(key string) bool
	ok   func(key string, ours, theirs float64) bool
}

func edgeOf(client string) func(string) bool {
	return func(key string) bool {
		return strings.HasPrefix(key, "traces_service_graph_") && strings.Contains(key, " client="+strconv.Quote(client)+" ")
	}
}

func has(key, part string) bool { return strings.Contains(key, part) }

// theRules are the differences that deploy/docs/migrate-connectors.md lists.
var theRules = []aRule{
	{"2: an end before the start is a duration of 0; the servicegraph connector's wraps around", edgeOf("rule2"),
		func(key string, ours, theirs float64) bool {
			switch {
			case has(key, "_bucket") && !has(key, `le="+Inf"`):
				return ours == each && theirs == 0
			case has(key, "_sum"):
				return ours == 0
			}
			return ours == each && theirs == each
		}},
	{"4: a database client is named by its database, else its system, before its address", edgeOf("rule4"),
		func(key string, ours, theirs float64) bool {
			switch {
			case has(key, `server="postgresql"`):
				return ours > 0 && theirs == 0
			case has(key, `server="db.example.com"`):
				return ours == 0 && theirs > 0
			}
			return false
		}},
	{"5: one messaging half makes the edge messaging_system; the connector takes the half that comes last", edgeOf("rule5"),
		func(key string, ours, theirs float64) bool {
			if has(key, `connection_type="messaging_system"`) {
				return ours > 0 && theirs == 0
			}
			return ours == 0 && theirs > 0
		}},
	{"6: every server under a client is a call; the connector pairs the first alone", func(key string) bool {
		return edgeOf("rule6")(key) || edgeOf("checkout")(key) // the latter is telemetrygen with three child spans in the captured records
	}, func(key string, ours, theirs float64) bool {
		if has(key, "_client_seconds") {
			return math.Abs(ours-theirs) < 1e-9
		}
		return math.Abs(ours-3*theirs) < 1e-9
	}},
	{"7: a half that comes after the window makes up for the virtual node; the connector keeps the virtual node alone", edgeOf("rule7"),
		func(key string, ours, theirs float64) bool {
			if has(key, `connection_type="virtual_node"`) {
				return ours == 0 && theirs > 0
			}
			return ours > 0 && theirs == 0
		}},
	{"8: a batch that is sent twice counts once; the connectors count it twice", func(key string) bool {
		return edgeOf("rule8")(key) || has(key, `service_name="rule8`)
	}, func(_ string, ours, theirs float64) bool { return math.Abs(2*ours-theirs) < 1e-9*theirs }},
}

// unequal lists what differs other than a rule says, and rules of which nothing was seen; it counts what is equal.
func unequal(ours, theirs counted) (diff []string, red, edges int) {
	seen := map[string]int{}
	keys := maps.Clone(ours)
	maps.Copy(keys, theirs)
	for key := range keys {
		o, t := ours[key], theirs[key]
		i := slices.IndexFunc(theRules, func(r aRule) bool { return r.of(key) })
		switch {
		case i >= 0 && theRules[i].ok(key, o, t):
			seen[theRules[i].name]++
		case i >= 0:
			diff = append(diff, fmt.Sprintf("rule %s: %s: ours %v, the connector's %v", theRules[i].name, key, o, t))
		case o == t || has(key, "_sum") && math.Abs(o-t) <= 1e-9*math.Abs(t):
			if strings.HasPrefix(key, "traces_span_metrics_") {
				red++
			} else {
				edges++
			}
		default:
			diff = append(diff, fmt.Sprintf("%s: ours %v, the connector's %v", key, o, t))
		}
	}
	for _, r := range theRules {
		if seen[r.name] == 0 {
			diff = append(diff, "nothing seen of rule "+r.name)
		}
	}
	if red == 0 || edges == 0 {
		diff = append(diff, "nothing to compare")
	}
	slices.Sort(diff)
	return diff, red, edges
}
