//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/deploy/servers"
	"github.com/gaurav/watchingcat/views/metricstest"
)

// rawStores is watchingcat before real stores. Each minute of history has one trace, one log line and one sample of each service; the
// stores have all of it, the topics only what is younger than young.
type rawStores struct {
	*app
	t          *testing.T
	jaeger     *servers.Jaeger
	prometheus *servers.Store
	elastic    *servers.Store
	redis      *servers.Store
	kafka      *servers.Kafka
	from, edge time.Time // of the history, and of what the topics have
	to         time.Time
	shift      atomic.Int64 // makes each question one that was not asked before
	instants   atomic.Int64 // the same for PromQL, whose instants must stay within their minutes
}

const historyMinutes, youngMinutes = 60, 20

var rawServices = []string{"web", "cart"}

// TestRawStores: every question is answered from the views, from the stores, and from both as one. Then each store is stopped, hung and
// started again while questions are asked: `partial` and `warnings` change, and what was missing is back.
func TestRawStores(t *testing.T) {
	for _, part := range []string{"jaeger", "prometheus", "elasticsearch/ready"} {
		fetched(t, part)
	}
	s := &rawStores{t: t, kafka: startKafka(t, 1)}
	createTopics(t, s.kafka.Brokers(), metricsTopic, logsTopic)
	s.startStores()
	now := time.Now().Truncate(time.Minute)
	s.from, s.edge, s.to = now.Add(-historyMinutes*time.Minute), now.Add(-youngMinutes*time.Minute), now
	s.fillKafka()
	s.fillJaeger()
	s.fillElastic()
	s.fillPrometheus()
	s.app = newApp(t, s.kafka.Brokers(), "WATCHINGCAT_JAEGER_URL="+s.jaeger.URL, "WATCHINGCAT_PROMETHEUS_URL="+s.prometheus.URL,
		"WATCHINGCAT_ELASTICSEARCH_URL="+s.elastic.URL, "WATCHINGCAT_ELASTICSEARCH_INDEX=logs-*", "WATCHINGCAT_REDIS_URL="+s.redis.URL,
		"WATCHINGCAT_LOG_LEVEL=warn")
	s.start()
	s.ready()
	for kind, from := range map[string]time.Time{"traces": s.edge, "logs": s.edge, "metrics": s.edge.Add(time.Minute)} {
		waitFor(t, func() bool {
			got := s.count(kind, from, s.to)
			return got.n == 2*int(s.to.Sub(from)/time.Minute) && !got.partial
		})
	}

	for _, k := range rawKinds {
		s.expect(k.name, s.edge.Add(time.Minute), s.to, 2*(youngMinutes-1), "view")
		s.expect(k.name, s.from, s.to, 2*historyMinutes, "view", k.store)
		old := []string{k.store}
		if k.store == "prometheus" {
			old = append(old, "view") // PromQL always asks both
		}
		s.expect(k.name, s.from, s.edge.Add(-time.Minute), 2*(historyMinutes-youngMinutes-1), old...)
	}
	s.oneTrace(0, "jaeger")
	s.oneTrace(historyMinutes-1, "view")
	t.Log("answered from the views, from the stores and from both")
	s.remembered()

	for _, b := range []struct {
		name  string
		store *servers.Store
		fill  func()
	}{
		{"jaeger", &s.jaeger.Store, s.fillJaeger},
		{"elasticsearch", s.elastic, nil},
		{"prometheus", s.prometheus, nil},
		{"redis", s.redis, nil},
	} {
		load := s.load()
		b.store.Kill()
		s.without(b.name)
		if err := b.store.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b.fill != nil {
			b.fill()
		}
		s.back(b.name)
		if err := b.store.Hang(); err != nil {
			t.Fatal(err)
		}
		s.without(b.name)
		if err := b.store.Resume(); err != nil {
			t.Fatal(err)
		}
		s.back(b.name)
		t.Logf("%s was stopped, started, hung and resumed under %d requests: none failed", b.name, load())
	}
}

