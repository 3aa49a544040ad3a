package kept

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
)

var simSeeds = seeds.Flags("kept", 25)

// TestSimulation: two replicas are killed and cut off from the brokers again and again, while the spans of traces come over several
// partitions, mixed. Every span of every trace with an error is in the topic, as are those of slow traces and of the sample, and no others.
func TestSimulation(t *testing.T) { simSeeds.Run(t, simulate) }

const (
	simWait   = 10 * time.Second
	simSlow   = 2 * time.Second
	simSample = 0.25
	to        = "kept"
)

// made is one trace of the simulation.
type made struct {
	id           pcommon.TraceID
	spans        int
	failed, slow bool
	th           string // that its spans have already
}

func simulate(t *testing.T, seed uint64, _ string) (diff string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 5))
		b := pipelinetest.NewBroker(t, 3, kfake.SeedTopics(2, to))
		keepers := [2]*process{start(t, b), start(t, b)}
		time.Sleep(20 * time.Second) // the positions are committed: what follows is read
		ended := make(chan []made, 1)
		go func() { ended <- produce(t, b, rand.New(rand.NewPCG(seed, 6))) }()
		for begin := time.Now(); time.Since(begin) < 4*time.Minute; {
			time.Sleep(time.Duration(r.IntN(30_000)) * time.Millisecond)
			i := r.IntN(2)
			switch r.IntN(3) {
			case 0:
				keepers[i].dead.Store(true)
				keepers[i].stop()
				time.Sleep(time.Duration(r.IntN(15_000)) * time.Millisecond)
				keepers[i] = start(t, b)
			case 1:
				keepers[i].cut.Store(true)
				time.Sleep(time.Duration(r.IntN(20_000)) * time.Millisecond)
				keepers[i].cut.Store(false)
			case 2:
				keepers[i].stop()
				keepers[i] = start(t, b)
			}
		}
		traces := <-ended
		time.Sleep(2 * time.Minute)
		for _, k := range keepers {
			k.stop()
		}
		diff = verify(t, b, traces)
	})
	return diff
}

// produce writes traces for 4 min, the spans of each within 6 s, in any partitions.
func produce(t *testing.T, b *pipelinetest.Broker, r *rand.Rand) (list []made) {
	type planned struct {
		at     time.Time
		record *kgo.Record
	}
	var plan []planned
	begin := time.Now()
	for i := range 300 {
		m := made{spans: 1 + r.IntN(5), failed: r.IntN(5) == 0, slow: r.IntN(8) == 0}
		binary.BigEndian.PutUint64(m.id[:], uint64(i)+1)
		binary.BigEndian.PutUint64(m.id[8:], r.Uint64())
		if r.IntN(4) == 0 && sampling.TraceIDToRandomness(m.id).Unsigned() >= 1<<55 {
			m.th = "8" // sampled by half before
		}
		bad, at := r.IntN(m.spans), begin.Add(time.Duration(r.IntN(240_000))*time.Millisecond)
		for s := range m.spans {
			value := oneSpan(t, m, s, m.failed && s == bad)
			plan = append(plan, planned{at.Add(time.Duration(r.IntN(6000)) * time.Millisecond),
				&kgo.Record{Topic: pipelinetest.Topic, Partition: int32(r.IntN(3)), Value: value}})
		}
		list = append(list, m)
	}
	slices.SortFunc(plan, func(a, b planned) int { return a.at.Compare(b.at) })
	for _, p := range plan {
		time.Sleep(time.Until(p.at))
		if err := b.Client.ProduceSync(context.Background(), p.record).FirstErr(); err != nil {
			t.Error(err)
		}
	}
	return list
}

