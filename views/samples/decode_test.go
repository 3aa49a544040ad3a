package samples

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage/samples"
)

var decoders = []func(v []byte) error{
	func(v []byte) error { return (&piece{stored: piecesNow}).decode(v) },
	func(v []byte) error { _, err := decodeDeltaSeries(v); return err },
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
	up := samples.Sample{Labels: labels.FromStrings("__name__", "up", "job", "shop"), T: 1000, V: 1}
	f.Add(uint8(0), (&piece{topic: "metrics", samples: []samples.Sample{up}}).encode())
	f.Add(uint8(1), appendLabels(nil, up.Labels))
	f.Fuzz(func(_ *testing.T, kind uint8, v []byte) {
		_ = decoders[int(kind)%len(decoders)](v)
	})
}
