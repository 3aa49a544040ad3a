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

// baselines are what an alert may be compared with that is looked at from a moment on, the longest first: quiet stretches of the hour
// before, else of the day before; where the rule was at work all the time, the same time a day before, else the hour before. reason says
// which.
func (g *Gatherer) baselines(ruleID string, from, active, known time.Time, window time.Duration) (list []stretch, reason string) {
	for _, back := range []time.Duration{evidenceBaseline, 6 * evidenceBaseline, 24 * evidenceBaseline} {
		least := from.Add(-back)
		if least.Before(known) {
			least = known
		}
		if list = g.quiet(ruleID, least, active, window); len(list) > 0 {
			return list[:min(len(list), maxBaselines)], alert.BaselineQuiet
		}
		if least.Equal(known) {
			break
		}
	}
	if day := from.Add(-24 * time.Hour); !day.Add(-evidenceBaseline).Before(known) {
		return []stretch{{day.Add(-evidenceBaseline), day}}, alert.BaselineDayBefore
	}
	return []stretch{{from.Add(-evidenceBaseline), from}}, alert.BaselineHourBefore
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

// calmest is the longest of the stretches in which little more failed or took long than in the best: a rule is quiet too while something
// is wrong that is not enough for it to fire.
func (q *Inquiry) calmest(r views.Reader, list []stretch, service string, weights [2]float64) (stretch, error) {
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
	bad := make([]float64, len(list))
	for i := range list {
		bad[i] = weights[signalErrors] * rates[i]
		if slowest > 0 {
			bad[i] += weights[signalTime] * means[i] / slowest * 0.1 // ten times slower is as bad as a tenth that fails
		}
	}
	if i := slices.IndexFunc(list, func(s stretch) bool {
		i := slices.Index(list, s)
		return rates[i] <= 1.25*slices.Min(rates)+0.001 && means[i] <= 1.25*slices.Min(means)
	}); i >= 0 {
		return list[i], nil
	}
	return list[slices.Index(bad, slices.Min(bad))], nil
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
