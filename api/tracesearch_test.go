package api

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/apitest"
	"github.com/gaurav/watchingcat/api/jaeger"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/attr"
)

// tracesFound are the ids that the three searches of traces answer, in their order.
func (b *bench) tracesFound(rest, compat url.Values) (byREST, byV1, byV3 []string) {
	b.t.Helper()
	page, _ := b.pages("/api/v1/traces", rest)
	for _, t := range page.Traces {
		byREST = append(byREST, t.TraceId)
	}
	w := b.get(jaeger.Prefix + "/traces?" + compat.Encode())
	require.Equal(b.t, 200, w.Code, "%s", w.Body)
	var v1 struct{ Data []struct{ TraceID string } }
	require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &v1))
	for _, t := range v1.Data {
		byV1 = append(byV1, t.TraceID)
	}
	q := url.Values{"query.search_depth": compat["limit"]}
	for from, to := range map[string]string{"service": "service_name", "operation": "operation_name", "minDuration": "duration_min",
		"maxDuration": "duration_max", "tags": "attributes"} {
		if v := compat.Get(from); v != "" {
			q.Set("query."+to, v)
		}
	}
	for from, to := range map[string]string{"start": "start_time_min", "end": "start_time_max"} {
		us, err := strconv.ParseInt(compat.Get(from), 10, 64)
		require.NoError(b.t, err)
		q.Set("query."+to, time.UnixMicro(us).UTC().Format(time.RFC3339Nano))
	}
	w = b.get(jaeger.Prefix + "/v3/trace-summaries?" + q.Encode())
	require.Equal(b.t, 200, w.Code, "%s", w.Body)
	var v3 struct{ Summaries []struct{ TraceID string } }
	require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &v3))
	for _, t := range v3.Summaries {
		byV3 = append(byV3, t.TraceID)
	}
	return byREST, byV1, byV3
}

// spansAnalyzed is how many spans an analysis counts that has the conditions of a search of traces on spans.
func (b *bench) spansAnalyzed(search url.Values) int {
	b.t.Helper()
	q := url.Values{"part": {"groups"}, "by": {"k"}, "limit": {"200"}}
	for _, k := range []string{"start", "end", "service", "operation", "min_span_duration", "max_span_duration", "status", "attributes"} {
		if v, ok := search[k]; ok {
			q[k] = v
		}
	}
	w := b.get("/api/v1/spans/analysis?" + q.Encode())
	require.Equal(b.t, 200, w.Code, "%s", w.Body)
	var out rest.SpanAnalysis
	require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &out))
	require.False(b.t, out.Sampled)
	n := int64(0)
	for _, g := range *out.Groups {
		n += g.Spans
	}
	require.Equal(b.t, out.Spans, n)
	return int(n)
}

func (b *bench) spansOf(td ptrace.Traces) {
	b.t.Helper()
	if td.SpanCount() == 0 {
		return
	}
	var m ptrace.ProtoMarshaler
	value, err := m.MarshalTraces(td)
	require.NoError(b.t, err)
	b.raw("otlp_spans", value)
}

