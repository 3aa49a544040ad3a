// Package spans counts kept spans by what only the spans themselves hold: their attributes and single durations. It reads them one at a time
// and keeps sums, within bounds; how many of the kept spans it was given is for the caller to say.
package spans