func oneSpan(t *testing.T, m made, n int, failed bool) []byte {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", fmt.Sprint("s", n))
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("lib")
	s := ss.Spans().AppendEmpty()
	s.SetTraceID(m.id)
	s.SetSpanID(pcommon.SpanID{byte(n + 1)})
	s.SetStartTimestamp(1e18)
	s.SetEndTimestamp(1e18 + 1e6)
	if m.slow {
		s.SetEndTimestamp(1e18 + pcommon.Timestamp(simSlow))
	}
	if failed {
		s.Status().SetCode(ptrace.StatusCodeError)
	}
	if m.th != "" {
		s.TraceState().FromRaw("other=1,ot=th:" + m.th)
	}
	var pm ptrace.ProtoMarshaler
	b, err := pm.MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verify reads the topic of kept traces.
func verify(t *testing.T, b *pipelinetest.Broker, traces []made) string {
	got := map[pcommon.TraceID]map[pcommon.SpanID]string{}
	for _, r := range consume(t, b) {
		var u ptrace.ProtoUnmarshaler
		td, err := u.UnmarshalTraces(r.Value)
		require.NoError(t, err)
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					require.Equal(t, hex.EncodeToString(func() []byte { id := s.TraceID(); return id[:] }()), string(r.Key))
					require.Equal(t, "lib", ss.Scope().Name())
					name, _ := rs.Resource().Attributes().Get("service.name")
					require.Equal(t, fmt.Sprint("s", s.SpanID()[0]-1), name.Str())
					if got[s.TraceID()] == nil {
						got[s.TraceID()] = map[pcommon.SpanID]string{}
					}
					got[s.TraceID()][s.SpanID()] = s.TraceState().AsRaw()
				}
			}
		}
	}
	th, err := sampling.ProbabilityToThreshold(simSample)
	require.NoError(t, err)
	for _, m := range traces {
		state, want := "", m.spans
		if m.th != "" {
			state = "ot=th:" + m.th + ",other=1"
		}
		if !m.failed && !m.slow {
			if !th.ShouldSample(sampling.TraceIDToRandomness(m.id)) {
				want = 0
			} else if state = "ot=th:" + th.TValue(); m.th != "" {
				state += ",other=1"
			}
		}
		if len(got[m.id]) != want {
			return fmt.Sprintf("trace %v (failed %v, slow %v): %d of %d spans", m.id, m.failed, m.slow, len(got[m.id]), want)
		}
		for id, is := range got[m.id] {
			if is != state && !m.failed && !m.slow {
				return fmt.Sprintf("trace %v, span %v: tracestate %q, want %q", m.id, id, is, state)
			}
		}
	}
	return ""
}

func consume(t *testing.T, b *pipelinetest.Broker) (list []*kgo.Record) {
	cl, err := b.Config.Client(kgo.ConsumeTopics(to), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer cl.Close()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		records := cl.PollFetches(ctx).Records()
		cancel()
		if len(records) == 0 {
			return list
		}
		list = append(list, records...)
	}
}

type process struct {
	cut, dead atomic.Bool
	end       context.CancelFunc
	done      chan struct{}
}

func (p *process) stop() {
	p.end()
	<-p.done
}

func start(t *testing.T, b *pipelinetest.Broker) *process {
	p := &process{done: make(chan struct{})}
	k := b.Config
	dial := k.Dialer
	k.Dialer = func(ctx context.Context, network, host string) (net.Conn, error) {
		if p.cut.Load() || p.dead.Load() {
			return nil, errors.New("cut")
		}
		c, err := dial(ctx, network, host)
		return &cutConn{c, p}, err
	}
	topics, err := kafka.ParseTopics(pipelinetest.Topic)
	require.NoError(t, err)
	keeper := New(Config{Kafka: k, Topics: topics, Decode: encoding.Decoder{Signal: encoding.Spans}, To: to, Group: "g-kept",
		Keep:       Keep{Slow: simSlow, Sample: simSample, Wait: simWait, MaxBytes: 1 << 20},
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), session: 6 * time.Second})
	var ctx context.Context
	ctx, p.end = context.WithCancel(context.Background())
	go func() {
		defer close(p.done)
		_ = keeper.Run(ctx)
	}()
	return p
}

