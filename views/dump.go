package views

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// Dump writes the canonical text of one view ("red", "edges", their "levels" of wider buckets, "pending", "counters", "traces", or the name
// of a table): sorted lines that depend on the records alone, whatever the batching, commits, crashes and interleaving of partitions were.
func (s *Set) Dump(w io.Writer, view string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var lines []string
	var err error
	switch view {
	case "red":
		lines, err = s.dumpRED(s.finest())
	case "edges":
		lines, err = s.dumpEdges(s.finest())
	case "levels":
		if lines, err = s.dumpRED(s.wider()); err == nil {
			var edges []string
			edges, err = s.dumpEdges(s.wider())
			lines = append(lines, edges...)
		}
	case "pending":
		lines = s.dumpPending()
	case "traces":
		lines, err = s.dumpTraces()
	case "patterns":
		lines, err = s.dumpPatterns()
	case "counters":
		c := s.counters
		lines = []string{fmt.Sprintf("records=%d spans=%d logs=%d unattributed=%d too_late=%d future=%d duplicates=%d dead_letters=%d overflowed=%d waiting=%d",
			c.Records, c.Spans, c.Logs, c.Unattributed, c.TooLate, c.Future, c.Duplicates, c.DeadLetters, c.Overflowed, c.Waiting)}
		if s.spans != nil {
			lines = append(lines, fmt.Sprintf("duplicate_spans=%d dedup_lost=%d", c.DuplicateSpans, c.DedupLost))
		}
	default:
		t := slices.IndexFunc(model.TableDefs[:], func(d model.TableDef) bool { return d.Name == view })
		if t < 0 {
			return fmt.Errorf("views: no view %q to dump: use red, edges, levels, pending, counters, traces or the name of a table", view)
		}
		lines, err = s.dumpTable(s.tables[t])
	}
	if err != nil {
		return err
	}
	slices.Sort(lines)
	b := bufio.NewWriter(w)
	for _, l := range lines {
		fmt.Fprintln(b, l)
	}
	return b.Flush()
}

// finest is all that the finest level holds, wider all that the others do.
func (s *Set) finest() []model.Segment {
	return []model.Segment{{Level: 0, Range: model.Range{From: s.since()[0], To: end}}}
}

func (s *Set) wider() (out []model.Segment) {
	since := s.since()
	for l := 1; l < model.Levels; l++ {
		out = append(out, model.Segment{Level: l, Range: model.Range{From: since[l], To: end}})
	}
	return out
}

func (s *Set) dumpRED(r []model.Segment) ([]string, error) {
	var lines []string
	err := s.eachRED(r, false, all, func(_ uint32, k *model.REDKey, at cells.BucketAt, c *model.REDCounts) {
		if !c.Zero() {
			lines = append(lines, fmt.Sprintf("%s %s calls=%d sum=%v size=%d hist=%s slowest=%s latest=%s",
				at.Text(), k, c.Calls, c.Sum, c.Size, c.Hist.Text(), c.Slowest.Text(), c.Latest.Text()))
		}
	})
	if r[0].Level > 0 {
		return lines, err
	}
	for id, se := range s.red.Series {
		lines = append(lines, fmt.Sprintf("total %s calls=%d sum=%v size=%d hist=%s", s.names.REDKey(id), se.Total.Calls, se.Total.Sum,
			se.Total.Size, se.Total.Hist.Text()))
	}
	return lines, err
}

func (s *Set) dumpEdges(r []model.Segment) ([]string, error) {
	var lines []string
	text := func(id uint32) string {
		e := s.edges.ids.List[id]
		if e.Conn == edges.Unpaired {
			return "unpaired " + edges.UnpairedReasons[e.Client]
		}
		k := s.edgeKey(id)
		line := fmt.Sprintf("%s -> %s %s", k.Client, k.Server, k.Connection)
		if k.System != "" {
			line += " of " + k.System
		}
		if k.ClientDims+k.ServerDims != "" {
			line += fmt.Sprintf(" [%s -> %s]", k.ClientDims, k.ServerDims)
		}
		return strings.TrimSpace(line)
	}
	counts := func(c *model.EdgeCounts) string {
		return fmt.Sprintf("calls=%d failed=%d client=%v server=%v client_hist=%s server_hist=%s", c.Calls, c.Failed,
			c.ClientSum, c.ServerSum, c.ClientHist.Text(), c.ServerHist.Text())
	}
	err := s.edges.Each(s.kv, r, cells.EverySeries, func(at cells.BucketAt, id uint32, c *model.EdgeCounts) error {
		if !c.Zero() {
			lines = append(lines, fmt.Sprintf("%s %s %s", at.Text(), text(id), counts(c)))
		}
		return nil
	})
	if r[0].Level > 0 {
		return lines, err
	}
	for id, se := range s.edges.Series {
		if !se.Total.Zero() {
			lines = append(lines, fmt.Sprintf("total %s %s", text(id), counts(&se.Total)))
		}
	}
	return lines, err
}

