package live_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/samples"
	"github.com/gaurav/watchingcat/views/viewstest"
)

var liveSeeds = seeds.Flags("live", 40)

// TestLiveSplice compares what a Live says of versions that are joined at an edge with what one Set says that read everything.
func TestLiveSplice(t *testing.T) { liveSeeds.Run(t, splice) }

// TestLiveSpliceFindsPlantedBugs: an edge inside a bucket, a version without its floor, and a swap before the new version has caught up.
func TestLiveSpliceFindsPlantedBugs(t *testing.T) {
	seeds.Find(t, 40, splice, "torn edge", "no floor", "early swap")
}

type liveCase struct {
	t     *testing.T
	r     *rand.Rand
	topic []viewstest.Record
	cfg   model.Config
}

// stream makes records in order of time, with jitter: calls of both halves, logs, exceptions.
func (c *liveCase) stream(calls int, every time.Duration) {
	services := []string{"web", "cart", "items", "pay"}
	put := func(at time.Duration, line string) {
		rec := viewstest.Record{TS: at}
		l, err := viewstest.ParseLine(line)
		require.NoError(c.t, err)
		rec.Spans = append(rec.Spans, l)
		c.topic = append(c.topic, rec)
	}
	for i := range calls {
		r := c.r
		at := time.Duration(i+1)*every + time.Duration(r.IntN(1000))*time.Millisecond
		name := services[r.IntN(3)]
		if i > calls*2/3 {
			name = services[1+r.IntN(3)]
		}
		status := []string{"", "error", "ok"}[r.IntN(3)]
		put(at+time.Second, fmt.Sprintf("%v %dms %s client call%d id=t%d/a peer.service=%s %s exception=E%d:x", at, r.IntN(50), name,
			r.IntN(3), i, services[r.IntN(4)], status, r.IntN(3)))
		if r.IntN(4) > 0 {
			put(at+time.Second+time.Duration(r.IntN(2000))*time.Millisecond,
				fmt.Sprintf("%v %dms %s server op%d id=t%d/b<a", at, r.IntN(40), services[r.IntN(4)], r.IntN(3), i))
		}
	}
	slices.SortStableFunc(c.topic, func(a, b viewstest.Record) int { return int(a.TS - b.TS) })
}

// version is a Set that has read topic[from:to].
func (c *liveCase) version(kv storage.KV, n uint32, floor int64, from int) *viewstest.Script {
	if floor > 0 {
		if err := kv.Commit(storage.Commit{Version: n, Entries: []storage.Entry{views.FloorEntry(n, 0, floor)}}); err != nil {
			c.t.Fatal(err)
		}
	}
	cfg := c.cfg
	cfg.Version, cfg.FoldEvery = n, 1+c.r.IntN(4)
	s, err := viewstest.New(kv, cfg)
	require.NoError(c.t, err)
	s.Topic = map[int32][]viewstest.Record{0: c.topic}
	s.Set.Partition(viewstest.Topic, 0).Advance(int64(from), -1)
	return s
}

func (c *liveCase) read(s *viewstest.Script, from, to int) {
	for i := from; i < to; i++ {
		s.Apply(0, int64(i))
		if c.r.IntN(12) == 0 {
			c.commit(s)
		}
	}
	c.commit(s)
}

func (c *liveCase) commit(s *viewstest.Script) {
	c.t.Helper()
	if _, err := s.Checkpoint(nil); err != nil {
		c.t.Fatal(err)
	}
}

func splice(t *testing.T, seed uint64, bug string) string {
	t.Helper()
	c := &liveCase{t: t, r: rand.New(rand.NewPCG(seed, 7)), cfg: model.Config{LogBytes: 1 << 20, PairingWindow: 5 * time.Second}}
	wide := seed%2 == 0
	grain := int64(10)
	if wide { // hours of time, of which fine buckets are soon forgotten
		c.cfg.Retention, c.cfg.Retention1m, c.cfg.Hot, grain = 30*time.Minute, 2*time.Hour, time.Minute, 3600
		c.stream(250, 90*time.Second)
	} else {
		c.stream(150, 2*time.Second)
	}
	kv, n := storage.NewMem(storage.MemOptions{}), len(c.topic)
	all := c.version(storage.NewMem(storage.MemOptions{}), 9, 0, 0)
	old := c.version(kv, 0, 0, 0)
	swap := n/2 + c.r.IntN(n/4)
	cut := c.r.IntN(swap - n/4) // what was before is gone from the topic
	fine := grain
	if wide && c.r.IntN(2) == 0 { // an edge inside an hour, where the old version still has fine buckets
		cut, fine = swap-4-c.r.IntN(8), 10
	}
	edge := (int64((c.topic[cut].TS+7*time.Second)/time.Second)/fine + 1) * fine
	back := int64(0)
	if fine == grain && c.r.IntN(3) == 0 { // a replay of a range: the old version goes on
		back = edge + grain*int64(1+c.r.IntN(3))
	}
	floor, want := edge, n
	switch bug {
	case "torn edge":
		edge += 3
	case "no floor":
		floor = 0
	case "early swap":
		swap -= n / 4
	}
	next := c.version(kv, 1, floor, cut)
	layout := model.Layout{Version: 1, Live: 1, Next: 2}
	if back > 0 {
		layout.Live = 0
	}
	for _, v := range model.ViewNames() {
		layout = layout.With(v, 0, 0, 0).With(v, 1, edge, back)
	}
	c.read(old, 0, swap)
	c.read(next, cut, swap)
	live, err := live.NewLive(model.Layout{Next: 1}, map[uint32]*views.Set{0: old.Set}, samples.MetricVersions{})
	require.NoError(t, err)
	before := live.View()
	if d := c.compare(before, old.Set, grain); d != "" {
		return "one version: " + d
	}
	wait, err := live.Swap(layout, map[uint32]*views.Set{0: old.Set, 1: next.Set}, samples.MetricVersions{})
	require.NoError(t, err)
	if d := c.compare(before, old.Set, grain); d != "" {
		return "view of before the swap: " + d
	}
	before.Release()
	wait()
	switch {
	case back > 0:
		c.read(old, swap, n)
		c.read(next, swap, n)
	case bug == "early swap":
		c.read(next, swap+n/8, n)
	default:
		c.read(next, swap, n)
	}
	c.read(all, 0, want)
	return c.compare(live, all.Set, grain)
}

