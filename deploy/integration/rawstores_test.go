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
		"WATCHINGCAT_ELASTICSEARCH_URL="+s.elastic.URL, "WATCHINGCAT_ELASTICSEARCH_INDEX=logs-*", "WATCHINGCAT_REDIS_URL="+s.redis.URL, "WATCHINGCAT_LOG_LEVEL=warn")
	s.start()
	s.ready(time.Minute)
	for kind, from := range map[string]time.Time{"traces": s.edge, "logs": s.edge, "metrics": s.edge.Add(time.Minute)} {
		waitFor(t, time.Minute, func() bool {
			got := s.count(kind, from, s.to)
			return got.n == 2*int(s.to.Sub(from)/time.Minute) && !got.partial
		})
	}

	for kind, store := range map[string]string{"traces": "jaeger", "logs": "elasticsearch", "volume": "elasticsearch", "metrics": "prometheus"} {
		s.expect(kind, s.edge.Add(time.Minute), s.to, 2*(youngMinutes-1), "view")
		s.expect(kind, s.from, s.to, 2*historyMinutes, "view", store)
		old := []string{store}
		if kind == "metrics" {
			old = append(old, "view") // PromQL always asks both
		}
		s.expect(kind, s.from, s.edge.Add(-time.Minute), 2*(historyMinutes-youngMinutes-1), old...)
	}
	s.oneTrace(0, "jaeger")
	s.oneTrace(historyMinutes-1, "view")
	t.Log("answered from the views, from the stores and from both")
	s.remembered()

	for _, b := range []struct {
		name  string
		store *servers.Store
		kinds []string
		fill  func()
	}{
		{"jaeger", &s.jaeger.Store, []string{"traces"}, s.fillJaeger},
		{"elasticsearch", s.elastic, []string{"logs", "volume"}, nil},
		{"prometheus", s.prometheus, []string{"metrics"}, nil},
		{"redis", s.redis, nil, nil},
	} {
		load := s.load()
		b.store.Kill()
		s.without(b.name, b.kinds)
		if err := b.store.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b.fill != nil {
			b.fill()
		}
		s.back(b.name, b.kinds)
		if err := b.store.Hang(); err != nil {
			t.Fatal(err)
		}
		s.without(b.name, b.kinds)
		if err := b.store.Resume(); err != nil {
			t.Fatal(err)
		}
		s.back(b.name, b.kinds)
		t.Logf("%s was stopped, started, hung and resumed under %d requests: none failed", b.name, load())
	}
}

const logsTopic = "otlp_logs"

