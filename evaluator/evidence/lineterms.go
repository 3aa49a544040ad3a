package evidence

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/model"
)

// severe are the severities that a service logs of what it does not expect.
var severe = map[string]bool{"WARN": true, "ERROR": true, "FATAL": true}

// linesOf counts the lines of a service, and those that are severe.
type linesOf struct{ all, severe float64 }

// activity is what services logged and ran in a range.
type activity struct {
	severe   map[string]linesOf
	patterns []views.LogPattern
	ran      []model.OperationLatency
}

func activityIn(r views.Reader, w stretch, names map[string]bool) (a activity, err error) {
	if a.severe, err = severeLines(r, w.begin, w.end, names); err != nil {
		return a, err
	}
	if a.patterns, err = r.LogPatterns(w.begin, w.end, ""); err != nil {
		return a, err
	}
	a.ran, err = r.Latencies(w.begin, w.end, func(k model.REDKey) bool { return names[k.Service] })
	return a, err
}

// lines adds the terms of log lines and operations of services.
func (s suspects) lines(now, before *activity, names map[string]bool, below map[place]float64) {
	s.severity(now.severe, before.severe, below)
	counts, wasCounts := patternsOf(now.patterns, names), patternsOf(before.patterns, names)
	s.began(now.ran, before.ran, severePatterns(now.patterns, names), wasCounts)
	operationsInto(counts, now.ran)
	operationsInto(wasCounts, before.ran)
	s.skipped(counts, wasCounts)
}

// severePatterns counts the lines of the patterns of a service that are severe as a rule.
func severePatterns(list []views.LogPattern, in map[string]bool) map[string]map[string]float64 {
	return patternsOf(slices.DeleteFunc(slices.Clone(list), func(p views.LogPattern) bool { return p.Severe*2 < p.Count }), in)
}

// requests counts, by service, the spans that answer requests, and of them those of operations that answered none in another range.
func requests(list, other []model.OperationLatency) (all, fresh map[string]float64) {
	known := map[[2]string]bool{}
	for i := range other {
		known[[2]string{other[i].Service, other[i].Name}] = true
	}
	all, fresh = map[string]float64{}, map[string]float64{}
	for i := range list {
		o := &list[i]
		if o.Kind != model.KindServer && o.Kind != model.KindConsumer {
			continue
		}
		all[o.Service] += float64(o.Calls)
		if !known[[2]string{o.Service, o.Name}] {
			fresh[o.Service] += float64(o.Calls)
		}
	}
	return all, fresh
}

const (
	// leastBegan is how often something has to come that never came before.
	leastBegan = 4
	// freshShare is how many requests of a new kind, for each time that it came, explain it.
	freshShare = 0.5
)

// began adds services that log warnings or errors with many of their requests that they never logged before, where requests of a new kind do not
// explain it. is and was are their operations in both ranges.
func (s suspects) began(is, was []model.OperationLatency, now, before map[string]map[string]float64) {
	asked, fresh := requests(is, was)
	wasAsked, _ := requests(was, nil)
	type found struct {
		what     string
		strength float64
	}
	best, total := map[string]found{}, 0.0
	for service, counts := range now {
		a, b := asked[service], wasAsked[service]
		if a < leastCalls || b < leastCalls {
			continue
		}
		f := found{}
		for what, n := range counts {
			if n < leastBegan || before[service][what] > 0 || fresh[service] > freshShare*n {
				continue
			}
			n = min(n, a)
			if x := n / a * sure(apart(n, a, 0, b), 2, 5); x > f.strength || x == f.strength && what < f.what {
				f = found{what, x}
			}
		}
		if f.strength > 0 {
			best[service] = f
			total += f.strength
		}
	}
	for service, f := range best {
		s.add(place{service, ""}, alert.Term{Signal: alert.TermBegan, Subject: f.what, Now: now[service][f.what], Unit: "lines",
			Share: f.strength / total, Score: f.strength * f.strength / total})
	}
}

// operationsInto counts the spans of each operation beside the lines of each pattern.
func operationsInto(by map[string]map[string]float64, list []model.OperationLatency) {
	for i := range list {
		o := &list[i]
		if by[o.Service] == nil {
			by[o.Service] = map[string]float64{}
		}
		by[o.Service][operationPrefix+o.Name] += float64(o.Calls)
	}
}

// operationPrefix distinguishes the spans of an operation from the lines of a pattern.
const operationPrefix = "operation "

