package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/storage"
)

// world is a cluster with one thing wrong, or none.
type world struct {
	brokers, partitions, replicas int
	opts                          []kfake.Opt
	topics                        map[string]map[string]string // settings by topic; a topic that is not named does not exist
	producer                      []kgo.Opt
	records                       int // of each signal
	change                        func(i int, r *kgo.Record, s ptrace.Span, of pcommon.Resource)
	config                        func(c *Config)
	after                         func(t *testing.T, b *pipelinetest.Broker)
}

const (
	spansTopic, metricsTopic, logsTopic = "otlp_spans", "otlp_metrics", "otlp_logs"
	deadTopic, configTopic              = "dead", "config"
)

func fine() *world {
	telemetry := func() map[string]string { return map[string]string{"min.insync.replicas": "2"} }
	return &world{brokers: 3, partitions: 3, replicas: 3, records: 30, topics: map[string]map[string]string{
		spansTopic: telemetry(), metricsTopic: telemetry(), logsTopic: telemetry(), deadTopic: telemetry(),
		configTopic: {"cleanup.policy": "compact", "min.insync.replicas": "2"}},
		producer: []kgo.Opt{kgo.ProducerBatchCompression(kgo.ZstdCompression())}}
}

// examine makes the world and looks at it.
func (w *world) examine(t *testing.T) *Report {
	t.Helper()
	b := pipelinetest.NewBroker(t, 0, append([]kfake.Opt{kfake.NumBrokers(w.brokers), kfake.Ports([]int{9092, 9093, 9094}[:w.brokers]...)}, w.opts...)...)
	adm := kadm.NewClient(b.Client)
	for name, settings := range w.topics {
		configs := map[string]*string{}
		for k, v := range settings {
			configs[k] = &v
		}
		created, err := adm.CreateTopic(t.Context(), int32(w.partitions), int16(w.replicas), configs, name) //nolint:gosec // small
		require.NoError(t, errors.Join(err, created.Err))
	}
	w.produce(t, b)
	if w.after != nil {
		w.after(t, b)
	}
	c := Config{Kafka: b.Config, Topics: []Topic{{Name: spansTopic, Signal: Spans}, {Name: metricsTopic, Signal: Metrics}, {Name: logsTopic, Signal: Logs}},
		DeadLetter: deadTopic, ConfigTopic: configTopic,
		Group: "watchingcat", Dimensions: []string{"deployment.environment.name"}, SampleTimeout: 5 * time.Second}
	if w.config != nil {
		w.config(&c)
	}
	var r Report
	require.NoError(t, Examine(t.Context(), c, &r))
	return &r
}

func (w *world) produce(t *testing.T, b *pipelinetest.Broker) {
	t.Helper()
	cl, err := b.Config.Client(append([]kgo.Opt{kgo.ProducerLinger(0)}, w.producer...)...)
	require.NoError(t, err)
	defer cl.Close()
	var rs []*kgo.Record
	now := time.Now().Truncate(time.Millisecond) // as records have it
	for i := range w.records {
		td := ptrace.NewTraces()
		of := td.ResourceSpans().AppendEmpty()
		of.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", i%3))
		of.Resource().Attributes().PutStr("deployment.environment.name", "production")
		s := of.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetName("GET /cart")
		s.SetKind(ptrace.SpanKindServer)
		id := pcommon.TraceID{1, byte(i), byte(i >> 8)}
		s.SetTraceID(id)
		s.SetSpanID(pcommon.SpanID{2, byte(i), byte(i >> 8)})
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-200 * time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(-100 * time.Millisecond)))
		r := &kgo.Record{Topic: spansTopic, Key: []byte(hex.EncodeToString(id[:])), Timestamp: now}
		if w.change != nil {
			w.change(i, r, s, of.Resource())
		}
		if r.Value == nil {
			var m ptrace.ProtoMarshaler
			r.Value, err = m.MarshalTraces(td)
			require.NoError(t, err)
		}
		rs = append(rs, r, &kgo.Record{Topic: metricsTopic, Timestamp: now, Value: metrics(t, i)}, &kgo.Record{Topic: logsTopic, Timestamp: now, Value: lines(t, i)})
	}
	for _, r := range rs {
		if w.topics[r.Topic] == nil {
			continue
		}
		cl.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, cl.Flush(t.Context()))
}

