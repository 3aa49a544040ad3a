package storage

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// metaPointer marks an entry of Badger whose value is a pointer.
const metaPointer = 2

// segmentPrefix begins the keys that say which values of a segment are live.
var segmentPrefix = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}

// pointer says where in the segments a value is.
type pointer struct{ segment, offset, length, sum uint32 }

const pointerLen = 16

func (p pointer) append(b []byte) []byte {
	for _, v := range []uint32{p.segment, p.offset, p.length, p.sum} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func parsePointer(b []byte) (p pointer, err error) {
	if len(b) != pointerLen {
		return p, fmt.Errorf("%d bytes where a pointer into a segment is expected", len(b))
	}
	be := binary.BigEndian
	return pointer{be.Uint32(b), be.Uint32(b[4:]), be.Uint32(b[8:]), be.Uint32(b[12:])}, nil
}

// pointerOf returns the item's pointer; ok is false if it has none.
func pointerOf(item *badger.Item) (p pointer, ok bool, err error) {
	if item.UserMeta() != metaPointer {
		return p, false, nil
	}
	err = item.Value(func(v []byte) (err error) {
		p, err = parsePointer(v)
		return err
	})
	if err != nil {
		return p, false, fmt.Errorf("storage: read %x: %w", item.Key(), err)
	}
	return p, true, nil
}

// ownerKey is the key by which a segment's entry is found.
func ownerKey(segment uint32, key []byte) []byte {
	k := make([]byte, 0, len(segmentPrefix)+4+len(key))
	k = binary.BigEndian.AppendUint32(append(k, segmentPrefix...), segment)
	return append(k, key...)
}

func (p pointer) owner() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, p.offset), p.length)
}
