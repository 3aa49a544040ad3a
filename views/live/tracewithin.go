package live

import (
	"slices"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// EachTraceBlock is that of the version that knows most spans of the trace.
func (v *View) EachTraceBlock(id [16]byte,
	fn func(t views.TraceSummary, block []byte) bool) (t views.TraceSummary, missing int, ok bool, err error) {
	var from *views.Set
	for _, s := range slices.Backward(v.layout.Of(model.ViewTraces)) {
		t2, _, _, ok2, err := v.sets[s.Version].FindTrace(id)
		if err != nil {
			return t, 0, false, err
		}
		if ok2 && (!ok || t2.Spans > t.Spans) {
			t, ok, from = t2, true, v.sets[s.Version]
		}
	}
	if from == nil {
		return t, 0, false, nil
	}
	return from.EachTraceBlock(id, fn)
}

// EachTraceBlock reads the views as they are now.
func (l *Live) EachTraceBlock(id [16]byte, fn func(t views.TraceSummary, block []byte) bool) (views.TraceSummary, int, bool, error) {
	v := l.View()
	defer v.Release()
	return v.EachTraceBlock(id, fn)
}
