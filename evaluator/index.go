package evaluator

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/views"
)

// keyed finds what may select a series by the service that the series is of: most rules name one, and there are thousands of both.
type keyed[T any] struct {
	by   map[string][]T
	rest []T // whatever names none
}

// put adds v, which selects by ms; names are the labels that hold services.
func (k *keyed[T]) put(ms []*labels.Matcher, v T, names ...string) {
	for _, m := range ms {
		for _, name := range names {
			if m.Name == name && m.Type == labels.MatchEqual && m.Value != "" {
				if k.by == nil {
					k.by = map[string][]T{}
				}
				k.by[m.Value] = append(k.by[m.Value], v)
				return
			}
		}
	}
	k.rest = append(k.rest, v)
}

// each calls fn for what may select a series of one of the services.
func (k *keyed[T]) each(fn func(T), services ...string) {
	for i, s := range services {
		if i > 0 && s == services[0] {
			continue
		}
		for _, v := range k.by[s] {
			fn(v)
		}
	}
	for _, v := range k.rest {
		fn(v)
	}
}

// audience knows which passes read a series.
type audience struct {
	red   keyed[listener]
	edges keyed[listener]
	// redOf and edgesOf are what was found for each series.
	redOf   map[uint32][]listener
	edgesOf map[uint32][]listener
}

// listener is one selector of a pass.
type listener struct {
	p *pass
	s *selector
}

// hear tells listeners what happened to a series that they read.
func hear(list []listener, t views.Touched, head time.Time) {
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
				if len(s.red) > 0 {
					a.red.put(s.ms, listener{p, s}, "service_name", "service")
				}
				if len(s.edges) > 0 {
					a.edges.put(s.ms, listener{p, s}, "client", "server")
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
func (a *audience) ofRED(id uint32, k views.REDKey) []listener {
	if list, ok := a.redOf[id]; ok {
		return list
	}
	var list []listener
	a.red.each(func(l listener) {
		for _, m := range l.s.red {
			if m.matchRED(l.s.ms, k) {
				list = withListener(list, l)
				return
			}
		}
	}, k.Service)
	a.redOf[id] = list
	return list
}

// ofEdge are those who read an edge, found once.
func (a *audience) ofEdge(id uint32, k views.EdgeKey) []listener {
	if list, ok := a.edgesOf[id]; ok {
		return list
	}
	var list []listener
	a.edges.each(func(l listener) {
		for _, m := range l.s.edges {
			if m.matchEdge(l.s.ms, k) {
				list = withListener(list, l)
				return
			}
		}
	}, k.Client, k.Server)
	a.edgesOf[id] = list
	return list
}

// withListener adds a listener who is new to a series: it did not count on this one, so its reach is lost. A pass is told once of what
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