const logsTopic = "otlp_logs"

// rawKinds are the ways to ask for what a store has, each counted in the same unit: one for each service and minute.
var rawKinds = []struct {
	name, store string
	ask         func(*rawStores, context.Context, time.Time, time.Time) (rawCount, error)
}{
	{"traces", "jaeger", (*rawStores).askPages},
	{"jaeger v1", "jaeger", (*rawStores).askJaeger},
	{"jaeger v3", "jaeger", (*rawStores).askJaegerV3},
	{"jaeger summaries", "jaeger", (*rawStores).askSummaries},
	{"logs", "elasticsearch", (*rawStores).askPages},
	{"volume", "elasticsearch", (*rawStores).askVolume},
	{"metrics", "prometheus", (*rawStores).askMetrics},
	{"prometheus range", "prometheus", (*rawStores).askPrometheus},
	{"prometheus instant", "prometheus", (*rawStores).askInstant},
}

func (s *rawStores) startStores() {
	s.t.Helper()
	var errs [4]error
	s.jaeger, errs[0] = servers.NewJaeger(*runDir, s.t.TempDir(), "")
	s.prometheus, errs[1] = servers.NewPrometheus(*runDir, s.t.TempDir(), "")
	s.elastic, errs[2] = servers.NewElasticsearch(*runDir, s.t.TempDir())
	s.redis, errs[3] = servers.NewRedis(s.t.TempDir())
	for _, err := range errs {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	for _, store := range []*servers.Store{&s.jaeger.Store, s.prometheus, s.elastic, s.redis} {
		s.t.Cleanup(store.Close)
		if err := store.Start(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// minutes calls fn for each minute from one on, with the service's number.
func (s *rawStores) minutes(first int, fn func(minute int, at time.Time, service string)) {
	for m := first; m < historyMinutes; m++ {
		for i, service := range rawServices {
			fn(m, s.from.Add(time.Duration(m)*time.Minute+time.Duration(i)*time.Second), service)
		}
	}
}

func rawTraceID(minute int, service string) (id pcommon.TraceID) {
	copy(id[:], fmt.Sprintf("%03d-%s", minute, service))
	return id
}

func (s *rawStores) spans(first int) ptrace.Traces {
	td := ptrace.NewTraces()
	s.minutes(first, func(m int, at time.Time, service string) {
		sp := addSpan(td, service)
		id := rawTraceID(m, service)
		sp.SetTraceID(id)
		sp.SetSpanID(pcommon.SpanID(id[:8]))
		sp.SetName("GET /")
		sp.SetKind(ptrace.SpanKindServer)
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(20 * time.Millisecond)))
		sp.Attributes().PutInt("minute", int64(m))
	})
	return td
}

func (s *rawStores) metricsOf(first int) []pmetric.Metrics {
	var out []pmetric.Metrics
	s.minutes(first, func(m int, at time.Time, service string) {
		md := pmetric.NewMetrics()
		metricstest.Gauge(metricstest.Resource(md, service, service+"-0"), "depth", pcommon.NewTimestampFromTime(at), float64(m))
		out = append(out, md)
	})
	return out
}

func (s *rawStores) fillKafka() {
	s.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.Brokers()...))
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	send := func(topic string, b []byte, err error) {
		if err == nil {
			err = cl.ProduceSync(s.t.Context(), &kgo.Record{Topic: topic, Value: b}).FirstErr()
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	first := historyMinutes - youngMinutes
	var tm ptrace.ProtoMarshaler
	b, err := tm.MarshalTraces(s.spans(first))
	send(topic, b, err)
	for _, md := range s.metricsOf(first) {
		var mm pmetric.ProtoMarshaler
		b, err := mm.MarshalMetrics(md)
		send(metricsTopic, b, err)
	}
	ld := plog.NewLogs()
	s.minutes(first, func(m int, at time.Time, service string) {
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("service.name", service)
		l := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		l.SetTimestamp(pcommon.NewTimestampFromTime(at))
		l.SetSeverityNumber(plog.SeverityNumberInfo)
		l.Body().SetStr(fmt.Sprintf("minute %d of %s", m, service))
	})
	var lm plog.ProtoMarshaler
	b, err = lm.MarshalLogs(ld)
	send(logsTopic, b, err)
}

func (s *rawStores) fillJaeger() {
	s.t.Helper()
	if err := post(s.t.Context(), s.jaeger.OTLP, s.spans(0)); err != nil {
		s.t.Fatal(err)
	}
	waitFor(s.t, func() bool {
		last := rawTraceID(historyMinutes-1, "cart")
		return get(s.t.Context(), s.jaeger.URL+"/api/v3/traces/"+hex.EncodeToString(last[:]), nil) == nil
	})
}

func (s *rawStores) fillPrometheus() {
	s.t.Helper()
	for _, md := range s.metricsOf(0) {
		if err := postMetrics(s.t.Context(), s.prometheus.URL+"/api/v1/otlp/v1/metrics", md); err != nil {
			s.t.Fatal(err)
		}
	}
}

// fillElastic writes one service's lines by the Elastic Common Schema and the other's in the layout of OpenTelemetry.
func (s *rawStores) fillElastic() {
	s.t.Helper()
	var bulk bytes.Buffer
	enc := json.NewEncoder(&bulk)
	s.minutes(0, func(m int, at time.Time, service string) {
		index, body := "logs-ecs", fmt.Sprintf("minute %d of %s", m, service)
		doc := map[string]any{"@timestamp": at.UTC().Format(time.RFC3339Nano), "message": body, "log.level": "info",
			"service": map[string]any{"name": service}}
		if service == "cart" {
			index = "logs-otel"
			doc = map[string]any{"@timestamp": at.UTC().Format(time.RFC3339Nano), "body": map[string]any{"text": body},
				"severity_number": 9, "severity_text": "INFO",
				"resource": map[string]any{"attributes": map[string]any{"service.name": service}}}
		}
		for _, v := range []any{map[string]any{"index": map[string]any{"_index": index}}, doc} {
			if err := enc.Encode(v); err != nil {
				s.t.Fatal(err)
			}
		}
	})
	resp, err := http.Post(s.elastic.URL+"/_bulk?refresh=true", "application/x-ndjson", &bulk)
	if err != nil {
		s.t.Fatal(err)
	}
	var body struct{ Errors bool }
	err = json.NewDecoder(resp.Body).Decode(&body)
	if err != nil || body.Errors || resp.Body.Close() != nil {
		s.t.Fatal("bulk:", err, body.Errors)
	}
}

// rawCount is what an answer has, however many pages it took.
type rawCount struct {
	n        int
	sources  []string // nil: the format does not say
	partial  bool
	warnings []string
}

type rawMeta struct {
	Source   any      `json:"source"`
	Partial  bool     `json:"partial"`
	Warnings []string `json:"warnings"`
}

func (c *rawCount) add(m rawMeta) {
	list, _ := m.Source.([]any)
	if name, one := m.Source.(string); one {
		list = []any{name}
	}
	for _, v := range list {
		if name := fmt.Sprint(v); !slices.Contains(c.sources, name) {
			c.sources = append(c.sources, name)
		}
	}
	c.partial = c.partial || m.Partial
	c.warnings = append(c.warnings, m.Warnings...)
}

// warn takes the warnings of a format without meta: with one it is partial.
func (c *rawCount) warn(texts ...string) {
	c.partial = c.partial || len(texts) > 0
	c.warnings = append(c.warnings, texts...)
}

// count asks a question and counts what the answer has.
func (s *rawStores) count(kind string, from, to time.Time) rawCount {
	s.t.Helper()
	out, err := s.ask(s.t.Context(), kind, from, to)
	if err != nil {
		s.t.Fatal(kind, err)
	}
	return out
}

type rawKindKey struct{}

func (s *rawStores) ask(ctx context.Context, kind string, from, to time.Time) (rawCount, error) {
	for _, k := range rawKinds {
		if k.name == kind {
			return k.ask(s, context.WithValue(ctx, rawKindKey{}, kind), from, to)
		}
	}
	return rawCount{}, fmt.Errorf("no kind %q", kind)
}

func rfc(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// askPages reads a list of the REST API to its end.
func (s *rawStores) askPages(ctx context.Context, from, to time.Time) (out rawCount, err error) {
	q := url.Values{"start": {rfc(from)}, "end": {rfc(to)}, "limit": {"17"}}
	seen := map[string]bool{}
	for {
		var body struct {
			Traces []struct{ TraceID string }
			Logs   []struct{ Body string }
			Next   *string
			Meta   rawMeta
		}
		if err := get(ctx, "http://"+s.addr+"/api/v1/"+ctx.Value(rawKindKey{}).(string)+"?"+q.Encode(), &body); err != nil {
			return out, err
		}
		for _, t := range body.Traces {
			seen[t.TraceID] = true
		}
		for _, l := range body.Logs {
			seen[l.Body] = true
		}
		out.n += len(body.Traces) + len(body.Logs)
		out.add(body.Meta)
		if body.Next == nil {
			break
		}
		q.Set("next", *body.Next)
	}
	if len(seen) != out.n {
		return out, fmt.Errorf("%d of %d answers came twice", out.n-len(seen), out.n)
	}
	return out, nil
}

func (s *rawStores) askVolume(ctx context.Context, from, to time.Time) (out rawCount, err error) {
	var body struct {
		Buckets []struct{ Count int }
		Meta    rawMeta
	}
	err = get(ctx, "http://"+s.addr+"/api/v1/logs/volume?"+url.Values{"start": {rfc(from)}, "end": {rfc(to)}, "step": {"60s"}}.Encode(),
		&body)
	for _, b := range body.Buckets {
		out.n += b.Count
	}
	out.add(body.Meta)
	return out, err
}

// depthInMinutes has a value between the second and the last second of each minute, that from is asked for in until 55,000 questions have
// moved it to its beginning.
const depthInMinutes, inMinute = `last_over_time(depth_ratio[59s])`, 58 * time.Second

func (s *rawStores) askMetrics(ctx context.Context, from, to time.Time) (out rawCount, err error) {
	var body struct {
		Data struct {
			Result []struct{ Values []any }
		}
		Meta rawMeta
	}
	b, err := json.Marshal(map[string]any{"query": depthInMinutes, "start": rfc(from.Add(inMinute)), "end": rfc(to), "step": "1m"})
	if err != nil {
		return out, err
	}
	err = postJSON(ctx, "http://"+s.addr+"/api/v1/metrics/query", b, &body)
	for _, r := range body.Data.Result {
		out.n += len(r.Values)
	}
	out.add(body.Meta)
	return out, err
}

func (s *rawStores) askPrometheus(ctx context.Context, from, to time.Time) (out rawCount, err error) {
	var body struct {
		Data struct {
			Result []struct{ Values []any }
		}
		Warnings []string
	}
	err = get(ctx, "http://"+s.addr+"/prometheus/api/v1/query_range?"+url.Values{"query": {depthInMinutes},
		"start": {rfc(from.Add(inMinute))}, "end": {rfc(to)}, "step": {"60"}}.Encode(), &body)
	for _, r := range body.Data.Result {
		out.n += len(r.Values)
	}
	out.warn(body.Warnings...)
	return out, err
}

// askInstant counts the samples of the range at its end.
func (s *rawStores) askInstant(ctx context.Context, from, to time.Time) (out rawCount, err error) {
	var body struct {
		Data struct {
			Result []struct{ Value []any }
		}
		Warnings []string
	}
	query := fmt.Sprintf("sum(count_over_time(depth_ratio[%dms]))", to.Sub(from).Milliseconds())
	// A window is open at its start, where there is a sample.
	err = get(ctx, "http://"+s.addr+"/prometheus/api/v1/query?"+url.Values{"query": {query},
		"time": {rfc(to.Add(-time.Millisecond))}}.Encode(), &body)
	for _, r := range body.Data.Result {
		if len(r.Value) == 2 {
			if out.n, err = strconv.Atoi(fmt.Sprint(r.Value[1])); err != nil {
				return out, err
			}
		}
	}
	out.warn(body.Warnings...)
	return out, err
}

// askJaeger is the search of Grafana's data source.
func (s *rawStores) askJaeger(ctx context.Context, from, to time.Time) (out rawCount, err error) {
	var body struct {
		Data []struct {
			TraceID  string
			Spans    []any
			Warnings []string
		}
		Errors []struct{ Msg string }
	}
	q := url.Values{"start": {fmt.Sprint(from.UnixMicro())}, "end": {fmt.Sprint(to.UnixMicro() - 1)}, "limit": {"1500"}}
	err = get(ctx, "http://"+s.addr+"/jaeger/api/traces?"+q.Encode(), &body)
	for _, t := range body.Data {
		if len(t.Spans) == 0 {
			return out, fmt.Errorf("trace %s without a span", t.TraceID)
		}
		out.warn(t.Warnings...)
	}
	for _, e := range body.Errors {
		out.warn(e.Msg)
	}
	out.n = len(body.Data)
	return out, err
}

// v3Range is the range of a search of /api/v3.
func v3Range(from, to time.Time) string {
	return url.Values{"query.startTimeMin": {rfc(from)}, "query.startTimeMax": {rfc(to.Add(-1))}, "query.searchDepth": {"1500"}}.Encode()
}

func (s *rawStores) askJaegerV3(ctx context.Context, from, to time.Time) (out rawCount, err error) {
	var body struct {
		Result struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []any }
			}
		}
	}
	header, err := getWith(ctx, "http://"+s.addr+"/jaeger/api/v3/traces?"+v3Range(from, to), &body)
	for _, rs := range body.Result.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			out.n += len(ss.Spans)
		}
	}
	out.warn(header.Values("WatchingCat-Warning")...)
	return out, err
}

