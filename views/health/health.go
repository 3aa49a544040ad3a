package health

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// State is how a service is doing.
type State string

// States, the worst first.
const (
	Failing  State = "failing"
	Slower   State = "slower"
	Silent   State = "silent"
	FewCalls State = "few_calls" // every call fails, and they are too few to tell it from chance
	NoData   State = "no_data"
	OK       State = "ok"
)

// What counts as failing, slower and silent.
const (
	failingShare = 0.01 // no smaller share is a failure
	failingRatio = 5    // times the share of the baseline
	alwaysShare  = 0.25 // a failure whatever the baseline says
	alwaysChance = 0.05 // the share that noise is measured against then
	slowerRatio  = 1.5  // times the 95th percentile of the baseline
	slowerLeast  = time.Millisecond
	silentFor    = 2 * time.Minute
	silentCalls  = 10 // calls that were to be expected meanwhile

	chance      = 1e-5 // a rarer result is not noise
	noise       = 3    // standard errors, of quantiles
	fewestCalls = 20   // of a window whose latency is compared
)

// A Window is what a service did in a range.
type Window struct {
	model.ServiceCounts
	Span time.Duration // length of the range, as far as it is known
}

// Input is what a service is judged by. Recent includes Minute; Baseline lies before both, and its Span is 0 where there is none.
type Input struct {
	Minute, Recent, Baseline Window
	Quiet                    time.Duration // since its last span, in event time
	Bucket                   time.Duration // width of the buckets that Baseline was counted in
}

// Verdict is how a service is doing, and why.
type Verdict struct {
	State  State
	Reason string
}

// Judge says how a service is doing.
//
// A service that has incoming requests is judged by these, any other by all its spans. The last minute is judged; where it has fewer
// than 20 calls, or shows a difference that may be noise, the last five minutes decide.
func Judge(in *Input) Verdict {
	entry := in.Recent.Entry.Calls+in.Baseline.Entry.Calls > 0
	pick := func(w *Window) *model.SpanCounts {
		if entry {
			return &w.Entry
		}
		return &w.All
	}
	j := judgement{before: pick(&in.Baseline), known: in.Baseline.Span > 0, noun: "spans"}
	if entry {
		j.noun = "calls"
	}
	minute, recent := pick(&in.Minute), pick(&in.Recent)
	if v, ok := isSilent(in); ok {
		return v
	}
	if recent.Calls == 0 {
		return Verdict{NoData, "no " + j.noun + " in the last minutes"}
	}
	windows := []*model.SpanCounts{minute, recent}
	if minute.Calls < fewestCalls {
		windows = windows[1:]
	}
	for _, rule := range []func(now, judged *model.SpanCounts) (Verdict, bool){j.failing, j.slower} {
		for _, judged := range windows {
			if v, ok := rule(windows[0], judged); ok {
				return v
			}
		}
	}
	if recent.Errors == recent.Calls {
		return Verdict{FewCalls, fmt.Sprintf("%d of %d %s failed: too few to tell from chance", recent.Errors, recent.Calls, j.noun)}
	}
	if !j.known {
		return Verdict{OK, "no baseline yet"}
	}
	return Verdict{OK, "as before"}
}

type judgement struct {
	before *model.SpanCounts
	known  bool // there is a baseline
	noun   string
}

// failing: the share that fails now is above the threshold, and what was judged has more failures than chance gives.
func (j *judgement) failing(now, judged *model.SpanCounts) (Verdict, bool) {
	share, limit := now.Share(), max(failingShare, failingRatio*j.before.Share())
	// A baseline without calls counts as one failure in a hundred.
	usual := float64(j.before.Errors+1) / float64(j.before.Calls+100)
	above := share > limit && judged.Share() > limit && rarer(judged, usual)
	always := share >= alwaysShare && judged.Share() >= alwaysShare && rarer(judged, alwaysChance)
	if !above && !always {
		return Verdict{}, false
	}
	text := fmt.Sprintf("fails %s %% of its %s", percent(share), j.noun)
	if j.before.Calls == 0 {
		return Verdict{Failing, fmt.Sprintf("%s (%d of %d), no baseline", text, now.Errors, now.Calls)}, true
	}
	return Verdict{Failing, fmt.Sprintf("%s, %s %% before", text, percent(j.before.Share()))}, true
}

// slower: the 95th percentile is above the threshold, and its interval lies above that of the baseline.
func (j *judgement) slower(now, judged *model.SpanCounts) (Verdict, bool) {
	if judged.Calls < fewestCalls || j.before.Calls < fewestCalls {
		return Verdict{}, false
	}
	_, before, high := j.before.Hist.QuantileBounds(0.95, noise)
	low, at, _ := judged.Hist.QuantileBounds(0.95, noise)
	p95 := now.Hist.Quantile(0.95)
	least := max(time.Duration(slowerRatio*float64(before)), before+slowerLeast)
	if p95 <= least || at <= least || low <= high {
		return Verdict{}, false
	}
	return Verdict{Slower, fmt.Sprintf("p95 %s ms, %s ms before", millis(p95), millis(before))}, true
}

// isSilent: nothing came for at least two minutes, and by the baseline's rate and by how regularly it had spans that is not chance.
func isSilent(in *Input) (Verdict, bool) {
	b := &in.Baseline
	if b.Span <= 0 || b.All.Calls == 0 || in.Minute.All.Calls > 0 || in.Quiet < max(silentFor, in.Bucket) {
		return Verdict{}, false
	}
	rate := float64(b.All.Calls) / b.Span.Seconds()
	empty := 1 - min(1, b.Active.Seconds()/b.Span.Seconds()) // share of the baseline's buckets without spans
	if rate*in.Quiet.Seconds() < silentCalls || math.Pow(empty, math.Floor(float64(in.Quiet)/float64(in.Bucket))) > chance*100 {
		return Verdict{}, false
	}
	return Verdict{Silent, fmt.Sprintf("no spans for %s, %s/s before", length(in.Quiet), significant(rate))}, true
}

// rarer reports whether so many failures or more have a chance below chance if calls fail with this share: the tail of a Poisson
// distribution.
func rarer(c *model.SpanCounts, share float64) bool {
	mean := share * float64(c.Calls)
	if float64(c.Errors) <= mean {
		return false
	}
	lg, _ := math.Lgamma(float64(c.Errors) + 1)
	term := math.Exp(float64(c.Errors)*math.Log(mean) - mean - lg) // of exactly so many
	sum := 0.0
	for k := float64(c.Errors); term > 0 && term > sum*1e-9; k++ {
		sum += term
		term *= mean / (k + 1)
	}
	return sum < chance
}

func percent(share float64) string { return significant(share * 100) }

func millis(d time.Duration) string { return significant(float64(d) / 1e6) }

// significant has at most three significant digits, as readers compare them.
func significant(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.01:
		return "<0.01"
	case v >= 100:
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

func length(d time.Duration) string {
	switch {
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}
