package rules

import (
	"time"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/views/model"
)

// audience knows which passes read a series.
type audience struct {
	red   query.ServiceIndex[listener]
	edges query.ServiceIndex[listener]
	// redOf and edgesOf are what was found for each series.
	redOf   map[uint32][]listener
	edgesOf map[uint32][]listener
}

// listener is one selector of a pass.
type listener struct {
	p *pass
	s *ruleSelector
}

// hear passes on to listeners what happened to a series that they read.
func hear(list []listener, t model.Touched, head time.Time) {
	for _, l := range list {
		if l.s.reach.within(l.s, t.Calls) {
			l.p.touch(head)
		}
	}
}

func newAudience(gs []*group) *audience {
	a := &audience{redOf: map[uint32][]listener{}, edgesOf: map[uint32][]listener{}}
	for _, g := range gs {
		for _, p := range g.passes {
			for i := range p.selectors {
				s := &p.selectors[i]
				if s.OfRED() {
					a.red.Put(s.Matchers, listener{p, s}, "service_name", "service")
				}
				if s.OfEdges() {
					a.edges.Put(s.Matchers, listener{p, s}, "client", "server")
				}
			}
		}
	}
	return a
}

// forget is for another version, whose ids mean other series.
func (a *audience) forget() {
	clear(a.redOf)
	clear(a.edgesOf)
}

// ofRED are those who read a series, found once.
func (a *audience) ofRED(id uint32, k model.REDKey) []listener {
	if list, ok := a.redOf[id]; ok {
		return list
	}
	var list []listener
	a.red.Each(func(l listener) {
		if l.s.MatchRED(k) {
			list = withListener(list, l)
		}
	}, k.Service)
	a.redOf[id] = list
	return list
}

// ofEdge are those who read an edge, found once.
func (a *audience) ofEdge(id uint32, k model.EdgeKey) []listener {
	if list, ok := a.edgesOf[id]; ok {
		return list
	}
	var list []listener
	a.edges.Each(func(l listener) {
		if l.s.MatchEdge(k) {
			list = withListener(list, l)
		}
	}, k.Client, k.Server)
	a.edgesOf[id] = list
	return list
}

// withListener adds a listener who is new to a series: it did not count on this one, so its reach is lost. A pass hears once of what
// its rules without a reach read.
func withListener(list []listener, l listener) []listener {
	l.s.reach.lose()
	for _, o := range list {
		if l.s.reach == nil && o.p == l.p && o.s.reach == nil {
			return list
		}
	}
	return append(list, l)
}
