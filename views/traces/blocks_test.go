package traces

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	for n := range 300 {
		list := Spread(n)
		sorted := slices.Sorted(slices.Values(list))
		for i, at := range sorted {
			require.Equal(t, i, at)
		}
		require.Len(t, list, n)
		// Of any first few, neighbours are hardly farther apart than twice what they would be in equal steps.
		for first := 8; first <= n; first *= 2 {
			some := slices.Sorted(slices.Values(list[:first]))
			for i := 1; i < len(some); i++ {
				require.LessOrEqual(t, some[i]-some[i-1], 4*n/first+1, "%d of %d", first, n)
			}
		}
	}
}
