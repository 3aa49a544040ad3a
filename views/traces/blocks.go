package traces

import (
	"math/bits"

	"github.com/gaurav/watchingcat/views/model"
)

// BlocksWith are the blocks of a checkpoint that may have spans with all tokens, each by one of its hashes.
func (s *RawStore) BlocksWith(kv model.State, m *RawMeta, tokens [][]uint64) (refs []RawRef, err error) {
	var filters []byte
	if len(tokens) > 0 {
		if filters, err = s.Filters(kv, m.Seq); err != nil {
			return nil, err
		}
	}
	for n := range m.Blocks {
		if len(filters) > 0 {
			filter, rest, ok := NextFilter(filters)
			if filters = rest; ok && !filter.MayHave(tokens) {
				continue
			}
		}
		refs = append(refs, RawRef{Seq: m.Seq, N: n})
	}
	return refs, nil
}

// Spread is an order of 0 to n-1 in which the first ones of any number are spread over all: by the reversed bits.
func Spread(n int) []int {
	out := make([]int, 0, n)
	width := bits.Len(uint(max(0, n-1)))
	for i := range 1 << width {
		if at := int(bits.Reverse64(uint64(i)) >> (64 - width) & (1<<width - 1)); at < n {
			out = append(out, at)
		}
	}
	return out
}
