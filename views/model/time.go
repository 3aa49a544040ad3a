package model

import "time"

// Time is ns Unix nanoseconds as a time; 0 is the zero time.
func Time(ns uint64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(ns)).UTC()
}

// UnixNano is t in Unix nanoseconds; otherwise, if t is the zero time.
func UnixNano(t time.Time, otherwise uint64) uint64 {
	if t.IsZero() {
		return otherwise
	}
	return uint64(max(0, t.UnixNano()))
}