// askSummaries is the search of Jaeger's page.
func (s *rawStores) askSummaries(ctx context.Context, from, to time.Time) (out rawCount, err error) {
	var body struct{ Summaries []any }
	header, err := getWith(ctx, "http://"+s.addr+"/jaeger/api/v3/trace-summaries?"+v3Range(from, to), &body)
	out.n = len(body.Summaries)
	out.warn(header.Values("WatchingCat-Warning")...)
	return out, err
}

func postJSON(ctx context.Context, target string, b []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", target, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func (s *rawStores) expect(kind string, from, to time.Time, n int, sources ...string) {
	s.t.Helper()
	got := s.count(kind, from, to)
	slices.Sort(sources)
	slices.Sort(got.sources)
	if got.n != n || got.sources != nil && !slices.Equal(got.sources, sources) || got.partial {
		s.t.Fatalf("%s from %v to %v: %+v, want %d from %v", kind, from, to, got, n, sources)
	}
}

func (s *rawStores) oneTrace(minute int, source string) {
	s.t.Helper()
	id := rawTraceID(minute, "web")
	var body struct {
		Trace struct{ Spans []any }
		Meta  rawMeta
	}
	if err := get(s.t.Context(), "http://"+s.addr+"/api/v1/traces/"+hex.EncodeToString(id[:]), &body); err != nil {
		s.t.Fatal(err)
	}
	if len(body.Trace.Spans) != 1 || body.Meta.Source != source {
		s.t.Fatalf("trace of minute %d: %+v", minute, body)
	}
}

