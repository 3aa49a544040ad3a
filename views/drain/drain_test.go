package drain

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gaurav/watchingcat/views/model"
)

// FuzzDrain holds the tree to its limits and to what restoring it from its clusters gives.
func FuzzDrain(f *testing.F) {
	f.Add("a b c\na b d\nx 1\n\nq \"r\" s", 3)
	f.Add("one\ntwo\nthree\nfour", 2)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		ds := New(limit%50 + 1)
		for line := range slices.Values(splitLines(text)) {
			c := ds.Add("svc", []byte(line))
			if c == nil || !SameWords(c.words, Split([]byte(line))) {
				t.Fatalf("line %q is not of the pattern it joined: %+v", line, c)
			}
		}
		checkDrains(t, ds)
	})
}

func splitLines(text string) (lines []string) {
	for len(text) > 0 {
		n := min(len(text), 1+len(text)/7)
		lines, text = append(lines, text[:n]), text[n:]
	}
	return lines
}

// checkDrains compares the tree with one that is made of its clusters.
func checkDrains(t *testing.T, ds *Drains) {
	t.Helper()
	again := New(ds.limit)
	for _, d := range ds.by {
		if len(d.clusters) > ds.limit {
			t.Fatalf("%d clusters of at most %d", len(d.clusters), ds.limit)
		}
		for _, c := range d.clusters {
			b := c.Append(nil)
			var back Cluster
			dec := model.Decoder{B: b}
			if back.Decode(&dec); dec.Err != nil || len(dec.B) > 0 {
				t.Fatalf("cluster %+v does not decode: %v", c, dec.Err)
			}
			again.Restore(&back)
		}
	}
	for name, d := range ds.by {
		if a := again.by[name]; len(d.clusters) > 0 && fmt.Sprint(a.leaves, a.nodes, a.children) != fmt.Sprint(d.leaves, d.nodes,
			d.children) {
			t.Fatalf("restored tree differs:\n%v\n%v", a, d)
		}
	}
}

// TestDrainFindsTheTemplates generates lines from known templates and wants them found, each alone.
func TestDrainFindsTheTemplates(t *testing.T) {
	templates := []string{"user %s logged in from %d", "payment of %d cents by %s was refused", "cache miss for key %s",
		"worker %s stopped"}
	want := []string{"user <*> logged in from <*>", "payment of <*> cents by <*> was refused", "cache miss for key <*>",
		"worker <*> stopped"}
	r := rand.New(rand.NewPCG(1, 2))
	ds := New(100)
	names := []string{"anna", "bert", "carl", "dora"}
	got := map[string]int{}
	for range 2000 {
		i := r.IntN(len(templates))
		var line string
		switch i {
		case 0:
			line = fmt.Sprintf(templates[i], names[r.IntN(4)], r.IntN(1000))
		case 1:
			line = fmt.Sprintf(templates[i], r.IntN(1000), names[r.IntN(4)])
		default:
			line = fmt.Sprintf(templates[i], names[r.IntN(4)])
		}
		ds.Add("svc", []byte(line))
	}
	for _, c := range ds.by["svc"].clusters {
		got[c.Pattern()]++
	}
	// the second word leads to a leaf, so what differs there gives a pattern for each value
	for _, w := range []string{want[1], want[2]} {
		if got[w] != 1 {
			t.Errorf("pattern %q was not found: %v", w, got)
		}
	}
	if len(got) != 2+4+4 {
		t.Errorf("%d patterns: %v", len(got), got)
	}
	checkDrains(t, ds)
}

func BenchmarkDrain(b *testing.B) {
	ds := New(1000)
	lines := make([][]byte, 1000)
	for i := range lines {
		lines[i] = fmt.Appendf(nil, "handled POST /checkout for customer %d in %dms by worker-%d", i, i*7, i%13)
	}
	i := 0
	for b.Loop() {
		ds.Add("svc", lines[i%len(lines)])
		i++
	}
}
