package views

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// TallyRow is one series of a table, summed over a range.
type TallyRow struct {
	Labels []string // values, in the order of Table.Labels, then Dims
	Tally
	// FirstSeen and LastSeen are over all time, not the range.
	FirstSeen, LastSeen time.Time
}

// Dims are the dimensions of the row.
func (r *TallyRow) Dims() model.Dims { return model.DimsOf(r.Labels) }

// Dims are the dimensions of the series.
func (t *TallyTimeline) Dims() model.Dims { return model.DimsOf(t.Labels) }

// TallyCell is one series in one bucket.
type TallyCell struct {
	Bucket, Width int64
	Tally
}

// TallyTimeline is one series of a table over a range; see REDTimeline.
type TallyTimeline struct {
	ID          uint32
	Labels      []string
	First, Last int64
	Base        Tally
	Cells       []TallyCell
}

// sub takes away what o counted; extremes and samples stay.
func (c *Tally) sub(o *Tally) {
	c.Counts.Sub(&o.Counts)
	c.Failed -= o.Failed
}

// labelsOf returns the label values of a series, or nil when match refuses them.
func (t *table) labelsOf(id uint32, match func(labels []string) bool) []string {
	key := t.dict.key(id)
	if key == "" {
		return nil
	}
	if l := splitLabels(key); len(l) == len(t.def.Labels)+1 && match(l) {
		return l
	}
	return nil
}

// seenOver widens the time over which the row was seen.
func (r *TallyRow) seenOver(first, last time.Time) {
	if r.FirstSeen.IsZero() || first.Before(r.FirstSeen) {
		r.FirstSeen = first
	}
	if last.After(r.LastSeen) {
		r.LastSeen = last
	}
}

// TableRows returns the series of a table with anything in the range, those that match accepts, ordered by labels.
func (s *Set) TableRows(t model.Table, from, to time.Time, match func(labels []string) bool) ([]TallyRow, error) {
	return tableRows(s.one(from, to), t, match)
}

func tableRows(ps []stretch, t model.Table, match func(labels []string) bool) ([]TallyRow, error) {
	by := map[string]*TallyRow{}
	err := eachStretch(ps, func(s *Set, p stretch) error {
		tab := s.tables[t]
		match := p.dims.Rows(match)
		known, here := map[uint32][]string{}, map[uint32]*TallyRow{}
		want := func(id uint32) bool {
			l, ok := known[id]
			if !ok {
				l = tab.labelsOf(id, match)
				known[id] = l
			}
			return l != nil
		}
		return tab.each(s.kv, s.sumsOf(p.Range), pick{has: want}, func(_ bucketAt, id uint32, c *Tally) error {
			row := here[id]
			if row == nil {
				key := tab.dict.key(id)
				if row = by[key]; row == nil {
					row = &TallyRow{Labels: known[id]}
					by[key] = row
				}
				if se := tab.series[id]; se != nil {
					row.seenOver(model.Time(se.total.First), model.Time(se.total.Last))
				}
				here[id] = row
			}
			row.Merge(c)
			return nil
		})
	})
	out := make([]TallyRow, 0, len(by))
	for _, r := range by {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b TallyRow) int { return slices.Compare(a.Labels, b.Labels) })
	return out, err
}

// SelectTable returns the series of a table that match accepts, those with nothing in the range included.
func (s *Set) SelectTable(t model.Table, from, to time.Time, match func(labels []string) bool) ([]TallyTimeline, error) {
	return s.SelectTableIn(t, rangeOf(from, to), match)
}

func (s *Set) SelectTableIn(t model.Table, r model.Range, match func(labels []string) bool) ([]TallyTimeline, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	tab := s.tables[t]
	at := map[uint32]*TallyTimeline{}
	for id, se := range tab.series {
		if l := tab.labelsOf(id, match); l != nil {
			x := &TallyTimeline{ID: id, Labels: l, First: se.first, Last: se.last}
			x.Base.Merge(&se.total)
			at[id] = x
		}
	}
	want := pick{has: func(id uint32) bool { return at[id] != nil }, ids: slices.Sorted(maps.Keys(at))}
	cells, after := s.cellsAndAfter(r, tab.floor)
	err := tab.each(s.kv, after, want, func(_ bucketAt, id uint32, c *Tally) error {
		at[id].Base.sub(c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = tab.each(s.kv, cells, want, func(b bucketAt, id uint32, c *Tally) error {
		x := at[id]
		x.Base.sub(c)
		cell := TallyCell{b.start, b.width, *c}
		cell.Hist.Counts = slices.Clone(c.Hist.Counts)
		x.Cells = append(x.Cells, cell)
		return nil
	})
	out := make([]TallyTimeline, 0, len(at))
	for _, id := range slices.Sorted(maps.Keys(at)) {
		slices.SortStableFunc(at[id].Cells, func(a, b TallyCell) int { return cmp.Compare(a.Bucket, b.Bucket) })
		out = append(out, *at[id])
	}
	return out, err
}

// WidenRow widens the time over which a row was seen by what this version knows of it.
func (s *Set) WidenRow(t model.Table, r *TallyRow) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, ok := s.tables[t].dict.find(labelsKey(r.Labels))
	if se := s.tables[t].series[id]; ok && se != nil {
		r.seenOver(model.Time(se.total.First), model.Time(se.total.Last))
	}
}
