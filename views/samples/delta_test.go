package samples

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/stretchr/testify/require"
)

// TestAddHistogramNeverPanics: whatever is stored or sent, adding it is an error at worst, and what is added is a histogram.
func TestAddHistogramNeverPanics(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	for range 20_000 {
		var sum *histogram.FloatHistogram
		for range 4 {
			offset := []int32{int32(r.Uint32()), int32(r.IntN(400_000) - 200_000), int32(r.IntN(9) - 4)}[r.IntN(3)]
			length := []uint32{1, 2, 1 << 31, math.MaxUint32}[min(r.IntN(12), 3)]
			h := &histogram.FloatHistogram{Schema: []int32{8, 0, -4, 300, histogram.CustomBucketsSchema}[min(r.IntN(16), 4)],
				ZeroThreshold: []float64{1e-128, math.NaN(), -1}[min(r.IntN(12), 2)], Count: 1, Sum: math.NaN(),
				PositiveSpans: []histogram.Span{{Offset: offset, Length: length}}, PositiveBuckets: []float64{1}}
			next, err := addHistogram(sum, h)
			if err != nil {
				continue
			}
			require.NoError(t, next.Validate())
			sum = next
		}
	}
}
