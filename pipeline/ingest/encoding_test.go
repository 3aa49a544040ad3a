package ingest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/gogo/protobuf/jsonpb"
	jaegermodel "github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// written are records of spans in an encoding, as the Collector's kafkaexporter writes them.
func written(t require.TestingT, encoded string, td ptrace.Traces) (records [][]byte) {
	switch encoded {
	case encoding.JaegerProto, encoding.JaegerJSON:
		for _, batch := range jaeger.ProtoFromTraces(td) {
			for _, s := range batch.Spans {
				s.Process = batch.Process
				b, err := s.Marshal()
				if encoded == encoding.JaegerJSON {
					var out bytes.Buffer
					err = (&jsonpb.Marshaler{}).Marshal(&out, s)
					b = out.Bytes()
				}
				require.NoError(t, err)
				records = append(records, b)
			}
		}
		return records
	case "jaeger batch":
		for _, batch := range jaeger.ProtoFromTraces(td) {
			b, err := batch.Marshal()
			require.NoError(t, err)
			records = append(records, b)
		}
		return records
	}
	m := map[string]ptrace.Marshaler{encoding.OTLPProto: &ptrace.ProtoMarshaler{}, encoding.OTLPJSON: &ptrace.JSONMarshaler{},
		encoding.ZipkinJSON: zipkinv2.NewJSONTracesMarshaler(), encoding.ZipkinProto: zipkinv2.NewProtobufTracesMarshaler()}[encoded]
	b, err := m.MarshalTraces(td)
	require.NoError(t, err)
	return [][]byte{b}
}

// translated are the records as the Collector's kafkareceiver reads them.
func translated(t require.TestingT, encoded string, records [][]byte) (list [][]byte) {
	for _, r := range records {
		var td ptrace.Traces
		var err error
		switch encoded {
		case encoding.JaegerProto, encoding.JaegerJSON:
			var s jaegermodel.Span
			if err = s.Unmarshal(r); encoded == encoding.JaegerJSON {
				s = jaegermodel.Span{}
				err = jsonpb.Unmarshal(bytes.NewReader(r), &s)
			}
			require.NoError(t, err)
			td, err = jaeger.ProtoToTraces([]*jaegermodel.Batch{{Spans: []*jaegermodel.Span{&s}, Process: s.Process}})
		case "jaeger batch":
			var b jaegermodel.Batch
			require.NoError(t, b.Unmarshal(r))
			td, err = jaeger.ProtoToTraces([]*jaegermodel.Batch{&b})
		case encoding.ZipkinJSON:
			td, err = zipkinv2.NewJSONTracesUnmarshaler(false).UnmarshalTraces(r)
		case encoding.ZipkinProto:
			td, err = zipkinv2.NewProtobufTracesUnmarshaler(false, false).UnmarshalTraces(r)
		case encoding.OTLPProto:
			td, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(r)
		case encoding.OTLPJSON:
			td, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(r)
		}
		require.NoError(t, err)
		var m ptrace.ProtoMarshaler
		b, err := m.MarshalTraces(td)
		require.NoError(t, err)
		list = append(list, b)
	}
	return list
}

// counted is what records become, as a dump of every view of spans.
func counted(t require.TestingT, encoded string, records [][]byte) string {
	set, err := views.Open(storage.NewMem(storage.MemOptions{}), model.Config{TraceBytes: 1 << 20})
	require.NoError(t, err)
	kv := storage.NewMem(storage.MemOptions{})
	g := New(Config{Set: set, KV: kv, Encodings: Encodings{Spans: encoded}})
	a := set.Partition(pipelinetest.Topic, 0)
	for i, r := range records {
		rec := model.Record{Offset: int64(i), Timestamp: 2000, Received: 2000}
		require.NoError(t, g.apply(a, &kgo.Record{Topic: pipelinetest.Topic, Value: r}, rec), encoded)
	}
	ctx := source.ContextWithBatch(message.NewMessage("", nil).Context(), source.Batch{})
	require.NoError(t, g.Checkpoint(ctx, time.UnixMilli(2000)))
	var out strings.Builder
	for _, view := range []string{"red", "edges", "traces", "errors"} {
		require.NoError(t, set.Dump(&out, view))
	}
	fmt.Fprintln(&out, set.Counters().Spans)
	return out.String()
}

