package live

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

func laterOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// A timeline is a REDTimeline or one of its kin.
type timeline[K comparable, T any] interface {
	*T
	SeriesKey() K
	SetID(id uint32)
	Order() uint32
	Reset()      // forgets Base and Cells
	Add(o *T)    // adds the Base of o and widens the time to its own
	Sub(o *T)    // takes the Base of o away
	Follow(o *T) // appends the cells of o and widens the time
}

// carries hold, for each stretch of a view but the first, what a counter had reached where it begins, less what the stretch's own
// version counted before: the value of a counter at t is the carry of the stretch that t is in and what its version says. Versions
// that are no longer written do not change, so carries are computed once. They may be less than nothing, modulo 2^64.
type carries[K comparable, T any] struct {
	mu   sync.Mutex
	done bool
	of   []map[K]*T
}

func carriesOf[K comparable, T any, P timeline[K, T]](v *View, list []model.Stretch, c *carries[K, T],
	read func(*views.Set, model.Range, func(uint32, K) bool) ([]T, error)) ([]map[K]*T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return c.of, nil
	}
	of := make([]map[K]*T, len(list))
	all := func(uint32, K) bool { return true }
	for i := 1; i < len(list); i++ {
		edge := model.Range{From: list[i].From, To: list[i].From}
		m := map[K]*T{}
		at := func(t *T) *T { // the carry of a line, which begins with nothing
			k := P(t).SeriesKey()
			if m[k] == nil {
				c := *t
				P(&c).Reset()
				m[k] = &c
			}
			return m[k]
		}
		for _, t := range of[i-1] {
			P(at(t)).Add(t)
		}
		before, err := read(v.sets[list[i-1].Version], edge, all)
		if err != nil {
			return nil, err
		}
		for j := range before {
			P(at(&before[j])).Add(&before[j])
		}
		own, err := read(v.sets[list[i].Version], edge, all)
		if err != nil {
			return nil, err
		}
		for j := range own {
			P(at(&own[j])).Sub(&own[j])
		}
		of[i] = m
	}
	c.of, c.done = of, true
	return of, nil
}

// foreign begins the ids of series that the live version does not have.
const foreign = 1 << 31

func selectSpliced[K comparable, T any, P timeline[K, T]](v *View, view string, c *carries[K, T], r model.Range, match func(uint32, K) bool,
	read func(*views.Set, model.Range, func(uint32, K) bool) ([]T, error)) ([]T, error) {
	list := v.layout.Of(view)
	if len(list) == 1 {
		return read(v.sets[list[0].Version], r, match)
	}
	carry, err := carriesOf[K, T, P](v, list, c, read)
	if err != nil {
		return nil, err
	}
	first := 0
	for first+1 < len(list) && list[first].To <= r.From {
		first++
	}
	by := map[K]*T{}
	for i := first; i < len(list) && (i == first || list[i].From < r.To); i++ {
		s, cut := list[i], r
		cut.From = max(cut.From, s.From)
		if s.To != 0 {
			cut.To = min(cut.To, s.To)
		}
		set, accept, mark := v.sets[s.Version], match, uint32(0)
		if set != v.live {
			mark = foreign | uint32(i&31)<<26
			accept = func(id uint32, k K) bool { return match(mark|id, k) }
		}
		lines, err := read(set, cut, accept)
		if err != nil {
			return nil, err
		}
		for j := range lines {
			line := &lines[j]
			k := P(line).SeriesKey()
			t := by[k]
			switch t {
			case nil:
				if mark != 0 {
					P(line).SetID(mark | P(line).Order())
				}
				if i > first { // what its version counted before is in the carry, or not to be counted
					cells := *line
					P(line).Reset()
					P(line).Follow(&cells)
				}
				by[k] = line
			default:
				if mark == 0 {
					P(t).SetID(P(line).Order())
				}
				P(t).Follow(line)
			}
		}
	}
	addCarry[K, T, P](by, carry[first], match)
	out := make([]T, 0, len(by))
	for _, t := range by {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b T) int { return cmp.Compare(P(&a).Order(), P(&b).Order()) })
	return out, nil
}

// addCarry adds what versions before had counted; a series that only they have gets a line of its own.
func addCarry[K comparable, T any, P timeline[K, T]](by map[K]*T, carry map[K]*T, match func(uint32, K) bool) {
	n := uint32(foreign | 31<<26)
	for k, t := range carry {
		if by[k] == nil {
			n++
			if !match(n, k) {
				continue
			}
			line := *t
			P(&line).Reset()
			P(&line).SetID(n)
			by[k] = &line
		}
		P(by[k]).Add(t)
	}
}
