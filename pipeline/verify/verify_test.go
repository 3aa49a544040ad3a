package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

const lines = "otlp_logs"

// compared are topics, views of them, and what compares both.
type compared struct {
	t      *testing.T
	r      *rand.Rand
	broker *pipelinetest.Broker
	ingest *ingest.Ingest
	set    *views.Set
	reader views.Reader // what is compared; a test may put in one that errs
	now    time.Time    // by the records' timestamps
	parts  map[source.PartitionID]bool
	*Verifier
}

func newCompared(t *testing.T, r *rand.Rand, cfg model.Config) *compared {
	t.Helper()
	c := &compared{t: t, r: r, broker: pipelinetest.NewBroker(t, 2, kfake.SeedTopics(1, lines)), parts: map[source.PartitionID]bool{},
		now: time.Unix(1_700_000_000, 0).Truncate(time.Minute)}
	kv := storage.NewMem(storage.MemOptions{})
	cfg.Dimensions = []string{"deployment.environment.name", "service.namespace"}
	set, err := views.Open(kv, cfg)
	require.NoError(t, err)
	c.set, c.reader = set, set
	c.ingest = ingest.New(ingest.Config{Set: set, KV: kv, Logs: kafka.TopicsOf(lines), States: c.states, Logger: zerolog.Nop(),
		DeadLetter: func(context.Context, *kgo.Record, string) error { return nil }})
	full := cfg.WithDefaults()
	c.Verifier = New(Config{Kafka: c.broker.Config,
		Views: func() (views.Reader, func()) { return c.reader, func() {} },
		Positions: func() map[source.PartitionID]Position {
			m := map[source.PartitionID]Position{}
			for _, p := range set.Progress() {
				m[source.PartitionID{Topic: p.Topic, Partition: p.Partition}] = Position{p.Position, p.Watermark}
			}
			return m
		},
		Since: func() time.Time { return time.Time{} },
		Rules: func() Rules {
			return Rules{Dimensions: cfg.Dimensions, Pairing: full.PairingWindow, Dedup: full.DedupWindow, Spans: full.DedupSpans,
				Tolerance: full.FutureTolerance, MaxSpans: 100_000}
		},
		Decoder: func(topic string) encoding.Decoder {
			if topic == lines {
				return encoding.Decoder{Signal: encoding.Logs}
			}
			return encoding.Decoder{Signal: encoding.Spans}
		},
		Settled: 15 * time.Second, Logger: zerolog.Nop(),
	})
	return c
}

func (c *compared) states() (list []source.PartitionState) {
	for id := range c.parts {
		list = append(list, source.PartitionState{Topic: id.Topic, Partition: id.Partition, Idle: true})
	}
	return list
}

// write appends a record to a topic and, unless it is to be lost, applies it.
func (c *compared) write(id source.PartitionID, value []byte, at time.Time, lose bool) {
	c.t.Helper()
	rec := &kgo.Record{Topic: id.Topic, Partition: id.Partition, Value: value, Timestamp: at}
	require.NoError(c.t, c.broker.Client.ProduceSync(c.t.Context(), rec).FirstErr())
	c.parts[id] = true
	if !lose {
		require.NoError(c.t, c.ingest.Record(c.t.Context(), c.set.Partition(id.Topic, id.Partition), rec, at.UnixMilli()))
	}
}

func (c *compared) commit() {
	c.t.Helper()
	require.NoError(c.t, c.ingest.Checkpoint(c.t.Context(), c.now))
}

// spans are a record with a few calls, drawn at random.
func (c *compared) spans(end time.Time) []byte {
	td, r := ptrace.NewTraces(), c.r
	for range 1 + r.IntN(3) {
		rs := td.ResourceSpans().AppendEmpty()
		if r.IntN(20) > 0 {
			rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", r.IntN(4)))
		}
		if r.IntN(2) > 0 {
			rs.Resource().Attributes().PutStr([]string{"deployment.environment.name", "deployment.environment"}[r.IntN(2)], []string{"prod", "test", ""}[r.IntN(3)])
		}
		ss := rs.ScopeSpans().AppendEmpty()
		for range 1 + r.IntN(4) {
			c.span(ss.Spans().AppendEmpty(), end.Add(-time.Duration(r.Int64N(int64(8*time.Second)))))
		}
	}
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(c.t, err)
	return b
}

