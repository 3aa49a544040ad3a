package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// TestVerify: views of a process that was killed equal the topic. When a record counts that the topic does not have, the comparison names
// cells that differ, on request and by itself.
func TestVerify(t *testing.T) {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "otlp_spans", "otlp_logs", "otlp_metrics"))
	require.NoError(t, err)
	defer kafka.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer cl.Close()
	from := time.Now().Add(-20 * time.Minute).Truncate(time.Minute)
	send := func(first, n int) {
		t.Helper()
		for i := range n {
			at := from.Add(time.Duration(first+i) * time.Second)
			rec := &kgo.Record{Topic: "otlp_spans", Partition: int32(i % 2), Value: spanAt(t, first+i, at), Timestamp: at}
			require.NoError(t, cl.ProduceSync(t.Context(), rec).FirstErr())
		}
	}
	dir := t.TempDir()
	settings := []string{"DATA_DIR=" + dir, "KAFKA_BROKERS=" + strings.Join(kafka.ListenAddrs(), ",")}
	p := startAlone(t, settings...)
	for i := range 4 {
		send(i*60, 60)
		p.until("they count", func() bool { return int(p.calls()) == (i+1)*120 })
	}
	require.NoError(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait() // it was killed
	p = startAlone(t, settings...)
	args := []string{"verify", "--server-url", "http://" + p.addr, "--from", from.Format(time.RFC3339), "--to", from.Add(4 * time.Minute).Format(time.RFC3339)}
	var out, errs bytes.Buffer
	verify := func() (code int) { // a partition has to be known to have nothing more
		p.until("the range can be verified", func() bool {
			out.Reset()
			errs.Reset()
			code = run(t.Context(), args, &out, &errs)
			return code != exitUsage
		})
		return code
	}
	require.Equal(t, exitOK, verify(), "%s%s", &out, &errs)
	require.Contains(t, out.String(), "minutes     4 compared\n")
	require.Contains(t, out.String(), ", 0 differ\n")
	require.NoError(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()

	mistake(t, dir, spanAt(t, 240, from.Add(time.Minute)), from)
	send(240, 1) // in its place: it is passed over
	p = startAlone(t, append(settings, "VERIFY_SHARE=1")...)
	args[2] = "http://" + p.addr
	require.Equal(t, exitFailure, verify(), "%s%s", &out, &errs)
	require.Regexp(t, `red  cart "GET" \w+ UNSET: the topics have \d+, .* the views `, out.String())
	p.until("it is found without a request", func() bool {
		_, text := p.get("/metrics")
		return !strings.Contains(text, "\nwatchingcat_verify_cells_differing_total 0\n")
	})
	_, text := p.get("/api/v1/verifications")
	require.Contains(t, text, `"continuous":{`)
	require.Contains(t, text, `"view":"red"`)

	out.Reset()
	errs.Reset()
	args[4], args[6] = "2020-01-01T00:00:00Z", "2020-01-01T01:00:00Z"
	require.Equal(t, exitUsage, run(t.Context(), args, &out, &errs))
	require.Contains(t, errs.String(), "choose one within")
}

// spanAt is an export request with the two sides of a call that ends at a time.
func spanAt(t *testing.T, i int, at time.Time) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	for side, service := range []string{"cart", "store"} {
		r := td.ResourceSpans().AppendEmpty()
		r.Resource().Attributes().PutStr("service.name", service)
		s := r.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetTraceID([16]byte{1, byte(i), byte(i >> 8)})
		s.SetSpanID([8]byte{byte(side + 1)})
		s.SetParentSpanID([8]byte{byte(side)})
		s.SetKind([]ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer}[side])
		s.SetName("GET")
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(-time.Duration(i) * time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(at))
	}
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return b
}

// mistake counts a record that the topic does not have, as if it were the next one of partition 0.
func mistake(t *testing.T, dir string, value []byte, at time.Time) {
	t.Helper()
	db, err := storage.Open(dir, storage.Options{MinFreeBytes: 1, Logger: zerolog.Nop()})
	require.NoError(t, err)
	defer db.Close()
	defaults := config.Default()
	set, err := views.Open(db, model.Config{Dimensions: defaults.Dimensions})
	require.NoError(t, err)
	g := ingest.New(ingest.Config{Set: set, KV: db, Logger: zerolog.Nop(), States: func() []source.PartitionState { return nil }})
	r := &kgo.Record{Topic: "otlp_spans", Value: value, Timestamp: at}
	for _, p := range set.Progress() {
		if p.Topic == r.Topic && p.Partition == 0 {
			r.Offset = p.Position
		}
	}
	require.NoError(t, g.Record(t.Context(), set.Partition(r.Topic, 0), r, at.UnixMilli()))
	require.NoError(t, g.Checkpoint(t.Context(), time.Now()))
}
