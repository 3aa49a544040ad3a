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