func metrics(t *testing.T, i int) []byte {
	t.Helper()
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("queue")
	m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(int64(i))
	var u pmetric.ProtoMarshaler
	b, err := u.MarshalMetrics(md)
	require.NoError(t, err)
	return b
}

func lines(t *testing.T, i int) []byte {
	t.Helper()
	ld := plog.NewLogs()
	of := ld.ResourceLogs().AppendEmpty()
	of.Resource().Attributes().PutStr("service.name", "service-1")
	of.Resource().Attributes().PutStr("deployment.environment.name", "production")
	l := of.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	l.Body().SetStr(fmt.Sprint("line ", i))
	l.SetTraceID(pcommon.TraceID{1, byte(i)})
	l.SetSeverityNumber(plog.SeverityNumberInfo)
	var u plog.ProtoMarshaler
	b, err := u.MarshalLogs(ld)
	require.NoError(t, err)
	return b
}

// A cluster as the documents ask for it has nothing to change: else a finding would mean little.
func TestFine(t *testing.T) {
	r := fine().examine(t)
	for _, f := range r.Findings {
		require.Equal(t, OK, f.Level, "%+v", f)
	}
	checks := map[string]bool{}
	for _, f := range r.Findings {
		checks[f.Check] = true
	}
	for _, want := range []string{"brokers_reachable", "topic_retention", "records_present", "records_decoded", "record_producer", "sender_clock", "lag"} {
		require.Contains(t, checks, want)
	}
}