type cutConn struct {
	net.Conn
	p *process
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.p.cut.Load() || c.p.dead.Load() {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.p.cut.Load() || c.p.dead.Load() {
		_ = c.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(b)
}

// TestBuffer: what is decided early because too much waits, and what a span with an error that comes late finds.
func TestBuffer(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBuffer(Keep{Wait: time.Minute, MaxBytes: 2999})
	piece := func(n byte, failed bool) *piece {
		return &piece{id: pcommon.TraceID{n, 15: n}, chunks: [][]byte{make([]byte, 800)}, spans: 1, failed: failed, max: 1}
	}
	require.Empty(t, b.add(piece(1, false), now))
	require.Empty(t, b.add(piece(2, false), now))
	require.Empty(t, b.add(piece(3, false), now), "the first is dropped")
	require.Equal(t, 1, b.early)
	require.Equal(t, 2000, b.bytes)
	late := b.add(piece(1, true), now)
	require.Len(t, late, 1)
	require.True(t, late[0].earlier)
	whole := b.add(piece(2, true), now)
	require.Len(t, whole, 1)
	require.Len(t, whole[0].chunks, 2)
	require.False(t, whole[0].earlier)
	require.Len(t, b.add(piece(2, false), now.Add(time.Minute)), 1, "what follows is written at once")
	require.Empty(t, b.expire(now.Add(time.Hour)))
	require.Zero(t, b.bytes)
	require.Empty(t, b.traces)
}

// FuzzSplit: whatever a record is, its spans are in the pieces, once each.
func FuzzSplit(f *testing.F) {
	f.Add(pipelinetest.Request(&testing.T{}, "cart", 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		pieces, err := split(b, nil)
		if err != nil {
			return
		}
		n := 0
		for _, p := range pieces {
			for _, value := range joined(p.chunks) {
				again, err := split(value, &p.id)
				if err != nil || len(again) != 1 {
					t.Fatal(err, len(again))
				}
				n += again[0].spans
				if _, err := adjust(value, sampling.AlwaysSampleThreshold); err != nil {
					t.Fatal(err)
				}
			}
		}
		var u ptrace.ProtoUnmarshaler
		td, err := u.UnmarshalTraces(b)
		if err != nil || td.SpanCount() != n {
			t.Fatal(err, td.SpanCount(), n)
		}
	})
}

// TestLargeTraces: spans of a trace that are more than a record may hold are written in several.
func TestLargeTraces(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "cart")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range 300 {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetSpanID(pcommon.SpanID{byte(i), byte(i >> 8), 1})
		s.Attributes().PutStr("text", string(make([]byte, 10_000)))
	}
	var pm ptrace.ProtoMarshaler
	b, err := pm.MarshalTraces(td)
	require.NoError(t, err)
	pieces, err := split(b, nil)
	require.NoError(t, err)
	require.Len(t, pieces, 1)
	require.Equal(t, 300, pieces[0].spans)
	values := joined(pieces[0].chunks)
	require.Greater(t, len(values), 3)
	for _, v := range values {
		require.LessOrEqual(t, len(v), maxChunk+1000)
		again, err := split(v, nil)
		require.NoError(t, err)
		require.Len(t, again, 1)
	}
}

// BenchmarkRecord is what one record of 100 spans of 20 traces costs beside its fetch.
func BenchmarkRecord(b *testing.B) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "cart")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range 100 {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{byte(i % 20), 15: 1})
		s.SetSpanID(pcommon.SpanID{byte(i)})
		s.SetName("GET /cart")
		for _, name := range []string{"http.request.method", "http.route", "server.address", "user_agent.original", "url.path"} {
			s.Attributes().PutStr(name, "a value of an attribute")
		}
	}
	var pm ptrace.ProtoMarshaler
	value, err := pm.MarshalTraces(td)
	if err != nil {
		b.Fatal(err)
	}
	buf, now := newBuffer(Keep{Wait: time.Second, MaxBytes: 64 << 20}), time.Unix(0, 0)
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		pieces, err := split(value, nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range pieces {
			buf.add(p, now)
		}
		now = now.Add(time.Millisecond)
		buf.expire(now)
	}
}
