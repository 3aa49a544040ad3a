package model

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
	"time"
)

// TestHistogramProjections counts the same durations here and directly by each family's bounds and by the native formula.
func TestHistogramProjections(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	var values []uint64
	for _, b := range []Bounds{CollectorBounds, TempoBounds, TempoGraphBounds} {
		for _, v := range b {
			values = append(values, uint64(v)-1, uint64(v), uint64(v)+1)
		}
	}
	values = append(values, 0, 1, 953, 954, 1<<40, math.MaxInt64, math.MaxUint64)
	for range 20_000 {
		values = append(values, uint64(math.Exp(r.Float64()*40)))
	}
	var h Histogram
	for _, v := range values {
		h.Add(v, 1)
	}
	if h.Count() != uint64(len(values)) {
		t.Fatalf("%d observations, want %d", h.Count(), len(values))
	}
	for _, b := range []Bounds{CollectorBounds, TempoBounds, TempoGraphBounds} {
		for i, got := range h.Cumulative(b) {
			want := uint64(0)
			for _, v := range values {
				if v <= uint64(b[i]) {
					want++
				}
			}
			if got != want {
				t.Errorf("le %v: %d, want %d", b[i], got, want)
			}
		}
	}
	want := map[int32]uint64{}
	zeros := uint64(0)
	upper := make([]float64, 0, 500)
	for j := nativeLow * perOctave; j <= nativeHigh*perOctave+1; j++ {
		upper = append(upper, math.Exp2(float64(j)/perOctave)*1e9)
	}
	for _, v := range values {
		if float64(v) <= NativeZeroThreshold*1e9 {
			zeros++
			continue
		}
		j := min(sort.SearchFloat64s(upper, float64(v)), (nativeHigh-nativeLow)*perOctave+1)
		want[int32(j+nativeLow*perOctave)]++
	}
	gotZeros, buckets := h.Native()
	if gotZeros != zeros {
		t.Errorf("zero bucket %d, want %d", gotZeros, zeros)
	}
	for _, b := range buckets {
		if want[b.Index] != b.Count {
			t.Errorf("native bucket %d: %d, want %d", b.Index, b.Count, want[b.Index])
		}
		delete(want, b.Index)
	}
	if len(want) > 0 {
		t.Errorf("native buckets missing: %v", want)
	}
}

func TestHistogramCodec(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 9))
	for range 2000 {
		var h, got Histogram
		for range r.IntN(20) {
			h.Add(r.Uint64()>>r.IntN(64), 1+r.Uint64()>>r.IntN(64))
		}
		d := Decoder{B: h.Append(nil)}
		got.Decode(&d)
		if d.Err != nil || len(d.B) > 0 || got.Text() != h.Text() {
			t.Fatalf("%s became %s, %v", h.Text(), got.Text(), d.Err)
		}
		both := Histogram{}
		both.Merge(&h)
		both.Merge(&got)
		both.Sub(&h)
		if both.Text() != h.Text() {
			t.Fatalf("%s + itself - itself = %s", h.Text(), both.Text())
		}
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	for i := range 1000 {
		h.Add(uint64(i+1)*uint64(time.Millisecond), 1)
	}
	for _, q := range []float64{0.5, 0.95, 0.99} {
		want := q * 1000
		if got := h.Quantile(q).Seconds() * 1000; math.Abs(got-want) > 0.05*want {
			t.Errorf("p%v = %v ms, want about %v", q*100, got, want)
		}
	}
}
