package samples

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// finite reports whether a number can be added to a running value without spoiling it for ever.
func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// validExplicit checks an explicit histogram: a count for each bucket, bounds that rise, counts that can be added up.
func validExplicit(d pmetric.HistogramDataPoint) bool {
	bounds, counts := d.ExplicitBounds(), d.BucketCounts()
	if counts.Len() > 0 && counts.Len() != bounds.Len()+1 || bounds.Len() > maxPointBuckets {
		return false
	}
	for i := range bounds.Len() {
		if math.IsNaN(bounds.At(i)) || i > 0 && bounds.At(i) <= bounds.At(i-1) {
			return false
		}
	}
	_, ok := addUp(0, counts)
	return ok
}

// addUp adds counts to a sum; false when they are more than histograms can count.
func addUp(sum uint64, counts pcommon.UInt64Slice) (uint64, bool) {
	for i := range counts.Len() {
		n := counts.At(i)
		if n > math.MaxInt64-min(sum, math.MaxInt64) {
			return 0, false
		}
		sum += n
	}
	return sum, sum <= math.MaxInt64
}

// validExponential checks an exponential histogram: a scale that Prometheus has, buckets of numbers that a float64 can be, counts that add
// up to the count.
func validExponential(d pmetric.ExponentialHistogramDataPoint) bool {
	scale := d.Scale()
	if scale < histogram.ExponentialSchemaMin {
		return false
	}
	down := max(0, scale-histogram.ExponentialSchemaMax)
	sum, ok := addUp(d.ZeroCount(), d.Positive().BucketCounts())
	if sum, ok2 := addUp(sum, d.Negative().BucketCounts()); !ok || !ok2 || d.ZeroCount() > math.MaxInt64 || !d.Flags().NoRecordedValue() &&
		!countFits(d, sum) {
		return false
	}
	for _, side := range []pmetric.ExponentialHistogramDataPointBuckets{d.Positive(), d.Negative()} {
		n, first := int64(side.BucketCounts().Len()), int64(side.Offset())
		switch {
		case n == 0:
		case n > maxPointBuckets, first+n > math.MaxInt32, !indexFits(scale-down, first>>down+1),
			!indexFits(scale-down, (first+n-1)>>down+1):
			return false
		}
	}
	return true
}

// countFits reports whether the counts of buckets agree with the count of all; NaN is in none.
func countFits(d pmetric.ExponentialHistogramDataPoint, sum uint64) bool {
	if math.IsNaN(d.Sum()) {
		return sum <= d.Count() && d.Count() <= math.MaxInt64
	}
	return sum == d.Count()
}

// indexFits reports whether a bucket's bounds are within what a float64 can be. Beyond that, adding histograms overflows.
func indexFits(schema int32, index int64) bool {
	const powers = 1100 // of two, from the least float64 to the largest, and a few more
	limit := int64(powers)
	if schema >= 0 {
		limit <<= schema
	} else {
		limit >>= -schema
	}
	return index >= -limit-2 && index <= limit+2
}

// boundedHistogram checks that the buckets of a histogram are those of numbers.
func boundedHistogram(h *histogram.FloatHistogram) error {
	if h.Schema < histogram.ExponentialSchemaMin || h.Schema > histogram.ExponentialSchemaMax {
		return fmt.Errorf("views: a histogram has the unknown schema %d", h.Schema)
	}
	for _, side := range []struct {
		spans   []histogram.Span
		buckets int
	}{{h.PositiveSpans, len(h.PositiveBuckets)}, {h.NegativeSpans, len(h.NegativeBuckets)}} {
		at, n := int64(0), int64(0)
		for i, s := range side.spans {
			at += int64(s.Offset)
			if i > 0 && s.Offset < 0 || !indexFits(h.Schema, at) {
				return fmt.Errorf("views: a bucket of a histogram begins at %d, which no number can be in", at)
			}
			at += int64(s.Length)
			n += int64(s.Length)
		}
		if !indexFits(h.Schema, at) || n != int64(side.buckets) {
			return fmt.Errorf("views: the spans of a histogram hold %d buckets up to %d, and there are %d", n, at, side.buckets)
		}
	}
	return nil
}