// span draws a span. Trace and span IDs come from a few, so that sides of calls meet.
func (c *compared) span(s ptrace.Span, end time.Time) {
	r := c.r
	id := byte(r.IntN(200))
	s.SetTraceID(pcommon.TraceID{1, id, byte(end.Unix() / 30), byte(end.Unix() / 7680)})
	s.SetSpanID(pcommon.SpanID{2, id, byte(r.IntN(3))})
	if r.IntN(4) > 0 {
		s.SetParentSpanID(pcommon.SpanID{2, id, byte(r.IntN(3))})
	}
	s.SetName([]string{"GET /", "POST /pay", "\xff broken", ""}[r.IntN(4)])
	s.SetKind(ptrace.SpanKind(r.IntN(7)))
	s.Status().SetCode(ptrace.StatusCode(r.IntN(4)))
	start := end.Add(-time.Duration(r.ExpFloat64() * float64(80*time.Millisecond)))
	if r.IntN(30) == 0 {
		start = end.Add(time.Second) // ends before it begins
	}
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(end))
	if r.IntN(30) == 0 {
		s.SetEndTimestamp(0)
	}
	if r.IntN(10) == 0 {
		s.TraceState().FromRaw([]string{"ot=th:8", "ot=th:c", "ot=th:9", "other=1", "ot=rv:1", "x=1,ot=th:fd70a"}[r.IntN(6)])
	}
	for key, values := range map[string][]string{"db.namespace": {"orders", "0", ""}, "db.name": {"old", "7"}, "db.system.name": {"redis", "mysql"},
		"db.system": {"mongodb"}, "peer.service": {"bank"}, "server.address": {"10.0.0.1", "bank.example"},
		"messaging.destination.name": {"mails"}, "service.namespace": {"shop", "back"}} {
		if r.IntN(6) == 0 {
			s.Attributes().PutStr(key, values[r.IntN(len(values))])
		}
	}
}

func (c *compared) logs(at time.Time) []byte {
	ld, r := plog.NewLogs(), c.r
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", r.IntN(4)))
	for range 1 + r.IntN(3) {
		l := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		if r.IntN(4) > 0 {
			l.SetTimestamp(pcommon.NewTimestampFromTime(at.Truncate(time.Second)))
		}
		if r.IntN(2) > 0 {
			l.SetObservedTimestamp(pcommon.NewTimestampFromTime(at))
		}
		l.SetSeverityNumber(plog.SeverityNumber(r.IntN(26)))
		l.SetSeverityText([]string{"", "warning", "Error", "?"}[r.IntN(4)])
		l.Body().SetStr("a line")
	}
	b, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	require.NoError(c.t, err)
	return b
}

// fill writes minutes of records, some of them late, some sent again, and commits now and then.
func (c *compared) fill(length time.Duration, lose func() bool) {
	var sent [][]byte
	for end := c.now.Add(length); c.now.Before(end); c.now = c.now.Add(time.Duration(c.r.Int64N(int64(2 * time.Second)))) {
		id, at := source.PartitionID{Topic: pipelinetest.Topic, Partition: int32(c.r.IntN(2))}, c.now
		var value []byte
		switch c.r.IntN(12) {
		case 0:
			at = at.Add(-time.Duration(c.r.Int64N(int64(10 * time.Minute)))) // late
		case 1:
			at = at.Add(time.Duration(c.r.Int64N(int64(time.Minute)))) // a clock that is ahead
		case 2:
			if len(sent) > 0 {
				value = sent[c.r.IntN(len(sent))]
			}
		case 3:
			value = []byte("no record")
		case 4, 5:
			id, value = source.PartitionID{Topic: lines}, c.logs(at)
		}
		if value == nil {
			value = c.spans(at)
		}
		if id.Topic != lines {
			sent = append(sent, value)
		}
		c.write(id, value, c.now, lose())
		if c.r.IntN(10) == 0 {
			c.commit()
		}
	}
	c.now = c.now.Add(time.Minute)
	c.commit()
}

func never() bool { return false }

// all compares every minute that can be.
func (c *compared) all() (n progress.Verification) {
	c.t.Helper()
	from, to, ok := c.Span()
	require.True(c.t, ok)
	for _, w := range windows(from, to) {
		r, err := c.check(c.t.Context(), w, &pacer{share: 1})
		require.NoError(c.t, err)
		require.True(c.t, r.Calls)
		r.addTo(&n)
	}
	return n
}

