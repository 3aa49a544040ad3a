package views_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// TestCountersAtEveryInstant: over all levels and at their edges a counter is what was counted before, whatever range it is read by,
// so it never falls and is never less than nothing.
func TestCountersAtEveryInstant(t *testing.T) {
	for seed := range uint64(6) {
		countersAtEveryInstant(t, rand.New(rand.NewPCG(seed, 7)))
	}
}

func countersAtEveryInstant(t *testing.T, r *rand.Rand) {
	cfg := model.Config{Retention: time.Hour, Retention1m: 5 * time.Hour, Retention1h: 100 * time.Hour, Hot: 10 * time.Minute, FoldEvery: 3,
		TraceRetention: -1}
	s, err := viewstest.New(storage.NewMem(storage.MemOptions{}), cfg)
	require.NoError(t, err)
	const hours = 12
	var ends []int64 // seconds
	for range 400 {
		ends = append(ends, 3600+r.Int64N(hours*3600))
	}
	ends = append(ends, (hours+1)*3600)
	slices.Sort(ends)
	for i, at := range ends {
		l, err := viewstest.ParseLine(fmt.Sprintf("%ds 1s web client get id=t%d/a db.name=main db.system.name=pg", at-1, i))
		require.NoError(t, err)
		s.Topic[0] = append(s.Topic[0], viewstest.Record{Spans: []viewstest.Line{l}, TS: time.Duration(at) * time.Second})
		s.Apply(0, int64(i))
		if i%7 == 0 {
			commit(t, s, r, "")
		}
	}
	commit(t, s, r, "")
	before := func(sec int64) (n uint64) {
		for _, at := range ends {
			if at < sec {
				n++
			}
		}
		return n
	}
	check := func(what string, from, to time.Time, base uint64, cells [][3]int64) {
		t.Helper()
		end := to.Unix()
		if n := len(cells); n > 0 {
			if want := before(cells[0][0]); base != want {
				t.Fatalf("%s from %d to %d: %d before the first bucket at %d, want %d", what, from.Unix(), end, base, cells[0][0], want)
			}
			end = max(end, cells[n-1][0]+cells[n-1][1])
		}
		sum := base
		for i, c := range cells {
			if i > 0 && c[0] < cells[i-1][0]+cells[i-1][1] {
				t.Fatalf("%s: bucket at %d begins within the one at %d", what, c[0], cells[i-1][0])
			}
			sum += uint64(c[2])
		}
		low, high := before(end), before(end+3600) // an empty wide bucket at the end has no cell
		if len(cells) > 0 && cells[len(cells)-1][0]+cells[len(cells)-1][1] > to.Unix() {
			high = low
		}
		if sum < low || sum > high {
			t.Fatalf("%s from %d to %d: %d in all, want %d to %d", what, from.Unix(), to.Unix(), sum, low, high)
		}
	}
	last := uint64(0)
	for i := range 1200 {
		from := time.Unix(3600+r.Int64N(hours*3600), 0)
		to := from.Add(time.Duration(r.Int64N(7200)) * time.Second)
		if i < 900 { // instants, ascending
			to = time.Unix(3600+int64(i)*hours*4, 0)
			from = to.Add(-time.Duration(r.IntN(3)) * 5 * time.Minute)
		}
		red, err := s.Set.SelectRED(from, to, func(uint32, model.REDKey) bool { return true })
		if err != nil || len(red) != 1 {
			t.Fatalf("%d series, %v", len(red), err)
		}
		cells := [][3]int64{}
		sum := red[0].Base.Calls
		for _, c := range red[0].Cells {
			cells = append(cells, [3]int64{c.Bucket, c.Width, int64(c.Calls)})
			sum += c.Calls
		}
		check("red", from, to, red[0].Base.Calls, cells)
		if red[0].Base.Hist.Count() != red[0].Base.Calls || red[0].Base.Sum != model.NanosOf(time.Duration(red[0].Base.Calls)*time.Second) {
			t.Fatalf("base of %d calls: sum %v, %d in buckets", red[0].Base.Calls, red[0].Base.Sum, red[0].Base.Hist.Count())
		}
		if i < 900 {
			if sum < last {
				t.Fatalf("the counter falls from %d to %d at %d", last, sum, to.Unix())
			}
			last = sum
		}
		edges, err := s.Set.SelectEdges(from, to, func(uint32, model.EdgeKey) bool { return true })
		if err != nil || len(edges) != 1 {
			t.Fatalf("%d edges, %v", len(edges), err)
		}
		cells = cells[:0]
		for _, c := range edges[0].Cells {
			cells = append(cells, [3]int64{c.Bucket, c.Width, int64(c.Calls)})
		}
		check("edge", from, to, edges[0].Base.Calls, cells)
		rows, err := s.Set.SelectTable(model.TableDatabases, from, to, func([]string) bool { return true })
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		cells = cells[:0]
		for _, c := range rows[0].Cells {
			cells = append(cells, [3]int64{c.Bucket, c.Width, int64(c.Calls)})
		}
		check("table", from, to, rows[0].Base.Calls, cells)
	}
}

// TestSumsDoNotWrap: durations add up beyond 2^64 ns, in every view that adds them.
func TestSumsDoNotWrap(t *testing.T) {
	s, err := viewstest.New(storage.NewMem(storage.MemOptions{}), model.Config{})
	require.NoError(t, err)
	const now = 1_796_000_000 // seconds: a start of 0 makes a duration of 57 years
	for i := range 12 {
		l, err := viewstest.ParseLine(fmt.Sprintf("0s %ds web client get id=t%d/a db.name=main db.system.name=pg", now, i))
		require.NoError(t, err)
		s.Topic[0] = append(s.Topic[0], viewstest.Record{Spans: []viewstest.Line{l}, TS: now * time.Second})
		s.Apply(0, int64(i))
		commit(t, s, rand.New(rand.NewPCG(1, 1)), "")
	}
	from, to := time.Unix(now-60, 0), time.Unix(now+60, 0)
	red, err := s.Set.SelectRED(from, to, func(uint32, model.REDKey) bool { return true })
	require.NoError(t, err)
	edges, err := s.Set.SelectEdges(from, to, func(uint32, model.EdgeKey) bool { return true })
	require.NoError(t, err)
	rows, err := s.Set.SelectTable(model.TableDatabases, from, to, func([]string) bool { return true })
	require.NoError(t, err)
	m, err := s.Set.ServiceMap(from, to)
	require.NoError(t, err)
	for what, got := range map[string]model.Nanos{"red": red[0].Cells[0].Sum, "edge": edges[0].Cells[0].ClientSum,
		"table": rows[0].Cells[0].Sum, "map": m.Edges[0].LatencySum} {
		if want := 12.0 * now; got.Seconds() != want {
			t.Errorf("%s: %v s, want %v", what, got.Seconds(), want)
		}
	}
}