// patternsOf counts the lines of each pattern of a service, and of each statement that several of them come from; patterns that several
// services log say nothing about one.
func patternsOf(list []views.LogPattern, in map[string]bool) map[string]map[string]float64 {
	by := map[string]map[string]float64{}
	for i := range list {
		if p := &list[i]; len(p.Services) == 1 && in[p.Services[0]] {
			of := by[p.Services[0]]
			if of == nil {
				of = map[string]float64{}
				by[p.Services[0]] = of
			}
			of[p.Pattern] += float64(p.Count)
			if statement := statementOf(p.Pattern); statement != p.Pattern {
				of[statement] += float64(p.Count)
			}
		}
	}
	return by
}

// statementWords is how many words that do not vary the lines of one log statement begin with.
const statementWords = 5

// statementOf is what the patterns of one log statement have in common: lists of different lengths make several patterns of it.
func statementOf(pattern string) string {
	words := 0
	for i, w := range strings.Fields(pattern) {
		if w != drain.Wildcard {
			words++
		}
		if words == statementWords {
			return strings.Join(strings.Fields(pattern)[:i+1], " ") + " …"
		}
	}
	return pattern
}

// severeLines counts the lines of services in a range.
func severeLines(r views.Reader, from, to time.Time, in map[string]bool) (map[string]linesOf, error) {
	rows, err := r.TableRows(model.TableLogs, from, to, func(l []string) bool { return in[l[0]] })
	by := map[string]linesOf{}
	for i := range rows {
		service, severity := rows[i].Labels[0], rows[i].Labels[1]
		l := by[service]
		l.all += float64(rows[i].Calls)
		if severe[severity] {
			l.severe += float64(rows[i].Calls)
		}
		by[service] = l
	}
	return by, err
}

// severity adds services of whose lines a larger share is severe than before, less what they log of failures that begin below them. Half a
// severe line more is counted before, so that none in a short baseline is not never.
func (s suspects) severity(now, before map[string]linesOf, below map[place]float64) {
	excess, total := map[string]float64{}, 0.0
	for name, n := range now {
		b := before[name]
		was := (b.severe + 0.5) / (b.all + 1)
		if x := (n.severe - n.all*was) * (1 - below[place{name, ""}]); x > 0 && b.all > 0 {
			excess[name] = x
			total += x
		}
	}
	for name, x := range excess {
		n, b := now[name], before[name]
		p := (n.severe + b.severe + 0.5) / (n.all + b.all + 1)
		z := (n.severe/n.all - (b.severe+0.5)/(b.all+1)) / math.Sqrt(p*(1-p)*(1/n.all+1/(b.all+1)))
		s.add(place{name, ""}, alert.Term{Signal: alert.TermSeverity, Before: b.severe / b.all, Now: n.severe / n.all, Unit: "ratio",
			Share: x / total, Score: x / total * sure(z, 1, 3)})
	}
}

// What came together: so often, so equally often in the baseline, and of that one at most such a share now.
const (
	leastTogether = 20
	equally       = 0.02
	mostLeft      = 0.2
)

// skipped adds services that do no more one of two things that they did equally often: a way through their code that ends earlier. What
// changes with who calls them, and how often, changes both.
func (s suspects) skipped(now, before map[string]map[string]float64) {
	type found struct {
		gone     string
		strength float64
	}
	best, total := map[string]found{}, 0.0
	for service, counts := range before {
		names := make([]string, 0, len(counts))
		for k, n := range counts {
			if n >= leastTogether {
				names = append(names, k)
			}
		}
		slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(counts[a], counts[b]), cmp.Compare(a, b)) })
		f := found{}
		for i, a := range names {
			for _, b := range names[i+1:] {
				if counts[b]-counts[a] > max(1, equally*counts[a]) {
					break
				}
				gone, stays := a, b
				if now[service][gone] > now[service][stays] {
					gone, stays = b, a
				}
				left, of := now[service][gone], now[service][stays]
				if of < leastTogether || left > mostLeft*of {
					continue
				}
				if x := (1 - left/of) * sure((of-left)/math.Sqrt(of+left+1), 2, 5); x > f.strength {
					f = found{gone, x}
				}
			}
		}
		if f.strength > 0 {
			best[service] = f
			total += f.strength
		}
	}
	for service, f := range best {
		unit := "lines"
		if strings.HasPrefix(f.gone, operationPrefix) {
			unit = "spans"
		}
		s.add(place{service, ""}, alert.Term{Signal: alert.TermSkipped, Subject: f.gone, Before: before[service][f.gone],
			Now: now[service][f.gone], Unit: unit, Share: f.strength / total, Score: f.strength * f.strength / total})
	}
}