var compareSeeds = seeds.Flags("verify", 12)

// TestViewsEqualTheTopics: views filled by ingest from random records have in every cell the count of the recount.
func TestViewsEqualTheTopics(t *testing.T) { compareSeeds.Run(t, equal) }

func equal(t *testing.T, seed uint64, _ string) string {
	r := rand.New(rand.NewPCG(seed, 1))
	cfg := model.Config{DedupSpans: seed%3 == 1}
	if seed%3 == 2 {
		cfg.DedupWindow = -1
	}
	if seed%4 == 3 {
		cfg.Limits = model.Limits{Series: 20, Services: 3, Edges: 6}
	}
	c := newCompared(t, r, cfg)
	c.fill(6*time.Minute, never)
	n := c.all()
	if n.Differing > 0 || n.Cells == 0 {
		return fmt.Sprintf("%d of %d cells differ: %v", n.Differing, n.Cells, n.Differences)
	}
	if cfg.Limits.Series == 0 && n.Uncertain*4 > n.Cells {
		return fmt.Sprintf("%d cells are uncertain, %d were compared", n.Uncertain, n.Cells)
	}
	return ""
}

// wrong is a reader that errs in one cell.
type wrong struct {
	views.Reader
	red   func(c *model.REDCell)
	op    func(o *model.OperationLatency)
	edge  func(c *model.EdgeCell)
	lines func(c *cells.TallyCell)
}

func (w wrong) SelectRED(from, to time.Time, match func(uint32, model.REDKey) bool) ([]model.REDTimeline, error) {
	list, err := w.Reader.SelectRED(from, to, match)
	for i := range list {
		if len(list[i].Cells) > 0 && w.red != nil {
			w.red(&list[i].Cells[0])
			break
		}
	}
	return list, err
}

func (w wrong) Latencies(from, to time.Time, match func(k model.REDKey) bool) ([]model.OperationLatency, error) {
	list, err := w.Reader.Latencies(from, to, match)
	if len(list) > 0 && w.op != nil {
		w.op(&list[0])
	}
	return list, err
}

func (w wrong) SelectEdges(from, to time.Time, match func(uint32, model.EdgeKey) bool) ([]model.EdgeTimeline, error) {
	list, err := w.Reader.SelectEdges(from, to, match)
	for i := range list {
		if len(list[i].Cells) > 0 && w.edge != nil {
			w.edge(&list[i].Cells[0])
			break
		}
	}
	return list, err
}

func (w wrong) SelectTable(t model.Table, from, to time.Time, match func([]string) bool) ([]cells.TallyTimeline, error) {
	list, err := w.Reader.SelectTable(t, from, to, match)
	for i := range list {
		if len(list[i].Cells) > 0 && w.lines != nil {
			w.lines(&list[i].Cells[0])
			break
		}
	}
	return list, err
}

// TestCorruptionIsFound: one wrong cell, of any view and level, is one difference, which names it.
func TestCorruptionIsFound(t *testing.T) {
	for name, w := range map[string]wrong{
		"red":           {red: func(c *model.REDCell) { c.Calls++ }},
		"red ":          {red: func(c *model.REDCell) { c.Sum.AddTimes(1, 1) }},
		"red  ":         {red: func(c *model.REDCell) { c.Hist.Add(uint64(time.Hour), 1) }},
		"red   ":        {red: func(c *model.REDCell) { *c = model.REDCell{Bucket: c.Bucket} }}, // gone
		"red by minute": {op: func(o *model.OperationLatency) { o.Errors++ }},
		"servicemap":    {edge: func(c *model.EdgeCell) { c.Failed++ }},
		"servicemap ":   {edge: func(c *model.EdgeCell) { c.ServerSum.AddTimes(1, 1) }},
		"logs":          {lines: func(c *cells.TallyCell) { c.Calls-- }},
	} {
		t.Run(strings.ReplaceAll(name, " ", "."), func(t *testing.T) {
			c := newCompared(t, rand.New(rand.NewPCG(4, 4)), model.Config{})
			at := source.PartitionID{Topic: pipelinetest.Topic}
			for i := range 60 {
				c.now = c.now.Add(time.Second)
				c.write(at, c.call(byte(i)), c.now, false)
				c.write(source.PartitionID{Topic: lines}, c.logs(c.now), c.now, false)
			}
			c.now = c.now.Add(2 * time.Minute)
			c.commit()
			require.Zero(t, c.all().Differing)
			w.Reader = c.set
			c.reader = w
			n := c.all()
			require.NotZero(t, n.Differing)
			require.Equal(t, strings.TrimSpace(name), n.Differences[0].View)
			require.NotEqual(t, n.Differences[0].Topics, n.Differences[0].Views)
		})
	}
}

