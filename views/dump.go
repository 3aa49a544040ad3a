package views

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Dump writes the canonical text of one view ("red", "edges", "pending", "counters"): sorted lines that depend on the records
// alone, whatever the batching, commits, crashes and interleaving of partitions were.
func (s *Set) Dump(w io.Writer, view string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var lines []string
	var err error
	switch view {
	case "red":
		lines, err = s.dumpRED()
	case "edges":
		lines, err = s.dumpEdges()
	case "pending":
		lines = s.dumpPending()
	case "counters":
		c := s.counters
		lines = []string{fmt.Sprintf("records=%d spans=%d unattributed=%d too_late=%d future=%d duplicates=%d dead_letters=%d overflowed=%d waiting=%d",
			c.Records, c.Spans, c.Unattributed, c.TooLate, c.Future, c.Duplicates, c.DeadLetters, c.Overflowed, c.Waiting)}
	default:
		return fmt.Errorf("views: no view %q to dump: use red, edges, pending or counters", view)
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

// bucketText is a bucket's start as time of day when it lies in 1970, as in scripts, else in full.
func bucketText(start int64) string {
	if start < 86400 {
		return (time.Duration(start) * time.Second).String()
	}
	return time.Unix(start, 0).UTC().Format(time.RFC3339)
}

func (s *Set) dumpRED() ([]string, error) {
	var lines []string
	err := s.eachRED(span{s.since(), 1<<32 - 1}, all, func(k REDKey, start int64, c *redCounts) {
		if !c.zero() {
			lines = append(lines, fmt.Sprintf("%s %s calls=%d sum=%v size=%d hist=%s slowest=%s latest=%s",
				bucketText(start), k, c.Calls, time.Duration(c.Sum), c.Size, c.Hist.text(), c.Slowest.text(), c.Latest.text()))
		}
	})
	for id, se := range s.red.series {
		lines = append(lines, fmt.Sprintf("total %s calls=%d sum=%v size=%d hist=%s", s.names.redKey(id), se.total.Calls, time.Duration(se.total.Sum), se.total.Size, se.total.Hist.text()))
	}
	return lines, err
}

func (h *Histogram) text() string {
	var b strings.Builder
	for i, n := range h.Counts {
		if n != 0 {
			fmt.Fprintf(&b, "%d:%d,", i+int(h.Offset), n)
		}
	}
	return strings.TrimSuffix(b.String(), ",")
}

func (e *Exemplar) text() string {
	if *e == (Exemplar{}) {
		return "-"
	}
	return fmt.Sprintf("%s/%s", idText(e.TraceID[:]), idText(e.SpanID[:]))
}

// idText is an id as text: what scripts wrote, else hex.
func idText(b []byte) string {
	t := strings.TrimRight(string(b), "\x00")
	for _, c := range []byte(t) {
		if c < '!' || c > '~' {
			return fmt.Sprintf("%x", b)
		}
	}
	if t == "" {
		return "-"
	}
	return t
}

func (s *Set) dumpEdges() ([]string, error) {
	var lines []string
	text := func(id uint32) string {
		e := s.edgeList[id]
		if e.conn == unpaired {
			return "unpaired " + unpairedReasons[e.client]
		}
		k := s.edgeKey(id)
		return strings.TrimSpace(fmt.Sprintf("%s -> %s %s", k.Client, k.Server, k.Connection))
	}
	counts := func(c *EdgeCounts) string {
		return fmt.Sprintf("calls=%d failed=%d client=%v server=%v client_hist=%s server_hist=%s", c.Calls, c.Failed,
			time.Duration(c.ClientSum), time.Duration(c.ServerSum), c.ClientHist.text(), c.ServerHist.text())
	}
	err := s.edges.each(s.kv, s.since(), 1<<32-1, func(uint32) bool { return true }, func(start int64, id uint32, c *EdgeCounts) error {
		if !c.zero() {
			lines = append(lines, fmt.Sprintf("%s %s %s", bucketText(start), text(id), counts(c)))
		}
		return nil
	})
	for id, se := range s.edges.series {
		if !se.total.zero() {
			lines = append(lines, fmt.Sprintf("total %s %s", text(id), counts(&se.total)))
		}
	}
	return lines, err
}

func (s *Set) dumpPending() (lines []string) {
	p := s.pairing
	for i := range p.groups {
		g := &p.groups[i]
		if g.has&live == 0 || g.paired() {
			continue
		}
		parts := append([]part(nil), p.more[uint32(i)]...)
		if g.has&hasClient != 0 {
			parts = append(parts, g.client)
		}
		if g.has&hasServer != 0 {
			parts = append(parts, g.server)
		}
		for _, m := range parts {
			side, state := "client", "waiting"
			if m.is(halfServer) {
				side = "server"
			}
			if g.expired {
				state = "counted"
			}
			lines = append(lines, fmt.Sprintf("%s/%s %s %s %s", idText(g.key[:16]), idText(g.key[16:]), s.names.name(m.svc), side, state))
		}
	}
	return lines
}
