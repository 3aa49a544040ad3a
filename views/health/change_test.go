package health

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/views/model"
)

// calls draws durations around a median, of which a share is ten times as long.
func calls(r *rand.Rand, name string, n int, failed uint64, median time.Duration, slow float64) model.OperationLatency {
	o := model.OperationLatency{Name: name, Kind: model.KindServer, Calls: uint64(n), Errors: failed}
	for range n {
		d := float64(median) * math.Exp(0.5*r.NormFloat64())
		if r.Float64() < slow {
			d *= 10
		}
		o.Hist.Add(uint64(d), 1)
	}
	return o
}

func TestCompare(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	one := func(n int, failed uint64, median time.Duration, slow float64) []model.OperationLatency {
		return []model.OperationLatency{calls(r, "Charge", n, failed, median, slow)}
	}
	before := one(2000, 4, 20*time.Millisecond, 0.02)
	for name, c := range map[string]struct {
		after           []model.OperationLatency
		want            Change
		errors, latency Change
	}{
		"as before":             {one(1000, 3, 20*time.Millisecond, 0.02), Same, Same, Same},
		"a little slower":       {one(1000, 2, 21*time.Millisecond, 0.02), Same, Same, Same},
		"more of them fail":     {one(1000, 40, 20*time.Millisecond, 0.02), Worse, Worse, Same},
		"slower":                {one(1000, 2, 30*time.Millisecond, 0.02), Worse, Same, Worse},
		"faster":                {one(1000, 2, 12*time.Millisecond, 0.02), Better, Same, Better},
		"some are much slower":  {one(1000, 2, 20*time.Millisecond, 0.2), Worse, Same, Worse},
		"faster but failing":    {one(1000, 100, 10*time.Millisecond, 0.02), Worse, Worse, Better},
		"too few calls":         {one(10, 10, time.Second, 0), TooFew, TooFew, TooFew},
		"no more such calls":    {nil, TooFew, Gone, Gone},
		"few calls, a few fail": {one(40, 1, 20*time.Millisecond, 0.02), Same, Same, Same},
	} {
		got, list := Compare(before, c.after)
		require.Equal(t, c.want, got, name)
		require.Equal(t, c.errors, list[0].Errors, name)
		require.Equal(t, c.latency, list[0].Latency, name)
	}
	got, list := Compare(before, append(one(1000, 2, 12*time.Millisecond, 0.02), calls(r, "Refund", 100, 0, time.Millisecond, 0)))
	require.Equal(t, Better, got)
	require.Equal(t, New, list[1].Overall)
	both := append(one(2000, 0, 20*time.Millisecond, 0), calls(r, "Refund", 500, 0, 20*time.Millisecond, 0))
	got, list = Compare(both, append(one(2000, 0, 10*time.Millisecond, 0), calls(r, "Refund", 500, 0, 60*time.Millisecond, 0)))
	require.Equal(t, Worse, got, "one that is worse outweighs one that is better")
	require.Equal(t, "Refund", list[0].Name)
}

// Equal ranges differ by chance only: a verdict on them would be wrong.
func TestCompareIsSilentAboutNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	wrong := 0
	for range 2000 {
		a, b := 20+r.IntN(2000), 20+r.IntN(2000)
		failed := func(n int) (out uint64) {
			for range n {
				if r.IntN(50) == 0 {
					out++
				}
			}
			return out
		}
		if c, _ := Compare([]model.OperationLatency{calls(r, "a", a, failed(a), time.Millisecond, 0.05)},
			[]model.OperationLatency{calls(r, "a", b, failed(b), time.Millisecond, 0.05)}); c != Same {
			wrong++
		}
	}
	require.LessOrEqual(t, wrong, 4)
}
