package api

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/apitest"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/prom"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/books"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/raw"
)

// quiet lets a server log nothing, and a query take a second.
func quiet(c *Config) { c.Logger, c.QueryTimeout = zerolog.Nop(), time.Second }

// fuzzBench is a server with something of everything, before stores that hold the same.
func fuzzBench(f *testing.F) *bench {
	store := &archive{bench: newBench(f, quiet)}
	b := newAlertmanagerBench(f, "route: {receiver: team}\nreceivers: [{name: team}]\n", quiet,
		func(c *Config) { c.Stores = older.Stores{Traces: store, Logs: archiveLogs{store}} })
	b.alertmanager = false // its answers are not compared
	for _, one := range []*bench{b, store.bench} {
		one.record("10s 40ms web server GET/cart id=t1/a", "10.005s 30ms cart server get id=t1/b<a error")
		one.record("11s cart INFO id=t1/a | hello")
		one.commit()
	}
	b.rules("groups:\n- name: g\n  rules:\n  - {alert: Errors, expr: 'calls_total > 0', labels: {severity: page}}\n")
	return b
}

// answers sends a request and holds the answer: no failure of ours, errors as their API has them, and all as the document says.
func (b *bench) answers(t *testing.T, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	b.t = t
	if a, ok := b.s.cfg.Stores.Traces.(*archive); ok {
		a.t = t
	}
	if _, err := http.NewRequest(method, target, nil); err != nil {
		return nil // no client can send it
	}
	w := b.do(method, target, body, headers...)
	said := fmt.Sprintf("%s %s %q: %d %s", method, target, body, w.Code, w.Body)
	require.NotContains(t, []int{http.StatusInternalServerError, http.StatusNotImplemented, http.StatusBadGateway}, w.Code, said)
	if w.Header().Get("Content-Encoding") != "" || strings.HasPrefix(target, "/api/openapi.yaml") {
		return w // the decoder is another's, and the document does not describe itself
	}
	typ := w.Header().Get("Content-Type")
	if strings.Contains(typ, "json") && w.Body.Len() > 0 && method != http.MethodHead {
		require.True(t, json.Valid(w.Body.Bytes()), said)
	}
	if w.Code >= 400 && strings.Contains(typ, "problem") {
		var p rest.Problem
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p), said)
		require.Equal(t, w.Code, p.Status, said)
		require.NotEmpty(t, p.Code, said)
		require.NotEmpty(t, p.Error, said)
		require.NotEmpty(t, p.Advice, said)
		require.Equal(t, p.Detail, p.Error, said)
	} else if w.Code >= 400 {
		b.failsAsIts(t, target, w, said)
	}
	b.conforms(method, target, w)
	return w
}

// failsAsIts holds an error of a compatible API against what its clients look for.
func (b *bench) failsAsIts(t *testing.T, target string, w *httptest.ResponseRecorder, said string) {
	t.Helper()
	switch {
	case strings.HasPrefix(target, "/api/"):
		require.Fail(t, "no problem", said)
	case strings.HasPrefix(target, "/jaeger/api/v3"):
		var e struct {
			Error struct {
				HTTPCode int
				Message  string
			}
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e), said)
		require.Equal(t, w.Code, e.Error.HTTPCode, said)
		require.NotEmpty(t, e.Error.Message, said)
	case strings.HasPrefix(target, "/jaeger"):
		var e struct {
			Errors []struct {
				Code int
				Msg  string
			}
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e), said)
		require.NotEmpty(t, e.Errors, said)
		require.Equal(t, w.Code, e.Errors[0].Code, said)
		require.NotEmpty(t, e.Errors[0].Msg, said)
	case strings.HasPrefix(target, prom.Prefix) && !strings.HasPrefix(target, prom.Prefix+"/read"):
		var e struct{ Status, ErrorType, Error string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e), said)
		require.Equal(t, "error", e.Status, said)
		require.NotEmpty(t, e.ErrorType, said)
		require.NotEmpty(t, e.Error, said)
	}
}

