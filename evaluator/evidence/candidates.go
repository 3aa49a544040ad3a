package evidence

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// One ranking over all signals.
//
// The simple version: each signal says for each candidate how much changed there and how sure that is, as a score of 0 to 1: the strength
// of the change times the candidate's share in what changed anywhere. A candidate's score is the probability that at least one of its
// terms is right, if they were independent: 1 - (1-a)(1-b)... Nothing is learned from an installation.

// How much each signal counts. A change of calls is what callers see; log lines and metrics are of the service itself, but change for
// other reasons as well.
var termWeight = map[string]float64{
	alert.TermErrors: 0.9, alert.TermLatency: 0.9, alert.TermStopped: 0.8,
	alert.TermSeverity: 0.7, alert.TermSkipped: 0.7, alert.TermBegan: 0.7, alert.TermCPU: 0.9, alert.TermMemory: 0.4,
}

const (
	maxCandidates = 5
	maxTerms      = 6 // of a candidate
	leastScore    = 0.02
)

// place is where a term belongs.
type place struct{ name, connection string }

// suspects are candidates while their terms are collected.
type suspects map[place][]alert.Term

// add adds a term whose Score is the strength of its change, 0 to 1, before its share is known.
func (s suspects) add(p place, t alert.Term) {
	if t.Score > 0 && !math.IsNaN(t.Score) {
		s[p] = append(s[p], t)
	}
}

// candidates ranks what may be at fault below the service of an alert.
func (q *Inquiry) candidates(r views.Reader, v *alert.Evidence, weights [2]float64) error {
	now, before, known, err := q.mapsOf(r, v)
	if err != nil {
		return err
	}
	s := suspects{}
	in := reach(v.Service, now.Edges, before.Edges, func(*model.Edge) bool { return true })
	below := s.calls(now.Edges, before.Edges, v.At.Sub(v.From), known, in, weights)
	services := servicesOf(in)
	was, err := activityIn(r, stretch{v.Baseline, v.BaselineEnd}, services)
	if err != nil {
		return err
	}
	for i, w := range halves(v.From, v.At.Add(1)) {
		part, is := suspects{}, now
		if i > 0 {
			if is, err = q.serviceMap(r, w.begin, w.end); err != nil {
				return err
			}
		}
		did, err := activityIn(r, w, services)
		if err != nil {
			return err
		}
		part.stopped(is.Edges, before.Edges, in)
		part.lines(&did, &was, services, below)
		s.join(part)
	}
	err = s.metrics(q, v, services)
	s.discount(reach(v.Service, now.Edges, before.Edges, waitedFor))
	v.Candidates, v.Confidence = s.ranked()
	return err
}

// leastHalf is how long half of a range has to be to be looked at on its own.
const leastHalf = 30 * time.Second

// halves are a range and, if it is long enough, its halves: what begins or ends within a range shows in one of them more clearly.
func halves(from, to time.Time) []stretch {
	list := []stretch{{from, to}}
	half := (to.Sub(from) / 2).Truncate(model.BucketSeconds * time.Second)
	if half < leastHalf {
		return list
	}
	mid := from.Add(half).Truncate(model.BucketSeconds * time.Second)
	return append(list, stretch{from, mid}, stretch{mid, to})
}

// join takes over terms of a part of the range, of each signal and subject the strongest.
func (s suspects) join(part suspects) {
	for p, terms := range part {
		for _, t := range terms {
			i := slices.IndexFunc(s[p], func(o alert.Term) bool { return o.Signal == t.Signal && o.Subject == t.Subject })
			switch {
			case i < 0:
				s[p] = append(s[p], t)
			case s[p][i].Score < t.Score:
				s[p][i] = t
			}
		}
	}
}

// ranked adds up the terms of each candidate.
func (s suspects) ranked() (list []alert.Candidate, confidence float64) {
	for p, terms := range s {
		slices.SortFunc(terms, func(a, b alert.Term) int {
			return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Signal, b.Signal), cmp.Compare(a.Subject, b.Subject))
		})
		c, rest, seen := alert.Candidate{Name: p.name, Connection: p.connection}, 1.0, map[string]bool{}
		for _, t := range terms {
			t.Score *= termWeight[t.Signal]
			if !seen[t.Signal] { // terms of one signal speak of one change
				seen[t.Signal] = true
				rest *= 1 - t.Score
			}
			t.Before, t.Now, t.Share, t.Score = rounded(t.Before), rounded(t.Now), rounded(t.Share), rounded(t.Score)
			if len(c.Terms) < maxTerms {
				c.Terms = append(c.Terms, t)
			}
		}
		if c.Score = rounded(1 - rest); c.Score >= leastScore {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b alert.Candidate) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Connection, b.Connection))
	})
	switch len(list) {
	case 0:
		return list, 0
	case 1:
		confidence = list[0].Score
	default:
		confidence = list[0].Score * list[0].Score / (list[0].Score + list[1].Score)
	}
	return list[:min(len(list), maxCandidates)], rounded(confidence)
}

// unwaited is how much terms count of what the service only reaches through messages: it does not wait for it, so it can be what is wrong,
// but hardly why the service is slow or fails.
const unwaited = 0.5

// discount takes from the terms of what the service of an alert does not wait for.
func (s suspects) discount(waited map[model.Node]bool) {
	names := map[string]bool{}
	for n := range waited {
		names[n.Name] = true
	}
	for p, terms := range s {
		for i := range terms {
			if !names[p.name] {
				terms[i].Score *= unwaited
			}
		}
	}
}

// waitedFor reports whether the client of an edge waits for its calls.
func waitedFor(e *model.Edge) bool { return e.Connection != "messaging_system" }

// reach are the nodes that are called, directly or not, from a service in either range over edges that are followed, itself among them; all
// of them without one.
func reach(service string, now, before []model.Edge, follow func(e *model.Edge) bool) map[model.Node]bool {
	next, all := map[model.Node][]model.Node{}, map[model.Node]bool{}
	for _, list := range [][]model.Edge{now, before} {
		for i := range list {
			a, b := list[i].ClientNode(), list[i].ServerNode()
			if follow(&list[i]) {
				next[a] = append(next[a], b)
			}
			all[a], all[b] = true, true
		}
	}
	if service == "" {
		return all
	}
	in, todo := map[model.Node]bool{}, []model.Node{}
	for n := range all {
		if isRoot(n, service) {
			in[n], todo = true, append(todo, n)
		}
	}
	for len(todo) > 0 {
		n := todo[0]
		todo = todo[1:]
		for _, m := range next[n] {
			if !in[m] {
				in[m], todo = true, append(todo, m)
			}
		}
	}
	return in
}

// servicesOf are the names of the services among nodes.
func servicesOf(nodes map[model.Node]bool) map[string]bool {
	names := map[string]bool{}
	for n := range nodes {
		if n.Type == model.NodeService {
			names[n.Name] = true
		}
	}
	return names
}

// sure is how sure a difference of so many standard errors is, 0 to 1: nothing below from, all from to on.
func sure(z, from, to float64) float64 { return min(1, max(0, (z-from)/(to-from))) }