// Each thing that can be wrong is found, and named by its check, level and subject.
func TestFindings(t *testing.T) {
	topic := func(name, key, value string) func(w *world) {
		return func(w *world) { w.topics[name][key] = value }
	}
	spans := func(change func(i int, r *kgo.Record, s ptrace.Span, of pcommon.Resource)) func(w *world) {
		return func(w *world) { w.change = change }
	}
	for name, c := range map[string]struct {
		wrong          func(w *world)
		check, subject string
		level          Level
		seen           string
	}{
		"no topic of spans": {func(w *world) { delete(w.topics, spansTopic) }, "topic_exists", spansTopic, Failure, "does not exist"},
		"no topic of logs":  {func(w *world) { delete(w.topics, logsTopic) }, "topic_exists", logsTopic, Warning, "does not exist"},
		"no configuration":  {func(w *world) { delete(w.topics, configTopic) }, "topic_exists", configTopic, Note, "does not exist"},
		"one broker": {func(w *world) {
			w.brokers, w.replicas = 1, 1
			w.topics = map[string]map[string]string{spansTopic: {}, configTopic: {"cleanup.policy": "compact"}}
		}, "brokers_replication", "", Note, "one broker"},
		"one replica of three brokers": {func(w *world) {
			w.replicas = 1
			for _, s := range w.topics {
				delete(s, "min.insync.replicas")
			}
		}, "topic_replication", spansTopic, Warning, "replication factor 1"},
		"compacted spans":         {topic(spansTopic, "cleanup.policy", "compact"), "topic_cleanup", spansTopic, Failure, "compact"},
		"deleted configuration":   {topic(configTopic, "cleanup.policy", "delete"), "topic_cleanup", configTopic, Failure, "delete"},
		"short retention":         {topic(logsTopic, "retention.ms", "3600000"), "topic_retention", logsTopic, Warning, "1h0m0s"},
		"a day less a second":     {topic(logsTopic, "retention.ms", "86399000"), "topic_retention", logsTopic, Note, "23h59m59s"},
		"small messages":          {topic(spansTopic, "max.message.bytes", "500000"), "topic_message_size", spansTopic, Warning, "500000"},
		"brokers compress":        {topic(spansTopic, "compression.type", "gzip"), "topic_compression", spansTopic, Note, "gzip"},
		"one replica in sync":     {topic(spansTopic, "min.insync.replicas", "1"), "topic_min_insync", spansTopic, Warning, "1 of 3"},
		"all replicas in sync":    {topic(spansTopic, "min.insync.replicas", "3"), "topic_min_insync", spansTopic, Warning, "3 of 3"},
		"one partition":           {func(w *world) { w.partitions = 1 }, "topic_partitions", spansTopic, Note, "1 partition"},
		"empty topic":             {func(w *world) { w.records = 0 }, "records_present", spansTopic, Warning, "no record"},
		"nothing for ten minutes": {func(w *world) { w.config = later(10 * time.Minute) }, "records_recent", spansTopic, Warning, "10m"},
		"records of the future":   {func(w *world) { w.config = later(-time.Minute) }, "record_clock", spansTopic, Warning, "ahead"},
		"no keys": {spans(func(_ int, r *kgo.Record, _ ptrace.Span, _ pcommon.Resource) { r.Key = nil }),
			"record_keys", spansTopic, Note, "100 %"},
		"not compressed": {func(w *world) { w.producer = []kgo.Opt{kgo.ProducerBatchCompression(kgo.NoCompression())} },
			"record_compression", spansTopic, Note, "100 %"},
		"acks of the leader": {func(w *world) {
			w.producer = append(w.producer, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
		}, "record_producer", spansTopic, Warning, "not idempotent"},
		"sent twice": {spans(func(i int, r *kgo.Record, s ptrace.Span, _ pcommon.Resource) {
			s.SetSpanID(pcommon.SpanID{9})
			s.SetTraceID(pcommon.TraceID{byte(1 + i%15)})
		}), "record_repeated", spansTopic, Note, "15 records"},
		"not OTLP": {spans(func(i int, r *kgo.Record, _ ptrace.Span, _ pcommon.Resource) {
			if i%2 == 0 {
				r.Value = []byte("hello")
			}
		}), "records_decoded", spansTopic, Warning, "15 records of 30"},
		"nothing OTLP": {spans(func(_ int, r *kgo.Record, _ ptrace.Span, _ pcommon.Resource) { r.Value = []byte("hello") }),
			"records_decoded", spansTopic, Failure, "30 records of 30"},
		"no service name": {spans(func(_ int, _ *kgo.Record, _ ptrace.Span, of pcommon.Resource) { of.Attributes().Remove("service.name") }),
			"service_name", spansTopic, Warning, "100 %"},
		"placeholder of an SDK": {spans(func(_ int, _ *kgo.Record, _ ptrace.Span, of pcommon.Resource) {
			of.Attributes().PutStr("service.name", "unknown_service:java")
		}), "service_name", spansTopic, Warning, "100 %"},
		"no environment": {spans(func(_ int, _ *kgo.Record, _ ptrace.Span, of pcommon.Resource) {
			of.Attributes().Remove("deployment.environment.name")
		}), "dimension", spansTopic, Note, "nothing has the dimension"},
		"internal spans alone": {spans(func(_ int, _ *kgo.Record, s ptrace.Span, _ pcommon.Resource) { s.SetKind(ptrace.SpanKindInternal) }),
			"span_kind", spansTopic, Warning, "no span"},
		"clock of a service": {spans(func(i int, r *kgo.Record, s ptrace.Span, _ pcommon.Resource) {
			if i%3 == 1 {
				s.SetEndTimestamp(pcommon.NewTimestampFromTime(r.Timestamp.Add(4 * time.Second)))
			}
		}), "sender_clock", spansTopic, Warning, "service-1 by 4s"},
		"slow collector": {spans(func(_ int, r *kgo.Record, s ptrace.Span, _ pcommon.Resource) {
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(r.Timestamp.Add(-31 * time.Second)))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(r.Timestamp.Add(-30 * time.Second)))
		}), "arrival", spansTopic, Warning, "30s"},
		"trace in two partitions": {spans(func(i int, r *kgo.Record, s ptrace.Span, _ pcommon.Resource) {
			s.SetTraceID(pcommon.TraceID{7})
		}), "trace_partition", spansTopic, Note, "1 trace"},
		"names with IDs": {func(w *world) {
			w.records = 400
			w.change = func(i int, _ *kgo.Record, s ptrace.Span, _ pcommon.Resource) { s.SetName(fmt.Sprint("GET /cart/", i)) }
		}, "operations", spansTopic, Warning, "service-0 (134 names in 134 spans)"},
		"one full partition": {func(w *world) {
			w.records, w.partitions = 1200, 4
			w.change = func(_ int, r *kgo.Record, _ ptrace.Span, _ pcommon.Resource) { r.Key = []byte("k") }
		}, "partition_balance", spansTopic, Warning, "4.0 times"},
		"behind": {func(w *world) {
			w.records = 400
			w.after = commit(1)
			w.config = func(c *Config) { c.ReadyMaxLag = time.Millisecond }
		},
			"lag", spansTopic, Warning, "397 records behind"},
		"deleted unread":        {func(w *world) { w.after = deleted }, "gap", spansTopic, Failure, "3 records"},
		"kept for minutes":      {func(w *world) { w.after = deleted }, "topic_kept", spansTopic, Warning, "older ones were deleted"},
		"a member of the group": {func(w *world) { w.after = member }, "group_members", "group watchingcat", Failure, "another consumer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fine()
			c.wrong(w)
			r := w.examine(t)
			for _, f := range r.Findings {
				if f.Check == c.check && (c.subject == "" || f.Subject == c.subject) {
					require.Equal(t, c.level, f.Level, "%+v", f)
					require.Contains(t, f.Seen, c.seen)
					require.NotEmpty(t, f.Change)
					return
				}
			}
			require.Fail(t, "not found", "%+v", r.Findings)
		})
	}
}