// fuzzed are the operations of the document with a method; streams are no answers.
func fuzzed(b *bench, get bool) (out []string) {
	for path, item := range b.s.doc.Paths.Map() {
		for method := range item.Operations() {
			stream := slices.Contains([]string{"/ws", "/api/v1/live", "/api/v1/logs/tail", "/metrics"}, path) || strings.Contains(path,
				"oidc") || strings.HasPrefix(path, "/api/v1/receivers")
			if !stream && (method == http.MethodGet) == get {
				out = append(out, method+" "+path)
			}
		}
	}
	slices.Sort(out)
	return out
}

// FuzzRequests asks every path that reads with made-up parameters, names in the path and headers.
func FuzzRequests(f *testing.F) {
	b := fuzzBench(f)
	list := fuzzed(b, true)
	for _, seed := range []struct{ path, part, query string }{
		{"/jaeger/api/traces", "", "service=web&tags={\"error\":\"true\"}&minDuration=1ms&limit=3&start=0&end=60000000"},
		{"/jaeger/api/traces", "", "service=cart&tags=null&tag=a:b"},
		{"/jaeger/api/traces", "", "traceID=1&traceID=74310000000000000000000000000000"},
		{"/jaeger/api/traces/{id}", "74310000000000000000000000000000", "start=0&end=60000"},
		{"/jaeger/api/operations", "", "service=web&spanKind=server"},
		{"/jaeger/api/services/{service}/operations", "web", ""},
		{"/jaeger/api/dependencies", "", "endTs=60000&lookback=60000&service=web"},
		{"/jaeger/api/metrics/latencies", "",
			"service=web&quantile=0.9&endTs=60000&lookback=60000&step=1000&ratePer=60000&groupByOperation=true"},
		{"/jaeger/api/metrics/calls", "", "service=web&endTs=9e18"},
		{"/jaeger/api/metrics/errors", "", "service=a.*&service=b&spanKind=client"},
		{"/jaeger/api/v3/operations", "", "service=web&span_kind=server"},
		{"/jaeger/api/v3/traces", "",
			"query.start_time_min=1970-01-01T00:00:00Z&query.start_time_max=1970-01-01T00:01:00Z&query.attributes={}"},
		{"/jaeger/api/v3/trace-summaries", "",
			"query.startTimeMin=1970-01-01T02:00:00+02:00&query.startTimeMax=2262-04-11T23:47:16Z&query.searchDepth=-1"},
		{"/jaeger/api/v3/traces/{id}", "74310000000000000000000000000000", "start_time=x"},
		{"/prometheus/api/v1/metadata", "", "limit=2"}, {"/prometheus/api/v1/query", "", "query=sum(calls_total)&time=20"},
		{"/prometheus/api/v1/query_range", "", "query=rate(calls_total[30s])&start=0&end=60&step=5&timeout=1s"},
		{"/prometheus/api/v1/query_exemplars", "", "query=test&start=0&end=60"},
		{"/prometheus/api/v1/label/{name}/values", "U__service_2e_name", "match[]={a=~\"b\"}&limit=1"},
		{"/prometheus/api/v1/label/{name}/values", "a/b", ""},
		{"/prometheus/api/v1/series", "", "match[]=calls_total&start=0&end=60"},
		{"/prometheus/api/v1/rules", "",
			"file[]=x&rule_group[]=g&exclude_alerts=true&group_limit=1&group_next_token=x"},
		{"/prometheus/api/v1/labels", "", "match[]=x&start=-1&end=1e3"},
		{"/prometheus/config/v1/rules/{namespace}/{group}", "test", ""},
		{"/alertmanager/api/v2/{path}", "alerts",
			"filter=alertname=~\"E.*\"&active=true&receiver=team"},
		{"/alertmanager/api/v2/{path}", "alerts/groups", "filter=severity!=\"page\""},
		{"/alertmanager/api/v2/{path}", "silences", "filter=a=b"},
		{"/alertmanager/api/v2/{path}", "silence/1", ""},
		{"/api/v1/traces", "", "start=0&end=1e3&attributes=a=b&order=slowest"},
		{"/api/v1/traces/{id}", "7431", ""},
		{"/api/v1/logs", "", "start=0&text=a&next=eyJlZGdlIjoxfQ"},
		{"/api/v1/logs/volume", "", "start=0&step=1us"},
		{"/api/v1/services", "",
			"start=253402300799&end=253402300799"},
		{"/api/v1/services/{name}", "web", ""},
		{"/api/v1/services/{name}/metrics", "web",
			"step=10s"},
		{"/api/v1/servicemap", "",
			"start=0&compare_start=1&compare_end=2"}, {"/api/v1/metrics/labels", "", "name=x&match=up"}, {"/api/v1/errors", "", "step=1s"},
		{"/api/v1/audit", "", "limit=1&next=_w"}, {"/api/v1/alerts/history", "", "start=0&limit=1"},
		{"/api/v1/alerts/{id}", "x", ""}, {"/api/v1/metrics", "", "limit=1&next=YQ"},
		{"/api/v1/logs/patterns", "", "service=cart&limit=2"}, {"/api/v1/deployments", "", ""},
		{"/api/v1/pipeline", "", ""}, {"/api/openapi.yaml", "", ""},
	} {
		i := slices.Index(list, "GET "+seed.path)
		require.GreaterOrEqual(f, i, 0, seed.path)
		f.Add(uint8(i), seed.part, seed.query, uint8(0), "")
	}
	headers := []string{"Accept", "Accept-Encoding", "If-None-Match", "If-Modified-Since", "Range", "Origin", "Content-Type",
		"Last-Event-ID"}
	for i, v := range []string{"text/html;q=0", "zstd;q=1.0, gzip;q=x", `W/"x", *`, "Thu, 01 Jan 1970 00:00:00 GMT", "bytes=1-,-5", "null",
		"a/b; c=d"} {
		f.Add(uint8(i), "web", "", uint8(i), v)
	}
	f.Fuzz(func(t *testing.T, op uint8, part, query string, header uint8, v string) {
		q, err := url.ParseQuery(query)
		if err != nil || q.Has("min_position") || strings.ContainsAny(v, "\r\n\x00") { // the first waits; the last no server gets to see
			return
		}
		b.answers(t, http.MethodGet, filled(list[int(op)%len(list)], part)+"?"+q.Encode(), "", headers[int(header)%len(headers)]+": "+v)
	})
}

