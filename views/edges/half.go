package edges

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// Further flags of a stored half.
const (
	halfSameTrace = 1 << 7 // the trace id is that of the half before
	halfLate      = 1 << 6 // came follows, in seconds after the end
)

// appendHalf encodes a half relative to the one before: the stored flags, the trace id unless it is the same, the span id unless
// the half is settled, the rest of the part.
func appendHalf(b []byte, h, last *Half) []byte {
	flags := h.Flags
	if h.Came > 0 {
		flags |= halfLate
	}
	if bytes.Equal(h.Key[:16], last.Key[:16]) {
		flags |= halfSameTrace
	}
	b = append(b, flags)
	if flags&HalfSettled == 0 {
		if flags&halfSameTrace == 0 {
			b = append(b, h.Key[:16]...)
		}
		b = append(b, h.Key[16:]...)
	}
	b = binary.AppendVarint(b, int64(h.End-last.End))
	last.follow(h)
	b = model.AppendUvarint(b, h.Dur)
	b = model.AppendUvarint(b, uint64(h.Svc))
	b = model.AppendUvarint(b, uint64(h.Peer))
	if h.Came > 0 {
		b = model.AppendUvarint(b, uint64(h.Came)-h.End/uint64(time.Second))
	}
	return b
}

// follow makes h the half that the next is encoded relative to; the ids of a settled half are not stored.
func (last *Half) follow(h *Half) {
	last.End = h.End
	if !h.Is(HalfSettled) {
		last.Key = h.Key
	}
}

// Decode reads what appendHalf wrote; last is the half before.
func (h *Half) decode(d *model.Decoder, last *Half) {
	flags := d.Byte()
	h.Flags, h.Came = flags&^(halfSameTrace|halfLate), 0
	h.Key = [24]byte{}
	if flags&HalfSettled == 0 {
		if flags&halfSameTrace == 0 {
			copy(h.Key[:16], d.Bytes(16))
		} else {
			copy(h.Key[:16], last.Key[:16])
		}
		copy(h.Key[16:], d.Bytes(8))
	}
	h.End = last.End + uint64(d.Varint())
	last.follow(h)
	h.Dur = d.Uvarint()
	h.Svc, h.Peer = uint32(d.Uvarint()), uint32(d.Uvarint())
	if flags&halfLate != 0 {
		h.Came = uint32(h.End/uint64(time.Second) + d.Uvarint())
	}
}

// AppendHalves encodes the halves of several batches: how many, then each relative to the one before.
func AppendHalves(b []byte, batches [][]Half) []byte {
	n := 0
	for _, halves := range batches {
		n += len(halves)
	}
	b = model.AppendUvarint(b, uint64(n))
	var last Half
	for _, halves := range batches {
		for i := range halves {
			b = appendHalf(b, &halves[i], &last)
		}
	}
	return b
}

// DecodeHalves reads what AppendHalves wrote.
func DecodeHalves(d *model.Decoder) []Half {
	halves := make([]Half, d.Count())
	var last Half
	for i := range halves {
		halves[i].decode(d, &last)
	}
	return halves
}
