package views_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

var simSeeds = seeds.Flags("sim", 200)

// TestSimulation applies a random stream from several partitions with random checkpoints, folds and crashes that lose unsynced
// commits, and compares the canonical dump with that of one run without any of it.
func TestSimulation(t *testing.T) { simSeeds.Run(t, simulate) }

// TestSimulationFindsPlantedBugs breaks the rule that positions move in the transaction that moves the views, in two ways, and leaves
// the spans that were seen out of it.
func TestSimulationFindsPlantedBugs(t *testing.T) {
	seeds.Find(t, 50, simulate, "split", "skip", "unseen")
}

const simPartitions = 3

// workload makes the records of each partition: calls whose halves fall into different records and partitions in any order, re-sent
// records, several servers under one client, spans without service.
func workload(r *rand.Rand, calls int) map[int32][]viewstest.Record {
	topic := map[int32][]viewstest.Record{}
	services := []string{"web", "cart", "items", "pay"}
	put := func(p int32, at time.Duration, lines ...string) {
		rec := viewstest.Record{TS: at + time.Second}
		for _, l := range lines {
			line, err := viewstest.ParseLine(l)
			if err != nil {
				panic(err)
			}
			rec.Spans = append(rec.Spans, line)
		}
		topic[p] = append(topic[p], rec)
	}
	putLog := func(p int32, at time.Duration, line string) {
		l, err := viewstest.ParseLog(line)
		if err != nil {
			panic(err)
		}
		topic[p] = append(topic[p], viewstest.Record{TS: at + time.Second, Logs: []viewstest.LogLine{l}})
	}
	for i := range calls {
		at := time.Duration(i+1) * 150 * time.Millisecond
		c, s := services[r.IntN(4)], services[r.IntN(4)]
		status := []string{"", "error", "ok"}[r.IntN(3)]
		kinds := [][2]string{{"client", "server"}, {"producer", "consumer"}, {"client", "consumer"}}[r.IntN(3)]
		client := fmt.Sprintf("%v %dms %s %s call%d id=t%d/a peer.service=%s service.version=v1 messaging.system=kafka %s exception=IOError:after_%d_ms", at, r.IntN(50), c, kinds[0], r.IntN(3), i, s, status, i)
		server := fmt.Sprintf("%v %dms %s %s op%d id=t%d/b<a", at, r.IntN(40), s, kinds[1], r.IntN(3), i)
		again := fmt.Sprintf("%v %dms %s %s op id=t%d/c<a", at, r.IntN(40), services[r.IntN(4)], kinds[1], i)
		p, q := int32(r.IntN(simPartitions)), int32(r.IntN(simPartitions))
		if r.IntN(2) == 0 {
			putLog(p, at, fmt.Sprintf("%v %s %s id=t%d/a | %s %d of %s for %s", at, c, []string{"INFO", "WARN", "ERROR"}[r.IntN(3)], i,
				[]string{"took item", "paid order", "lost parcel"}[r.IntN(3)], i, services[r.IntN(4)],
				[]string{"anna", "bert", "carl"}[r.IntN(3)]))
		}
		switch r.IntN(10) {
		case 0:
			put(p, at, client) // stays alone
		case 1:
			put(p, at, server)
		case 2:
			put(p, at, client, server)
			put(q, at, again)
		case 3:
			put(q, at, server, fmt.Sprintf("%v 1ms - internal lost id=t%d/x", at, i))
			put(p, at, client)
		case 4:
			put(p, at, client, fmt.Sprintf("%v 3ms %s client q id=t%d/d db.name=main db.system=pg db.operation.name=SELECT", at, c, i))
			if n := len(topic[p]); n > 0 && topic[p][n-1].Logs == nil { // sent again, to another partition
				topic[q] = append(topic[q], topic[p][n-1])
			}
			put(q, at, server)
		default:
			put(p, at, client)
			put(q, at, server)
		}
	}
	return topic
}

// simulate returns how the end state differs from that of the plain run, or "".
func simulate(t *testing.T, seed uint64, bug string) string {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	topic := workload(r, 60)
	window := []time.Duration{time.Second, 3 * time.Second, 100 * time.Second}[r.IntN(3)]
	cfg := model.Config{FoldEvery: 1 + r.IntN(6), MaxCommitBytes: []int{300, 4 << 20}[r.IntN(2)], Hot: 10 * time.Second,
		PairingWindow: window, LogBytes: 1 << 20, Limits: model.Limits{Patterns: 3}, DedupSpans: r.IntN(2) == 0}
	if cfg.DedupSpans {
		rebatch(r, topic)
	}
	want := plain(t, topic, window, cfg.DedupSpans)
	mem := storage.NewMem(storage.MemOptions{SyncEvery: -1})
	s := openScript(t, mem, cfg, topic)
	next := positions(t, s)
	crashes := 0
	for steps := 0; steps < 2000 && !done(next, topic); steps++ {
		switch n := r.IntN(20); {
		case n < 13:
			p := int32(r.IntN(simPartitions))
			if next[p] < int64(len(topic[p])) {
				s.Apply(p, next[p])
				next[p]++
			}
		case n < 17:
			commit(t, s, r, bug)
		case n < 19:
			mem.Sync()
		default:
			crashes++
			mem = mem.Crash(func(n int) int { return r.IntN(n + 1) })
			s = openScript(t, mem, cfg, topic)
			next = positions(t, s)
		}
	}
	commit(t, s, r, "")
	settle(t, s)
	mem.Sync()
	s = openScript(t, mem.Crash(nil), cfg, topic)
	return seeds.Diff(dump(t, s), want)
}

