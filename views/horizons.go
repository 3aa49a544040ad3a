package views

import (
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

func (s *Set) since() (at model.Sinces) {
	for i, l := range s.levels {
		at[i] = s.back(l.Retention, l.Width)
	}
	return at
}

// back is the start of the bucket that lies d before the newest event time, no later.
func (s *Set) back(d time.Duration, width int64) int64 {
	t := model.BucketStart(s.head) - int64(d/time.Second)
	return max(0, t-t%width)
}

// tracesSince is the end that a trace must have to be shown, Unix nanoseconds.
func (s *Set) tracesSince() uint64 { return s.headLess(s.cfg.TraceRetention) }

// headLess is the time d before the newest; of a negative d, no time.
func (s *Set) headLess(d time.Duration) uint64 {
	if d < 0 {
		return 1 << 63
	}
	if uint64(d) >= s.head {
		return 0
	}
	return s.head - uint64(d)
}

func (s *Set) sinceTime() time.Time {
	if s.head == 0 {
		return time.Time{}
	}
	oldest := s.red.oldest
	if oldest == 0 { // no span was counted: what there is are log lines
		oldest = s.tables[model.TableLogs].First(s.since())
	}
	return time.Unix(max(s.since()[model.Levels-1], oldest), 0).UTC()
}

// head1 is a second after the newest event time.
func (s *Set) head1() int64 { return int64(s.head/1e9) + 1 }