func later(d time.Duration) func(c *Config) {
	return func(c *Config) { c.Now = func() time.Time { return time.Now().Add(d) } }
}

// commit commits an offset of each partition of the spans.
func commit(at int64) func(t *testing.T, b *pipelinetest.Broker) {
	return func(t *testing.T, b *pipelinetest.Broker) {
		t.Helper()
		var o kadm.Offsets
		for p := range int32(3) {
			o.Add(kadm.Offset{Topic: spansTopic, Partition: p, At: at, LeaderEpoch: -1})
		}
		require.NoError(t, kadm.NewClient(b.Client).CommitAllOffsets(t.Context(), "watchingcat", o))
	}
}

// deleted commits an offset of each partition and deletes one record after it.
func deleted(t *testing.T, b *pipelinetest.Broker) {
	t.Helper()
	commit(0)(t, b)
	var o kadm.Offsets
	for p := range int32(3) {
		o.Add(kadm.Offset{Topic: spansTopic, Partition: p, At: 1, LeaderEpoch: -1})
	}
	r, err := kadm.NewClient(b.Client).DeleteRecords(t.Context(), o)
	require.NoError(t, errors.Join(err, r.Error()))
}

func member(t *testing.T, b *pipelinetest.Broker) {
	t.Helper()
	cl, err := b.Config.Client(kgo.ConsumerGroup("watchingcat"), kgo.ConsumeTopics(logsTopic))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	require.NotEmpty(t, cl.PollFetches(t.Context()).Records())
}

