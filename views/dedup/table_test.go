package dedup

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTable compares the table with a list that is searched from end to end, with hashes that collide in their places and are there with
// several timestamps.
func TestTable(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var tb table
		var list []slot
		hash := func() (h Hash) {
			h[0], h[8], h[15] = byte(r.IntN(4)<<6), byte(r.IntN(1+int(seed))), byte(1+r.IntN(3))
			return h
		}
		for range 3000 {
			h, ts := hash(), int64(r.IntN(40))
			is := func(e slot) bool { return e.hash == h && e.ts == ts }
			switch r.IntN(10) {
			case 0, 1, 2, 3:
				e := slot{h, ts, r.Uint64()}
				tb.put(e)
				list = append(slices.DeleteFunc(list, is), e)
			case 4, 5:
				tb.remove(&h, ts)
				list = slices.DeleteFunc(list, is)
			case 6:
				if r.IntN(50) == 0 {
					tb.before(ts)
					list = slices.DeleteFunc(list, func(e slot) bool { return e.ts < ts })
				}
			default:
				window := int64(r.IntN(4))
				near := slices.DeleteFunc(slices.Clone(list), func(e slot) bool { return e.hash != h || max(e.ts-ts, ts-e.ts) > window })
				got := tb.find(&h, ts, window)
				require.Equal(t, len(near) > 0, got != nil, "seed %d", seed)
				if got != nil {
					require.Contains(t, near, *got, "seed %d", seed)
				}
			}
			require.Equal(t, len(list), tb.count, "seed %d", seed)
		}
		n := 0
		tb.each(func(int64) { n++ })
		require.Equal(t, len(list), n)
	}
}