// rebatch sends some spans again, later, in other records and with others.
func rebatch(r *rand.Rand, topic map[int32][]viewstest.Record) {
	for p := range int32(simPartitions) {
		for i := len(topic[p]) - 1; i > 0; i-- {
			a, q := topic[p][i], int32(r.IntN(simPartitions))
			b := topic[q]
			from := slices.IndexFunc(b, func(x viewstest.Record) bool { return x.TS > a.TS })
			if a.Logs != nil || from < 0 || r.IntN(3) > 0 {
				continue
			}
			at := from + 1 + r.IntN(len(b)-from)
			again := viewstest.Record{TS: b[at-1].TS, Spans: slices.Clone(a.Spans)}
			if o := b[r.IntN(at)]; o.Logs == nil {
				again.Spans = append(again.Spans, o.Spans...)
			}
			if r.IntN(4) == 0 {
				again.Spans = append(again.Spans, again.Spans[0])
			}
			topic[q] = slices.Insert(b, at, again)
		}
	}
}

// plain is one run without crashes. With spans it also holds the number of calls against that of different spans.
func plain(t *testing.T, topic map[int32][]viewstest.Record, window time.Duration, spans bool) string {
	s := openScript(t, storage.NewMem(storage.MemOptions{}),
		model.Config{DedupSpans: spans, PairingWindow: window, LogBytes: 1 << 20, Limits: model.Limits{Patterns: 3}}, topic)
	for p := range int32(simPartitions) {
		for o := range topic[p] {
			s.Apply(p, int64(o))
		}
	}
	commit(t, s, nil, "")
	settle(t, s)
	if spans {
		different, counted := map[string]bool{}, uint64(0)
		for _, records := range topic {
			for i := range records {
				for j := range records[i].Spans {
					if l := &records[i].Spans[j]; l.Resource.HasService {
						different[string(l.Span.TraceID[:])+string(l.Span.SpanID[:])] = true
					}
				}
			}
		}
		list, err := s.Set.Services(time.Unix(0, 0), time.Unix(1000, 0))
		require.NoError(t, err)
		for i := range list {
			counted += list[i].Calls
		}
		if counted != uint64(len(different)) {
			t.Fatalf("%d calls of %d different spans", counted, len(different))
		}
	}
	return dump(t, s)
}

func openScript(t *testing.T, kv storage.KV, cfg model.Config, topic map[int32][]viewstest.Record) *viewstest.Script {
	t.Helper()
	s, err := viewstest.New(kv, cfg)
	require.NoError(t, err)
	s.Topic = topic
	for p := range topic {
		s.Set.Partition(viewstest.Topic, p) // as the pipeline does: the frontier waits for those not read yet
	}
	return s
}

func positions(t *testing.T, s *viewstest.Script) map[int32]int64 {
	t.Helper()
	ps, err := s.Set.Positions()
	require.NoError(t, err)
	next := map[int32]int64{}
	for _, p := range ps {
		next[p.Partition] = p.Offset
	}
	return next
}

func done(next map[int32]int64, topic map[int32][]viewstest.Record) bool {
	for p, records := range topic {
		if next[p] < int64(len(records)) {
			return false
		}
	}
	return true
}

// settle lets every pairing window pass: for how long a span half waits depends on which of two copies came first, what becomes of it does
// not.
func settle(t *testing.T, s *viewstest.Script) {
	t.Helper()
	var marks []model.Mark
	for p := range int32(simPartitions) {
		marks = append(marks, model.Mark{Topic: viewstest.Topic, Partition: p, Watermark: time.Unix(200, 0)})
	}
	commitWith(t, s, nil, "", marks)
}

func commit(t *testing.T, s *viewstest.Script, r *rand.Rand, bug string) {
	t.Helper()
	commitWith(t, s, r, bug, nil)
}

func commitWith(t *testing.T, s *viewstest.Script, r *rand.Rand, bug string, marks []model.Mark) {
	t.Helper()
	c, err := s.Set.Collect(marks)
	require.NoError(t, err)
	if c == nil {
		return
	}
	if bug == "skip" && r.IntN(8) == 0 {
		for i := range c.Commit.Positions {
			c.Commit.Positions[i].Offset++
		}
	}
	if bug == "unseen" {
		c.Commit.Entries = slices.DeleteFunc(c.Commit.Entries,
			func(e storage.Entry) bool { return storage.Table(e.Key[storage.KeyPrefixLen-1]) == storage.TableSpans })
	}
	if bug == "split" {
		entries := c.Commit.Entries
		c.Commit.Entries = nil
		require.NoError(t, s.KV.Commit(storage.Commit{Entries: entries}))
		if r.IntN(3) > 0 {
			s.KV.(*storage.Mem).Sync()
		}
	}
	for _, part := range append(c.Before, c.Commit) {
		require.NoError(t, s.KV.Commit(part))
	}
	require.NoError(t, s.Set.Install(c))
}

func dump(t *testing.T, s *viewstest.Script) string {
	t.Helper()
	var b strings.Builder
	for _, v := range []string{"red", "edges", "levels", "pending", "counters", "traces", "errors", "databases", "messaging", "versions",
		"logs", "patterns"} {
		require.NoError(t, s.Set.Dump(&b, v))
	}
	r, err := s.Set.SearchLogs(views.LogQuery{Limit: 1000})
	require.NoError(t, err)
	for _, l := range r.Lines {
		fmt.Fprintln(&b, l.Time.UnixNano(), l.Service, l.Severity, l.Body)
	}
	return b.String()
}
