package model

// Widen makes first and last hold the times of another line.
func Widen(first, last *int64, f, l int64) { *first, *last = min(*first, f), max(*last, l) }

// SeriesKey is the key of the series.
func (t *REDTimeline) SeriesKey() REDKey { return t.Key }

// SetID gives the series another id.
func (t *REDTimeline) SetID(id uint32) { t.ID = id }

// Order is what timelines are sorted by.
func (t *REDTimeline) Order() uint32 { return t.ID }

// Reset makes the timeline empty.
func (t *REDTimeline) Reset() { t.Base, t.Cells = Counts{}, nil }

// Sub takes away what o counted before its range.
func (t *REDTimeline) Sub(o *REDTimeline) { t.Base.Sub(&o.Base) }

// Add adds what o counted before its range.
func (t *REDTimeline) Add(o *REDTimeline) {
	t.Base.Merge(&o.Base)
	Widen(&t.First, &t.Last, o.First, o.Last)
}

// Follow adds the cells of o, whose range begins where this one ends.
func (t *REDTimeline) Follow(o *REDTimeline) {
	t.Cells = append(t.Cells, o.Cells...)
	Widen(&t.First, &t.Last, o.First, o.Last)
}

// SeriesKey is the key of the series.
func (t *EdgeTimeline) SeriesKey() EdgeKey { return t.Key }

// SetID gives the series another id.
func (t *EdgeTimeline) SetID(id uint32) { t.ID = id }

// Order is what timelines are sorted by.
func (t *EdgeTimeline) Order() uint32 { return t.ID }

// Reset makes the timeline empty.
func (t *EdgeTimeline) Reset() { t.Base, t.Cells = EdgeCounts{}, nil }

// Sub takes away what o counted before its range.
func (t *EdgeTimeline) Sub(o *EdgeTimeline) { t.Base.Sub(&o.Base) }

// Add adds what o counted before its range.
func (t *EdgeTimeline) Add(o *EdgeTimeline) {
	t.Base.Merge(&o.Base)
	Widen(&t.First, &t.Last, o.First, o.Last)
}

// Follow adds the cells of o, whose range begins where this one ends.
func (t *EdgeTimeline) Follow(o *EdgeTimeline) {
	t.Cells = append(t.Cells, o.Cells...)
	Widen(&t.First, &t.Last, o.First, o.Last)
}