func (s *Set) dumpPending() (lines []string) {
	p := s.edges.pairing
	for i := range p.Groups.N {
		g := p.Groups.At(i)
		if g.Has&edges.Alive == 0 || g.Paired() {
			continue
		}
		parts := append([]edges.Part(nil), p.More[i]...)
		if g.Has&edges.HasClient != 0 {
			parts = append(parts, g.Client)
		}
		if g.Has&edges.HasServer != 0 {
			parts = append(parts, g.Server)
		}
		for _, m := range parts {
			side, state := "client", "waiting"
			if m.Is(edges.HalfServer) {
				side = "server"
			}
			if g.Expired {
				state = "counted"
			}
			lines = append(lines, fmt.Sprintf("%s/%s %s %s %s", model.IDText(g.Key[:16]), model.IDText(g.Key[16:]),
				s.names.Node(m.Svc).Name, side, state))
		}
	}
	return lines
}

func (s *Set) dumpTable(t *cells.TableStore) ([]string, error) {
	var lines []string
	text := func(c *cells.Tally) string {
		return fmt.Sprintf("n=%d failed=%d size=%d sum=%v hist=%s first=%v last=%v slowest=%s latest=%s text=%q", c.Calls, c.Failed, c.Size,
			c.Sum, c.Hist.Text(), time.Duration(c.First), time.Duration(c.Last), c.Slowest.Text(), c.Latest.Text(), c.Text)
	}
	err := t.Each(s.kv, append(s.finest(), s.wider()...), cells.EverySeries, func(at cells.BucketAt, id uint32, c *cells.Tally) error {
		lines = append(lines, fmt.Sprintf("%s %q %s", at.Text(), shownLabels(t.Dict.Key(id)), text(c)))
		return nil
	})
	for id, se := range t.Series {
		lines = append(lines, fmt.Sprintf("total %q %s", shownLabels(t.Dict.Key(id)), text(&se.Total)))
	}
	return lines, err
}

func (s *Set) dumpTraces() ([]string, error) {
	var lines []string
	r, err := s.searchAll()
	for _, t := range r {
		line := fmt.Sprintf("%s %q %q start=%v end=%v spans=%d errors=%d", model.IDText(t.ID[:]), t.RootService, t.RootOperation,
			time.Duration(t.Start.UnixNano()), time.Duration(t.End.UnixNano()), t.Spans, t.Errors)
		for _, v := range t.Services {
			line += fmt.Sprintf(" %s:%d/%d", v.Name, v.Spans, v.Errors)
		}
		lines = append(lines, line)
	}
	return lines, err
}

// searchAll returns every trace; the caller holds the lock.
func (s *Set) searchAll() (out []TraceSummary, err error) {
	since := s.tracesSince()
	for _, t := range s.traces.Dirty {
		if t.End >= since {
			out = append(out, s.summary(t))
		}
	}
	for i := range s.traces.Blocks {
		n := s.traces.Blocks[i].N
		err = s.traces.Read(s.kv, n, traces.AnyTime, func(t *traces.Trace) bool {
			home, ok := s.traces.Home.Get(t.ID)
			if s.traces.Dirty[t.ID] == nil && ok && home == n && t.End >= since {
				out = append(out, s.summary(t))
			}
			return true
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// shownLabels are the label values of a series, with its dimensions as text where it has any.
func shownLabels(key string) []string {
	l := cells.SplitLabels(key)
	last := len(l) - 1
	if last < 0 { // its definition is missing: the views are broken
		return l
	}
	if l[last] == "" {
		return l[:last]
	}
	l[last] = model.Dims(l[last]).String()
	return l
}

// dumpPatterns leaves out ids, which mean nothing.
func (s *Set) dumpPatterns() (lines []string, err error) {
	t := s.tables[model.TablePatterns]
	pattern := func(id uint32) string {
		l := cells.SplitLabels(t.Dict.Key(id))
		if c, ok := drain.ParseClusterID(l[1]); ok && s.patterns.By[c] != nil {
			return strings.TrimSpace(fmt.Sprintf("%s p%d %q %s", l[0], c.Partition, s.patterns.By[c].Pattern(), model.DimsOf(l)))
		}
		return fmt.Sprintf("%q", shownLabels(t.Dict.Key(id)))
	}
	err = t.Each(s.kv, s.finest(), cells.EverySeries, func(at cells.BucketAt, id uint32, c *cells.Tally) error {
		lines = append(lines, fmt.Sprintf("%s %s n=%d text=%q", at.Text(), pattern(id), c.Calls, c.Text))
		return nil
	})
	for id, se := range t.Series {
		lines = append(lines, fmt.Sprintf("total %s n=%d", pattern(id), se.Total.Calls))
	}
	return lines, err
}
