package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/samples"
)

func jsonOf(t testing.TB, s *otlp.Signal, proto []byte) []byte {
	t.Helper()
	var b []byte
	var err error
	switch s {
	case &otlp.SpanSignal:
		var u ptrace.ProtoUnmarshaler
		td, uerr := u.UnmarshalTraces(proto)
		var m ptrace.JSONMarshaler
		b, err = m.MarshalTraces(td)
		err = errors.Join(err, uerr)
	case &otlp.LogSignal:
		var u plog.ProtoUnmarshaler
		ld, uerr := u.UnmarshalLogs(proto)
		var m plog.JSONMarshaler
		b, err = m.MarshalLogs(ld)
		err = errors.Join(err, uerr)
	default:
		var u pmetric.ProtoUnmarshaler
		md, uerr := u.UnmarshalMetrics(proto)
		var m pmetric.JSONMarshaler
		b, err = m.MarshalMetrics(md)
		err = errors.Join(err, uerr)
	}
	require.NoError(t, err)
	return b
}

// TestRecordsOfJSON count as those of protobuf, and are kept as protobuf; what is wrong with one is a dead letter that says JSON.
func TestRecordsOfJSON(t *testing.T) {
	it := newIngestTest(t)
	it.Config.Logs = kafka.TopicsOf("otlp_logs")
	one := jsonOf(t, &otlp.SpanSignal, pipelinetest.Request(t, "web", 3))
	padded := append([]byte(" \n\t"), jsonOf(t, &otlp.SpanSignal, pipelinetest.Request(t, "cart", 2))...)
	newline := append([]byte("\n"), jsonOf(t, &otlp.SpanSignal, pipelinetest.Request(t, "shop", 1))...)
	bad := [][]byte{[]byte("{"), []byte(`{"resourceSpans":1}`), []byte(`{}`), []byte(`{"resourceLogs":[]}`),
		append(bytes.Clone(one), one...), []byte(`{"resourceSpans":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + "}"),
		jsonOf(t, &otlp.SpanSignal, pipelinetest.Request(t, "many", 11))}
	require.NoError(t, it.Handle(batch(0, append([][]byte{one, padded, newline, pipelinetest.Request(t, "web", 1)}, bad...)...)))
	if c := it.counters(); c.Spans != 7 || c.Records != 4 || c.DeadLetters != uint64(len(bad)) {
		t.Errorf("%+v %q", c, it.letters)
	}
	for i, reason := range it.letters {
		if i < len(bad)-1 && !strings.Contains(reason, "JSON") {
			t.Errorf("dead letter %d: %q", i, reason)
		}
	}
	_, blocks, missing, ok, err := it.set.Trace([16]byte{1, 2})
	if err != nil || !ok || missing != 0 || len(blocks) == 0 {
		t.Fatalf("%v %v %d", err, ok, missing)
	}
	for _, b := range blocks {
		var u ptrace.ProtoUnmarshaler
		if _, err := u.UnmarshalTraces(b); err != nil {
			t.Error(err)
		}
	}
}

// TestLogsOfJSON: the lines of a record of JSON are kept and found.
func TestLogsOfJSON(t *testing.T) {
	it := newIngestTest(t)
	it.Config.Logs = kafka.TopicsOf(pipelinetest.Topic)
	require.NoError(t, it.Handle(batch(0, jsonOf(t, &otlp.LogSignal, logsOf(t, 3)))))
	if c := it.counters(); c.Logs != 3 {
		t.Fatalf("%+v %q", c, it.letters)
	}
	lines, _, _, err := it.set.TailLogs(views.LogQuery{}, 0, 10)
	if err != nil || len(lines) != 3 || lines[0].Service != "cart" {
		t.Fatalf("%v %v", lines, err)
	}
}

// TestMetricsOfJSON: also with white space before, as a newline is the tag of the first field of protobuf.
func TestMetricsOfJSON(t *testing.T) {
	it := newMetricIngestTest(t)
	values := [][]byte{jsonOf(t, &otlp.MetricSignal, gauges(t, 3)), append([]byte("\n"), jsonOf(t, &otlp.MetricSignal, gauges(t, 2))...),
		[]byte(`{"resourceMetrics":[{]}`)}
	require.NoError(t, it.Handle(metricBatch(values)))
	require.NoError(t, it.Checkpoint(t.Context(), time.Now()))
	if c := it.c.Metrics.Counters(); c.Points != 5 || c.DeadLetters != 1 || !strings.Contains(it.letters[0], "JSON") {
		t.Errorf("%+v %q", c, it.letters)
	}
}

// TestOwnSpansOfJSON: own spans are known in either encoding.
func TestOwnSpansOfJSON(t *testing.T) {
	td := ptrace.NewTraces()
	ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	ss.Scope().SetName(ownScopes[0])
	ss.Spans().AppendEmpty()
	var m ptrace.JSONMarshaler
	b, err := m.MarshalTraces(td)
	require.NoError(t, err)
	own := func(b []byte) bool {
		return ownBatch(&source.Batch{Records: []*kgo.Record{{Value: b}}}, encoding.Decoder{Signal: encoding.Spans}.OTLP)
	}
	if !own(b) {
		t.Error("own spans were not known")
	}
	if own(jsonOf(t, &otlp.SpanSignal, pipelinetest.Request(t, "web", 1))) {
		t.Error("spans of others were taken for own ones")
	}
}

// TestEqualLinesWithoutTime: equal bytes are a repetition only where a record holds something of its own.
func TestEqualLinesWithoutTime(t *testing.T) {
	it := newIngestTest(t)
	it.Config.Logs = kafka.TopicsOf(pipelinetest.Topic)
	ld := plog.NewLogs()
	l := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	l.Body().SetStr("heartbeat ok")
	var m plog.ProtoMarshaler
	none, _ := m.MarshalLogs(ld)
	l.SetTimestamp(5e9)
	second, _ := m.MarshalLogs(ld)
	l.SetTimestamp(5e9 + 1)
	fine, _ := m.MarshalLogs(ld)
	require.NoError(t, it.Handle(batch(0, none, none, none, none, none, second, second, fine, fine, fine)))
	if c := it.counters(); c.Logs != 8 || c.Duplicates != 2 {
		t.Errorf("%d lines and %d duplicates, want 5 + 2 + 1 and 2", c.Logs, c.Duplicates)
	}
}

// FuzzJSON takes any bytes as records of each signal: no panic, and what is taken as JSON is an object.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0000000000000000000000000000f170","startTimeUnixNano":"1","attributes":[{"key":"a","value":{"doubleValue":"NaN"}}]}]}]}]}`))
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"kvlistValue":{"values":[{"key":"a"}]}},"timeUnixNano":1}]}]}]}`))
	f.Add([]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","exponentialHistogram":{"dataPoints":[{"positive":{"offset":2147483647,"bucketCounts":["1"]}}]}}]}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := views.Open(storage.NewMem(storage.MemOptions{}), model.Config{})
		require.NoError(t, err)
		g := New(Config{Set: set, Logs: kafka.TopicsOf("logs"), MaxSpans: 100,
			DeadLetter: func(context.Context, *kgo.Record, string) error { return nil }})
		for i, topic := range []string{"spans", "logs"} {
			a := set.Partition(topic, int32(i))
			if err := g.apply(a, &kgo.Record{Topic: topic, Value: b}, model.Record{}); err == nil && otlp.IsJSON(b) && !json.Valid(b) {
				t.Fatalf("%q was taken", b)
			}
		}
		if p, err := otlp.MetricSignal.FromJSON(b); err == nil {
			if _, err := DecodeMetrics(p, 1000); err != nil && !errors.Is(err, ErrTooManyPoints) && !errors.Is(err, otlp.ErrMalformed) {
				t.Fatal(err)
			}
		}
	})
}

// TestServiceNamedTwice: the first name is the service's for all that reads it.
func TestServiceNamedTwice(t *testing.T) {
	it := newIngestTest(t)
	it.Config.Logs = kafka.TopicsOf("logs")
	const resource = `{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"first"}},{"key":"service.name","value":{"stringValue":"second"}}]},`
	spans := []byte(`{"resourceSpans":[` + resource +
		`"scopeSpans":[{"spans":[{"traceId":"0000000000000000000000000000f240","spanId":"0000000000000001","name":"dup","kind":2,"startTimeUnixNano":"1000000000","endTimeUnixNano":"1500000000"}]}]}]}`)
	lines := []byte(`{"resourceLogs":[` + resource +
		`"scopeLogs":[{"logRecords":[{"timeUnixNano":"1000000000","body":{"stringValue":"a"}}]}]}]}`)
	points := []byte(`{"resourceMetrics":[` + resource +
		`"scopeMetrics":[{"metrics":[{"name":"depth","gauge":{"dataPoints":[{"timeUnixNano":"1000000000","asInt":"1"}]}}]}]}]}`)
	require.NoError(t, it.Handle(batch(0, spans)))
	require.NoError(t, it.apply(it.set.Partition("logs", 1), &kgo.Record{Topic: "logs", Value: lines}, model.Record{}))
	it.counters()
	services, err := it.set.Services(time.Unix(0, 0), time.Unix(60, 0))
	if err != nil || len(services) != 1 || services[0].Name != "first" {
		t.Errorf("services %+v %v", services, err)
	}
	found, _, _, err := it.set.TailLogs(views.LogQuery{Service: "first"}, 0, 10)
	if err != nil || len(found) != 1 || found[0].Resource["service.name"] != "first" {
		t.Errorf("lines %+v %v", found, err)
	}
	b, err := otlp.MetricSignal.FromJSON(points)
	require.NoError(t, err)
	md, err := DecodeMetrics(b, 10)
	require.NoError(t, err)
	for _, s := range samples.ConvertMetrics(md, 1000, time.Hour).Samples {
		if s.Labels.Get("service_name") != "first" || s.Labels.Get("job") != "first" {
			t.Errorf("sample %v", s.Labels)
		}
	}
}
