//go:build integration

package integration

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/deploy/servers"
)

const (
	writeKills    = 6
	writeSelector = `{__name__=~"traces_span_metrics_(calls_total|duration_milliseconds_bucket)"}`
)

// TestRemoteWrite kills two replicas in turn while they send to a real Prometheus. It then holds every sample of every timestamp, each with the
// value that PromQL over the views answers.
func TestRemoteWrite(t *testing.T) {
	fetched(t, "prometheus")
	store, err := servers.NewPrometheus(*runDir, filepath.Join(t.TempDir(), "prometheus"), "")
	require.NoError(t, err)
	t.Cleanup(store.Close)
	require.NoError(t, store.Start(t.Context()))
	port, err := freeport.Servers.Port()
	require.NoError(t, err)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(2, "otlp_spans"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	ended := make(chan struct{})
	stop := make(chan struct{})
	go sendSpans(t, cluster.ListenAddrs(), stop, ended)
	var replicas [2]*app
	for i := range replicas {
		replicas[i] = newApp(t, cluster.ListenAddrs(), "WATCHINGCAT_REMOTE_WRITE_URL="+store.URL+"/api/v1/write",
			"WATCHINGCAT_REMOTE_WRITE_INTERVAL=10s", "WATCHINGCAT_KAFKA_METRICS_TOPIC=", "WATCHINGCAT_KAFKA_LOGS_TOPIC=otlp_logs")
		replicas[i].start()
		replicas[i].up()
	}
	for i := range writeKills {
		time.Sleep(12 * time.Second)
		a := replicas[i%2]
		a.Kill()
		a.start()
		a.up()
	}
	time.Sleep(45 * time.Second)
	sent := valuesAt(t, store.URL, writeSelector+"[10m]")
	require.NotEmpty(t, sent)
	first, last, n := int64(1<<62), int64(0), 0
	for _, series := range sent {
		for at := range series {
			first, last, n = min(first, at), max(last, at), n+1
		}
	}
	require.Greater(t, last-first, int64(60_000), "more than a minute was sent")
	compared := 0
	for at := first; at <= last; at += 10_000 {
		want := valuesAt(t, "http://"+replicas[0].addr+"/prometheus", writeSelector, "time="+fmt.Sprint(at/1000))
		require.NotEmpty(t, want)
		for name, series := range want {
			value, ok := sent[name][at]
			require.True(t, ok, "%s at %d is missing", name, at)
			require.Equal(t, series[at], value, "%s at %d", name, at)
			compared++
		}
	}
	require.Equal(t, n, compared)
	t.Logf("%d samples of %d series in %v equal PromQL", n, len(sent), time.Duration(last-first)*time.Millisecond)
	for _, a := range replicas {
		dropped, err := a.metric("watchingcat_remote_write_samples_dropped_total")
		require.NoError(t, err)
		require.Zero(t, dropped)
	}
	close(stop)
	<-ended
}

// sendSpans sends a few spans to each of two partitions, many times a second.
func sendSpans(t *testing.T, brokers []string, stop, ended chan struct{}) {
	defer close(ended)
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Error(err)
		return
	}
	defer cl.Close()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", []string{"cart", "shop", "mail"}[i%3])
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, byte(i), byte(i >> 8)})
		s.SetSpanID(pcommon.SpanID{1, byte(i), byte(i >> 8)})
		s.SetName("op")
		s.SetKind(ptrace.SpanKindServer)
		now := time.Now()
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(i%90) * time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		var m ptrace.ProtoMarshaler
		b, err := m.MarshalTraces(td)
		if err == nil {
			err = cl.ProduceSync(t.Context(), &kgo.Record{Topic: "otlp_spans", Partition: int32(i % 2), Value: b}).FirstErr()
		}
		if err != nil {
			return // the test has ended
		}
	}
}

// valuesAt asks a Prometheus, and returns values by series and Unix milliseconds.
func valuesAt(t *testing.T, base, query string, more ...string) map[string]map[int64]string {
	t.Helper()
	var body struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
				Values [][2]any
			}
		}
	}
	require.NoError(t, get(t.Context(), base+"/api/v1/query?"+strings.Join(append(more, "query="+url.QueryEscape(query)), "&"), &body))
	out := map[string]map[int64]string{}
	for _, r := range body.Data.Result {
		name := fmt.Sprint(r.Metric)
		out[name] = map[int64]string{}
		if r.Value[1] != nil {
			r.Values = append(r.Values, r.Value)
		}
		for _, v := range r.Values {
			out[name][int64(v[0].(float64)*1000)] = v[1].(string)
		}
	}
	return out
}