func (s *rawStores) startStores() {
	s.t.Helper()
	var errs [4]error
	s.jaeger, errs[0] = servers.NewJaeger(*runDir, s.t.TempDir())
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
	waitFor(s.t, time.Minute, func() bool {
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
		doc := map[string]any{"@timestamp": at.UTC().Format(time.RFC3339Nano), "message": body, "log.level": "info", "service": map[string]any{"name": service}}
		if service == "cart" {
			index = "logs-otel"
			doc = map[string]any{"@timestamp": at.UTC().Format(time.RFC3339Nano), "body": map[string]any{"text": body}, "severity_number": 9, "severity_text": "INFO",
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

// counted is what an answer has, however many pages it took.
type rawCount struct {
	n        int
	sources  []string
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

// count asks a question and counts what the answer has.
func (s *rawStores) count(kind string, from, to time.Time) rawCount {
	s.t.Helper()
	out, err := s.ask(s.t.Context(), kind, from, to)
	if err != nil {
		s.t.Fatal(kind, err)
	}
	return out
}

func (s *rawStores) ask(ctx context.Context, kind string, from, to time.Time) (out rawCount, err error) {
	base := "http://" + s.addr + "/api/v1/"
	q := url.Values{"start": {from.UTC().Format(time.RFC3339Nano)}, "end": {to.UTC().Format(time.RFC3339Nano)}}
	switch kind {
	case "metrics":
		var body struct {
			Data struct {
				Result []struct{ Values []any }
			}
			Meta rawMeta
		}
		// In the middle of each minute.
		b, err := json.Marshal(map[string]any{"query": `last_over_time(depth_ratio[59s])`, "start": from.Add(30 * time.Second).UTC().Format(time.RFC3339Nano), "end": q.Get("end"), "step": "1m"})
		if err != nil {
			return out, err
		}
		if err := postJSON(ctx, base+"metrics/query", b, &body); err != nil {
			return out, err
		}
		for _, r := range body.Data.Result {
			out.n += len(r.Values)
		}
		out.add(body.Meta)
		return out, nil
	case "volume":
		var body struct {
			Buckets []struct{ Count int }
			Meta    rawMeta
		}
		q.Set("step", "60s")
		if err := get(ctx, base+"logs/volume?"+q.Encode(), &body); err != nil {
			return out, err
		}
		for _, b := range body.Buckets {
			out.n += b.Count
		}
		out.add(body.Meta)
		return out, nil
	}
	q.Set("limit", "17")
	seen := map[string]bool{}
	for {
		var body struct {
			Traces []struct{ TraceID string }
			Logs   []struct{ Body string }
			Next   *string
			Meta   rawMeta
		}
		if err := get(ctx, base+kind+"?"+q.Encode(), &body); err != nil {
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

func postJSON(ctx context.Context, target string, b []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
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
	if got.n != n || !slices.Equal(got.sources, sources) || got.partial {
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
		s.ready(time.Minute)
	}
	if err := s.jaeger.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.fillJaeger()
	s.t.Log("answered from Redis while Jaeger was down, after a restart")
}

// fresh is a range that was not asked for before, over all of history.
func (s *rawStores) fresh() (from, to time.Time) {
	return s.from.Add(-time.Duration(s.shift.Add(1)) * time.Millisecond), s.to
}

// without: while a store does not answer, what needs it is partial and says so, and has what the views hold.
func (s *rawStores) without(name string, kinds []string) {
	s.t.Helper()
	for _, kind := range []string{"traces", "logs", "volume", "metrics"} {
		from, to := s.fresh()
		got := s.count(kind, from, to)
		if !slices.Contains(kinds, kind) {
			if got.n != 2*historyMinutes || got.partial {
				s.t.Fatalf("without %s, %s: %+v", name, kind, got)
			}
			continue
		}
		said := slices.ContainsFunc(got.warnings, func(w string) bool { return strings.Contains(w, name) })
		if got.n != 2*youngMinutes || !got.partial || !said || !slices.Equal(got.sources, []string{"view"}) {
			s.t.Fatalf("without %s, %s: %+v", name, kind, got)
		}
	}
}

// back: a store that answers again is found out, and its part of the answers is back.
func (s *rawStores) back(name string, kinds []string) {
	s.t.Helper()
	for _, kind := range kinds {
		waitFor(s.t, 2*time.Minute, func() bool {
			from, to := s.fresh()
			got := s.count(kind, from, to)
			return got.n == 2*historyMinutes && !got.partial
		})
	}
	waitFor(s.t, 2*time.Minute, func() bool {
		from, to := s.fresh()
		s.count("traces", from, to) // something that may use the cache
		s.count("logs", from, s.edge.Add(-time.Minute))
		var body struct {
			Backends []struct{ Name, State string }
		}
		if err := get(s.t.Context(), "http://"+s.addr+"/api/v1/pipeline", &body); err != nil {
			s.t.Fatal(err)
		}
		return slices.ContainsFunc(body.Backends, func(b struct{ Name, State string }) bool { return b.Name == name && b.State == "ok" })
	})
}

// load asks everything again and again; the returned function ends it and says how often. No request may fail.
func (s *rawStores) load() func() int {
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	n := 0
	for _, kind := range []string{"traces", "logs", "volume", "metrics"} {
		wg.Go(func() {
			for ctx.Err() == nil {
				from, to := s.fresh()
				_, err := s.ask(ctx, kind, from, to)
				if err != nil && ctx.Err() == nil {
					s.t.Errorf("%s under load: %v", kind, err)
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
