package model

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// A Histogram counts durations in buckets that refine, at once, the classic bounds of every metric family and the exponential
// buckets of a Prometheus native histogram, so that each of them is a sum of whole buckets and therefore exact.
//
// Bounds are whole nanoseconds and inclusive above, as `le` is: bucket i holds v with bucketEnds[i-1] < v <= bucketEnds[i]. Bucket 0
// holds what is at most NativeZeroThreshold, the last bucket what is above every bound. Only a window of buckets is stored.
type Histogram struct {
	Offset uint16   // index of the first stored bucket
	Counts []uint64 // of buckets Offset, Offset+1, …
}

// NativeSchema is the resolution of the native histograms: 2^3 buckets for each power of two, each 9 % wide.
// See https://prometheus.io/docs/specs/native_histograms/.
const NativeSchema = 3

// nativeLow and nativeHigh are the exponents of two, in seconds, between which native bounds lie: 0.95 µs to 272 years.
const (
	nativeLow  = -20
	nativeHigh = 33
)

// NativeZeroThreshold is, in seconds, the upper bound of the zero bucket.
const NativeZeroThreshold = 1.0 / (1 << -nativeLow)

// Bounds are the upper bounds of a classic histogram, ascending, without +Inf.
type Bounds []time.Duration

// CollectorBounds are the defaults of the collector's spanmetrics and servicegraph connectors.
var CollectorBounds = Bounds{2 * ms, 4 * ms, 6 * ms, 8 * ms, 10 * ms, 50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms,
	1000 * ms, 1400 * ms, 2000 * ms, 5000 * ms, 10000 * ms, 15000 * ms}

// TempoBounds are the defaults of Tempo's span metrics: 2 ms doubled 13 times.
var TempoBounds = doubled(2*ms, 14)

// TempoGraphBounds are the defaults of Tempo's service graphs: 100 ms doubled 7 times.
var TempoGraphBounds = doubled(100*ms, 8)

const ms = time.Millisecond

func doubled(first time.Duration, n int) Bounds {
	b := make(Bounds, n)
	for i := range b {
		b[i] = first << i
	}
	return b
}

// bucketEnds are the upper bounds of all buckets but the last; nativeOf[i] is the native index of bucket i, nativeZero for the zero
// bucket. A native bucket's index j in schema 3 has the upper bound 2^(j/8) seconds.
var (
	bucketEnds []uint64
	nativeOf   []int32
)

const (
	nativeZero     = math.MinInt32
	perOctave      = 1 << NativeSchema
	fineBits       = 5 // 32 slots of the lookup table for each power of two
	fineSlots      = 64 << fineBits
	maxHistBuckets = (nativeHigh-nativeLow)*perOctave + 64
)

// slotFirst[slot] is the first bucket that a value in the slot may belong to.
var slotFirst [fineSlots]uint16

func init() {
	native := map[uint64]bool{}
	for j := nativeLow * perOctave; j <= nativeHigh*perOctave; j++ {
		native[nativeBound(j)] = true
	}
	all := make([]uint64, 0, maxHistBuckets)
	for b := range native {
		all = append(all, b)
	}
	for _, list := range []Bounds{CollectorBounds, TempoBounds, TempoGraphBounds} {
		for _, b := range list {
			all = append(all, uint64(b))
		}
	}
	slices.Sort(all)
	bucketEnds = slices.Compact(all)
	j := nativeLow*perOctave - 1
	nativeOf = make([]int32, len(bucketEnds)+1)
	for i := range nativeOf {
		// bucket i lies above every native bound below bucketEnds[i]
		for j <= nativeHigh*perOctave && i > 0 && nativeBound(j) <= bucketEnds[i-1] {
			j++
		}
		nativeOf[i] = int32(j)
	}
	nativeOf[0] = nativeZero
	for slot := range slotFirst {
		i, _ := slices.BinarySearch(bucketEnds, slotLow(slot))
		slotFirst[slot] = uint16(i)
	}
}

// nativeBound is 2^(j/8) seconds in whole nanoseconds, rounded down: for whole v, v <= floor(b) exactly when v <= b.
func nativeBound(j int) uint64 {
	return uint64(math.Floor(math.Exp2(float64(j)/perOctave) * 1e9))
}

func slotOf(v uint64) int {
	if v < 1<<fineBits {
		return int(v)
	}
	e := bits.Len64(v) - 1
	return (e-fineBits+1)<<fineBits | int(v>>(e-fineBits))&(1<<fineBits-1)
}

// slotLow is the smallest value of a slot.
func slotLow(slot int) uint64 {
	if slot < 1<<fineBits {
		return uint64(slot)
	}
	e := slot>>fineBits + fineBits - 1
	if e > 63 {
		return math.MaxUint64
	}
	return 1<<e | uint64(slot&(1<<fineBits-1))<<(e-fineBits)
}

// BucketOf is the bucket of v nanoseconds.
func BucketOf(v uint64) int {
	i := int(slotFirst[slotOf(v)])
	for i < len(bucketEnds) && v > bucketEnds[i] {
		i++
	}
	return i
}

// Add counts n observations of v nanoseconds.
func (h *Histogram) Add(v, n uint64) { h.AddBucket(BucketOf(v), n) }

// AddBucket counts n observations in bucket i, see BucketOf.
func (h *Histogram) AddBucket(i int, n uint64) {
	h.grow(i, i+1)
	h.Counts[i-int(h.Offset)] += n
}

