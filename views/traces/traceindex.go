package traces

import "encoding/binary"

// traceIndex says which block is the home of each stored trace. It is an open table of 12 bytes a trace: ten million traces fit in
// some 200 MB, where a Go map would need twice that. Traces are distinguished by 64 bits of their id, which are random; should two
// agree, the one stored first is no longer found.
type traceIndex struct {
	keys  []uint64 // 0: free
	homes []uint32
	used  int
}

func traceHash(id [16]byte) uint64 {
	h := (binary.BigEndian.Uint64(id[:8])*0x9e3779b97f4a7c15 ^ binary.BigEndian.Uint64(id[8:])) * 0xff51afd7ed558ccd
	return max(h^h>>32, 1)
}

func (x *traceIndex) slot(h uint64) int {
	mask := uint64(len(x.keys) - 1)
	i := h & mask
	for x.keys[i] != 0 && x.keys[i] != h {
		i = (i + 1) & mask
	}
	return int(i)
}

// Get returns the number of the block that is the home of a trace.
func (x *traceIndex) Get(id [16]byte) (home uint32, ok bool) {
	if x.used == 0 {
		return 0, false
	}
	h := traceHash(id)
	i := x.slot(h)
	return x.homes[i], x.keys[i] == h
}

func (x *traceIndex) set(id [16]byte, home uint32) {
	if (x.used+1)*4 > len(x.keys)*3 {
		x.rebuild(0, max(1024, x.used*2))
	}
	x.put(traceHash(id), home)
}

func (x *traceIndex) put(h uint64, home uint32) {
	i := x.slot(h)
	if x.keys[i] == 0 {
		x.used++
	}
	x.keys[i], x.homes[i] = h, home
}

// forget drops traces whose home is before first, once in a while: until then they are known not to be stored by their home.
func (x *traceIndex) forget(first uint32) {
	gone := 0
	for i, k := range x.keys {
		if k != 0 && x.homes[i] < first {
			gone++
		}
	}
	if gone*4 > x.used {
		x.rebuild(first, x.used-gone)
	}
}

// rebuild makes room for n traces and leaves out those with a home before first.
func (x *traceIndex) rebuild(first uint32, n int) {
	size := 1024
	for size*3 < (n+1)*4 {
		size *= 2
	}
	old := *x
	*x = traceIndex{keys: make([]uint64, size), homes: make([]uint32, size)}
	for i, k := range old.keys {
		if k != 0 && old.homes[i] >= first {
			x.put(k, old.homes[i])
		}
	}
}
