package traces

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// A raw block of spans has a filter: a Bloom filter of the attributes and names of its spans, by which a search passes over blocks without
// reading them. It is split in lines of 64 bytes; a token sets five bits of one line. A line for each 4 KiB of a block has some 43
// different tokens, so that one block of two hundred is read in vain.
//
// The token of an attribute is the hash of its KeyValue message as it stands in the block. A search makes the messages that a text may
// come from: of text, an integer, a double, a truth value, bytes. Lists, maps, long values and messages that are written in an unusual way
// are tokens of their key only, which a search takes for equal to every value.
type rawFilter []uint64

// resourceLines is how many resources of a block are remembered: each record has its own copy of the same few.
const resourceLines = 64

// seenResources are hashes of resources whose attributes a filter has. Each has one place, so that a lookup is one comparison.
type seenResources [resourceLines]uint64

// has reports whether a resource was there before, and remembers it.
func (s *seenResources) has(resource []byte) bool {
	h := xxhash.Sum64(resource) | 1
	at := &s[h>>58]
	seen := *at == h
	*at = h
	return seen
}

const (
	filterLine     = 8 // words
	filterPer      = 4 << 10
	maxFilterBits  = 7
	maxFilterLines = 1 << maxFilterBits
	maxToken       = 256 // bytes of a KeyValue
)

// SpanToken is an attribute, with its value as text, that a span has, or its resource, scope, events or links; with the empty key, the
// name of a span.
type SpanToken struct{ Key, Value string }

func newFilter(block int) rawFilter {
	lines := 1 << bits.Len(uint(max(0, block-1)/filterPer))
	return make(rawFilter, min(lines, maxFilterLines)*filterLine)
}

func (f rawFilter) line(h uint64) []uint64 {
	n := int(h>>57) & (len(f)/filterLine - 1)
	return f[n*filterLine:][:filterLine]
}

func (f rawFilter) set(h uint64) {
	line := f.line(h)
	for range 5 {
		line[h>>6&7] |= 1 << (h & 63)
		h >>= 9
	}
}

// storedFilter is a filter as it is stored, without the byte before it. Only the lines that are asked for are decoded.
type storedFilter []byte

func (f storedFilter) has(h uint64) bool {
	lines := len(f) / (filterLine * 8)
	line := f[(int(h>>57)&(lines-1))*filterLine*8:][:filterLine*8]
	for range 5 {
		if binary.LittleEndian.Uint64(line[(h>>6&7)*8:])&(1<<(h&63)) == 0 {
			return false
		}
		h >>= 9
	}
	return true
}

// MayHave reports whether a block may have all tokens, of each by one of the hashes that it may have.
func (f storedFilter) MayHave(tokens [][]uint64) bool {
	for _, hashes := range tokens {
		if !slices.ContainsFunc(hashes, f.has) {
			return false
		}
	}
	return true
}

// keyHash is the token of a key with a value that is no token itself. No KeyValue begins as it does.
func keyHash(key []byte) uint64 { return xxhash.Sum64(append([]byte{0xff}, key...)) }

func nameHash(name []byte) uint64 { return xxhash.Sum64(append([]byte{0xfe}, name...)) }

// HashesOf are those that the tokens may have in filters.
func HashesOf(tokens []SpanToken) (out [][]uint64) {
	for _, t := range tokens {
		if t.Key == "" {
			out = append(out, []uint64{nameHash([]byte(t.Value)), nameHash(nil)})
			continue
		}
		key := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), t.Key)
		hashes := []uint64{keyHash([]byte(t.Key))}
		add := func(value []byte) {
			v := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), value)
			hashes = append(hashes, xxhash.Sum64(slices.Concat(key, v)), xxhash.Sum64(slices.Concat(v, key)))
		}
		add(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), t.Value))
		if v, err := strconv.ParseBool(t.Value); err == nil {
			add(protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), protowire.EncodeBool(v)))
		}
		if v, err := strconv.ParseInt(t.Value, 10, 64); err == nil {
			add(protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), uint64(v)))
		}
		if v, err := strconv.ParseFloat(t.Value, 64); err == nil {
			add(protowire.AppendFixed64(protowire.AppendTag(nil, 4, protowire.Fixed64Type), math.Float64bits(v)))
		}
		if v, err := base64.StdEncoding.DecodeString(t.Value); err == nil {
			add(protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), v))
		}
		out = append(out, hashes)
	}
	return out
}

// filterOf makes the filter of a block of OTLP TracesData. One that is not understood may have anything.
func filterOf(block []byte) rawFilter {
	f := newFilter(len(block))
	var seen seenResources
	if !f.traces(block, &seen) {
		for i := range f {
			f[i] = math.MaxUint64
		}
	}
	return f
}

// wireField takes the next field of a message: its number, its bytes if it has any, and what follows; num is 0 at an error.
func wireField(b []byte) (num protowire.Number, v, rest []byte) {
	var typ protowire.Type
	n := 1
	if tag := b[0]; tag < 0x80 {
		num, typ = protowire.Number(tag>>3), protowire.Type(tag&7)
	} else if num, typ, n = protowire.ConsumeTag(b); n < 0 {
		return 0, nil, nil
	}
	b = b[n:]
	switch {
	case typ == protowire.BytesType && len(b) > 0 && b[0] < 0x80 && int(b[0]) < len(b):
		return num, b[1 : 1+b[0]], b[1+b[0]:]
	case typ == protowire.BytesType:
		if v, n = protowire.ConsumeBytes(b); n < 0 {
			return 0, nil, nil
		}
		return num, v, b[n:]
	case typ == protowire.Fixed64Type && len(b) >= 8:
		return num, nil, b[8:]
	}
	if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
		return 0, nil, nil
	}
	return num, nil, b[n:]
}