// grow makes the stored window hold buckets [lo, hi).
func (h *Histogram) grow(lo, hi int) {
	off, end := int(h.Offset), int(h.Offset)+len(h.Counts)
	switch {
	case len(h.Counts) == 0:
		h.Offset = uint16(lo)
		h.Counts = slices.Grow(h.Counts[:0], hi-lo)[:hi-lo]
		clear(h.Counts)
	case lo < off:
		n := len(h.Counts)
		h.Counts = slices.Grow(h.Counts, off-lo)[:n+off-lo]
		copy(h.Counts[off-lo:], h.Counts[:n])
		clear(h.Counts[:off-lo])
		h.Offset = uint16(lo)
		h.grow(lo, hi)
	case hi > end:
		n := len(h.Counts)
		h.Counts = slices.Grow(h.Counts, hi-end)[:n+hi-end]
		clear(h.Counts[n:])
	}
}

// Merge adds what o counted.
func (h *Histogram) Merge(o *Histogram) {
	if len(o.Counts) == 0 {
		return
	}
	h.grow(int(o.Offset), int(o.Offset)+len(o.Counts))
	to := h.Counts[o.Offset-h.Offset:]
	for i, n := range o.Counts {
		to[i] += n
	}
}

// Sub takes away what o counted; o must have been merged before.
func (h *Histogram) Sub(o *Histogram) {
	if len(o.Counts) == 0 {
		return
	}
	h.grow(int(o.Offset), int(o.Offset)+len(o.Counts))
	to := h.Counts[o.Offset-h.Offset:]
	for i, n := range o.Counts {
		to[i] -= n
	}
}

// Count is the number of observations.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Cumulative returns the number of observations at most each of b, which must be one of the families' bounds.
func (h *Histogram) Cumulative(b Bounds) []uint64 {
	out := make([]uint64, len(b))
	sum, i := uint64(0), 0
	for k, bound := range b {
		last, _ := slices.BinarySearch(bucketEnds, uint64(bound)) // the bucket that ends at bound
		for ; i < len(h.Counts) && i+int(h.Offset) <= last; i++ {
			sum += h.Counts[i]
		}
		out[k] = sum
	}
	return out
}

// NativeBucket is one bucket of a native histogram of NativeSchema.
type NativeBucket struct {
	Index int32 // upper bound 2^(Index/8) seconds
	Count uint64
}

// HistogramBucket holds the observations that took longer than From and at most To.
type HistogramBucket struct {
	From, To time.Duration
	Count    uint64
}

// Buckets returns the buckets that hold anything, in ascending order.
func (h *Histogram) Buckets() []HistogramBucket {
	out := make([]HistogramBucket, 0, len(h.Counts))
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		var b HistogramBucket
		k := min(i+int(h.Offset), len(bucketEnds)-1)
		if k > 0 {
			b.From = time.Duration(bucketEnds[k-1])
		}
		b.To, b.Count = time.Duration(bucketEnds[k]), n
		out = append(out, b)
	}
	return out
}

// Native returns the count of the zero bucket and the others in ascending order, empty ones left out.
func (h *Histogram) Native() (zero uint64, buckets []NativeBucket) {
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		j := nativeOf[i+int(h.Offset)]
		switch last := len(buckets) - 1; {
		case j == nativeZero:
			zero += n
		case last >= 0 && buckets[last].Index == j:
			buckets[last].Count += n
		default:
			buckets = append(buckets, NativeBucket{j, n})
		}
	}
	return zero, buckets
}

// Quantile estimates the q-quantile, interpolating linearly within a bucket. It is 0 for an empty histogram and in the zero bucket.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	rank, sum := q*float64(total), 0.0
	for i, n := range h.Counts {
		if n == 0 || sum+float64(n) < rank {
			sum += float64(n)
			continue
		}
		k := i + int(h.Offset)
		if k == 0 {
			return 0
		}
		lo := bucketEnds[k-1]
		hi := lo
		if k < len(bucketEnds) {
			hi = bucketEnds[k]
		}
		return time.Duration(lo + uint64(float64(hi-lo)*(rank-sum)/float64(n)))
	}
	return time.Duration(bucketEnds[len(bucketEnds)-1])
}

// Latency returns the usual quantiles.
func (h *Histogram) Latency() Latency {
	return Latency{h.Quantile(0.50), h.Quantile(0.95), h.Quantile(0.99)}
}

// Reset makes the histogram empty and keeps its memory.
func (h *Histogram) Reset() { h.Offset, h.Counts = 0, h.Counts[:0] }

// QuantileBounds returns the q-quantile and the quantiles between which it lies with z standard errors, by the binomial
// distribution of ranks.
func (h *Histogram) QuantileBounds(q, z float64) (low, at, high time.Duration) {
	n := float64(h.Count())
	if n == 0 {
		return 0, 0, 0
	}
	d := z * math.Sqrt(q*(1-q)/n)
	return h.Quantile(max(0, q-d)), h.Quantile(q), h.Quantile(min(1, q+d))
}

// Variance estimates the variance of what was counted, in square seconds, from the middle of each bucket.
func (h *Histogram) Variance() float64 {
	n, sum, squares := 0.0, 0.0, 0.0
	for i, c := range h.Counts {
		low, high := 0.0, 0.0
		if b := int(h.Offset) + i; b > 0 {
			low = float64(bucketEnds[b-1])
			high = float64(bucketEnds[min(b, len(bucketEnds)-1)])
		}
		v := (low + high) / 2e9
		n += float64(c)
		sum += v * float64(c)
		squares += v * v * float64(c)
	}
	if n == 0 {
		return 0
	}
	return max(0, squares/n-(sum/n)*(sum/n))
}
