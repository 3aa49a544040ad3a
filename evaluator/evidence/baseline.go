package evidence

import (
	"cmp"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// stretch is a part of the past.
type stretch struct{ begin, end time.Time }

func (s stretch) length() time.Duration { return s.end.Sub(s.begin) }

// quiet are the stretches of a time in which a rule had nothing to fire about, the longest first; none where none is long enough to compare
// with.
//
// A rule over a window notices what is wrong up to a window after it began, and that it has ended up to a window after: both lie before the
// moment at which the rule changes. So a stretch begins when the rule was at rest again, and ends a window before it was at work; half the
// time before where the rule rested for less than two windows, because what begins at once is noticed soon.
func (g *Gatherer) quiet(ruleID string, from, to time.Time, window time.Duration) (out []stretch) {
	g.Transitions(func(list []alert.Transition) { out = quiet(list, ruleID, from, to, window) })
	return out
}

func quiet(list []alert.Transition, ruleID string, from, to time.Time, window time.Duration) (out []stretch) {
	busy, since := 0, from
	free := func(until time.Time, trim bool) {
		if busy > 0 {
			return
		}
		if until = earlier(until, to); trim {
			until = until.Add(-min(window, max(0, until.Sub(since)/2)))
		}
		if s := (stretch{since, earlier(until, to.Add(-window))}); s.length() >= leastBaseline {
			out = append(out, s)
		}
	}
	for _, t := range list {
		switch {
		case t.RuleID != ruleID || t.Time.After(to):
		case !atWork(t.From) && atWork(t.To):
			free(t.Time, true)
			busy++
		case atWork(t.From) && !atWork(t.To) && busy > 0:
			if busy--; busy == 0 {
				since = newer(from, t.Time)
			}
		case atWork(t.From) && !atWork(t.To): // began before what is remembered
			out, since = nil, newer(from, t.Time)
		}
	}
	free(to, false)
	slices.SortStableFunc(out, func(a, b stretch) int { return cmp.Compare(b.length(), a.length()) })
	return out
}

// baseline is a stretch with the reason why it may be compared with: one of the alert.Baseline constants.
type baseline struct {
	stretch
	reason string
}

// baselines are what an alert may be compared with that is looked at from a moment on, in the order in which they are preferred: quiet stretches
// of the hour before, else of the six hours, else of the day before, the longest first; where the rule was at work all the time, hours.
func (g *Gatherer) baselines(ruleID string, from, active, known time.Time, window time.Duration) []baseline {
	for _, back := range []time.Duration{evidenceBaseline, 6 * evidenceBaseline, 24 * evidenceBaseline} {
		least := from.Add(-back)
		if least.Before(known) {
			least = known
		}
		if quiet := g.quiet(ruleID, least, active, window); len(quiet) > 0 {
			list := make([]baseline, 0, maxBaselines)
			for _, s := range quiet[:min(len(quiet), maxBaselines)] {
				list = append(list, baseline{s, alert.BaselineQuiet})
			}
			return list
		}
		if least.Equal(known) {
			break
		}
	}
	if list := earlierHours(from, known); len(list) > 0 {
		return list
	}
	return []baseline{hourBefore(from)}
}

func hourBefore(from time.Time) baseline {
	return baseline{stretch{from.Add(-evidenceBaseline), from}, alert.BaselineHourBefore}
}

// earlierHours are the same hours of the day and of the week before, as far as they are known.
func earlierHours(from, known time.Time) (list []baseline) {
	for _, x := range []struct {
		back   time.Duration
		reason string
	}{{24 * time.Hour, alert.BaselineDayBefore}, {7 * 24 * time.Hour, alert.BaselineWeekBefore}} {
		if end := from.Add(-x.back); !end.Add(-evidenceBaseline).Before(known) {
			list = append(list, baseline{stretch{end.Add(-evidenceBaseline), end}, x.reason})
		}
	}
	return list
}

// beginning is what an alert can be compared with where the views began within its window or hardly before: the first half of what they
// hold of the time before it was active. ok is false where they began earlier, or where that is too short to compare with.
func beginning(known, active, from time.Time) (first stretch, ok bool) {
	half := active.Sub(known) / 2
	if known.Before(from.Add(-leastBaseline)) || half < 2*model.BucketSeconds*time.Second {
		return first, false
	}
	return stretch{known, known.Add(half)}, true
}

// worsens reports whether more of the calls to a service fail after a stretch than in it, or whether they take longer.
func (q *Inquiry) worsens(r views.Reader, s stretch, until time.Time, service string) bool {
	before, err := q.serviceMap(r, s.begin, s.end)
	if err != nil {
		return false
	}
	after, err := q.serviceMap(r, s.end, until.Add(1))
	if err != nil {
		return false
	}
	rate, mean := arriving(before.Edges, service)
	rateAfter, meanAfter := arriving(after.Edges, service)
	return rateAfter > rate || meanAfter > mean
}

// calmest is the first of the baselines in which little more failed or took long than in the best: a rule is quiet too while something is
// wrong that is not enough for it to fire, and the hour before may hold the fault already.
func (q *Inquiry) calmest(r views.Reader, list []baseline, service string, weights [2]float64) (baseline, error) {
	if len(list) == 1 {
		return list[0], nil
	}
	rates, means := make([]float64, len(list)), make([]float64, len(list))
	slowest := 0.0
	for i, s := range list {
		m, err := q.serviceMap(r, s.begin, s.end)
		if err != nil {
			return list[0], err
		}
		rates[i], means[i] = arriving(m.Edges, service)
		slowest = max(slowest, means[i])
	}
	best := 0
	bad := make([]float64, len(list))
	for i := range list {
		if rates[i] <= 1.25*slices.Min(rates)+0.001 && means[i] <= 1.25*slices.Min(means) {
			return list[i], nil
		}
		bad[i] = weights[signalErrors] * rates[i]
		if slowest > 0 {
			bad[i] += weights[signalTime] * means[i] / slowest * 0.1 // ten times slower is as bad as a tenth that fails
		}
		if bad[i] < bad[best] {
			best = i
		}
	}
	return list[best], nil
}

// arriving is which share of the calls to a service failed, and their mean time; without one, of those from outside.
func arriving(edges []model.Edge, service string) (rate, mean float64) {
	var calls, failed, seconds float64
	for i := range edges {
		e := &edges[i]
		if e.Connection != "messaging_system" && (service != "" && e.Server == service || service == "" && e.Entry) {
			calls += float64(e.Calls)
			failed += float64(e.Failed)
			seconds += e.LatencySum.Seconds()
		}
	}
	return failed / max(1, calls), seconds / max(1, calls)
}

func atWork(state string) bool { return state == alert.StatePending || state == alert.StateFiring }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// newer is the later of two times.
func newer(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
