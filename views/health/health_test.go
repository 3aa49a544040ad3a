package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/views/model"
)

// counts are calls, so many of which failed: nine of ten took fast, the others slow.
func counts(calls, failed uint64, fast, slow time.Duration) model.SpanCounts {
	c := model.SpanCounts{Calls: calls, Errors: failed}
	if n := calls - calls/10; n > 0 {
		c.Hist.Add(uint64(fast), n)
	}
	if n := calls / 10; n > 0 {
		c.Hist.Add(uint64(slow), n)
	}
	return c
}

func window(span time.Duration, c model.SpanCounts) Window {
	return Window{ServiceCounts: model.ServiceCounts{All: c, Entry: c, Active: span}, Span: span}
}

const ms = time.Millisecond

func plain(calls, failed uint64) model.SpanCounts { return counts(calls, failed, 10*ms, 20*ms) }

func TestJudge(t *testing.T) {
	// input has a minute, five minutes that include it, and a baseline of an hour.
	input := func(minute, recent, before model.SpanCounts) Input {
		in := Input{Minute: window(time.Minute, minute), Recent: window(5*time.Minute, recent), Bucket: time.Minute}
		if before.Calls > 0 {
			in.Baseline = window(time.Hour, before)
		}
		return in
	}
	quiet := func(d time.Duration, before Window) Input {
		return Input{Minute: Window{Span: time.Minute}, Recent: Window{Span: 5 * time.Minute}, Baseline: before, Quiet: d, Bucket: time.Minute}
	}
	spans := func(in Input) Input { // without incoming requests
		for _, w := range []*Window{&in.Minute, &in.Recent, &in.Baseline} {
			w.Entry = model.SpanCounts{}
		}
		return in
	}
	burst := window(time.Hour, plain(3600, 0))
	burst.Active = 6 * time.Minute // a job each ten minutes
	none := model.SpanCounts{}
	for name, c := range map[string]struct {
		in    Input
		state State
		text  string
	}{
		"above five times the baseline":            {input(plain(100, 44), plain(500, 44), plain(5000, 10)), Failing, "fails 44 % of its calls, 0.2 % before"},
		"below five times the baseline":            {input(plain(1000, 80), plain(5000, 400), plain(50000, 1000)), OK, "as before"},
		"below one per cent":                       {input(plain(100000, 900), plain(500000, 4500), plain(5000000, 10)), OK, "as before"},
		"above one per cent of many":               {input(plain(10000, 200), plain(50000, 900), plain(500000, 500)), Failing, "fails 2 % of its calls, 0.1 % before"},
		"noise in the minute, not in five":         {input(plain(100, 3), plain(500, 15), plain(6000, 6)), Failing, "fails 3 % of its calls, 0.1 % before"},
		"noise in both":                            {input(plain(100, 2), plain(500, 3), plain(6000, 6)), OK, "as before"},
		"over since a minute":                      {input(plain(100, 0), plain(500, 200), plain(6000, 6)), OK, "as before"},
		"as much before":                           {input(plain(100, 44), plain(500, 220), plain(6000, 2640)), Failing, "fails 44 % of its calls, 44 % before"},
		"every call, without a baseline":           {input(plain(30, 30), plain(30, 30), none), Failing, "fails 100 % of its calls (30 of 30), no baseline"},
		"few calls, all failing":                   {input(plain(1, 1), plain(5, 5), plain(60, 0)), Failing, "fails 100 % of its calls, 0 % before"},
		"two calls, both failing":                  {input(plain(2, 2), plain(2, 2), none), FewCalls, "2 of 2 calls failed: too few to tell from chance"},
		"one call in two failing":                  {input(plain(1, 0), plain(2, 1), none), OK, "no baseline yet"},
		"spans that are no requests":               {spans(input(plain(100, 44), plain(500, 44), plain(5000, 10))), Failing, "fails 44 % of its spans, 0.2 % before"},
		"no failure, no baseline":                  {input(plain(100, 0), plain(500, 0), none), OK, "no baseline yet"},
		"p95 doubled":                              {input(counts(200, 0, 10*ms, 40*ms), counts(1000, 0, 10*ms, 40*ms), plain(12000, 0)), Slower, "p95 38.8 ms, 19.4 ms before"},
		"p95 a quarter more":                       {input(counts(200, 0, 10*ms, 25*ms), counts(1000, 0, 10*ms, 25*ms), plain(12000, 0)), OK, "as before"},
		"p95 doubled within a millisecond":         {input(counts(200, 0, ms/10, ms/2), counts(1000, 0, ms/10, ms/2), counts(12000, 0, ms/10, ms/5)), OK, "as before"},
		"p95 doubled, over since a minute":         {input(plain(200, 0), counts(1000, 0, 10*ms, 40*ms), plain(12000, 0)), OK, "as before"},
		"too few to say slower":                    {input(counts(10, 0, 10*ms, 400*ms), counts(10, 0, 10*ms, 400*ms), plain(12000, 0)), OK, "as before"},
		"failing comes before slower":              {input(counts(200, 90, 10*ms, 400*ms), counts(1000, 400, 10*ms, 400*ms), plain(12000, 0)), Failing, "fails 45 % of its calls, 0 % before"},
		"nothing for four minutes":                 {quiet(4*time.Minute, window(time.Hour, plain(9720, 0))), Silent, "no spans for 4 min, 2.7/s before"},
		"nothing for one minute":                   {quiet(time.Minute, window(time.Hour, plain(9720, 0))), NoData, "no calls in the last minutes"},
		"rare calls may be away":                   {quiet(4*time.Minute, window(time.Hour, plain(60, 0))), NoData, "no calls in the last minutes"},
		"a job each ten minutes may be away":       {quiet(8*time.Minute, burst), NoData, "no calls in the last minutes"},
		"a job each ten minutes is away for two h": {quiet(2*time.Hour, burst), Silent, "no spans for 2 h, 1/s before"},
		"nothing, and nothing before":              {quiet(4*time.Minute, Window{}), NoData, "no spans in the last minutes"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, Verdict{c.state, c.text}, Judge(&c.in))
		})
	}
}

func TestRarerIsATailOfPoisson(t *testing.T) {
	for _, c := range []struct {
		calls, failed uint64
		share         float64
		want          bool
	}{
		{3, 3, 0.01, true},  // 4.4e-6
		{2, 2, 0.01, false}, // 2e-4
		{1000, 10, 0.01, false},
		{1000, 30, 0.01, true},        // 2e-7
		{1000000, 10100, 0.01, false}, // one standard deviation
		{1000000, 10500, 0.01, true},
		{10, 0, 0.01, false},
	} {
		require.Equal(t, c.want, rarer(&model.SpanCounts{Calls: c.calls, Errors: c.failed}, c.share), c)
	}
}
