package cells

import (
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// SeriesKey is the key of the series.
func (t *TallyTimeline) SeriesKey() string { return LabelsKey(t.Labels) }

// SetID gives the series another id.
func (t *TallyTimeline) SetID(id uint32) { t.ID = id }

// Order is what timelines are sorted by.
func (t *TallyTimeline) Order() uint32 { return t.ID }

// Reset makes the timeline empty.
func (t *TallyTimeline) Reset() { t.Base, t.Cells = Tally{}, nil }

// Sub takes away what o counted before its range.
func (t *TallyTimeline) Sub(o *TallyTimeline) { t.Base.Sub(&o.Base) }

// Add adds what o counted before its range.
func (t *TallyTimeline) Add(o *TallyTimeline) {
	t.Base.Merge(&o.Base)
	model.Widen(&t.First, &t.Last, o.First, o.Last)
}

// Follow adds the cells of o, whose range begins where this one ends.
func (t *TallyTimeline) Follow(o *TallyTimeline) {
	t.Cells = append(t.Cells, o.Cells...)
	model.Widen(&t.First, &t.Last, o.First, o.Last)
}

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

// SeenOver widens the time over which the row was seen.
func (r *TallyRow) SeenOver(first, last time.Time) {
	if r.FirstSeen.IsZero() || first.Before(r.FirstSeen) {
		r.FirstSeen = first
	}
	if last.After(r.LastSeen) {
		r.LastSeen = last
	}
}
