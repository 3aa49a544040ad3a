package ingest

import (
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/codes"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// spansOf is a record with one span of each scope.
func spansOf(t *testing.T, scopes ...string) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	for _, scope := range scopes {
		ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
		ss.Scope().SetName(scope)
		ss.Spans().AppendEmpty().SetName("x")
	}
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Scope().SetName("one without spans")
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return b
}

func TestOwnSpans(t *testing.T) {
	foreign := "github.com/gaurav/watchingcat/cmd/watchingcat/shop"
	for _, c := range []struct {
		record []byte
		own    bool
	}{
		{spansOf(t, ownScopes...), true},
		{spansOf(t), true},
		{nil, true},
		{spansOf(t, foreign), false},
		{spansOf(t, ownScopes[0], ""), false},
		{spansOf(t, "", ownScopes[0]), false},
		{[]byte{0x0a, 0x7f}, false},
	} {
		if got := ownSpans(c.record); got != c.own {
			t.Errorf("%q: own %v", c.record, got)
		}
	}
}

// TestBatchTelemetry counts each batch and makes a span of each in which there is something that is not our own.
func TestBatchTelemetry(t *testing.T) {
	reg, made := prometheus.NewRegistry(), tracetest.NewSpanRecorder()
	reader, err := otelprom.New(otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	require.NoError(t, err)
	b, err := newBatchTelemetry(Telemetry{Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
		Tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(made)).Tracer("test")}, nil)
	require.NoError(t, err)
	take := func(err error, records ...[]byte) {
		t.Helper()
		batch := source.Batch{Topic: pipelinetest.Topic, Partition: 3, Next: 7}
		for i, r := range records {
			batch.Records = append(batch.Records, &kgo.Record{Topic: pipelinetest.Topic, Partition: 3, Offset: int64(5 + i), Value: r})
		}
		ctx := source.ContextWithBatch(t.Context(), batch)
		if got := b.take(source.NewMessage(ctx, batch), func(*message.Message) error { return err }); !errors.Is(got, err) {
			t.Errorf("error %v", got)
		}
	}
	own, foreign := spansOf(t, ownScopes[1]), spansOf(t, "shop")
	take(nil, own)
	take(nil, own, own)
	take(nil) // a step over offsets without records
	take(nil, own, foreign)
	take(errors.New("planted"), foreign)
	spans := made.Ended()
	if len(spans) != 2 || spans[0].Name() != "process "+pipelinetest.Topic || spans[0].Status().Code != codes.Unset || spans[1].Status().
		Code != codes.Error {
		t.Errorf("spans %v", spans)
	}
	err = testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP messaging_client_consumed_messages_total Number of messages that were delivered to the application.
# TYPE messaging_client_consumed_messages_total counter
messaging_client_consumed_messages_total{messaging_destination_name="otlp_spans",messaging_operation_name="process",messaging_system="kafka"} 5
messaging_client_consumed_messages_total{error_type="*errors.errorString",messaging_destination_name="otlp_spans",messaging_operation_name="process",messaging_system="kafka"} 1
`), "messaging_client_consumed_messages_total")
	if err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg, "messaging_process_duration_seconds"); err != nil || n != 2 {
		t.Errorf("%d histograms, %v", n, err)
	}
}

// TestClientMetrics shows clients while they are open, each under its name.
func TestClientMetrics(t *testing.T) {
	b := pipelinetest.NewBroker(t, 1)
	b.Config.Clients = &kafka.ClientMetrics{}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(b.Config.Clients)
	b.Produce(0, 0, 3)
	read := func(version uint32) *source.Source {
		s := b.Source(func(c *source.Config) { c.Version = version })
		out := pipelinetest.Subscribe(t, s)
		for n := 0; n < 3; {
			m := <-out
			batch, _ := source.BatchFrom(m.Context())
			n += len(batch.Records)
			m.Ack()
		}
		return s
	}
	fetched := func(want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "watchingcat_kafka_fetch_records_total"); err != nil {
			t.Error(err)
		}
	}
	const head = "# HELP watchingcat_kafka_fetch_records_total Total number of records fetched\n# TYPE watchingcat_kafka_fetch_records_total counter\n"
	live, replay := read(0), read(2)
	fetched(head + `watchingcat_kafka_fetch_records_total{client="otlp_spans",topic="otlp_spans"} 3
watchingcat_kafka_fetch_records_total{client="otlp_spans v2",topic="otlp_spans"} 3
`)
	require.NoError(t, live.Close())
	fetched(head + `watchingcat_kafka_fetch_records_total{client="otlp_spans v2",topic="otlp_spans"} 3
`)
	require.NoError(t, replay.Close())
	fetched("")
}
