package encoding

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/otlp"

	jaegermodel "github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
)

func TestCheckNamesTheEncodings(t *testing.T) {
	require.NoError(t, Spans.Check(""))
	require.NoError(t, Spans.Check(ZipkinJSON))
	require.NoError(t, Logs.Check(Text))
	require.ErrorContains(t, Metrics.Check(JaegerProto), "auto, otlp_proto, otlp_json")
	require.ErrorContains(t, Logs.Check("avro"), `"avro" is no encoding of logs`)
	_, err := Decoder{Signal: Spans, Encoding: "avro"}.OTLP(&kgo.Record{Value: []byte("x")})
	require.ErrorContains(t, err, "jaeger_proto")
}

func spans() ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "web")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{2})
	s.SetName("GET /")
	s.SetStartTimestamp(1e6)
	s.SetEndTimestamp(2e6)
	s.Attributes().PutStr("key", "value")
	s.Events().AppendEmpty().SetName("event")
	return td
}

func proto(t testing.TB) []byte {
	t.Helper()
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(spans())
	require.NoError(t, err)
	return b
}

// TestConfluentHeader: what a serializer of a schema registry writes before OTLP is skipped.
func TestConfluentHeader(t *testing.T) {
	var j ptrace.JSONMarshaler
	js, err := j.MarshalTraces(spans())
	require.NoError(t, err)
	header := []byte{0, 0, 0, 1, 7}
	index := func(path ...int64) []byte { // as Confluent writes the place of a message in its file
		b := binary.AppendVarint(nil, int64(len(path)))
		for _, i := range path {
			b = binary.AppendVarint(b, i)
		}
		return b
	}
	d := Decoder{Signal: Spans}
	for name, value := range map[string][]byte{
		"first message":   append(append(bytes.Clone(header), 0), proto(t)...),
		"another message": append(append(bytes.Clone(header), index(1)...), proto(t)...),
		"nested message":  append(append(bytes.Clone(header), index(2, 0, 130)...), proto(t)...),
		"no index":        append(bytes.Clone(header), proto(t)...),
		"JSON":            append(bytes.Clone(header), js...),
		"padded JSON":     append(append(bytes.Clone(header), "\n "...), js...),
	} {
		var got [][]byte
		err := d.Apply(&kgo.Record{Value: value}, func(m Made) error {
			var u ptrace.ProtoUnmarshaler
			_, err := u.UnmarshalTraces(m.OTLP)
			if err == nil {
				got = append(got, m.OTLP)
			} else {
				err = otlp.ErrMalformed
			}
			return err
		})
		require.NoError(t, err, name)
		require.Equal(t, [][]byte{proto(t)}, got, name)
	}
	for _, cut := range [][]byte{{0}, header, {0, 0, 0, 1, 7, 0}, {0, 0, 0, 1, 7, 16, 0x80}} {
		_, err := d.OTLP(&kgo.Record{Value: cut})
		_ = err // no panic
	}
}

// TestGrowthIsBounded: an empty tag of two bytes may not become more than its share.
func TestGrowthIsBounded(t *testing.T) {
	s := jaegermodel.Span{TraceID: jaegermodel.NewTraceID(1, 2), SpanID: 3, OperationName: "op"}
	for range 10_000 {
		s.Tags = append(s.Tags, jaegermodel.KeyValue{Key: "k", VType: 9})
	}
	b, err := s.Marshal()
	require.NoError(t, err)
	_, err = Decoder{Signal: Spans, Encoding: JaegerProto}.OTLP(&kgo.Record{Value: b})
	require.NoError(t, err)
	many := bytes.Repeat([]byte{10<<3 | 2, 0}, maxParts+1) // tags without anything
	_, err = Decoder{Signal: Spans, Encoding: JaegerProto}.OTLP(&kgo.Record{Value: append(b, many...)})
	require.ErrorContains(t, err, "parts in one record")
}

// TestHeadersAreBounded: a line keeps so many headers and so many bytes of them.
func TestHeadersAreBounded(t *testing.T) {
	r := &kgo.Record{Value: []byte("line"), Timestamp: time.UnixMilli(5)}
	for range 3 * maxHeaders {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: strings.Repeat("k", 1+len(r.Headers)), Value: []byte("v")})
	}
	attributes := func() pcommon.Map {
		b, err := Decoder{Signal: Logs, Encoding: Text}.OTLP(r)
		require.NoError(t, err)
		var u plog.ProtoUnmarshaler
		ld, err := u.UnmarshalLogs(b)
		require.NoError(t, err)
		return ld.ResourceLogs().At(0).Resource().Attributes()
	}
	require.Equal(t, maxHeaders, attributes().Len())
	r.Headers = []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b", Value: make([]byte, 9<<10)}}
	require.Equal(t, map[string]any{"kafka.header.a": "1"}, attributes().AsRaw())
}

