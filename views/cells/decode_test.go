package cells

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/views/model"
)

var decoders = []func(v []byte) error{unpackAll[model.REDCounts], unpackAll[model.EdgeCounts], unpackAll[Tally]}

func unpackAll[C any, P Cell[C]](v []byte) error {
	return NewStore[C, P](model.LetterRED).unpack(v, EverySeries, func(_ uint32, cell []byte) error {
		_, err := decodeCell[C, P](cell)
		return err
	})
}

// TestDecodersEnd: a value that says that more follows than can is refused; no decoder counts to what it says.
func TestDecodersEnd(t *testing.T) {
	for _, v := range []string{"\xb8\x10\xcb\xcb\xcb\xcb\xcb\xcb\x04", "\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		for i, decode := range decoders {
			require.Error(t, decode([]byte(v)), "decoder %d of %x", i, v)
		}
	}
}

// FuzzStored: whatever a stored value holds, a decoder returns, without a panic and without memory that the value only claims to need.
func FuzzStored(f *testing.F) {
	red, edge, tally := &model.REDCounts{}, &model.EdgeCounts{}, &Tally{Failed: 1, First: 1e9, Last: 2e9, Text: "it broke"}
	for i := range uint64(3) {
		red.Observe(&model.Observation{N: 1, Size: 100, Hist: uint16(40 + i),
			Ex: model.Exemplar{TraceID: [16]byte{1}, SpanID: [8]byte{byte(i)}, End: i * 1e9, Duration: 1e6}})
		edge.ClientHist.Add(i*1e6, 1)
	}
	f.Add(uint8(0), NewStore[model.REDCounts](model.LetterRED).pack(&chunk[model.REDCounts]{open: map[uint32]*model.REDCounts{7: red,
		9: red}}))
	f.Add(uint8(1), NewStore[model.EdgeCounts](model.LetterEdges).pack(&chunk[model.EdgeCounts]{open: map[uint32]*model.EdgeCounts{1: edge}}))
	f.Add(uint8(2), NewStore[Tally](model.LetterErrors).pack(&chunk[Tally]{open: map[uint32]*Tally{600: tally}}))
	f.Fuzz(func(_ *testing.T, kind uint8, v []byte) {
		_ = decoders[int(kind)%len(decoders)](v)
	})
}