// filled is the target of an operation with its names put in; of the only path that is a path itself the slashes stay.
func filled(operation, part string) string {
	_, path, _ := strings.Cut(operation, " ")
	if before, ok := strings.CutSuffix(path, "{path}"); ok {
		var out []string
		for p := range strings.SplitSeq(part, "/") {
			out = append(out, url.PathEscape(p))
		}
		return before + strings.Join(out, "/")
	}
	for strings.Contains(path, "{") {
		before, after, _ := strings.Cut(path, "{")
		_, after, _ = strings.Cut(after, "}")
		path = before + url.PathEscape(cmp.Or(part, "x")) + after
	}
	return path
}

// FuzzBodies sends every path that takes a body made-up ones.
func FuzzBodies(f *testing.F) {
	b := newAlertmanagerBench(f, "route: {receiver: team}\nreceivers: [{name: team}]\n", quiet)
	b.alertmanager = false // its answers are not compared
	b.record("10s 40ms web server GET/cart id=t1/a", "10.005s 30ms cart server get id=t1/b<a error")
	b.commit()
	list := fuzzed(b, false)
	for _, seed := range []struct{ op, part, body string }{
		{"POST /api/v1/alerts", "",
			`{"name":"Many","expr":"sum(calls_total) > 5","for":"5m","keep_firing_for":"1m","labels":{"severity":"page"},"annotations":{"a":"{{ $value }}"},"enabled":false,"group":"g","type":"alerting"}`},
		{"PUT /api/v1/alerts/{id}", "first", `{"name":"Few","expr":"sum(calls_total) < 5"}`},
		{"POST /api/v1/alerts/{id}/backtest", "first", `{"start":"0","end":"60","step":"10s"}`},
		{"POST /api/v1/alerts/backtest", "",
			`{"rule":{"name":"A","expr":"calls_total > 0"},"start":"0","end":"60","step":"10s","variants":[{"threshold":2,"for":"1m"}]}`},
		{"POST /api/v1/alerts/backtest", "", `{"yaml":"groups: [{name: g, rules: [{alert: A, expr: up}]}]","start":"0","end":"60"}`},
		{"POST /api/v1/alerts/templates", "", `{"kind":"no_data","name":"x","selector":"up","within":"5m","seen":"1h"}`},
		{"POST /api/v1/alerts/templates", "",
			`{"kind":"baseline","name":"x","expr":"sum(rate(calls_total[1m]))","days":3,"factor":2}`},
		{"POST /api/v1/slos", "",
			`{"name":"Cart works","objective":99.9,"window":"30d","service":"cart","latency_ms":50,"labels":{"team":"x"}}`},
		{"POST /api/v1/saved-views", "", `{"name":"v","page":"logs","query":"a=b"}`},
		{"POST /prometheus/config/v1/rules/{namespace}", "0", "c"},
		{"PUT /api/v1/slos/{id}", "cart-works",
			`{"name":"Cart works","objective":90,"window":"7d","service":"cart"}`},
		{"POST /api/v1/traces/search", "",
			`{"service":"web","minDuration":"1ms","maxDuration":5000,"status":"error","attributes":{"a":"b"},"limit":3,"start":"0","end":"60"}`}, {"POST /api/v1/logs/search", "", `{"service":"cart","severity":"INFO","text":"h","start":"0","end":"60","limit":1,"trace_id":"7431"}`}, {"POST /api/v1/metrics/query", "", `{"query":"sum(calls_total)","start":"0","end":"60","step":"5s"}`}, {"POST /api/v1/replays", "", `{"views":["red"],"from":"0","to":"60","keep":true}`}, {"POST /jaeger/api/transform", "", `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},"scopeSpans":[{"spans":[{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","name":"x"}]}]}]}`}, {"POST /prometheus/config/v1/rules/{namespace}", "ns", "name: g\nrules: [{alert: A, expr: up > 0, for: 5m}]"}, {"POST /prometheus/config/v1/rules/{namespace}", "\xe7", "name: g\nrules: [{alert: A, expr: up}]"}, {"POST /prometheus/api/v1/query", "", "query=1%2B1&time=4"}, {"POST /prometheus/api/v1/query_range", "", "query=sum(calls_total)&start=0&end=60&step=1s"}, {"POST /prometheus/api/v1/series", "", "match[]=calls_total"}, {"POST /alertmanager/api/v2/{path}", "silences", `{"matchers":[{"name":"a","value":"b","isRegex":false}],"startsAt":"2026-11-23T10:00:00Z","endsAt":"2099-11-23T10:00:00Z","createdBy":"a","comment":"c"}`},
		{"POST /alertmanager/api/v2/{path}", "alerts", `[{"labels":{"alertname":"A"},"annotations":{},"endsAt":"2099-11-23T10:00:00Z"}]`},
		{"DELETE /prometheus/config/v1/rules/{namespace}/{group}", "ns", ""}, {"DELETE /alertmanager/api/v2/{path}", "silence/x", ""},
		{"POST /api/v1/auth/login", "", `{"username":"a","password":"b"}`},
		{"POST /api/v1/tokens", "", `{"name":"x","role":"viewer","expires":"2099-01-01T00:00:00Z"}`},
		{"POST /api/v1/users", "", `{"name":"x","role":"viewer","password":"0123456789ab"}`},
	} {
		i := slices.Index(list, seed.op)
		require.GreaterOrEqual(f, i, 0, seed.op)
		f.Add(uint8(i), seed.part, seed.body)
	}
	n := 0
	f.Fuzz(func(t *testing.T, op uint8, part, body string) {
		if b.t = t; n%100 == 99 {
			b.forget()
		}
		n++
		operation := list[int(op)%len(list)]
		method, _, _ := strings.Cut(operation, " ")
		target, typ := filled(operation, part), "application/json"
		if strings.HasPrefix(target, "/prometheus/api") {
			typ = "application/x-www-form-urlencoded"
		}
		w := b.answers(t, method, target, body, "Content-Type: "+typ)
		if w == nil || w.Code >= 300 {
			return
		}
		if ns, ok := strings.CutPrefix(target, "/prometheus/config/v1/rules/"); ok && method == http.MethodPost {
			sameGroup(t, b, ns, body)
		}
	})
}

