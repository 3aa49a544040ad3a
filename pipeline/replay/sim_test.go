package replay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

var simSeeds = seeds.Flags("sim", 60)

// TestSimulation runs the whole ingest path, kfake on a virtual network, franz-go, watermill, scan, views and a store that loses
// unsynced commits, in a bubble with its own clock: random records, broker errors, checkpoints and crashes. What the views hold in
// the end must be what the records say.
func TestSimulation(t *testing.T) { simSeeds.Run(t, simulate) }

// TestSimulationFindsPlantedBug moves positions in a transaction of their own.
func TestSimulationFindsPlantedBug(t *testing.T) { seeds.Find(t, 400, simulate, "split") }

// splitKV commits entries and positions apart.
type splitKV struct{ *storage.Mem }

func (s splitKV) Commit(c storage.Commit) error {
	entries := c.Entries
	c.Entries = nil
	if err := s.Mem.Commit(storage.Commit{Entries: entries}); err != nil {
		return err
	}
	return s.Mem.Commit(c)
}

// Log records have a partition number of their own, so that a number alone names a partition.
const (
	logsTopic     = "logs"
	logsPartition = 3
)

type simulation struct {
	t   *testing.T
	r   *rand.Rand
	b   *pipelinetest.Broker
	bug string
	mem *storage.Mem
	// views is the configuration of the views
	views model.Config

	mu      sync.Mutex
	luck    *rand.Rand
	letters map[string]bool // dead letters by position, as delivered at least once
}

func simulate(t *testing.T, seed uint64, bug string) (diff string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{t: t, r: rand.New(rand.NewPCG(seed, 2)), bug: bug, letters: map[string]bool{},
			luck: rand.New(rand.NewPCG(seed, 4)), mem: storage.NewMem(storage.MemOptions{SyncEvery: -1}), views: simViews}
		s.views.DedupSpans = s.r.IntN(2) == 0
		s.b = pipelinetest.NewBroker(t, 3, kfake.SeedTopics(logsPartition+1, logsTopic))
		records := s.records()
		s.brokerErrors()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.produce(records)
		}()
		for range s.r.IntN(4) {
			s.live(func(*views.Set) bool { return s.r.IntN(30) == 0 })
			s.mem = s.mem.Crash(func(n int) int { return s.r.IntN(n + 1) })
		}
		<-done
		ends := map[int32]int64{}
		for _, r := range records {
			ends[r.Partition]++
		}
		var set *views.Set
		s.live(func(v *views.Set) bool { set = v; return caughtUp(v, ends) })
		diff = seeds.Diff(simDump(t, set), s.plain(records))
	})
	return diff
}

// live runs the process until stop says so, and then ends it as a crash does: nothing more is committed.
func (s *simulation) live(stop func(*views.Set) bool) {
	var kv storage.KV = s.mem
	if s.bug != "" {
		kv = splitKV{s.mem}
	}
	set, err := views.Open(kv, s.views)
	if err != nil {
		s.t.Fatal(err)
	}
	for p := range int32(logsPartition) {
		set.Partition(pipelinetest.Topic, p) // as the source's states do: the frontier waits for what was not read yet
	}
	positions, err := set.Positions()
	if err != nil {
		s.t.Fatal(err)
	}
	src, err := source.New(source.Config{Kafka: s.b.Config, BatchRecords: 1 + s.r.IntN(5),
		Position: func(topic string, p int32) (storage.Position, bool) {
			for _, at := range positions {
				if at.Topic == topic && at.Partition == p {
					return at, true
				}
			}
			return storage.Position{}, false
		}})
	if err != nil {
		s.t.Fatal(err)
	}
	g := ingest.New(ingest.Config{Set: set, KV: kv, DeadLetter: s.deadLetter, Logs: kafka.TopicsOf(logsTopic), MaxPending: uint64(5 + s.r.IntN(50))})
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		s.t.Fatal(err)
	}
	retry := middleware.Retry{MaxRetries: 3, InitialInterval: 50 * time.Millisecond}
	router.AddMiddleware(retry.Middleware, middleware.Recoverer)
	router.AddConsumerHandler("spans", pipelinetest.Topic, src, g.Handle)
	router.AddConsumerHandler("logs", logsTopic, src, g.Handle)
	ctx, crash := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := router.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	for !stop(set) {
		time.Sleep(time.Duration(1+s.r.IntN(40)) * time.Millisecond)
		if err := g.Checkpoint(ctx, time.Now()); err != nil {
			s.t.Fatal(err)
		}
		if s.r.IntN(4) == 0 {
			s.mem.Sync()
		}
	}
	crash()
	wg.Wait()
	if err := src.Close(); err != nil {
		s.t.Error(err)
	}
}

