package edges

import (
	"encoding/binary"
	"math/bits"
)

// halfIndex finds the group of a key. It is a hash table with linear probing whose slots hold the key's hash beside the
// group's number, so that a look-up touches one cache line of the table and the group it is about, and a removal the table alone:
// pairing is mostly memory access, and a Go map costs twice as much here.
type halfIndex struct {
	slots []halfSlot // a power of two; at most three quarters are taken
	count int
	keyOf func(i uint32) *[24]byte
}

type halfSlot struct {
	hash  uint32 // its low bits are where the key belongs
	group uint32 // number + 1; 0: free
}

func newHalfIndex(keyOf func(i uint32) *[24]byte) *halfIndex {
	return &halfIndex{slots: make([]halfSlot, 1024), keyOf: keyOf}
}

// hashHalf mixes a key; trace and span ids are mostly random, but need not be.
func hashHalf(k *[24]byte) uint32 {
	a, b, c := binary.LittleEndian.Uint64(k[:]), binary.LittleEndian.Uint64(k[8:]), binary.LittleEndian.Uint64(k[16:])
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	hi2, lo2 := bits.Mul64(hi^lo^c, 0xa0761d6478bd642f)
	return uint32(hi2 ^ lo2)
}

// find returns the group of a key.
func (x *halfIndex) find(k *[24]byte) (group uint32, ok bool) {
	h, mask := hashHalf(k), uint32(len(x.slots)-1)
	for at := h & mask; ; at = (at + 1) & mask {
		s := x.slots[at]
		if s.group == 0 {
			return 0, false
		}
		if s.hash == h && *x.keyOf(s.group - 1) == *k {
			return s.group - 1, true
		}
	}
}

// add notes the group of a key that is not there.
func (x *halfIndex) add(k *[24]byte, group uint32) {
	if 4*(x.count+1) > 3*len(x.slots) {
		old := x.slots
		x.slots = make([]halfSlot, 2*len(old))
		for _, s := range old {
			if s.group != 0 {
				x.put(s)
			}
		}
	}
	x.count++
	x.put(halfSlot{hashHalf(k), group + 1})
}

func (x *halfIndex) put(s halfSlot) {
	mask := uint32(len(x.slots) - 1)
	at := s.hash & mask
	for x.slots[at].group != 0 {
		at = (at + 1) & mask
	}
	x.slots[at] = s
}

// remove forgets the key of a group, and moves up what stood behind it so that no probe ends early.
func (x *halfIndex) remove(k *[24]byte, group uint32) {
	mask := uint32(len(x.slots) - 1)
	at := hashHalf(k) & mask
	for x.slots[at].group != group+1 {
		if x.slots[at].group == 0 {
			return
		}
		at = (at + 1) & mask
	}
	x.count--
	for next := (at + 1) & mask; x.slots[next].group != 0; next = (next + 1) & mask {
		home := x.slots[next].hash & mask
		if (next-home)&mask >= (next-at)&mask {
			x.slots[at] = x.slots[next]
			at = next
		}
	}
	x.slots[at] = halfSlot{}
}