// forget deletes what users made.
func (b *bench) forget() {
	b.t.Helper()
	for _, kind := range []string{storage.KindRuleGroup, storage.KindRuleSwitch, storage.KindSLO, storage.KindDashboard} {
		list, err := storage.Objects(b.made.kv, kind)
		require.NoError(b.t, err)
		for i := range list {
			list[i].Value = nil
		}
		require.NoError(b.t, b.made.Write(b.t.Context(), storage.Edit{By: "fuzz", Action: "delete", Objects: list}, b.now))
	}
}

// sameGroup: a group that was taken is given back as it was sent.
func sameGroup(t *testing.T, b *bench, namespace, body string) {
	t.Helper()
	sent, err := prom.ParseGroup(strings.NewReader(body))
	require.NoError(t, err)
	w := b.get("/prometheus/config/v1/rules/" + namespace + "/" + url.PathEscape(sent.Name))
	require.Equal(t, http.StatusOK, w.Code, "%q: %s", body, w.Body)
	got, err := prom.ParseGroup(bytes.NewReader(w.Body.Bytes()))
	require.NoError(t, err)
	text := func(g rulefmt.RuleGroup) string {
		out, err := yaml.Marshal(g)
		require.NoError(t, err)
		return string(out)
	}
	require.Equal(t, text(sent), text(got))
}

