package verify

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// A Window is a range of event time; From is inclusive, To exclusive.
type Window struct{ From, To time.Time }

func (w Window) String() string {
	return fmt.Sprintf("%s to %s", w.From.UTC().Format(time.RFC3339), w.To.UTC().Format(time.RFC3339))
}

// step is how much of the time is counted again at once: what it takes in memory is one minute of cells and calls.
const step = time.Minute

// windows splits a range, which is widened to whole minutes.
func windows(from, to time.Time) (list []Window) {
	for at := from.Truncate(step); at.Before(to); at = at.Add(step) {
		list = append(list, Window{at, at.Add(step)})
	}
	return list
}

// span is the time that can be verified: what every partition has been read for, and the views hold in buckets of a minute or less.
func span(f model.Frontier, since time.Time, settled time.Duration) (from, to time.Time) {
	if f.Complete.IsZero() || f.Since.IsZero() {
		return time.Time{}, time.Time{}
	}
	from = later(since, f.Since)
	for _, l := range f.Levels {
		if l.Width == step {
			from = later(from, l.Since)
		}
	}
	return from.Add(step - 1).Truncate(step), f.Complete.Add(-settled).Truncate(step)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earlier is the earlier of two times, of which a may be zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// itinerary is which window comes next: the minutes as they become complete, and between them, and whenever none is due, random ones of the
// past.
type itinerary struct {
	rand   *rand.Rand
	next   time.Time // the minute that follows the last one that was taken in order
	turn   int
	oldest time.Time // the topics hold nothing of before
	missed int64     // minutes that were not taken in order, because there was no time
}

// maxBehind is how far the order may lag. What is skipped then is left to chance.
const maxBehind = 30 * time.Minute

// pick returns the next window of a range.
func (i *itinerary) pick(from, to time.Time) (w Window, ok bool) {
	from = later(from, i.oldest)
	if !from.Before(to) {
		return Window{}, false
	}
	if i.next.IsZero() {
		i.next = to.Add(-step)
	}
	i.next = later(i.next, from)
	if behind := to.Sub(i.next); behind > maxBehind {
		i.missed += int64(behind/step) - 1
		i.next = to.Add(-step)
	}
	i.turn++
	if i.next.Before(to) && i.turn%4 != 0 {
		w = Window{i.next, i.next.Add(step)}
		i.next = w.To
		return w, true
	}
	at := from.Add(time.Duration(i.rand.Int64N(int64(to.Sub(from)/step))) * step)
	return Window{at, at.Add(step)}, true
}

// gone notes that the topics no longer hold a window.
func (i *itinerary) gone(w Window, err error) bool {
	if !errors.Is(err, ErrGone) {
		return false
	}
	i.oldest = later(i.oldest, w.To)
	return true
}

// pacer keeps work within a share of one core: it says how long to wait after some.
type pacer struct {
	share float64
	debt  time.Duration
}

// least is what a wait is worth.
const least = 50 * time.Millisecond

// fetched is what fetching and decompressing records costs beside decoding and counting them, as a part of that. It was measured.
const fetched = 0.4

// worked returns how long to wait after decoding and counting took so long.
func (p *pacer) worked(d time.Duration) time.Duration {
	if p.share >= 1 {
		return 0
	}
	p.debt += time.Duration(float64(d) * ((1+fetched)/p.share - 1))
	if p.debt < least {
		return 0
	}
	wait := p.debt
	p.debt = 0
	return wait
}
