package views

import (
	"cmp"
	"slices"
	"time"
)

// A level is one width of buckets. Every level is written from the same checkpoint, so there is no roll-up to wait for: a late span
// counts in each level that still retains its time.
type level struct {
	width     int64 // seconds; each a multiple of the one before
	retention time.Duration
	hot       time.Duration // how much stays in memory
}

const levels = 3

// BucketSeconds is the width of the finest level: an observation counts in the bucket that holds its end time.
const BucketSeconds = 10

// levelSeconds are the widths of the levels in seconds, the finest first.
var levelSeconds = [levels]int64{BucketSeconds, 60, 3600}

func (c *Config) levels() [levels]level {
	l := [levels]level{
		{levelSeconds[0], c.Retention, c.Hot},
		{levelSeconds[1], c.Retention1m, 25 * time.Hour},
		{levelSeconds[2], c.Retention1h, 24 * time.Hour},
	}
	for i := range l {
		if i > 0 {
			l[i].retention = max(l[i].retention, l[i-1].retention)
		}
		l[i].hot = min(l[i].hot, l[i].retention)
	}
	return l
}

// sinces are the starts of the oldest bucket retained in each level, aligned to the level's width.
type sinces [levels]int64

func (s *Set) since() (at sinces) {
	for i, l := range s.levels {
		at[i] = s.back(l.retention, l.width)
	}
	return at
}

// back is the start of the bucket that lies d before the newest event time, no later.
func (s *Set) back(d time.Duration, width int64) int64 {
	t := bucketStart(s.head) - int64(d/time.Second)
	return max(0, t-t%width)
}

// A segment is a part of a range and the level to read it from.
type segment struct {
	level int
	span
}

// cover splits a range into the segments that hold it: what is older than a level's retention comes from the next, whose wider
// buckets widen the range at its start. The inner part of a long range comes from buckets up to the widest level that is allowed, which
// are fewer and sum up to the same.
func (at *sinces) cover(r span, widest int) (out []segment) {
	end := r.to
	for k := 0; k < levels && r.from < end; k++ {
		from := max(r.from, at[k])
		if k+1 < levels && r.from < at[k] {
			from = ceil(at[k], levelSeconds[k+1]) // where the next level takes over
		}
		if k > 0 {
			from -= from % levelSeconds[k]
		}
		from = max(from, at[k])
		if from >= end {
			continue
		}
		out = append(out, at.inner(k, span{from, end}, widest)...)
		end = from
	}
	slices.SortFunc(out, func(a, b segment) int { return cmp.Compare(a.from, b.from) })
	return out
}

// inner covers a range that level k holds with the widest buckets that fit.
func (at *sinces) inner(k int, r span, widest int) []segment {
	if k >= widest {
		return []segment{{k, r}}
	}
	w := levelSeconds[k+1]
	from, to := ceil(max(r.from, at[k+1]), w), r.to-r.to%w
	if from >= to {
		return []segment{{k, r}}
	}
	out := at.inner(k+1, span{from, to}, widest)
	if r.from < from {
		out = append(out, segment{k, span{r.from, from}})
	}
	if to < r.to {
		out = append(out, segment{k, span{to, r.to}})
	}
	return out
}

func ceil(t, width int64) int64 {
	if rest := t % width; rest > 0 {
		return t + width - rest
	}
	return t
}