// FuzzTimes: a time or a duration that is understood is understood again as it is written, and means the same.
func FuzzTimes(f *testing.F) {
	for _, v := range []string{"2026-11-23T10:00:00.123456789Z", "1795428000.5", "0", "253402300799.999999999", "1e3", "-1", "150ms", "1.5",
		"9223372036854775", "1µs", "NaN", "0x1p4", "1970-01-01T00:00:00-00:01"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if at, err := answer.ParseTime("start", v); err != nil {
			apitest.Refused(t, err, "invalid_time")
		} else {
			require.Equal(t, time.UTC, at.Location())
			again, err := answer.ParseTime("start", at.Format(time.RFC3339Nano))
			require.NoError(t, err)
			require.True(t, at.Equal(again))
			again, err = answer.ParseTime("start", fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond()))
			require.NoError(t, err)
			require.True(t, at.Equal(again), "%q: %v %v", v, at, again)
		}
		d, err := answer.ParseDuration("step", v)
		if err != nil {
			apitest.Refused(t, err, "invalid_duration")
			return
		}
		require.Positive(t, d)
		again, err := answer.ParseDuration("step", d.String())
		require.NoError(t, err)
		require.Equal(t, d, again)
	})
}

// FuzzPlaces: positions, ids of traces and tokens of pages that are understood mean the same when they are written again.
func FuzzPlaces(f *testing.F) {
	line, err := (&older.LogCursor{Edge: 5, After: &raw.LogPlace{At: 3, Seen: []string{"a"}}}).Token()
	require.NoError(f, err)
	for _, v := range []string{"otlp_spans/0/5,b/2147483647/9223372036854775807", "a/b/0/1", ",", *line,
		"eyJ2aWV3Ijp7fX0", "74310000000000000000000000000000", "A", "5@x.3", "18446744073709551615@.-1", "YQ"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if list, err := answer.ParsePositions(v); err != nil {
			apitest.Refused(t, err, "invalid_position")
		} else {
			var out []string
			for _, p := range list {
				require.GreaterOrEqual(t, p.Offset, int64(0))
				out = append(out, fmt.Sprintf("%s/%d/%d", p.Topic, p.Partition, p.Offset))
			}
			again, err := answer.ParsePositions(strings.Join(out, ","))
			require.NoError(t, err)
			require.Equal(t, list, again)
		}
		if id, err := answer.ParseTraceID(v); err != nil {
			apitest.Refused(t, err, "invalid_trace_id")
		} else {
			again, err := answer.ParseTraceID(fmt.Sprintf("%x", id))
			require.NoError(t, err)
			require.Equal(t, id, again)
		}
		if place, err := older.ParseLogToken(&v); err != nil {
			apitest.Refused(t, err, "invalid_next")
		} else {
			token, err := place.Token()
			require.NoError(t, err)
			again, err := older.ParseLogToken(token)
			require.NoError(t, err)
			require.Equal(t, place, again)
		}
		items := []string{"a", "b", v}
		slices.Sort(items)
		if rest, _, err := answer.Page(items, 0, &v, func(s string) string { return s }); err != nil {
			apitest.Refused(t, err, "invalid_next")
		} else {
			key, err := base64.RawURLEncoding.DecodeString(v)
			require.NoError(t, err)
			for _, s := range rest {
				require.Greater(t, s, string(key))
			}
		}
		one, token, err := answer.Page(items, 1, nil, func(s string) string { return s })
		require.NoError(t, err)
		two, _, err := answer.Page(items, 0, token, func(s string) string { return s })
		require.NoError(t, err)
		require.NotContains(t, two, one[0])
	})
}

