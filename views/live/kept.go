package live

import (
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// Kept says from when on the versions, one after the other, hold all.
func (v *View) Kept() views.Kept {
	join := func(view string, of func(views.Kept) time.Time, retention time.Duration) (since time.Time) {
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
	return views.Kept{Traces: join(model.ViewTraces, func(k views.Kept) time.Time { return k.Traces }, v.live.Config().TraceRetention),
		Logs: join(model.TableLogs.LayoutName(), func(k views.Kept) time.Time { return k.Logs }, v.live.Config().LogRetention)}
}

// Kept says from when on all traces and lines are held.
func (l *Live) Kept() views.Kept {
	v := l.View()
	defer v.Release()
	return v.Kept()
}