// call is a record with one call, of which both sides were seen.
func (c *compared) call(id byte) []byte {
	td := ptrace.NewTraces()
	for i, service := range []string{"front", "back"} {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{9, id})
		s.SetSpanID(pcommon.SpanID{byte(i + 1), id})
		s.SetParentSpanID(pcommon.SpanID{byte(i), id})
		s.SetKind([]ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer}[i])
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(c.now.Add(-time.Duration(id) * time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(c.now))
	}
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(c.t, err)
	return b
}

// TestLostRecordIsFound: a record that the views passed over shows.
func TestLostRecordIsFound(t *testing.T) {
	c := newCompared(t, rand.New(rand.NewPCG(5, 5)), model.Config{DedupWindow: -1})
	n := 0
	c.fill(3*time.Minute, func() bool { n++; return n == 100 })
	require.NotZero(t, c.all().Differing)
}

// TestLateSpansAreNoDifference: spans that come half an hour late are found by the second reading, and expected from then on.
func TestLateSpansAreNoDifference(t *testing.T) {
	c := newCompared(t, rand.New(rand.NewPCG(6, 6)), model.Config{})
	at := source.PartitionID{Topic: pipelinetest.Topic}
	begin := c.now
	for i := range 60 {
		c.now = begin.Add(time.Duration(i) * time.Second)
		value := c.call(byte(i))
		c.now = c.now.Add(time.Duration(i%2) * 30 * time.Minute)
		c.write(at, value, c.now, false)
	}
	c.now = begin.Add(40 * time.Minute)
	c.commit()
	n := c.all()
	require.Zero(t, n.Differing, n.Differences)
	require.NotZero(t, n.Cells)
	require.Greater(t, c.slack(), 30*time.Minute)
}

// TestGoneRecords: a window of which the topics lost records is not compared, and the one after it is.
func TestGoneRecords(t *testing.T) {
	c := newCompared(t, rand.New(rand.NewPCG(7, 7)), model.Config{})
	at := source.PartitionID{Topic: pipelinetest.Topic}
	for i := range 240 {
		c.now = c.now.Add(time.Second)
		c.write(at, c.call(byte(i)), c.now, false)
	}
	c.now = c.now.Add(time.Minute)
	c.commit()
	adm := kadm.NewClient(c.broker.Client)
	var to kadm.Offsets
	to.AddOffset(at.Topic, at.Partition, 70, -1)
	_, err := adm.DeleteRecords(t.Context(), to)
	require.NoError(t, err)
	from, end, _ := c.Span()
	list := windows(from, end)
	gone := 0
	i := itinerary{rand: rand.New(rand.NewPCG(1, 1))}
	for _, w := range list {
		_, err := c.check(t.Context(), w, &pacer{share: 1})
		if i.gone(w, err) {
			gone++
			continue
		}
		require.NoError(t, err)
	}
	require.Equal(t, 2, gone, "the minutes whose records, or the 15 s before them, are gone")
	w, ok := i.pick(from, end)
	require.True(t, ok)
	require.False(t, w.From.Before(list[1].To))
}