// fuzz takes any bytes as records in an encoding: no panic of ours, output that is bounded and that pdata reads.
func fuzz(f *testing.F, signal *Signal, encodings ...string) {
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range encodings {
			d := Decoder{Signal: signal, Encoding: e}
			r := &kgo.Record{Value: b, Key: b, Headers: []kgo.RecordHeader{{Key: string(b[:min(len(b), 9)]), Value: b}}}
			err := d.Apply(r, func(m Made) error {
				if len(m.OTLP) > maxGrowth*len(b)+smallest {
					t.Fatalf("%d bytes of %d", len(m.OTLP), len(b))
				}
				if e == Auto || e == OTLPProto {
					return otlp.ErrMalformed
				}
				var err error
				if signal == Logs {
					_, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(m.OTLP)
				} else {
					_, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(m.OTLP)
				}
				require.NoError(t, err)
				return nil
			})
			if err != nil && strings.Contains(err.Error(), "panic while decoding") {
				t.Log(err) // of a translator; the record is a dead letter
			}
		}
	})
}

func jaegerSpan(t testing.TB) *jaegermodel.Span {
	t.Helper()
	batch := jaeger.ProtoFromTraces(spans())[0]
	batch.Spans[0].Process = batch.Process
	return batch.Spans[0]
}

func FuzzJaegerProto(f *testing.F) {
	b, err := jaegerSpan(f).Marshal()
	require.NoError(f, err)
	f.Add(b)
	b, err = (&jaegermodel.Batch{Spans: []*jaegermodel.Span{jaegerSpan(f)}, Process: jaegerSpan(f).Process}).Marshal()
	require.NoError(f, err)
	f.Add(b)
	fuzz(f, Spans, JaegerProto)
}

func FuzzJaegerJSON(f *testing.F) {
	f.Add([]byte(`{"traceId":"AAAAAAAAAAAAAAAAAAAAAQ==","spanId":"AAAAAAAAAAI=","operationName":"op","startTime":"1970-01-01T00:00:01Z","duration":"1s","process":{"serviceName":"web"},"tags":[{"key":"a","vType":"INT64","vInt64":"1"}]}`))
	fuzz(f, Spans, JaegerJSON)
}

func FuzzZipkinJSON(f *testing.F) {
	b, err := zipkinv2.NewJSONTracesMarshaler().MarshalTraces(spans())
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`[null,{"traceId":"1","id":"2","tags":{"otlp.link.0":"1|2|3|{}|4"},"annotations":[{"timestamp":1,"value":"a|{\"b\":1e300}|0"}]}]`))
	fuzz(f, Spans, ZipkinJSON)
}

func FuzzZipkinProto(f *testing.F) {
	b, err := zipkinv2.NewProtobufTracesMarshaler().MarshalTraces(spans())
	require.NoError(f, err)
	f.Add(b)
	fuzz(f, Spans, ZipkinProto)
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("line \xff"))
	f.Add([]byte(`{"resourceLogs":[]}`))
	fuzz(f, Logs, Raw, Text)
}

// FuzzOTLP: headers of schema registries, and what is recognised as another encoding.
func FuzzOTLP(f *testing.F) {
	f.Add(append([]byte{0, 0, 0, 1, 7, 2, 0}, proto(f)...))
	b, err := jaegerSpan(f).Marshal()
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"resourceSpans":[]}`))
	fuzz(f, Spans, Auto, OTLPProto, OTLPJSON)
}

// TestStamp: resources that lack the attribute get it, as pdata and the scan read them; those that have it, under either name, keep it.
func TestStamp(t *testing.T) {
	td := spans()
	spans().ResourceSpans().At(0).CopyTo(td.ResourceSpans().AppendEmpty())
	td.ResourceSpans().At(1).Resource().Attributes().PutStr("old.env", "mine")
	spans().ResourceSpans().At(0).CopyTo(td.ResourceSpans().AppendEmpty())
	td.ResourceSpans().At(2).Resource().Attributes().PutStr("env", "mine too")
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("no resource")
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	d := Decoder{Signal: Spans, Stamp: &Stamp{Names: []string{"env", "old.env"}, Value: func(topic string) string {
		return map[string]string{"prod": "production"}[topic]
	}}}
	same, err := d.OTLP(&kgo.Record{Topic: "other", Value: b})
	require.NoError(t, err)
	require.Equal(t, b, same)
	out, err := d.OTLP(&kgo.Record{Topic: "prod", Value: b})
	require.NoError(t, err)
	got, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(out)
	require.NoError(t, err)
	for i, want := range []map[string]any{{"service.name": "web", "env": "production"}, {"service.name": "web", "old.env": "mine"},
		{"service.name": "web", "env": "mine too"}, {"env": "production"}} {
		require.Equal(t, want, got.ResourceSpans().At(i).Resource().Attributes().AsRaw())
		require.Equal(t, td.ResourceSpans().At(i).ScopeSpans().At(0).Spans().At(0).Name(), got.ResourceSpans().At(i).ScopeSpans().At(0).Spans().At(0).Name())
	}
}
