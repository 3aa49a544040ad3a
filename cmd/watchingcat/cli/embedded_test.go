package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
)

// sentSpan is an export request with one span of its own.
func sentSpan(t *testing.T, i int) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	r := td.ResourceSpans().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "cart")
	s := r.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID([16]byte{1, byte(i), byte(i >> 8)})
	s.SetSpanID([8]byte{1})
	s.SetName("GET")
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return b
}

// calls is the number of spans in the views.
func (p *process) calls() (n float64) {
	_, text := p.get("/prometheus/api/v1/query?query=sum(calls_total)")
	var got struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if json.Unmarshal([]byte(text), &got) != nil || len(got.Data.Result) == 0 {
		return 0
	}
	if _, err := fmt.Sscan(got.Data.Result[0].Value[1].(string), &n); err != nil {
		return 0
	}
	return n
}

// TestEmbedded: without a Kafka, senders send OTLP to a server that is killed twice; each span that was answered counts once. Then the folder
// continues with a Kafka, and keeps its counts.
func TestEmbedded(t *testing.T) {
	ports := [2]int{}
	for i := range ports {
		var err error
		ports[i], err = freeport.Programs.Port()
		require.NoError(t, err)
	}
	const token, spans = "a-token-of-sixteen-bytes", 600
	dir := t.TempDir()
	settings := []string{"DATA_DIR=" + dir, "EMBEDDED=true", fmt.Sprintf("EMBEDDED_ADDR=127.0.0.1:%d", ports[0]),
		fmt.Sprintf("OTLP_HTTP_ADDR=127.0.0.1:%d", ports[1]), "OTLP_TOKENS=another-token-of-senders," + token}
	var next, answered atomic.Int64
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for i := next.Add(1); i <= spans; i = next.Add(1) {
				for !post(fmt.Sprintf("http://127.0.0.1:%d/v1/traces", ports[1]), token, sentSpan(t, int(i))) { // as senders do, the same again
					if t.Context().Err() != nil {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
				answered.Add(1)
			}
		})
	}
	var p *process
	for _, until := range []int64{spans / 3, spans * 2 / 3} {
		p = startAlone(t, settings...)
		p.until("some are sent", func() bool { return answered.Load() >= until })
		require.NoError(t, p.cmd.Process.Kill())
		_ = p.cmd.Wait() // it was killed
	}
	p = startAlone(t, settings...)
	g.Wait()
	require.False(t, post(fmt.Sprintf("http://127.0.0.1:%d/v1/traces", ports[1]), "wrong", sentSpan(t, spans+1)))
	p.until("all of them count", func() bool { return p.calls() >= spans })
	require.InDelta(t, spans, p.calls(), 0)
	_, text := p.get("/metrics")
	require.Contains(t, text, `watchingcat_otlp_requests_total{code="Unauthenticated",signal="traces",transport="http"} 1`)
	p.signal(syscall.SIGTERM)
	require.NoError(t, p.cmd.Wait())

	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "otlp_spans", "otlp_logs", "otlp_metrics"))
	require.NoError(t, err)
	defer kafka.Close()
	p = startAlone(t, "DATA_DIR="+dir, "KAFKA_BROKERS="+strings.Join(kafka.ListenAddrs(), ","))
	require.InDelta(t, spans, p.calls(), 0, "what was counted before the move stays")
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: "otlp_spans", Value: sentSpan(t, spans+2)}).FirstErr())
	p.until("the new topic is read", func() bool { return p.calls() == spans+1 })
}

func post(url, token string, body []byte) bool {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// Settings that cannot work together are refused with what to change.
func TestEmbeddedSettings(t *testing.T) {
	for _, c := range []struct {
		settings []string
		says     string
	}{
		{[]string{"EMBEDDED=true", "KAFKA_BROKERS=kafka-1:9092"}, "exclude each other"},
		{[]string{"EMBEDDED=true", "EMBEDDED_ADDR=0.0.0.0:9092"}, "OTLP receivers"},
		{[]string{"EMBEDDED=true", "KAFKA_TLS=true"}, "neither TLS nor SASL"},
		{[]string{"EMBEDDED=true", "CLUSTER_ADDR=127.0.0.1:9094"}, "replicas need a Kafka"},
		{[]string{"EMBEDDED=true", "EMBEDDED_RETENTION=10s"}, "less than a minute"},
		{[]string{"OTLP_GRPC_ADDR=0.0.0.0:4317"}, "OTLP_TOKENS"},
		{[]string{"OTLP_HTTP_ADDR=127.0.0.1:4318", "KAFKA_TRACES_ENCODING=jaeger_proto"}, "write otlp_proto"},
		{[]string{"OTLP_HTTP_ADDR=4318"}, "not host:port"},
		{[]string{"OTLP_HTTP_ADDR=0.0.0.0:4318", "OTLP_TOKENS=short"}, "at least 16"},
		{[]string{"OTLP_HTTP_ADDR=0.0.0.0:4318", "OTLP_OPEN=true"}, ""},
		{[]string{"OTLP_HTTP_ADDR=0.0.0.0:4318", "OTLP_TOKENS=sixteen-bytes-16"}, ""},
		{[]string{"EMBEDDED=true"}, ""},
	} {
		var environ []string
		for _, s := range c.settings {
			environ = append(environ, config.EnvPrefix+s)
		}
		_, err := config.Load(serveCommand().Flags(), environ)
		if c.says == "" {
			require.NoError(t, err, "%v", c.settings)
			continue
		}
		require.ErrorContains(t, err, c.says, "%v", c.settings)
	}
}