var simViews = model.Config{TraceBytes: 1 << 20, LogBytes: 1 << 20, FoldEvery: 3, MaxCommitBytes: 400, Hot: 10 * time.Second,
	PairingWindow: time.Second}

func (s *simulation) deadLetter(_ context.Context, r *kgo.Record, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.luck.IntN(4) == 0 {
		return errors.New("the dead-letter topic does not answer")
	}
	s.letters[fmt.Sprintf("%d/%d", r.Partition, r.Offset)] = true
	return nil
}

// brokerErrors makes some of the broker's answers errors, as a broker that restarts or moves a partition gives.
func (s *simulation) brokerErrors() {
	r := rand.New(rand.NewPCG(s.r.Uint64(), 3))
	s.b.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		s.b.KeepControl()
		if r.IntN(8) != 0 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		resp.ErrorCode = []int16{kerr.UnknownServerError.Code, kerr.FetchSessionIDNotFound.Code}[r.IntN(2)]
		return resp, nil, true
	})
}

// records makes calls whose two sides are in different records and partitions, one record sent twice, and poison.
func (s *simulation) records() (out []*kgo.Record) {
	start := time.Now()
	add := func(at time.Duration, value []byte) {
		out = append(out, &kgo.Record{Topic: pipelinetest.Topic, Partition: int32(s.r.IntN(3)), Value: value,
			Timestamp: start.Add(at + 100*time.Millisecond)})
	}
	for i := range 40 {
		at := time.Duration(i) * 100 * time.Millisecond
		client, server := s.call(uint32(i), start.Add(at))
		if s.r.IntN(2) == 0 {
			out = append(out, &kgo.Record{Topic: logsTopic, Partition: logsPartition, Value: s.log(uint32(i), start.Add(at)),
				Timestamp: start.Add(at + 100*time.Millisecond)})
		}
		switch s.r.IntN(9) {
		case 0:
			add(at, []byte("poison"))
			add(at, client)
		case 1:
			add(at, client)
			add(at, client)
			add(at, server)
		case 2:
			add(at, server)
			add(at, client)
		case 3: // sent again in another batch: requests one after the other are one request
			add(at, client)
			add(at, slices.Concat(server, client))
		default:
			add(at, client)
			add(at, server)
		}
	}
	return out
}

