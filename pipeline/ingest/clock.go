package ingest

import "time"

// steadyClock is the wall clock without its jumps. The watermark of an idle partition follows it: if the machine's clock is set
// an hour ahead, all data of that hour would otherwise seem to be there, and rules would find that it is missing.
//
// The simple version: time goes on from the start by the monotonic clock; small differences to the wall clock are taken over, a jump
// only once the data itself shows it, as after the machine slept.
type steadyClock struct {
	wall    time.Time
	elapsed time.Duration // by the monotonic clock, when it was wall
}

// maxStep is a difference that is taken for the wall clock being slewed, not set.
const maxStep = 5 * time.Second

// at is the time when the wall clock says wall and the monotonic one elapsed; newest is the newest event time known.
func (c *steadyClock) at(wall time.Time, elapsed time.Duration, newest time.Time) time.Time {
	wall = wall.Round(0)
	if c.wall.IsZero() {
		c.wall, c.elapsed = wall, elapsed
	}
	steady := c.wall.Add(elapsed - c.elapsed)
	off := wall.Sub(steady)
	if off.Abs() <= maxStep || off > 0 && newest.After(steady.Add(maxStep)) {
		c.wall, c.elapsed = wall, elapsed
		return wall
	}
	return steady
}