// remembered: what was asked of a range that is over is answered again without the store, after a restart too.
func (s *rawStores) remembered() {
	s.t.Helper()
	from, to := s.from, s.edge.Add(-time.Minute)
	want := s.count("traces", from, to).n
	s.jaeger.Kill()
	for range 2 {
		if got := s.count("traces", from, to); got.n != want || got.partial {
			s.t.Fatalf("%+v, want %d", got, want)
		}
		s.oneTrace(0, "jaeger")
		s.Kill()
		s.start()
		s.ready()
	}
	if err := s.jaeger.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.fillJaeger()
	s.t.Log("answered from Redis while Jaeger was down, after a restart")
}

// fresh is a range that a store was not asked for before, over all of history.
func (s *rawStores) fresh(store string) (from, to time.Time) {
	n := &s.shift
	if store == "prometheus" {
		n = &s.instants
	}
	return s.from.Add(-time.Duration(n.Add(1)) * time.Millisecond), s.to
}

// without: while a store does not answer, what needs it is partial and says so, and has what the views hold; the page of the pipeline
// shows it.
func (s *rawStores) without(name string) {
	s.t.Helper()
	for _, k := range rawKinds {
		from, to := s.fresh(k.store)
		got := s.count(k.name, from, to)
		if k.store != name {
			if got.n != 2*historyMinutes || got.partial {
				s.t.Fatalf("without %s, %s: %+v", name, k.name, got)
			}
			continue
		}
		said := slices.ContainsFunc(got.warnings, func(w string) bool { return strings.Contains(w, name) })
		if got.n != 2*youngMinutes || !got.partial || !said || got.sources != nil && !slices.Equal(got.sources, []string{"view"}) {
			s.t.Fatalf("without %s, %s: %+v", name, k.name, got)
		}
	}
	waitFor(s.t, func() bool { // Redis is asked by the load
		state := s.state(name)
		return state == "failing" || state == "down" || state == "probing"
	})
	// One trace: what the views hold is there, what they do not know is not found and says why that may be.
	s.oneTrace(historyMinutes-1, "view")
	if name == "jaeger" {
		target := fmt.Sprintf("http://%s/api/v1/traces/%x", s.addr, s.shift.Add(1))
		if err := get(s.t.Context(), target, nil); err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(),
			"jaeger did not answer") {
			s.t.Fatal(target, err)
		}
	}
}

