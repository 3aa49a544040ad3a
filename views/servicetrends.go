package views

import (
	"cmp"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/sums"
)

// ServiceCounts is Services with what was counted.
func (s *Set) ServiceCounts(from, to time.Time) ([]model.ServiceCounts, error) {
	return ServiceCounts(s.one(from, to))
}

// ServiceCounts is Services with what was counted.
func ServiceCounts(ps []VersionRange) ([]model.ServiceCounts, error) {
	by, err := sumsOfServices(ps)
	out := make([]model.ServiceCounts, 0, len(by))
	for _, t := range by {
		out = append(out, t.Counts())
	}
	slices.SortFunc(out, func(a, b model.ServiceCounts) int { return cmp.Or(cmp.Compare(a.Name, b.Name), a.Dims.Compare(b.Dims)) })
	return out, err
}

// ServiceTrends returns the incoming requests of every service that has any, in steps.
func (s *Set) ServiceTrends(from, to time.Time, step time.Duration) ([]model.ServiceTrend, error) {
	fr := s.Frontier()
	return ServiceTrends(func(r model.Range) []VersionRange { return []VersionRange{{Set: s, Range: r}} }, from, to, StepWidth(&fr, from, step))
}

// ServiceTrends returns trends with steps of width seconds; stretches says which Sets answer for a range. Where a swap of versions lies
// within a step, its 95th percentile is the larger of the two parts.
func ServiceTrends(stretches func(r model.Range) []VersionRange, from, to time.Time, width int64) ([]model.ServiceTrend, error) {
	r := RangeOf(from, to)
	r.From -= r.From % width
	n := max(0, (r.To-r.From+width-1)/width)
	by := map[sums.Name][]model.TrendPoint{}
	err := eachStretch(stretches(r), func(s *Set, p VersionRange) error {
		keys := s.names.REDKeys(all)
		for start := r.From; start < r.To; start += width {
			step := model.Range{From: max(start, p.From), To: min(start+width, p.To, r.To)}
			if step.From >= step.To {
				continue
			}
			list, err := s.sumStep(step, width, keys)
			if err != nil {
				return err
			}
			for _, t := range list {
				if !p.Dims.Accepts(t.Of.Dims) {
					continue
				}
				if by[t.Of] == nil {
					by[t.Of] = make([]model.TrendPoint, n)
				}
				point := &by[t.Of][(start-r.From)/width]
				point.Calls += t.Calls
				point.Errors += t.Errors
				point.P95 = max(point.P95, t.P95)
			}
		}
		return nil
	})
	out := make([]model.ServiceTrend, 0, len(by))
	for of, points := range by {
		out = append(out, model.ServiceTrend{Name: of.Name, Dims: of.Dims, Points: points})
	}
	slices.SortFunc(out, func(a, b model.ServiceTrend) int { return cmp.Or(cmp.Compare(a.Name, b.Name), a.Dims.Compare(b.Dims)) })
	return out, err
}

// sumStep returns what services did in a step of trends of some width.
func (s *Set) sumStep(r model.Range, width int64, keys []*model.REDKey) ([]sums.TrendPoint, error) {
	segments, changed := s.stepsOf(r, width), uint64(0)
	for _, g := range segments {
		for start := g.From; start < g.To; start += model.LevelSeconds[g.Level] {
			changed = max(changed, s.red.Levels[g.Level].Changed[start])
		}
	}
	of := sums.TrendStep{Start: r.From, Width: r.To - r.From}
	if list, ok := s.trends.Get(of, changed); ok {
		return list, nil
	}
	by := map[sums.Name]*sums.Service{}
	for _, g := range segments {
		if err := s.sumServices(g, keys, model.DimFilter{}, by); err != nil {
			return nil, err
		}
	}
	list := make([]sums.TrendPoint, 0, len(by))
	for _, t := range by {
		if p := t.Trend(); p.Calls > 0 {
			list = append(list, p)
		}
	}
	s.trends.Put(of, s.frontier.Seq, list)
	return list, nil
}
