package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/api/apitest"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

const logsTopic = "otlp_logs"

// raw applies an OTLP record as it is.
func (b *bench) raw(topic string, value []byte) {
	b.t.Helper()
	a := b.script.Set.Partition(topic, 0)
	b.offset++
	require.True(b.t, a.Begin(model.Record{Offset: b.offset + 1<<20, LeaderEpoch: -1, Timestamp: b.now.UnixMilli(), Value: value}))
	var err error
	if topic == logsTopic {
		err = ingest.DecodeLogs(value, nil, 1000, a.Log)
	} else {
		err = otlp.ScanSpans(value, 100_000, a.Span)
	}
	if err != nil {
		a.Rollback()
		require.NoError(b.t, err)
	}
	a.End()
}

// TestNumbersThatJSONDoesNotHave: one such number takes no answer with it, in any API.
func TestNumbersThatJSONDoesNotHave(t *testing.T) {
	b := newBench(t)
	b.raw(viewstest.Topic, apitest.OddSpans(t))
	b.raw(logsTopic, apitest.OddLines(t))
	b.commit()
	for _, path := range []string{
		"/api/v1/traces/00000000000000000000000000000001", "/jaeger/api/traces/1", "/jaeger/api/traces?service=odd&start=0&end=60000000",
		"/jaeger/api/traces?traceID=1", "/jaeger/api/v3/traces/1",
		"/jaeger/api/v3/traces?query.start_time_min=1970-01-01T00:00:00Z&query.start_time_max=1970-01-01T00:01:00Z",
		"/api/v1/logs?start=0&end=60",
	} {
		w := b.get(path)
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
		require.True(t, json.Valid(w.Body.Bytes()), path)
		for _, want := range []string{`"NaN"`, `"Infinity"`, `"-Infinity"`, `"9007199254740993"`, `"/w=="`} {
			require.Contains(t, w.Body.String(), want, path)
		}
		b.conforms(http.MethodGet, path, w)
	}
	w := b.get("/jaeger/api/traces/1")
	require.Contains(t, w.Body.String(), `{"key":"ratio","type":"float64","value":"NaN"}`)
	require.Contains(t, w.Body.String(), `{"key":"large","type":"int64","value":"9007199254740993"}`)
	require.Contains(t, w.Body.String(), `{"key":"map","type":"string","value":"{\"in\":{\"ratio\":\"NaN\"}}"}`)
	w = b.get("/api/v1/logs?start=0&end=60")
	require.Contains(t, w.Body.String(), `"body":"{\"ratio\":\"NaN\"}"`)
	require.Contains(t, w.Body.String(), `"the next line"`)
	w = b.do(http.MethodPost, "/api/v1/traces/search",
		`{"start":"0","end":"60","attributes":{"up":"Infinity","service.name":"odd","map":"{\"in\":{\"ratio\":\"NaN\"}}"}}`,
		"Content-Type: application/json")
	require.Contains(t, w.Body.String(), `"total":2`, "searched as it is shown")
}

// TestLiveLinesWithOddNumbers: neither stream of lines ends at one.
func TestLiveLinesWithOddNumbers(t *testing.T) {
	liveHTTP(t, func(b *bench, connect func() *peer, client *http.Client) {
		b.raw(logsTopic, apitest.OddLines(t))
		b.commit()
		tail := listenAt(t, client, "/api/v1/logs/tail", http.Header{})
		p := connect()
		p.send(`{"type":"subscribe","id":"l","view":"logs"}`)
		require.Equal(t, "snapshot", p.read().Type)
		for i := range byte(2) { // the second comes after a line that was odd
			b.raw(logsTopic, append(apitest.OddLines(t), 0x50, i)) // an unknown field makes the record another
			b.commit()
			for _, body := range []string{`{"ratio":"NaN"}`, "the next line"} {
				name, _, data := tail.next()
				require.Equal(t, "line", name)
				require.Equal(t, body, data["body"])
				require.Equal(t, "Infinity", data["resource"].(map[string]any)["up"])
			}
			m := p.read()
			require.Equal(t, "delta", m.Type)
			require.Contains(t, string(m.Data), `"9007199254740993"`)
		}
		_ = tail.body.Close()
	})
}

// TestEvents: the name of an event is a field that can be searched, stands where there is no body, and makes patterns.
func TestEvents(t *testing.T) {
	b := newBench(t)
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "login")
	rl.Resource().Attributes().PutStr("host.name", "node-1")
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("auth")
	sl.Scope().SetVersion("1.2")
	for i, name := range []string{"user.login", "user.logout", ""} {
		l := sl.LogRecords().AppendEmpty()
		l.SetTimestamp(pcommon.Timestamp(40+i) * 1e9)
		l.SetEventName(name)
		l.SetSeverityText("Notice")
		l.Attributes().PutStr("user.id", "u1")
		l.Attributes().PutInt("attempt", int64(i))
		if name == "" {
			l.Attributes().PutStr("event.name", "old.name") // as it was before the data model had a field
			l.Body().SetStr("said")
			l.SetSeverityNumber(18)
		}
	}
	var m plog.ProtoMarshaler
	value, err := m.MarshalLogs(ld)
	require.NoError(t, err)
	b.raw(logsTopic, value)
	b.commit()
	found := func(query string) (list []map[string]any) {
		w := b.get("/api/v1/logs?start=0&end=60&" + query)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		b.conforms(http.MethodGet, "/api/v1/logs", w)
		var out struct{ Logs []map[string]any }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
		return out.Logs
	}
	require.Len(t, found("text=USER.log"), 2)
	line := found("text=user.login")[0]
	require.Equal(t, "user.login", line["event_name"])
	require.Equal(t, "", line["body"])
	require.Equal(t, map[string]any{"name": "auth", "version": "1.2"}, line["scope"])
	require.Equal(t, "INFO", line["severity"])
	require.Equal(t, "Notice", line["severity_text"])
	require.Equal(t, 10.0, line["severity_number"])
	require.Equal(t, "old.name", found("text=said")[0]["event_name"])
	require.Equal(t, 18.0, found("severity=ERROR")[0]["severity_number"])
	require.Len(t, found("attributes=user.id=u1"), 3)
	require.Len(t, found("attributes=attempt=1"), 1)
	require.Len(t, found("attributes=host.name=node-1&attributes=attempt=2"), 1)
	require.Empty(t, found("attributes=host.name=node-2"))
	w := b.do(http.MethodPost, "/api/v1/logs/search", `{"start":"0","end":"60","attributes":{"attempt":"0","host.name":"node-1"}}`,
		"Content-Type: application/json")
	require.Contains(t, w.Body.String(), `"total":1`)
	w = b.get("/api/v1/logs?attributes=%3Dabcd")
	require.Equal(t, http.StatusBadRequest, w.Code)
	w = b.get("/api/v1/logs/patterns?start=0&end=60")
	require.Contains(t, w.Body.String(), `"user.login"`)
	require.Len(t, found("pattern=user.login"), 1)
}
