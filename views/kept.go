package views

import (
	"slices"
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

// Kept says from when on the versions, one after the other, hold all.
func (v *View) Kept() Kept {
	join := func(view string, of func(Kept) time.Time, retention time.Duration) (since time.Time) {
		for _, s := range slices.Backward(v.layout.Of(view)) {
			from := of(v.sets[s.Version].Kept())
			edge := time.Unix(s.From, 0).UTC()
			if from.IsZero() || s.To != 0 && !from.Before(time.Unix(s.To, 0)) {
				break // it holds nothing of its time
			}
			since = v.since(from, s, retention)
			if s.From == 0 || since.After(edge) {
				break
			}
		}
		return since
	}
	return Kept{Traces: join(model.ViewTraces, func(k Kept) time.Time { return k.Traces }, v.live.Config().TraceRetention),
		Logs: join(model.TableLogs.LayoutName(), func(k Kept) time.Time { return k.Logs }, v.live.Config().LogRetention)}
}

// Kept says from when on all traces and lines are held.
func (l *Live) Kept() Kept {
	v := l.View()
	defer v.Release()
	return v.Kept()
}
