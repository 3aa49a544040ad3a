package views

// EachTraceBlock calls fn for each block that holds spans of a trace, newest version first, one block in memory at a time; fn returns false
// for no more. The other values are those of Trace.
func (s *Set) EachTraceBlock(id [16]byte, fn func(t TraceSummary, block []byte) bool) (t TraceSummary, missing int, ok bool, err error) {
	t, blocks, missing, ok, err := s.FindTrace(id)
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

// WholeTrace gathers what each, an EachTraceBlock, calls its function with.
func WholeTrace(id [16]byte, each func([16]byte, func(TraceSummary, []byte) bool) (TraceSummary, int, bool,
	error)) (t TraceSummary, raw [][]byte, missing int, ok bool, err error) {
	t, missing, ok, err = each(id, func(_ TraceSummary, block []byte) bool {
		raw = append(raw, block)
		return true
	})
	if err != nil {
		return t, nil, 0, false, err
	}
	return t, raw, missing, ok, nil
}