func drawSpans(r *rand.Rand) ptrace.Traces {
	td := ptrace.NewTraces()
	id := byte(0)
	of := func(list ...string) string { return list[r.IntN(len(list))] }
	for range 1 + r.IntN(3) {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", of("web", "cart", "pay"))
		rs.Resource().Attributes().PutStr("service.version", of("1", "2"))
		ss := rs.ScopeSpans().AppendEmpty()
		for range 1 + r.IntN(4) {
			id++
			s := ss.Spans().AppendEmpty()
			s.SetTraceID(pcommon.TraceID{9, byte(r.Uint32())})
			s.SetSpanID(pcommon.SpanID{7, id})
			if id > 1 && r.IntN(2) == 0 {
				s.SetParentSpanID(pcommon.SpanID{7, id - 1})
			}
			s.SetName(of("GET /", "POST /cart", "select"))
			s.SetKind(ptrace.SpanKind(1 + r.IntN(5)))
			start := 1_000_000 + r.Int64N(500_000)
			s.SetStartTimestamp(pcommon.Timestamp(start * 1000))
			s.SetEndTimestamp(pcommon.Timestamp((start + 1 + r.Int64N(300_000)) * 1000))
			s.Status().SetCode(ptrace.StatusCode(r.IntN(3)))
			if r.IntN(2) == 0 {
				s.Attributes().PutStr("db.system.name", "postgresql")
				s.Attributes().PutStr("db.namespace", "orders")
			}
			if r.IntN(2) == 0 {
				e := s.Events().AppendEmpty()
				e.SetName("exception")
				e.SetTimestamp(pcommon.Timestamp(start * 1000))
				e.Attributes().PutStr("exception.type", "Timeout")
			}
		}
	}
	return td
}

// TestEncodingsCountAsTheCollectorsTranslation: records of every encoding count exactly as what the Collector's receiver makes of them, and
// those that keep everything of a span count as its OTLP.
func TestEncodingsCountAsTheCollectorsTranslation(t *testing.T) {
	for seed := range uint64(60) {
		td := drawSpans(rand.New(rand.NewPCG(seed, 1)))
		want := counted(t, encoding.OTLPProto, written(t, encoding.OTLPProto, td))
		require.Greater(t, len(want), 200, "nothing was counted")
		for _, e := range []string{encoding.OTLPProto, encoding.OTLPJSON, encoding.JaegerProto, encoding.JaegerJSON, "jaeger batch",
			encoding.ZipkinJSON, encoding.ZipkinProto} {
			records := written(t, e, td)
			set := e
			if e == "jaeger batch" {
				set = encoding.JaegerProto
			}
			got := counted(t, set, records)
			if of := counted(t, encoding.OTLPProto, translated(t, e, records)); got != of {
				t.Fatalf("%s:\n%s\nits translation, seed %d:\n%s", e, got, seed, of)
			}
			if (e == encoding.JaegerJSON || e == encoding.OTLPJSON) && got != want {
				t.Fatalf("%s:\n%s\nOTLP:\n%s", e, got, want)
			}
		}
	}
}

// TestWrongEncoding: a record of another encoding than the one that is set is a dead letter that names both and the setting.
func TestWrongEncoding(t *testing.T) {
	var u ptrace.ProtoUnmarshaler
	td, err := u.UnmarshalTraces(pipelinetest.Request(t, "web", 1))
	require.NoError(t, err)
	names := []string{encoding.OTLPProto, encoding.OTLPJSON, encoding.JaegerProto, encoding.JaegerJSON, encoding.ZipkinJSON,
		encoding.ZipkinProto}
	for _, set := range append(names, encoding.Auto) {
		for _, is := range names {
			if set == is || set == encoding.Auto && strings.HasPrefix(is, "otlp") {
				continue
			}
			it := newIngestTest(t)
			it.Config.Encodings.Spans = set
			require.NoError(t, it.Handle(batch(0, written(t, is, td)...)))
			require.Len(t, it.letters, 1, "%s as %s", is, set)
			require.Contains(t, it.letters[0], "looks like "+is, "%s as %s", is, set)
			require.Contains(t, it.letters[0], "WATCHINGCAT_KAFKA_TRACES_ENCODING", "%s as %s", is, set)
			require.Zero(t, it.counters().Spans)
		}
	}
}

