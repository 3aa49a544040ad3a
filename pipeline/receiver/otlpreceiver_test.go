package receiver

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
)

// otlpSetup serves a receiver on free ports.
func otlpSetup(t *testing.T) (*pipelinetest.Broker, *Listeners) {
	t.Helper()
	b := pipelinetest.NewBroker(t, 1, kfake.SeedTopics(1, "metrics", "logs"))
	return b, served(t, &Receiver{Kafka: b.Config, MetricsTopic: "metrics", LogsTopic: "logs"})
}

// consumed reads one record of each topic.
func consumed(b *pipelinetest.Broker, topics ...string) map[string][]byte {
	b.T.Helper()
	opts, _ := b.Config.Opts()
	cl, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(topics...))...)
	if err != nil {
		b.T.Fatal(err)
	}
	defer cl.Close()
	got := map[string][]byte{}
	for len(got) < len(topics) {
		cl.PollFetches(b.T.Context()).EachRecord(func(r *kgo.Record) { got[r.Topic] = r.Value })
	}
	return got
}

func someTraces() ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "web")
	rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("GET /items")
	return td
}

func TestOTLPOverGRPC(t *testing.T) {
	b, l := otlpSetup(t)
	conn, err := grpc.NewClient(l.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.UseCompressor(grpcgzip.Name)))
	require.NoError(t, err)
	defer conn.Close()
	traces, md, ld := ptraceotlp.NewExportRequestFromTraces(someTraces()), pmetric.NewMetrics(), plog.NewLogs()
	md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetName("m")
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("line")
	metrics, logs := pmetricotlp.NewExportRequestFromMetrics(md), plogotlp.NewExportRequestFromLogs(ld)
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), traces); err != nil {
		t.Fatal(err)
	}
	if _, err := pmetricotlp.NewGRPCClient(conn).Export(t.Context(), metrics); err != nil {
		t.Fatal(err)
	}
	if _, err := plogotlp.NewGRPCClient(conn).Export(t.Context(), logs); err != nil {
		t.Fatal(err)
	}
	got := consumed(b, pipelinetest.Topic, "metrics", "logs")
	for name, marshal := range map[string]func() ([]byte, error){pipelinetest.Topic: traces.MarshalProto, "metrics": metrics.MarshalProto,
		"logs": logs.MarshalProto} {
		if want, err := marshal(); err != nil || !bytes.Equal(got[name], want) {
			t.Errorf("%s: record %x, want %x (%v)", name, got[name], want, err)
		}
	}
	b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed})
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), traces); status.Code(err) != codes.Unavailable {
		t.Errorf("while the broker refuses: %v", err)
	}
}

func TestOTLPOverHTTP(t *testing.T) {
	b, l := otlpSetup(t)
	post := func(contentType, encoding string, body []byte) (int, string, http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.HTTPAddr()+"/v1/traces", bytes.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Content-Encoding", encoding)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(answer), resp.Header
	}
	req := ptraceotlp.NewExportRequestFromTraces(someTraces())
	proto, _ := req.MarshalProto()
	jsonBody, _ := req.MarshalJSON()
	const pb, js = "application/x-protobuf", "application/json; charset=utf-8"
	if code, answer, _ := post(pb, "", proto); code != 200 || answer != "" {
		t.Errorf("protobuf: %d %q", code, answer)
	}
	if got := consumed(b, pipelinetest.Topic); !bytes.Equal(got[pipelinetest.Topic], proto) {
		t.Errorf("record %x, want %x", got[pipelinetest.Topic], proto)
	}
	if code, answer, _ := post(js, "gzip", zipped(jsonBody)); code != 200 || answer != "{}" {
		t.Errorf("JSON: %d %q", code, answer)
	}
	for name, f := range map[string]struct {
		contentType, encoding string
		body                  []byte
		code                  int
		says                  string
	}{
		"media type": {"text/plain", "", proto, 415, "application/x-protobuf"},
		"encoding":   {pb, "br", proto, 415, "gzip or none"},
		"no gzip":    {pb, "gzip", proto, 400, "gzip"},
		"no OTLP":    {js, "", []byte("{"), 400, "decode"},
		"large":      {pb, "", make([]byte, DefaultMaxBytes+1), 413, "smaller batches"},
		"gzip bomb":  {pb, "gzip", zipped(make([]byte, DefaultMaxBytes+1)), 413, "smaller batches"},
	} {
		if code, answer, _ := post(f.contentType, f.encoding, f.body); code != f.code || !strings.Contains(answer, f.says) {
			t.Errorf("%s: %d %q, want %d with %q", name, code, answer, f.code, f.says)
		}
	}
	b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed})
	if code, answer, h := post(js, "", jsonBody); code != 503 || h.Get("Retry-After") == "" || !strings.Contains(answer, `"code":14`) {
		t.Errorf("while the broker refuses: %d %q", code, answer)
	}
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// TestOTLPTakenPort: one port that is taken does not keep the other from being served.
func TestOTLPTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	o := &Receiver{GRPCAddr: taken.Addr().String(), HTTPAddr: "127.0.0.1:0"}
	l, err := o.Listen()
	if err == nil || !strings.Contains(err.Error(), o.GRPCAddr) {
		t.Fatalf("error %v", err)
	}
	if l.GRPCAddr() != "" || l.HTTPAddr() == "" {
		t.Fatalf("listeners %q %q", l.GRPCAddr(), l.HTTPAddr())
	}
	l.http.Close()
}
