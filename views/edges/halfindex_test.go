package edges

import (
	"math/rand/v2"
	"testing"
)

// TestHalfIndex does random things to an index and to a map, with keys that collide often.
func TestHalfIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var keys [][24]byte
	x := newHalfIndex(func(i uint32) *[24]byte { return &keys[i] })
	want := map[[24]byte]uint32{}
	for range 200_000 {
		k := [24]byte{byte(r.IntN(40)), byte(r.IntN(40)), 16: byte(r.IntN(3))}
		i, ok := want[k]
		if got, found := x.find(&k); found != ok || found && got != i {
			t.Fatalf("find %v: %d %v, want %d %v", k, got, found, i, ok)
		}
		switch {
		case ok && r.IntN(2) == 0:
			x.remove(&k, i)
			delete(want, k)
		case !ok:
			keys = append(keys, k)
			x.add(&k, uint32(len(keys)-1))
			want[k] = uint32(len(keys) - 1)
		}
		if x.count != len(want) {
			t.Fatalf("%d keys, want %d", x.count, len(want))
		}
	}
}