// TestRecordSentAgainInOtherEncodings: a repetition is known although translations order attributes by chance.
func TestRecordSentAgainInOtherEncodings(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "web")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{2})
	s.SetStartTimestamp(1e6)
	s.SetEndTimestamp(2e6)
	for i := range 20 {
		s.Attributes().PutStr(fmt.Sprint("key", i), "value")
	}
	for _, e := range []string{encoding.JaegerProto, encoding.ZipkinJSON, encoding.ZipkinProto} {
		it := newIngestTest(t)
		it.Config.Encodings.Spans = e
		b := written(t, e, td)[0]
		require.NoError(t, it.Handle(batch(0, b, b, b, b)))
		c := it.counters()
		require.EqualValues(t, 1, c.Spans, "%s %q", e, it.letters)
		require.EqualValues(t, 3, c.Duplicates, e)
	}
}

// TestOwnSpansInOtherEncodings: own spans that come back in another encoding make no further ones.
func TestOwnSpansInOtherEncodings(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "watchingcat")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName(ownScopes[0])
	s := ss.Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{2})
	s.SetName("GET /")
	s.SetStartTimestamp(1e6)
	for _, e := range []string{encoding.JaegerProto, encoding.JaegerJSON, encoding.ZipkinJSON, encoding.ZipkinProto} {
		d := encoding.Decoder{Signal: encoding.Spans, Encoding: e}
		own := ownBatch(&source.Batch{Records: []*kgo.Record{{Value: written(t, e, td)[0]}}}, d.OTLP)
		require.True(t, own, e)
	}
}

// TestLinesOfPlainRecords: a record is a line, also equal ones; its headers and key are kept, and one of them names the service.
func TestLinesOfPlainRecords(t *testing.T) {
	for _, e := range []string{encoding.Raw, encoding.Text} {
		it := newIngestTest(t)
		it.Config.Logs, it.Config.Encodings.Logs = kafka.TopicsOf(pipelinetest.Topic), e
		msg := batch(0, []byte("GET /healthz 200"), []byte("GET /healthz 200"), []byte("caf\xe9"), logsOf(t, 3), nil)
		b, _ := source.BatchFrom(msg.Context())
		b.Records[0].Headers = []kgo.RecordHeader{{Key: "service.name", Value: []byte("edge")}, {Key: "pod", Value: []byte("edge-1")}}
		b.Records[0].Key = []byte("k1")
		b.Records[0].Timestamp = time.UnixMilli(1234)
		require.NoError(t, it.Handle(msg))
		c := it.counters()
		require.EqualValues(t, 3, c.Logs, e)
		require.EqualValues(t, 2, c.Unattributed, e)
		require.Len(t, it.letters, 2, e)
		require.Contains(t, it.letters[0], "looks like otlp_proto")
		require.Contains(t, it.letters[0], "WATCHINGCAT_KAFKA_LOGS_ENCODING=auto")
		lines, _, _, err := it.set.TailLogs(views.LogQuery{Service: "edge"}, 0, 10)
		require.NoError(t, err)
		require.Len(t, lines, 1)
		require.Equal(t, "GET /healthz 200", lines[0].Body)
		require.Equal(t, map[string]any{"service.name": "edge", "kafka.header.pod": "edge-1"}, lines[0].Resource)
		require.Equal(t, map[string]any{"messaging.kafka.message.key": "k1"}, lines[0].Attributes)
		require.EqualValues(t, 1234e6, lines[0].Time.UnixNano())
	}
}
