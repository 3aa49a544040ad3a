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

// AppendHalf encodes a half relative to the one before: the stored flags, the trace id unless it is the same, the span id unless
// the half is settled, the rest of the part.
func AppendHalf(b []byte, h, last *Half) []byte {
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

// Decode reads what AppendHalf wrote; last is the half before.
func (h *Half) Decode(d *model.Decoder, last *Half) {
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