// TestSearchIsOfOneSpan: what a search asks of a span, one span has, all of it, in the range; what it asks of a trace, the trace has. Every
// API finds what looking at each span finds: from the views, from a store behind them, and from both.
func TestSearchIsOfOneSpan(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	records, all := apitest.OddTraces(r, 150)
	whole := newBench(t)
	store := &archive{bench: whole, all: true}
	later := newBench(t, func(c *Config) { c.Stores = older.Stores{Traces: store, Logs: archiveLogs{store}} })
	whole.now, later.now = at(400*time.Second), at(400*time.Second)
	for i, td := range records {
		for _, b := range []*bench{whole, later} {
			if b == later && i < 60 {
				continue
			}
			b.spansOf(td)
			b.commit()
		}
	}
	found, kinds := 0, map[string]int{}
	for i := range 400 {
		q := struct {
			service, operation, status, err string
			min, max, spanMin, spanMax      time.Duration
			tags                            map[string]string
		}{tags: map[string]string{}}
		from, to := 80e9+uint64(r.IntN(200))*1e9, uint64(0)
		to = from + uint64(r.IntN(150))*1e9
		maybe := func(name string, of int, f func()) {
			if r.IntN(of) == 0 {
				f()
				kinds[name]++
			}
		}
		maybe("service", 2, func() { q.service = []string{"web", "cart", "mail", "nobody"}[r.IntN(4)] })
		maybe("operation", 3, func() { q.operation = []string{"get", "put"}[r.IntN(2)] })
		maybe("span min", 4, func() { q.spanMin = []time.Duration{time.Millisecond, 20 * time.Millisecond, time.Second}[r.IntN(3)] })
		maybe("span max", 4, func() { q.spanMax = []time.Duration{time.Second, 20 * time.Second}[r.IntN(2)] })
		maybe("attribute", 3, func() { q.tags["k"] = []string{"a", "b-1", "GET /x", "none"}[r.IntN(4)] })
		maybe("number", 4, func() { q.tags["n"] = []string{"1", "2"}[r.IntN(2)] })
		maybe("bool", 6, func() { q.tags["yes"] = "true" })
		maybe("list", 8, func() { q.tags["list"] = `["a"]` })
		maybe("kind", 8, func() { q.tags["span.kind"] = []string{"server", "client"}[r.IntN(2)] })
		maybe("error", 5, func() { q.err = []string{"true", "false"}[r.IntN(2)] })
		maybe("status", 5, func() { q.status = []string{"error", "ok"}[r.IntN(2)] })
		maybe("trace min", 5, func() { q.min = []time.Duration{20 * time.Millisecond, 10 * time.Second}[r.IntN(2)] })
		maybe("trace max", 5, func() { q.max = []time.Duration{time.Second, 20 * time.Second}[r.IntN(2)] })

		span := func(s apitest.SpanInTrace, until uint64) bool { // the conditions of both
			start, took := uint64(s.Sp.StartTimestamp()), time.Duration(s.Sp.EndTimestamp()-s.Sp.StartTimestamp())
			service, _ := s.Res.Get("service.name")
			ok := (q.service == "" || service.Str() == q.service) && (q.operation == "" || s.Sp.Name() == q.operation) && start >= from &&
				start < until &&
				took >= q.spanMin && (q.spanMax == 0 || took <= q.spanMax)
			for k, want := range q.tags {
				ok = ok && (k == "span.kind" && kindTag(s.Sp.Kind()) == want || slices.ContainsFunc(s.Tags(), func(m pcommon.Map) bool {
					v, has := m.Get(k)
					return has && attr.Text(v) == want
				}))
			}
			return ok
		}
		var wantREST, wantJaeger []string
		wantSpans := 0
		for id, spans := range all {
			for _, s := range spans {
				if failed := s.Sp.Status().Code() == ptrace.StatusCodeError; span(s, to) && (q.status == "" || failed == (q.status == "error")) {
					wantSpans++
				}
			}
			var start, end uint64
			failed := false
			for _, s := range spans {
				if start == 0 || uint64(s.Sp.StartTimestamp()) < start {
					start = uint64(s.Sp.StartTimestamp())
				}
				end = max(end, uint64(s.Sp.EndTimestamp()))
				service, _ := s.Res.Get("service.name")
				failed = failed || s.Sp.Status().Code() == ptrace.StatusCodeError && (q.service == "" || service.Str() == q.service) &&
					(q.operation == "" || s.Sp.Name() == q.operation)
			}
			took := time.Duration(end - start)
			if took >= q.min && (q.max == 0 || took <= q.max) && (q.status != "ok" || !failed) && slices.ContainsFunc(spans,
				func(s apitest.SpanInTrace) bool {
					return span(s, to) && (q.status != "error" || s.Sp.Status().Code() == ptrace.StatusCodeError)
				}) {
				wantREST = append(wantREST, hex.EncodeToString(id[:]))
			}
			if slices.ContainsFunc(spans, func(s apitest.SpanInTrace) bool {
				return span(s, to+1) && (q.err != "true" || s.Sp.Status().Code() == ptrace.StatusCodeError) &&
					(q.err != "false" || s.Sp.Status().Code() == ptrace.StatusCodeOk)
			}) {
				wantJaeger = append(wantJaeger, hex.EncodeToString(id[:]))
			}
		}
		rq, jq := url.Values{"limit": {"7"}, "start": {strconv.FormatUint(from/1e9, 10)}, "end": {strconv.FormatUint(to/1e9, 10)}},
			url.Values{"limit": {"1000"}, "start": {strconv.FormatUint(from/1e3, 10)}, "end": {strconv.FormatUint(to/1e3, 10)}}
		if to == from || q.max != 0 && q.min > q.max || q.spanMax != 0 && q.spanMin > q.spanMax { // they are refused
			continue
		}
		for name, v := range map[string]string{"service": q.service, "operation": q.operation} {
			if v != "" {
				rq.Set(name, v)
				jq.Set(name, v)
			}
		}
		for name, d := range map[string]time.Duration{"min_duration": q.min, "max_duration": q.max, "min_span_duration": q.spanMin,
			"max_span_duration": q.spanMax} {
			if d != 0 {
				rq.Set(name, d.String())
			}
		}
		for name, d := range map[string]time.Duration{"minDuration": q.spanMin, "maxDuration": q.spanMax} {
			if d != 0 {
				jq.Set(name, d.String())
			}
		}
		if q.status != "" {
			rq.Set("status", q.status)
		}
		for k, v := range q.tags {
			rq.Add("attributes", k+"="+v)
		}
		if q.err != "" {
			q.tags["error"] = q.err
		}
		if len(q.tags) > 0 {
			tags, err := json.Marshal(q.tags)
			require.NoError(t, err)
			jq.Set("tags", string(tags))
		}
		found += len(wantREST) + len(wantJaeger)
		require.Equal(t, wantSpans, whole.spansAnalyzed(rq), "%v", rq)
		for name, b := range map[string]*bench{"views": whole, "store and views": later} {
			rq.Del("next")
			byREST, byV1, byV3 := b.tracesFound(rq, jq)
			// Of a trace that was under way when the views began they know a part, so not how long it took.
			if b == whole || q.min == 0 && q.max == 0 && q.status != "ok" || from > 260e9 || to < 160e9 {
				require.ElementsMatch(t, wantREST, byREST, "%s %d: /api/v1/traces %v", name, i, rq)
			}
			require.ElementsMatch(t, wantJaeger, byV1, "%s %d: jaeger %v", name, i, jq)
			require.ElementsMatch(t, wantJaeger, byV3, "%s %d: jaeger v3 %v", name, i, jq)
		}
	}
	t.Logf("%d traces found, conditions %v", found, kinds)
	require.Greater(t, found, 1000)
}

