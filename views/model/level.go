package model

import (
	"cmp"
	"slices"
	"time"
)

// A Level is one width of buckets. Every level is written from the same checkpoint, so there is no roll-up to wait for: a late span
// counts in each level that still retains its time.
type Level struct {
	Width     int64 // seconds; each a multiple of the one before
	Retention time.Duration
	Hot       time.Duration // how much stays in memory
}

// Levels is how many widths of buckets there are.
const Levels = 3

// BucketSeconds is the width of the finest level: an observation counts in the bucket that holds its end time.
const BucketSeconds = 10

// LevelSeconds are the widths of the levels in seconds, the finest first.
var LevelSeconds = [Levels]int64{BucketSeconds, 60, 3600}

// Levels are the levels with their retentions, the finest first.
func (c *Config) Levels() [Levels]Level {
	l := [Levels]Level{
		{LevelSeconds[0], c.Retention, c.Hot},
		{LevelSeconds[1], c.Retention1m, 25 * time.Hour},
		{LevelSeconds[2], c.Retention1h, 24 * time.Hour},
	}
	for i := range l {
		if i > 0 {
			//nolint:gosec // i is over 0
			l[i].Retention = max(l[i].Retention, l[i-1].Retention)
		}
		l[i].Hot = min(l[i].Hot, l[i].Retention)
	}
	return l
}

// Sinces are the starts of the oldest bucket retained in each level, aligned to the level's width.
type Sinces [Levels]int64

// A Segment is a part of a range and the level to read it from.
type Segment struct {
	Level int
	Range
}

// Cover splits a range into the segments that hold it: what is older than a level's retention comes from the next, whose wider
// buckets widen the range at its start. The inner part of a long range comes from buckets up to the widest level that is allowed, which
// are fewer and sum up to the same.
func (at *Sinces) Cover(r Range, widest int) (out []Segment) {
	end := r.To
	for k := 0; k < Levels && r.From < end; k++ {
		from := max(r.From, at[k])
		if k+1 < Levels && r.From < at[k] {
			from = Ceil(at[k], LevelSeconds[k+1]) // where the next level takes over
		}
		if k > 0 {
			from -= from % LevelSeconds[k]
		}
		from = max(from, at[k])
		if from >= end {
			continue
		}
		out = append(out, at.inner(k, Range{from, end}, widest)...)
		end = from
	}
	slices.SortFunc(out, func(a, b Segment) int { return cmp.Compare(a.From, b.From) })
	return out
}

// inner covers a range that level k holds with the widest buckets that fit.
func (at *Sinces) inner(k int, r Range, widest int) []Segment {
	if k >= widest {
		return []Segment{{k, r}}
	}
	w := LevelSeconds[k+1]
	from, to := Ceil(max(r.From, at[k+1]), w), r.To-r.To%w
	if from >= to {
		return []Segment{{k, r}}
	}
	out := at.inner(k+1, Range{from, to}, widest)
	if r.From < from {
		out = append(out, Segment{k, Range{r.From, from}})
	}
	if to < r.To {
		out = append(out, Segment{k, Range{to, r.To}})
	}
	return out
}

// Ceil is the first multiple of width that is not before t.
func Ceil(t, width int64) int64 {
	if rest := t % width; rest > 0 {
		return t + width - rest
	}
	return t
}

// BucketStart is the start, in Unix seconds, of the bucket that holds an end in Unix nanoseconds.
func BucketStart(end uint64) int64 {
	sec := int64(end / uint64(time.Second))
	return sec - sec%BucketSeconds
}

// Range is a range in bucket starts: from inclusive, to exclusive.
type Range struct{ From, To int64 }