// compare asks both for random ranges.
func (c *liveCase) compare(got, want views.Reader, grain int64) string {
	last := want.Frontier().Head.Unix()
	if g, w := got.Frontier().Head, want.Frontier().Head; !g.Equal(w) {
		return fmt.Sprintf("head %v, want %v", g, w)
	}
	for range 12 {
		a, b := c.r.Int64N(last/grain+2)*grain, c.r.Int64N(last/grain+2)*grain
		from, to := time.Unix(min(a, b), 0), time.Unix(max(a, b), 0)
		for what, ask := range map[string]func(r views.Reader) (any, error){
			"services":   func(r views.Reader) (any, error) { return r.Services(from, to) },
			"operations": func(r views.Reader) (any, error) { v, _, err := r.Operations("cart", from, to); return v, err },
			"latencies":  func(r views.Reader) (any, error) { return latencies(r, from, to) },
			"points": func(r views.Reader) (any, error) {
				v, _, err := r.ServicePoints("cart", "", from, to, time.Duration(grain)*time.Second)
				return v, err
			},
			"map":    func(r views.Reader) (any, error) { return r.ServiceMap(from, to) },
			"errors": func(r views.Reader) (any, error) { return rows(r, from, to) },
			"series": func(r views.Reader) (any, error) { return counters(r, from, to) },
			"traces": func(r views.Reader) (any, error) {
				v, err := r.SearchTraces(views.TraceQuery{From: to.Add(-time.Minute), Limit: 1000})
				return len(v.Traces), err
			},
		} {
			g, err := ask(got)
			require.NoError(c.t, err)
			w, err := ask(want)
			require.NoError(c.t, err)
			if !reflect.DeepEqual(g, w) {
				return fmt.Sprintf("%s of %d to %d\n got %+v\nwant %+v", what, from.Unix(), to.Unix(), g, w)
			}
		}
	}
	return ""
}

func latencies(r views.Reader, from, to time.Time) (out []string, err error) {
	list, err := r.Latencies(from, to, func(k model.REDKey) bool { return k.Service != "web" })
	for _, o := range list {
		out = append(out, fmt.Sprint(o.Service, o.Name, o.Kind, o.Calls, o.Errors, o.Hist.Buckets()))
	}
	return out, err
}

func rows(r views.Reader, from, to time.Time) (out []string, err error) {
	list, err := r.TableRows(model.TableErrors, from, to, func([]string) bool { return true })
	for _, l := range list {
		out = append(out, fmt.Sprint(l.Labels, l.Calls, l.FirstSeen.Unix(), l.LastSeen.Unix()))
	}
	return out, err
}

// counters are the values of every counter at the edges of the range.
func counters(r views.Reader, from, to time.Time) (string, error) {
	var out []string
	red, err := r.SelectRED(from, to, func(uint32, model.REDKey) bool { return true })
	if err != nil {
		return "", err
	}
	// how long a series goes on after the range is not asked
	until := func(last int64) int64 {
		if to.Before(r.Frontier().Head) {
			return 0
		}
		return last
	}
	line := func(key fmt.Stringer, first, last int64, base, end uint64, hist model.Histogram) {
		if end > 0 {
			out = append(out, fmt.Sprint(key, " from ", first, " to ", last, ": ", base, " ", end, " ",
				hist.Cumulative(model.CollectorBounds), hist.Count()))
		}
	}
	for _, l := range red {
		h, sum := l.Base.Hist, l.Base.Calls
		for _, cell := range l.Cells {
			sum += cell.Calls
			h.Merge(&cell.Hist)
		}
		line(l.Key, l.First, until(l.Last), l.Base.Calls, sum, h)
	}
	edges, err := r.SelectEdges(from, to, func(uint32, model.EdgeKey) bool { return true })
	for _, l := range edges {
		h, sum := l.Base.ServerHist, l.Base.Calls
		for _, cell := range l.Cells {
			sum += cell.Calls
			h.Merge(&cell.ServerHist)
		}
		line(edgeName(l.Key), 0, 0, l.Base.Calls, sum, h)
	}
	if err != nil {
		return "", err
	}
	tally, err := r.SelectTable(model.TableErrors, from, to, func([]string) bool { return true })
	for _, l := range tally {
		sum := l.Base.Calls
		for _, cell := range l.Cells {
			sum += cell.Calls
		}
		if sum > 0 {
			out = append(out, fmt.Sprint(l.Labels, l.First, until(l.Last), l.Base.Calls, sum))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n"), err
}

type edgeName model.EdgeKey

func (e edgeName) String() string { return e.Client + " -> " + e.Server + " " + e.Connection }