// log is a request with a log line, or one that does not parse.
func (s *simulation) log(n uint32, at time.Time) []byte {
	if s.r.IntN(8) == 0 {
		return []byte("poison")
	}
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", []string{"web", "cart"}[s.r.IntN(2)])
	l := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	l.SetTimestamp(pcommon.NewTimestampFromTime(at))
	l.SetSeverityNumber(plog.SeverityNumber(9 + 4*s.r.IntN(3)))
	l.SetTraceID(pcommon.TraceID{1, byte(n >> 8), byte(n)})
	l.Body().SetStr(fmt.Sprintf("%s of order %d by %s", []string{"payment", "parcel"}[s.r.IntN(2)], n,
		[]string{"anna", "bert", "carl"}[s.r.IntN(3)]))
	if s.r.IntN(3) == 0 {
		l.Attributes().PutStr("exception.message", fmt.Sprintf("broken at %d", n))
	}
	var m plog.ProtoMarshaler
	b, err := m.MarshalLogs(ld)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// call is the two sides of a call as two requests.
func (s *simulation) call(n uint32, at time.Time) (client, server []byte) {
	names := []string{"web", "cart", "pay"}
	side := func(service string, kind ptrace.SpanKind, id, parent byte, lasts time.Duration) []byte {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		rs.Resource().Attributes().PutStr("service.version", fmt.Sprint("v", n/20))
		sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{1, byte(n >> 8), byte(n)})
		sp.SetSpanID(pcommon.SpanID{id})
		sp.SetParentSpanID(pcommon.SpanID{parent})
		sp.SetName(fmt.Sprint("op", s.r.IntN(3)))
		sp.SetKind(kind)
		sp.Status().SetCode(ptrace.StatusCode(s.r.IntN(3)))
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(lasts)))
		if kind == ptrace.SpanKindClient && n%4 == 0 {
			sp.Attributes().PutStr("db.system.name", "pg")
			e := sp.Events().AppendEmpty()
			e.SetName("exception")
			e.Attributes().PutStr("exception.message", fmt.Sprintf("no answer after %d ms", n))
		}
		var m ptrace.ProtoMarshaler
		b, err := m.MarshalTraces(td)
		if err != nil {
			s.t.Fatal(err)
		}
		return b
	}
	ms := time.Duration(s.r.IntN(40)) * time.Millisecond
	return side(names[s.r.IntN(3)], ptrace.SpanKindClient, 2, 0, ms+5*time.Millisecond),
		side(names[s.r.IntN(3)], ptrace.SpanKindServer, 3, 2, ms)
}

func (s *simulation) produce(records []*kgo.Record) {
	for _, r := range records {
		if err := s.b.Client.ProduceSync(s.t.Context(), r).FirstErr(); err != nil {
			s.t.Errorf("produce: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func caughtUp(v *views.Set, ends map[int32]int64) bool {
	at := map[int32]int64{}
	for _, p := range v.Progress() {
		at[p.Partition] = p.Position
	}
	for p, end := range ends {
		if at[p] < end {
			return false
		}
	}
	return true
}

// plain is what the records say, without Kafka, commits or crashes.
func (s *simulation) plain(records []*kgo.Record) string {
	set, missing := s.plainSet(s.views, records)
	if missing != "" {
		return missing
	}
	return simDump(s.t, set)
}

// plainSet is a Set of the records; it says which of them should have become a dead letter and did not.
func (s *simulation) plainSet(c model.Config, records []*kgo.Record) (set *views.Set, missing string) {
	kv := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(kv, c)
	if err != nil {
		s.t.Fatal(err)
	}
	next := map[int32]int64{}
	for _, r := range records {
		rec := model.Record{Offset: next[r.Partition], LeaderEpoch: -1, Timestamp: r.Timestamp.UnixMilli(), Value: r.Value}
		next[r.Partition]++
		a := set.Partition(r.Topic, r.Partition)
		if !a.Begin(rec) {
			continue
		}
		var err error
		if r.Topic == logsTopic {
			err = ingest.DecodeLogs(r.Value, nil, 1000, a.Log)
		} else {
			err = otlp.ScanSpans(r.Value, 1000, a.Span)
		}
		if err == nil && a.Again() {
			err = otlp.ScanSpans(r.Value, 1000, a.Span)
		}
		if err != nil {
			a.Rollback()
			a.Skip(rec)
			if !s.letters[fmt.Sprintf("%d/%d", r.Partition, rec.Offset)] {
				missing = fmt.Sprintf("no dead letter of %d/%d", r.Partition, rec.Offset)
			}
			continue
		}
		a.End()
	}
	check, err := set.Collect(nil)
	if err == nil {
		for _, part := range append(check.Before, check.Commit) {
			if err = kv.Commit(part); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = set.Install(check)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return set, missing
}

func simDump(t *testing.T, set *views.Set) string {
	var b strings.Builder
	for _, v := range []string{"red", "edges", "levels", "pending", "counters", "traces", "errors", "databases", "messaging", "versions",
		"logs", "patterns"} {
		require.NoError(t, set.Dump(&b, v))
	}
	return b.String()
}