// state is how a store is said to be doing.
func (s *rawStores) state(name string) string {
	s.t.Helper()
	var body struct {
		Backends []struct{ Name, State string }
	}
	if err := get(s.t.Context(), "http://"+s.addr+"/api/v1/pipeline", &body); err != nil {
		s.t.Fatal(err)
	}
	for _, b := range body.Backends {
		if b.Name == name {
			return b.State
		}
	}
	return "absent"
}

// back: a store that answers again is found out, and its part of the answers is back.
func (s *rawStores) back(name string) {
	s.t.Helper()
	for _, k := range rawKinds {
		if k.store != name {
			continue
		}
		waitFor(s.t, func() bool {
			from, to := s.fresh(k.store)
			got := s.count(k.name, from, to)
			return got.n == 2*historyMinutes && !got.partial
		})
	}
	waitFor(s.t, func() bool {
		from, to := s.fresh("jaeger")
		s.count("traces", from, to) // something that may use the cache
		s.count("logs", from, s.edge.Add(-time.Minute))
		return s.state(name) == "ok"
	})
}

// load asks everything again and again; the returned function ends it and says how often. No request may fail.
func (s *rawStores) load() func() int {
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	n := 0
	for _, k := range rawKinds {
		wg.Go(func() {
			for ctx.Err() == nil {
				from, to := s.fresh(k.store)
				got, err := s.ask(ctx, k.name, from, to)
				// Whatever happens to a store: what the views hold is there, and the answer reports what is missing.
				if err == nil && (got.n < 2*youngMinutes || got.n < 2*historyMinutes && !got.partial) {
					err = fmt.Errorf("silently too little: %+v", got)
				}
				if err != nil && ctx.Err() == nil {
					s.t.Errorf("%s under load: %v", k.name, err)
					return
				}
				mu.Lock()
				n++
				mu.Unlock()
			}
		})
	}
	return func() int {
		cancel()
		wg.Wait()
		return n
	}
}