func kindTag(k ptrace.SpanKind) string {
	return map[ptrace.SpanKind]string{ptrace.SpanKindServer: "server", ptrace.SpanKindClient: "client"}[k]
}

// TestRareAttributeIsFound: a search by attributes looks at all traces of its range, and when its time is over it says to where it came.
func TestRareAttributeIsFound(t *testing.T) {
	b := newBench(t)
	lines := []string{"10s 40ms web server GET id=needle/a db.namespace=needle"}
	for i := range 2000 {
		lines = append(lines, fmt.Sprintf("%dms 40ms web server GET id=t%d/a db.namespace=hay%d", 20_000+i, i, i))
	}
	for part := range slices.Chunk(lines, 200) {
		b.record(part...)
		b.commit()
	}
	search := func(condition string) (got listAnswer) {
		w := b.get("/api/v1/traces?start=0&" + condition)
		require.Equal(t, 200, w.Code, "%s", w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		return got
	}
	got := search("attributes=db.namespace=needle")
	require.Len(t, got.Traces, 1)
	require.False(t, got.Meta.Partial, got.Meta.Warnings)

	b.s.traces.SearchTime = 1
	got = search("attributes=db.namespace=nothing")
	require.Empty(t, got.Traces)
	require.False(t, got.Meta.Partial, "no block can have it, and none is read")
	got = search("min_span_duration=1s")
	require.Empty(t, got.Traces)
	require.True(t, got.Meta.Partial)
	require.Len(t, got.Meta.Warnings, 1)
	require.Contains(t, got.Meta.Warnings[0], "the search ended after 1ns, with the spans from 1970-01-01T00:00:22.0")
	w := b.get("/jaeger/api/traces?start=0&minDuration=1s")
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), "the search ended after")
}