// TestAskedFor: a range that is asked for is compared in the background, one at a time, and listed.
func TestAskedFor(t *testing.T) {
	c := newCompared(t, rand.New(rand.NewPCG(8, 8)), model.Config{})
	_, err := c.Start(time.Time{}, time.Time{})
	require.ErrorIs(t, err, progress.ErrVerificationRange)
	c.fill(4*time.Minute, never)
	_, err = c.Start(time.Time{}, time.Time{})
	require.ErrorContains(t, err, "try again", "it does not run yet")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	require.Eventually(t, func() bool { _, err = c.Start(time.Time{}, time.Time{}); return err == nil }, 10*time.Second, time.Millisecond)
	first, _ := c.Get("1")
	_, err = c.Start(first.To, first.To.Add(time.Hour))
	require.ErrorIs(t, err, progress.ErrVerificationRange)
	_, err = c.Start(first.To, first.From)
	require.ErrorIs(t, err, progress.ErrVerificationRange)
	require.Eventually(t, func() bool { n, _ := c.Get("1"); return n.State == progress.VerificationFinished }, time.Minute, time.Millisecond)
	n, ok := c.Get("1")
	require.True(t, ok)
	require.Equal(t, n.Minutes, n.Compared)
	require.NotZero(t, n.Cells)
	require.Zero(t, n.Differing)
	require.Len(t, c.List(), 1)
	second, err := c.Start(first.From, first.To)
	require.NoError(t, err)
	require.True(t, c.Cancel(second.ID))
	require.True(t, c.Cancel(second.ID), "again")
	require.False(t, c.Cancel("3"))
	n, _ = c.Get(second.ID)
	require.Contains(t, []progress.VerificationState{progress.VerificationCanceled, progress.VerificationFinished}, n.State)
	stop()
	require.NoError(t, <-ended)
	_, err = c.Start(time.Time{}, time.Time{})
	require.ErrorContains(t, err, "try again")
}

// TestLargeMinute: a minute with more records than there is memory for is an error; with more calls than that, all else is compared.
func TestLargeMinute(t *testing.T) {
	c := newCompared(t, rand.New(rand.NewPCG(11, 11)), model.Config{})
	for i := range 120 {
		c.now = c.now.Add(500 * time.Millisecond)
		c.write(source.PartitionID{Topic: pipelinetest.Topic}, c.call(byte(i)), c.now, false)
	}
	c.now = c.now.Add(2 * time.Minute)
	c.commit()
	from, _, _ := c.Span()
	rules := c.c.Rules()
	c.c.Rules = func() Rules { return rules }
	w := Window{from, from.Add(time.Minute)}
	for entries, want := range map[int64]error{10: ErrLarge, 400: nil, 4000: nil} {
		rules.MaxBytes = entries * entryBytes
		r, err := c.check(t.Context(), w, &pacer{share: 1})
		require.ErrorIs(t, err, want)
		if err == nil {
			require.Equal(t, entries == 4000, r.Calls)
			require.NotZero(t, r.Cells)
			require.Empty(t, r.Differing)
		}
	}
}

// TestItinerary: minutes come in order, random ones of the past in between; what is too far behind is left to chance and counted.
func TestItinerary(t *testing.T) {
	i := itinerary{rand: rand.New(rand.NewPCG(2, 2))}
	from := time.Unix(1_700_000_040, 0)
	_, ok := i.pick(from, from)
	require.False(t, ok)
	seen := map[int64]int{}
	to := from.Add(time.Minute)
	for range 240 { // two windows a minute
		for range 2 {
			w, ok := i.pick(from, to)
			require.True(t, ok)
			require.False(t, w.From.Before(from) || w.To.After(to), w)
			seen[w.From.Unix()]++
		}
		to = to.Add(time.Minute)
	}
	require.GreaterOrEqual(t, len(seen), 239, "each minute was compared")
	require.Zero(t, i.missed)
	last := to
	to = to.Add(5 * time.Hour)
	for range 4 {
		_, ok = i.pick(from, to)
		require.True(t, ok)
	}
	require.InDelta(t, to.Sub(last).Minutes(), float64(i.missed), 3)
	i.gone(Window{to.Add(-2 * time.Minute), to.Add(-time.Minute)}, ErrGone)
	for range 10 {
		w, ok := i.pick(from, to)
		require.True(t, ok)
		require.Equal(t, to.Add(-time.Minute), w.From)
	}
}

// TestPacer: over a while, work and the fetching for it take the share.
func TestPacer(t *testing.T) {
	p, waited := pacer{share: 0.03}, time.Duration(0)
	for range 1000 {
		waited += p.worked(time.Millisecond)
	}
	require.InDelta(t, 0.03, (1+fetched)*float64(time.Second)/float64(time.Second+waited), 0.001)
}