// FuzzRuleGroups: a rule group is refused with a reason, or stays the same when it is written and read again.
func FuzzRuleGroups(f *testing.F) {
	for _, v := range []string{
		"name: g\ninterval: 30s\nquery_offset: 1m\nlimit: 5\nlabels: {a: b}\nrules:\n- alert: A\n  expr: up > 0\n  for: 5m\n  labels: {x: y}\n- record: r:r\n  expr: sum(up)\n", "", "{", "name: g\n---\nname: h", "a: &a [*a]",
		"name: g\nrules: [{alert: A, expr: up, forr: 5m}]", "name: [1]\nrules: 3"} {
		f.Add("ns", v)
	}
	b := newBench(f)
	book := &books.RuleBook{KV: b.made.kv, Objects: b.made}
	f.Fuzz(func(t *testing.T, namespace, v string) {
		g, err := prom.ParseGroup(strings.NewReader(v))
		if err != nil {
			apitest.Refused(t, err, "invalid_rule")
			return
		}
		b.t = t
		if err := book.SetGroup(t.Context(), "fuzz", namespace, g, b.now); err != nil {
			require.ErrorIs(t, err, books.ErrRuleInvalid)
			return
		}
		all, err := book.Namespaces()
		require.NoError(t, err)
		require.Len(t, all[namespace], 1)
		want, err := yaml.Marshal(g)
		require.NoError(t, err)
		got, err := yaml.Marshal(all[namespace][0])
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
		require.NoError(t, book.DeleteGroups(t.Context(), "fuzz", namespace, "", b.now))
	})
}
