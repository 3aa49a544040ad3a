package views

import (
	"slices"

	"github.com/gaurav/watchingcat/views/model"
)

// EachTraceBlock calls fn for each block that holds spans of a trace, newest version first, one block in memory at a time; fn returns false
// for no more. The other values are those of Trace.
func (s *Set) EachTraceBlock(id [16]byte, fn func(t TraceSummary, block []byte) bool) (t TraceSummary, missing int, ok bool, err error) {
	t, blocks, missing, ok, err := s.findTrace(id)
	for _, r := range blocks {
		b, kept, err := s.rawSpans.Get(s.kv, r)
		if err != nil {
			return t, 0, false, err
		}
		if !kept {
			missing++
			continue
		}
		if !fn(t, b) {
			break
		}
	}
	return t, missing, ok, err
}

// EachTraceBlock is that of the version that knows most spans of the trace.
func (v *View) EachTraceBlock(id [16]byte, fn func(t TraceSummary, block []byte) bool) (t TraceSummary, missing int, ok bool, err error) {
	var from *Set
	for _, s := range slices.Backward(v.layout.Of(model.ViewTraces)) {
		t2, _, _, ok2, err := v.sets[s.Version].findTrace(id)
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
func (l *Live) EachTraceBlock(id [16]byte, fn func(t TraceSummary, block []byte) bool) (TraceSummary, int, bool, error) {
	v := l.View()
	defer v.Release()
	return v.EachTraceBlock(id, fn)
}

// wholeTrace gathers what each, an EachTraceBlock, calls its function with.
func wholeTrace(id [16]byte, each func([16]byte, func(TraceSummary, []byte) bool) (TraceSummary, int, bool, error)) (t TraceSummary, raw [][]byte, missing int, ok bool, err error) {
	t, missing, ok, err = each(id, func(_ TraceSummary, block []byte) bool {
		raw = append(raw, block)
		return true
	})
	if err != nil {
		return t, nil, 0, false, err
	}
	return t, raw, missing, ok, nil
}