// FuzzRecords: whatever a record holds, the views count of it what the recount does.
func FuzzRecords(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 9))
	now := time.Unix(1_700_000_000, 0)
	for range 20 {
		c := &compared{t: &testing.T{}, r: r, now: now}
		f.Add(c.spans(now), false)
		f.Add(c.logs(now), true)
	}
	f.Fuzz(func(t *testing.T, value []byte, line bool) {
		kv := storage.NewMem(storage.MemOptions{})
		set, err := views.Open(kv, model.Config{})
		require.NoError(t, err)
		topic, d := pipelinetest.Topic, encoding.Decoder{Signal: encoding.Spans}
		if line {
			topic, d = lines, encoding.Decoder{Signal: encoding.Logs}
		}
		buried := false
		g := ingest.New(ingest.Config{Set: set, KV: kv, Logs: kafka.TopicsOf(lines), Logger: zerolog.Nop(),
			States:     func() []source.PartitionState { return []source.PartitionState{{Topic: topic, Idle: true}} },
			DeadLetter: func(context.Context, *kgo.Record, string) error { buried = true; return nil }})
		rec := &kgo.Record{Topic: topic, Value: value, Timestamp: now}
		require.NoError(t, g.Record(t.Context(), set.Partition(topic, 0), rec, now.UnixMilli()))
		require.NoError(t, g.Checkpoint(t.Context(), now.Add(time.Hour)))
		if buried {
			return // the recount may accept what the scan refuses
		}
		w := Window{now.Add(-time.Minute).Truncate(time.Minute), now.Add(time.Minute).Truncate(time.Minute)}
		n := newRecount(Rules{Pairing: 10 * time.Second, Dedup: 5 * time.Minute, Tolerance: 10 * time.Second, MaxSpans: 100_000}, w, 10*time.Second, nil)
		(&decoder{}).count(n, rec, d, arrival{ms: now.UnixMilli()})
		n.pair()
		h, err := hold(set, w, 10*time.Second)
		require.NoError(t, err)
		var found comparison
		found.add(compare("red", n.red, h.red))
		found.add(compare("servicemap", n.edges, h.edges))
		found.add(compare("logs", n.lines, h.lines))
		require.Empty(t, found.differing)
	})
}

// BenchmarkRecount counts records of twelve spans of five resources.
func BenchmarkRecount(b *testing.B) {
	now := time.Unix(1_700_000_000, 0).Truncate(time.Minute).Add(30 * time.Second)
	c := &compared{t: &testing.T{}, r: rand.New(rand.NewPCG(10, 10)), now: now}
	var records []*kgo.Record
	spans := 0
	for i := range 5000 {
		td := ptrace.NewTraces()
		for j := range 5 {
			rs := td.ResourceSpans().AppendEmpty()
			for k, v := range map[string]string{"service.name": fmt.Sprintf("service-%d", (i+j)%20), "deployment.environment.name": "prod",
				"service.namespace": "shop", "host.name": "node-17", "k8s.pod.name": "service-5cb7f9d4c-xk2vq", "telemetry.sdk.language": "go"} {
				rs.Resource().Attributes().PutStr(k, v)
			}
			ss := rs.ScopeSpans().AppendEmpty()
			for range 2 + j%2 {
				s := ss.Spans().AppendEmpty()
				c.span(s, now)
				s.SetTraceID(pcommon.TraceID{1, byte(i), byte(i >> 8)})
				s.SetKind(ptrace.SpanKind(2 + spans%3))
				s.Attributes().PutStr("http.route", "/api/orders/{id}")
				s.Attributes().PutStr("http.request.method", "GET")
				s.Attributes().PutInt("http.response.status_code", 200)
				s.Attributes().PutStr("url.path", "/api/orders/1792")
				spans++
			}
		}
		v, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(b, err)
		records = append(records, &kgo.Record{Topic: pipelinetest.Topic, Value: v, Timestamp: now})
	}
	w := Window{now.Truncate(time.Minute), now.Truncate(time.Minute).Add(time.Minute)}
	d := encoding.Decoder{Signal: encoding.Spans}
	for b.Loop() {
		n := newRecount(Rules{Dimensions: []string{"deployment.environment.name", "service.namespace"}, Pairing: 10 * time.Second,
			Dedup: 5 * time.Minute, Tolerance: 10 * time.Second, MaxSpans: 100_000}, w, 10*time.Second, nil)
		var u decoder
		for _, r := range records {
			u.count(n, r, d, arrival{ms: now.UnixMilli()})
		}
		n.pair()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spans), "ns/span")
}
