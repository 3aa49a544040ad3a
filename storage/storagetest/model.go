package storagetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gaurav/watchingcat/storage"
)

// A History is a seeded row of commits over few keys, with the state after each. It says what a store must hold after a crash:
// the state after some prefix of them.
type History struct {
	Commits []storage.Commit
	states  [][]string
}

// NewHistory makes n commits. Commit i moves the position of topic "t", partition 0, to i+1.
func NewHistory(seed uint64, n int) *History {
	r := rand.New(rand.NewPCG(seed, 1))
	h := &History{states: [][]string{{}}}
	model := map[string]string{}
	for i := range n {
		c := storage.Commit{Version: 1, Positions: []storage.Position{{Topic: "t", Offset: int64(i + 1)}}}
		for range 1 + r.IntN(6) {
			key := Key
			raw := r.IntN(4) == 0
			if raw {
				key = RawKey
			}
			e := storage.Entry{Key: key(fmt.Sprintf("%02d", r.IntN(30)))}
			delete(model, string(e.Key))
			if r.IntN(4) > 0 {
				size := 1 + r.IntN(200)
				switch {
				case r.IntN(20) == 0:
					size = 70 << 10 // stored in chunks
				case raw && r.IntN(3) > 0:
					size = 3<<10 + r.IntN(9<<10) // some in segments
				}
				e.Value = []byte(strings.Repeat(fmt.Sprint(i%10), size))
				model[string(e.Key)] = string(e.Value)
			}
			c.Entries = append(c.Entries, e)
		}
		h.Commits = append(h.Commits, c)
		h.states = append(h.states, dumpModel(model))
	}
	return h
}

func dumpModel(m map[string]string) []string {
	list := []string{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%s=%s", k[storage.KeyPrefixLen:], m[k]))
	}
	return list
}

// Check fails the test unless kv holds exactly the state after the number of commits its position names, and returns that number.
func (h *History) Check(t testing.TB, kv storage.KV) int {
	t.Helper()
	ps, err := kv.Positions(1, 0)
	if err != nil {
		t.Fatalf("positions: %v", err)
	}
	n := 0
	if len(ps) > 0 {
		n = int(ps[0].Offset)
	}
	got := []string{}
	for _, prefix := range [][]byte{RawKey(""), Key("")} { // in key order
		got = append(got, Dump(t, kv, prefix, storage.PrefixEnd(prefix))...)
	}
	if !slices.Equal(got, h.states[n]) {
		t.Fatalf("after %d commits: %d entries, want %d, or their values differ", n, len(got), len(h.states[n]))
	}
	return n
}

func testModel(t *testing.T, kv storage.KV) {
	h := NewHistory(7, 300)
	for i, c := range h.Commits {
		if err := kv.Commit(c); err != nil {
			t.Fatalf("commit %d: %v", i, err)
		}
		if i%50 == 49 {
			if n := h.Check(t, kv); n != i+1 {
				t.Fatalf("position %d after %d commits", n, i+1)
			}
		}
	}
}
