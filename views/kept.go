package views

import (
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// Kept says from when on the views hold all that there was; what is older is to be asked elsewhere. Zero while nothing was counted.
type Kept struct {
	Traces time.Time // summaries, by start
	Logs   time.Time // lines
}

// Kept says from when on the Set holds all traces and lines.
func (s *Set) Kept() Kept {
	s.mu.RLock()
	defer s.mu.RUnlock()
	since := s.sinceTime()
	if since.IsZero() {
		return Kept{}
	}
	after := func(nanos uint64) time.Time {
		if nanos >= 1<<63 { // nothing is kept
			return model.Time(s.head).Add(1)
		}
		if t := model.Time(nanos); t.After(since) {
			return t
		}
		return since
	}
	return Kept{Traces: after(s.headLess(s.cfg.TraceRetention)), Logs: after(max(s.headLess(s.cfg.LogRetention), s.rawLogs.Dropped))}
}
