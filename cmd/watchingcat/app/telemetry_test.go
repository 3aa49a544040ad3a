package app

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sync/errgroup"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/cmd/watchingcat/apptest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/pipeline/receiver"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// testApp is an App that runs, before a broker in the process.
type testApp struct {
	*App
	t      *testing.T
	broker *kfake.Cluster
	cl     *kgo.Client
	adm    *kadm.Client
	stop   context.CancelFunc
	ended  chan error
}

// startApp starts an App with settings as NAME=value, without the prefix.
func startApp(t *testing.T, log zerolog.Logger, settings ...string) *testApp {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(2, "otlp_spans", "otlp_logs", "otlp_metrics", "watchingcat_dead_letter"))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	brokers := strings.Join(broker.ListenAddrs(), ",")
	environ := []string{config.EnvPrefix + "KAFKA_BROKERS=" + brokers, config.EnvPrefix + "DATA_DIR=" + t.TempDir(),
		config.EnvPrefix + "HTTP_ADDR=127.0.0.1:0", config.EnvPrefix + "COMMIT_INTERVAL=10ms", config.EnvPrefix + "MIN_FREE_DISK_BYTES=1"}
	for _, s := range settings {
		environ = append(environ, config.EnvPrefix+strings.ReplaceAll(s, "BROKERS_THAT_ANSWER", brokers))
	}
	cfg, err := settingsOf(environ)
	require.NoError(t, err)
	a := &testApp{t: t, broker: broker, ended: make(chan error, 1)}
	if a.App, err = Open(t.Context(), cfg.Config, log); err != nil {
		t.Fatal(err)
	}
	if a.cl, err = kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.ProducerLinger(0)); err != nil {
		t.Fatal(err)
	}
	a.adm = kadm.NewClient(a.cl)
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	go func() { a.ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		a.stop()
		if err := <-a.ended; err != nil {
			t.Error(err)
		}
		a.ended <- nil
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		a.cl.Close()
	})
	return a
}

// get returns the status and body of an answer.
func (a *testApp) get(path string, header ...string) (int, string) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, "http://"+a.Addr()+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	for _, h := range header {
		name, v, _ := strings.Cut(h, ": ")
		r.Header.Set(name, v)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// until waits for something to become true.
func (a *testApp) until(what string, ok func() bool) {
	a.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatal("never: " + what)
		}
	}
}

// span writes a span of a service to the topic.
func (a *testApp) span(service string) {
	a.t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID([16]byte{1})
	s.SetSpanID([8]byte{byte(time.Now().UnixNano())})
	s.SetName("GET")
	s.SetKind(ptrace.SpanKindServer)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	s.SetEndTimestamp(s.StartTimestamp())
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.cl.ProduceSync(a.t.Context(), &kgo.Record{Topic: a.cfg.KafkaTracesTopic, Value: b}).FirstErr(); err != nil {
		a.t.Fatal(err)
	}
}

// settled waits until the views hold all that is in the topic, and returns how many records that are.
func (a *testApp) settled() int64 {
	a.t.Helper()
	ends, err := source.EndOffsets(a.t.Context(), a.adm, a.cfg.KafkaTracesTopic)
	if err != nil {
		a.t.Fatal(err)
	}
	sum := int64(0)
	for id, end := range ends {
		sum += end
		a.until("the views hold the topic", func() bool {
			for _, p := range a.live.Progress() {
				if p.Topic == id.Topic && p.Partition == id.Partition && p.Position >= end {
					return true
				}
			}
			return end == 0
		})
	}
	return sum
}

// TestOwnSpansEnd gives WatchingCat its own spans to read, as a collector in front of the topic does: it must come to rest.
func TestOwnSpansEnd(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			ports := [2]string{}
			for i := range ports {
				p, err := freeport.Programs.Port()
				require.NoError(t, err)
				ports[i] = "127.0.0.1:" + strconv.Itoa(p)
			}
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+ports[map[string]int{"grpc": 0, "http/protobuf": 1}[protocol]])
			t.Setenv("OTEL_SERVICE_NAME", "cat-of-tests")
			a := startApp(t, zerolog.Nop())
			ctx, stop := context.WithCancel(t.Context())
			var g errgroup.Group
			g.Go(func() error {
				return (&receiver.Receiver{Kafka: a.cfg.Kafka(), GRPCAddr: ports[0], HTTPAddr: ports[1], TracesTopic: "otlp_spans",
					MetricsTopic: "otlp_metrics", LogsTopic: "otlp_logs"}).Run(ctx)
			})
			defer func() {
				stop()
				if err := g.Wait(); err != nil {
					t.Error(err)
				}
			}()
			for _, service := range []string{"cart", "pay"} {
				a.span(service)
				a.settled()
			}
			own := func() bool {
				_, text := a.get("/api/v1/services/cat-of-tests/operations")
				return strings.Contains(text, "process otlp_spans") && strings.Contains(text, "GET /api/v1/services/{name}/operations")
			}
			flush := func() {
				require.NoError(t, a.own.traces.ForceFlush(t.Context()))
			}
			a.until("own spans of batches and requests are in the views", func() bool { flush(); a.settled(); return own() })
			// No more requests follow, so that WatchingCat has nothing to report but its own reports.
			for round, before := 0, int64(-1); ; round++ {
				flush()
				now := a.settled()
				if now == before {
					break
				}
				if before = now; round == 5 {
					t.Fatalf("%d records, and more with each that was read", now)
				}
			}
		})
	}
}

// TestLogLinesNameTheirTrace: a request's line names the caller's trace, a batch's its own. Who asked is named, the token is not.
func TestLogLinesNameTheirTrace(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1") // no server listens
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "10")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "10")
	log := &apptest.Lines{}
	a := startApp(t, NewLogger(config.Config{LogLevel: "debug"}, log), "AUTH_ENABLED=true")
	require.NoError(t, a.objects.Sync(t.Context()))
	const password = "a long enough password"
	if _, err := a.auth.CreateUser(t.Context(), "test", "ann", password, auth.Admin, time.Now()); err != nil {
		t.Fatal(err)
	}
	x, err := a.auth.Login("ann", password)
	require.NoError(t, err)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	if code, text := a.get("/api/v1/services", "Traceparent: 00-"+trace+"-b7ad6b7169203331-01",
		"Authorization: Bearer "+x.Token); code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	a.until("the request's line", func() bool {
		return len(log.With(t, map[string]any{"message": "request", "route": "/api/v1/services", "principal": "ann", "trace_id": trace,
			"outcome": "success"})) == 1
	})
	require.NoError(t, a.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "otlp_spans", Value: []byte("no span")}).FirstErr())
	a.until("the batch's line", func() bool {
		got := log.With(t, map[string]any{"message": "record moved to the dead-letter topic"})
		return len(got) == 1 && len(got[0]["trace_id"].(string)) == 32 && len(got[0]["span_id"].(string)) == 16
	})
	if n := len(log.With(t, map[string]any{"message": "request"})); n != 1 {
		t.Errorf("%d lines of one request", n)
	}
	log.Mu.Lock()
	defer log.Mu.Unlock()
	for _, secret := range []string{x.Token, password} {
		if strings.Contains(log.B.String(), secret) {
			t.Error("the log holds a secret")
		}
	}
}

// settingsOf are the settings of the environment.
func settingsOf(environ []string) (*config.Loaded, error) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(flags)
	return config.Load(flags, environ)
}
