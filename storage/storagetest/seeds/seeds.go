// Package seeds is the frame of simulations: what a seed makes is the same each time, each seed is another run, and bugs that are planted
// show that a simulation can fail.
package seeds

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

// Simulation makes a run from a seed, with a bug planted in it unless bug is "". It returns how the result differs from the right one; "":
// not at all.
type Simulation func(t *testing.T, seed uint64, bug string) (diff string)

// Seeds are the seeds that a test runs, as its flags say.
type Seeds struct {
	name  string
	count *int
	only  *uint64
}

// Flags defines -NAME.seeds, how many seeds a test runs (count), and -NAME.seed, which runs one alone.
func Flags(name string, count int) *Seeds {
	return &Seeds{name: name, count: flag.Int(name+".seeds", count, "how many simulations to run"),
		only: flag.Uint64(name+".seed", 0, "run this simulation alone")}
}

// Run fails at the first seed whose result is not the right one.
func (s *Seeds) Run(t *testing.T, simulate Simulation) {
	t.Helper()
	from, to := uint64(1), uint64(*s.count) //nolint:gosec // a number of runs
	if *s.only != 0 {
		from, to = *s.only, *s.only
	}
	for seed := from; seed <= to; seed++ {
		if diff := simulate(t, seed, ""); diff != "" {
			t.Fatalf("seed %d (again with -%s.seed=%d): %s", seed, s.name, seed, diff)
		}
	}
}

// Find fails where a bug makes no difference in so many simulations.
func Find(t *testing.T, within uint64, simulate Simulation, bugs ...string) {
	t.Helper()
	for _, bug := range bugs {
		found := false
		for seed := uint64(1); seed <= within && !found; seed++ {
			found = simulate(t, seed, bug) != ""
		}
		if !found {
			t.Errorf("the planted bug %q was not found in %d simulations", bug, within)
		}
	}
}

// Diff is the first line that differs; "": none does.
func Diff(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		gl, wl := "", ""
		if i < len(g) {
			gl = g[i]
		}
		if i < len(w) {
			wl = w[i]
		}
		if gl != wl {
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, gl, wl)
		}
	}
	return ""
}
