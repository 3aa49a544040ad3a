package health

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// Change is how calls have changed between two ranges.
type Change string

// Changes.
const (
	Worse  Change = "worse"
	Better Change = "better"
	Same   Change = "same" // what differs is noise, or too small to matter
	New    Change = "new"  // there were no such calls before
	Gone   Change = "gone"
	TooFew Change = "too_few" // too few calls in one of the ranges to say
)

// OperationChange is how one operation has changed.
type OperationChange struct {
	Name            string
	Kind            model.Kind
	Overall         Change // the worse of Errors and Latency
	Errors, Latency Change
	Before, After   Calls
}

// Calls is what an operation did in a range.
type Calls struct {
	Calls, Errors uint64
	P95           time.Duration
}

// What counts as a change.
const (
	changeSure  = 4     // standard errors
	changeShare = 0.005 // of calls that fail
	changeOrder = 0.1   // by which a call after is slower than one before more often than every other time
	changeTail  = 0.1   // share of the calls after that are slower than 95 % of those before
)

// Compare says how the operations of a service have changed, the worst first, and how the service has. Operations with a change that is neither
// noise nor small decide; one that is worse outweighs all that are better.
func Compare(before, after []model.OperationLatency) (Change, []OperationChange) {
	type key struct {
		name string
		kind model.Kind
	}
	by := map[key][2]*model.OperationLatency{}
	for side, list := range [][]model.OperationLatency{before, after} {
		for i := range list {
			k := key{list[i].Name, list[i].Kind}
			of := by[k]
			of[side] = &list[i]
			by[k] = of
		}
	}
	out := make([]OperationChange, 0, len(by))
	for k, of := range by {
		c := changeBetween(of[0], of[1])
		c.Name, c.Kind = k.name, k.kind
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b OperationChange) int {
		return cmp.Or(cmp.Compare(rank(a.Overall), rank(b.Overall)), cmp.Compare(b.After.Calls, a.After.Calls), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Kind, b.Kind))
	})
	for _, c := range []Change{Worse, Better, Same} {
		if slices.ContainsFunc(out, func(o OperationChange) bool { return o.Overall == c }) {
			return c, out
		}
	}
	return TooFew, out
}

// rank orders changes, those that matter most first.
func rank(c Change) int { return slices.Index([]Change{Worse, Better, New, Gone, Same, TooFew}, c) }

func changeBetween(before, after *model.OperationLatency) (c OperationChange) {
	if before != nil {
		c.Before = Calls{before.Calls, before.Errors, before.Hist.Quantile(0.95)}
	}
	if after != nil {
		c.After = Calls{after.Calls, after.Errors, after.Hist.Quantile(0.95)}
	}
	switch {
	case c.Before.Calls == 0 && c.After.Calls >= fewestCalls:
		c.Errors, c.Latency, c.Overall = New, New, New
	case c.After.Calls == 0 && c.Before.Calls >= fewestCalls:
		c.Errors, c.Latency, c.Overall = Gone, Gone, Gone
	case c.Before.Calls < fewestCalls || c.After.Calls < fewestCalls:
		c.Errors, c.Latency, c.Overall = TooFew, TooFew, TooFew
	default:
		c.Errors, c.Latency = errorsChange(c.Before, c.After), latencyChange(&before.Hist, &after.Hist)
		c.Overall = Same
		for _, x := range []Change{Better, Worse} {
			if c.Errors == x || c.Latency == x {
				c.Overall = x
			}
		}
	}
	return c
}

// errorsChange compares shares of failed calls.
func errorsChange(before, after Calls) Change {
	n, m := float64(before.Calls), float64(after.Calls)
	p, q := float64(before.Errors)/n, float64(after.Errors)/m
	all := float64(before.Errors+after.Errors) / (n + m)
	return changeOf(q-p, changeShare, math.Sqrt(all*(1-all)*(1/n+1/m)))
}

// latencyChange compares durations by their order, which few very slow calls do not decide, and by their tails, which most calls do not.
func latencyChange(before, after *model.Histogram) Change {
	n, m := count(before), count(after)
	var below, tailBefore, tailAfter, larger float64 // of before; larger are pairs in which the call after is slower, ties half
	last := max(int(before.Offset)+len(before.Counts), int(after.Offset)+len(after.Counts))
	for i := min(int(before.Offset), int(after.Offset)); i < last; i++ {
		b, a := at(before, i), at(after, i)
		larger += a * (below + b/2)
		if below >= 0.95*n {
			tailBefore, tailAfter = tailBefore+b, tailAfter+a
		}
		below += b
	}
	if c := changeOf(larger/(n*m)-0.5, changeOrder, math.Sqrt((n+m+1)/(12*n*m))); c != Same {
		return c
	}
	p, q := tailBefore/n, tailAfter/m
	all := (tailBefore + tailAfter) / (n + m)
	if q >= changeTail && changeOf(q-p, changeTail/2, math.Sqrt(all*(1-all)*(1/n+1/m))) == Worse {
		return Worse
	}
	return Same
}

// changeOf is a change by so much of something that is worse when it is more, of which a change of least matters.
func changeOf(by, least, deviation float64) Change {
	switch {
	case math.Abs(by) < least || math.Abs(by) < changeSure*deviation:
		return Same
	case by > 0:
		return Worse
	}
	return Better
}

func at(h *model.Histogram, i int) float64 {
	if i < int(h.Offset) || i >= int(h.Offset)+len(h.Counts) {
		return 0
	}
	return float64(h.Counts[i-int(h.Offset)])
}

func count(h *model.Histogram) (n float64) {
	for _, c := range h.Counts {
		n += float64(c)
	}
	return n
}
