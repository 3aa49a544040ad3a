package views

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// TableRows returns the series of a table with anything in the range, those that match accepts, ordered by labels.
func (s *Set) TableRows(t model.Table, from, to time.Time, match func(labels []string) bool) ([]cells.TallyRow, error) {
	return TableRows(s.one(from, to), t, match)
}

// TableRows returns the series of a table with anything in the ranges, summed.
func TableRows(ps []VersionRange, t model.Table, match func(labels []string) bool) ([]cells.TallyRow, error) {
	by := map[string]*cells.TallyRow{}
	err := eachStretch(ps, func(s *Set, p VersionRange) error {
		tab := s.tables[t]
		match := p.Dims.Rows(match)
		known, here := map[uint32][]string{}, map[uint32]*cells.TallyRow{}
		want := func(id uint32) bool {
			l, ok := known[id]
			if !ok {
				l = tab.LabelsOf(id, match)
				known[id] = l
			}
			return l != nil
		}
		return tab.Each(s.kv, s.sumsOf(p.Range), cells.Pick{Has: want}, func(_ cells.BucketAt, id uint32, c *cells.Tally) error {
			row := here[id]
			if row == nil {
				key := tab.Dict.Key(id)
				if row = by[key]; row == nil {
					row = &cells.TallyRow{Labels: known[id]}
					by[key] = row
				}
				if se := tab.Series[id]; se != nil {
					row.SeenOver(model.Time(se.Total.First), model.Time(se.Total.Last))
				}
				here[id] = row
			}
			row.Merge(c)
			return nil
		})
	})
	out := make([]cells.TallyRow, 0, len(by))
	for _, r := range by {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b cells.TallyRow) int { return slices.Compare(a.Labels, b.Labels) })
	return out, err
}

// SelectTable returns the series of a table that match accepts, those with nothing in the range included.
func (s *Set) SelectTable(t model.Table, from, to time.Time, match func(labels []string) bool) ([]cells.TallyTimeline, error) {
	return s.SelectTableIn(t, RangeOf(from, to), match)
}

// SelectTableIn is SelectTable with a range of whole buckets.
func (s *Set) SelectTableIn(t model.Table, r model.Range, match func(labels []string) bool) ([]cells.TallyTimeline, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	tab := s.tables[t]
	at := map[uint32]*cells.TallyTimeline{}
	for id, se := range tab.Series {
		if l := tab.LabelsOf(id, match); l != nil {
			x := &cells.TallyTimeline{ID: id, Labels: l, First: se.First, Last: se.Last}
			x.Base.Merge(&se.Total)
			at[id] = x
		}
	}
	want := cells.Pick{Has: func(id uint32) bool { return at[id] != nil }, Ids: slices.Sorted(maps.Keys(at))}
	inRange, after := s.cellsAndAfter(r, tab.Floor)
	err := tab.Each(s.kv, after, want, func(_ cells.BucketAt, id uint32, c *cells.Tally) error {
		at[id].Base.Sub(c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = tab.Each(s.kv, inRange, want, func(b cells.BucketAt, id uint32, c *cells.Tally) error {
		x := at[id]
		x.Base.Sub(c)
		cell := cells.TallyCell{Bucket: b.Start, Width: b.Width, Tally: *c}
		cell.Hist.Counts = slices.Clone(c.Hist.Counts)
		x.Cells = append(x.Cells, cell)
		return nil
	})
	out := make([]cells.TallyTimeline, 0, len(at))
	for _, id := range slices.Sorted(maps.Keys(at)) {
		slices.SortStableFunc(at[id].Cells, func(a, b cells.TallyCell) int { return cmp.Compare(a.Bucket, b.Bucket) })
		out = append(out, *at[id])
	}
	return out, err
}

// WidenRow widens the time over which a row was seen by what this version knows of it.
func (s *Set) WidenRow(t model.Table, r *cells.TallyRow) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, ok := s.tables[t].Dict.Find(cells.LabelsKey(r.Labels))
	if se := s.tables[t].Series[id]; ok && se != nil {
		r.SeenOver(model.Time(se.Total.First), model.Time(se.Total.Last))
	}
}