func (f rawFilter) traces(b []byte, seen *seenResources) bool {
	for len(b) > 0 {
		num, v, rest := wireField(b)
		if num == 0 || num == 1 && !f.resourceSpans(v, seen) {
			return false
		}
		b = rest
	}
	return true
}

func (f rawFilter) resourceSpans(b []byte, seen *seenResources) bool {
	for len(b) > 0 {
		num, v, rest := wireField(b)
		ok := num != 0
		switch num {
		case 1: // resource
			ok = seen.has(v) || f.attributes(v, 1)
		case 2:
			ok = f.scopeSpans(v)
		}
		if !ok {
			return false
		}
		b = rest
	}
	return true
}

func (f rawFilter) scopeSpans(b []byte) bool {
	for len(b) > 0 {
		num, v, rest := wireField(b)
		ok := num != 0
		switch num {
		case 1: // scope
			ok = f.attributes(v, 3)
		case 2:
			ok = f.span(v)
		}
		if !ok {
			return false
		}
		b = rest
	}
	return true
}

func (f rawFilter) span(b []byte) bool {
	for len(b) > 0 {
		num, v, rest := wireField(b)
		ok := num != 0
		switch num {
		case 5:
			f.name(v)
		case 9:
			ok = f.attribute(v)
		case 11: // event
			ok = f.attributes(v, 3)
		case 13: // link
			ok = f.attributes(v, 4)
		}
		if !ok {
			return false
		}
		b = rest
	}
	return true
}

func (f rawFilter) name(v []byte) {
	if len(v) > maxToken-1 {
		v = nil
	}
	var b [maxToken]byte
	b[0] = 0xfe
	f.set(xxhash.Sum64(b[:1+copy(b[1:], v)]))
}

// attributes takes the attributes of a message, which are its field of this number.
func (f rawFilter) attributes(b []byte, of protowire.Number) bool {
	for len(b) > 0 {
		num, v, rest := wireField(b)
		if num == 0 || num == of && !f.attribute(v) {
			return false
		}
		b = rest
	}
	return true
}

// attribute takes a KeyValue, which is usually a key and a value with one field, in this order or, as the Collector writes it, the other.
func (f rawFilter) attribute(kv []byte) bool {
	if len(kv) > 2 && len(kv) <= maxToken {
		first, one, rest := wireField(kv)
		if len(rest) > 0 && len(one) < 0x80 { // its length is one byte
			second, two, rest := wireField(rest)
			// nothing is written in more bytes than it takes
			if len(rest) == 0 && len(kv) == 2+len(one)+1+protowire.SizeVarint(uint64(len(two)))+len(two) &&
				(first == 1 && second == 2 && usual(two) || first == 2 && second == 1 && usual(one)) {
				f.set(xxhash.Sum64(kv))
				return true
			}
		}
	}
	var key []byte
	for b := kv; len(b) > 0; {
		num, v, rest := wireField(b)
		if num == 0 {
			return false
		}
		if num == 1 {
			key = v
		}
		b = rest
	}
	f.set(keyHash(key))
	return true
}

// usual reports whether an AnyValue has one field, of a type with one way to be written: text, truth, integer, double or bytes.
func usual(v []byte) bool {
	if len(v) < 2 {
		return false
	}
	switch v[0] {
	case 0x0a, 0x3a: // text, bytes
		size, n := protowire.ConsumeVarint(v[1:])
		return n > 0 && n == protowire.SizeVarint(size) && uint64(len(v)-1-n) == size
	case 0x10: // truth
		return len(v) == 2 && v[1] <= 1
	case 0x18: // integer
		n, size := protowire.ConsumeVarint(v[1:])
		return size > 0 && size == protowire.SizeVarint(n) && len(v) == 1+size
	case 0x21: // double
		return len(v) == 9 && !math.IsNaN(math.Float64frombits(binary.LittleEndian.Uint64(v[1:])))
	}
	return false
}

// filterKey is where the filters of a checkpoint's blocks are, one after the other.
func filterKey(ks model.Keyspace, seq uint64) []byte {
	k := binary.BigEndian.AppendUint64(ks.Key(storage.TableRaw, model.RawSignalFilters), seq)
	return binary.BigEndian.AppendUint32(k, 0)
}

// A filter as it is stored: how many times its lines can be halved, and its words.
func (f rawFilter) append(b []byte) []byte {
	b = append(b, byte(bits.Len(uint(len(f)/filterLine))-1))
	for _, w := range f {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// NextFilter returns the first of several filters and what follows it; ok is false when there is none.
func NextFilter(b []byte) (f storedFilter, rest []byte, ok bool) {
	if len(b) == 0 || b[0] > maxFilterBits {
		return nil, nil, false
	}
	n := filterLine * 8 << b[0]
	if b = b[1:]; len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// Filters returns those of a checkpoint's blocks; nil when there are none, as of checkpoints that an earlier version wrote, or when they
// are lost.
func (s *RawStore) Filters(kv model.State, seq uint64) ([]byte, error) {
	v, err := kv.KV.Get(filterKey(kv.Keyspace, seq))
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrLost) {
		return nil, nil
	}
	return v, err
}