// Whatever keeps a client from the brokers is a finding with an advice that fits.
func TestUnreachable(t *testing.T) {
	dialer := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	for name, c := range map[string]struct {
		config kafka.Config
		change string
	}{
		"name":    {kafka.Config{Dialer: dialer(&net.DNSError{Name: "kafka-1", Err: "no such host", IsNotFound: true})}, "name kafka-1"},
		"no TLS":  {kafka.Config{Dialer: dialer(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"})}, "Unset WATCHINGCAT_KAFKA_TLS"},
		"refused": {kafka.Config{Dialer: dialer(errors.New("connection refused"))}, "Check that the brokers run"},
		"closed": {kafka.Config{Dialer: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			go func() {
				_, _ = b.Read(make([]byte, 64))
				_ = b.Close()
			}()
			return a, nil
		}}, "Set WATCHINGCAT_KAFKA_TLS=true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.config.Brokers = []string{"kafka-1:9092"}
			var r Report
			require.NoError(t, Examine(t.Context(), Config{Kafka: c.config, RequestTimeout: 2 * time.Second}, &r))
			require.Len(t, r.Findings, 1)
			require.Equal(t, Failure, r.Findings[0].Level)
			require.Contains(t, r.Findings[0].Change, c.change, "%+v", r.Findings[0])
		})
	}
}

// Wrong credentials, and an ACL that lacks an operation.
func TestRefused(t *testing.T) {
	b := pipelinetest.NewBroker(t, 0, kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, spansTopic), kfake.Superuser("PLAIN", "admin", "secret-1"),
		kfake.User("PLAIN", "reader", "secret-3", kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: spansTopic, Pattern: kmsg.ACLResourcePatternTypeLiteral,
			Operation: kmsg.ACLOperationDescribe, Allow: true}))
	c := b.Config
	look := func(user, password string) Report {
		c.SASLMechanism, c.SASLUsername, c.SASLPassword = "PLAIN", user, kafka.Secret(password)
		var r Report
		require.NoError(t, Examine(t.Context(), Config{Kafka: c, Topics: []Topic{{Name: spansTopic, Signal: Spans}}, DeadLetter: deadTopic, ConfigTopic: configTopic,
			Group: "watchingcat", RequestTimeout: 2 * time.Second, SampleTimeout: time.Second}, &r))
		require.NotContains(t, fmt.Sprintf("%+v", r), password)
		return r
	}
	r := look("admin", "secret-2")
	require.Len(t, r.Findings, 1)
	require.Contains(t, r.Findings[0].Change, "WATCHINGCAT_KAFKA_SASL_PASSWORD", "%+v", r.Findings[0])

	r = look("reader", "secret-3")
	lacks := map[string]string{}
	for _, f := range r.Findings {
		if f.Level == Failure || f.Level == Warning {
			lacks[f.Check+" "+f.Subject] = f.Change
		}
	}
	require.Contains(t, lacks["topic_permission "+spansTopic], "READ", "%+v", r.Findings)
	require.Contains(t, lacks["topic_permission "+deadTopic], "WRITE")
	require.Contains(t, lacks["group_permission group watchingcat"], "Read on the group")
	require.Contains(t, lacks["sasl_plaintext "+c.Brokers[0]], "WATCHINGCAT_KAFKA_TLS")
}

// A report ends somewhere, and says so.
func TestReportIsBounded(t *testing.T) {
	var r Report
	for range maxFindings + 3 {
		r.Add(Finding{Area: "senders", Level: Note, Seen: "x"})
	}
	require.Len(t, r.Findings, maxFindings)
	var out bytes.Buffer
	require.NoError(t, r.Print(&out))
	require.Contains(t, out.String(), "3 findings more are not listed")
}

// What is printed names the change and the reason, within the width, by area.
func TestPrint(t *testing.T) {
	var r Report
	a := about{&r, "records", "otlp_spans"}
	about{&r, "machine", "data"}.ok("disk", "3 GiB are free")
	a.found(Warning, "record_keys", "Set partition_traces_by_id: true.", strings.Repeat("Spans of one call arrive in different partitions. ", 4), "%d %% have no key", 40)
	var out bytes.Buffer
	require.NoError(t, r.Print(&out))
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, len(line), width+1)
	}
	require.Equal(t, `records
  WARN  otlp_spans: 40 % have no key
        change: Set partition_traces_by_id: true.
        reason: Spans of one call arrive in different partitions. Spans of one call arrive in different partitions.
                Spans of one call arrive in different partitions. Spans of one call arrive in different partitions.

machine
  ok    data: 3 GiB are free

0 failures, 1 warning, 0 notes, 1 ok
`, out.String())
}

// The machine: a folder that is a file, too little space, few files and little memory.
func TestMachine(t *testing.T) {
	find := func(m Machine) map[string]Finding {
		var r Report
		m.Examine(&r)
		by := map[string]Finding{}
		for _, f := range r.Findings {
			by[f.Check] = f
		}
		return by
	}
	dir := t.TempDir()
	free, err := storage.FreeBytes(dir)
	require.NoError(t, err)
	m := Machine{DataDir: dir + "/not/yet/there", Memory: 4 << 30, OpenFiles: 65536, Clients: 50000}
	for check, f := range find(m) {
		if check != "disk" || free > viewsBytes {
			require.Equal(t, OK, f.Level, "%+v", f)
		}
	}
	m.RawBytes = free
	require.Equal(t, Warning, find(m)["disk"].Level)
	m.Memory, m.OpenFiles, m.DataDir = 512<<20, 1024, "doctor_test.go"
	got := find(m)
	require.Equal(t, Failure, got["data_dir"].Level)
	require.Contains(t, got["data_dir"].Seen, "not a folder")
	require.Equal(t, Note, got["memory"].Level)
	require.Equal(t, Warning, got["open_files"].Level)
}