// TestLongTraceIsRecent: a trace that began long ago and has a span in the range is in the range; so is one with a span without a start.
func TestLongTraceIsRecent(t *testing.T) {
	b := newBench(t)
	b.now = at(3600 * time.Second)
	b.record("1000s 2590s web server GET id=long/a", "3580s 10ms cart server get id=long/b<a error")
	b.record("100s 1s web server GET id=old/a")
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "mail")
	sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID([16]byte{7})
	sp.SetSpanID([8]byte{7})
	sp.SetName("send")
	sp.SetEndTimestamp(3585e9)
	b.spansOf(td)
	b.commit()
	ids := func(query string) (out []string) {
		v, err := url.ParseQuery(query)
		require.NoError(t, err)
		page, _ := b.pages("/api/v1/traces", v)
		for _, s := range page.Traces {
			out = append(out, s.RootServiceName)
		}
		return out
	}
	require.Equal(t, []string{"mail", "web"}, ids("start=3500&end=3600"))
	require.Equal(t, []string{"web"}, ids("start=3500&end=3600&service=cart&status=error"))
	require.Empty(t, ids("start=3500&end=3600&service=web"), "its span of the service began before")
	require.Equal(t, []string{"mail"}, ids("start=3500&end=3600&service=mail"))
	require.Equal(t, []string{"web"}, ids("start=3500&end=3590&order=slowest&limit=1&service=cart"))
	require.Empty(t, ids("start=3581&end=3583"))
	var list rest.TraceList
	require.NoError(t, json.Unmarshal(b.get("/api/v1/traces?start=3500&minDuration=40m&min_duration=40m").Body.Bytes(), &list))
	require.Len(t, list.Traces, 1)
	require.Equal(t, 400, b.get("/api/v1/traces?minDuration=40m&min_duration=30m").Code)
	require.Equal(t, 400, b.get("/api/v1/traces?min_span_duration=2s&max_span_duration=1s").Code)
}

// TestOrphans: summaries for Jaeger's page count the spans whose parent is not in the trace.
func TestOrphans(t *testing.T) {
	b := newBench(t)
	b.record("10s 40ms web server GET id=t1/a", "10s 5ms cart server get id=t1/b<a", "10s 5ms cart server get id=t1/c<x",
		"10s 5ms mail server get id=t2/d<y")
	b.commit()
	w := b.get("/jaeger/api/v3/trace-summaries?query.startTimeMin=1970-01-01T00:00:00Z&query.startTimeMax=1970-01-01T00:01:00Z")
	var got struct {
		Summaries []struct {
			SpanCount       int
			OrphanSpanCount *int
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got), "%s", w.Body)
	require.Len(t, got.Summaries, 2)
	for _, s := range got.Summaries {
		require.NotNil(t, s.OrphanSpanCount)
		require.Equal(t, 1, *s.OrphanSpanCount, "of %d spans", s.SpanCount)
	}
}
