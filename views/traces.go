package views

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// The traces view: a summary of every trace, and where its raw spans are.
//
// A summary is a sum over the trace's spans (how many of each red series, first start, last end, the root), so records of a trace
// may come in any number, late and in any order. Summaries that changed lately are in memory; a fold writes them in blocks of
// neighbours in time. A late span takes its trace out of the block again, and the next fold writes it anew: an index in memory says
// which block is the home of a trace, what other blocks say of it is void.

// trace is one summary.
type trace struct {
	id         [16]byte
	start, end uint64 // Unix nanoseconds
	root       rootSpan
	spans      []seriesSpans // by series
	raw        []rawRef      // by number; where the raw spans are
}

// rootSpan is the span without parent; of several the one that starts first, then the one with the smaller id. While none has been seen
// (it may never come: the caller is not traced) it is the first span of all.
type rootSpan struct {
	start  uint64
	span   [8]byte
	series uint32
	known  bool // it has no parent
	some   bool // there is one
}

// seriesSpans counts a trace's spans of one red series.
type seriesSpans struct{ series, n uint32 }

// noSeries stands for spans of resources without service.name.
const noSeries = 1<<32 - 1

// rawRef names a raw block: the checkpoint that wrote it and which of that checkpoint's blocks.
type rawRef struct {
	seq uint64
	n   uint32
}

func (r *rootSpan) take(o *rootSpan) {
	if !o.some || r.known && !o.known {
		return
	}
	if !r.some || o.known && !r.known || cmp.Or(cmp.Compare(o.start, r.start), bytes.Compare(o.span[:], r.span[:])) < 0 {
		*r = *o
	}
}

func (t *trace) count(series, n uint32) {
	i, ok := slices.BinarySearchFunc(t.spans, series, func(s seriesSpans, id uint32) int { return cmp.Compare(s.series, id) })
	if ok {
		t.spans[i].n += n
		return
	}
	t.spans = slices.Insert(t.spans, i, seriesSpans{series, n})
}

func (t *trace) refer(r rawRef) {
	i, ok := slices.BinarySearchFunc(t.raw, r, func(a, b rawRef) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.n, b.n)) })
	if !ok && len(t.raw) < maxRawRefs {
		t.raw = slices.Insert(t.raw, i, r)
	}
}

// maxRawRefs bounds how many raw blocks one trace refers to.
const maxRawRefs = 1000

// observe adds one span to a part. start and end in Unix nanoseconds; a span without a start is at its end.
func (t *trace) observe(start, end uint64, series uint32, span, parent [8]byte) {
	if start == 0 {
		start = end
	}
	if t.start == 0 || start < t.start {
		t.start = start
	}
	t.end = max(t.end, end)
	if parent == ([8]byte{}) || !t.root.known {
		t.root.take(&rootSpan{start, span, series, parent == [8]byte{}, true})
	}
	t.count(series, 1)
}

func (t *trace) merge(o *trace) {
	if o.start != 0 && (t.start == 0 || o.start < t.start) {
		t.start = o.start
	}
	t.end = max(t.end, o.end)
	t.root.take(&o.root)
	for _, s := range o.spans {
		t.count(s.series, s.n)
	}
	for _, r := range o.raw {
		t.refer(r)
	}
}

// A trace in a journal entry or a block: id, start and end relative to base, root (0, or 1, or 2 for the first span where no root is known, start relative to the trace's, span id,
// series), number of series, each series and count, number of raw blocks, each checkpoint relative to seq and number.
func (t *trace) append(b []byte, base, seq uint64) []byte {
	b = append(b, t.id[:]...)
	b = binary.AppendVarint(b, int64(t.start-base))
	b = binary.AppendUvarint(b, t.end-t.start)
	if t.root.some {
		known := byte(1)
		if !t.root.known {
			known = 2
		}
		b = append(b, known)
		b = binary.AppendUvarint(b, t.root.start-t.start)
		b = append(b, t.root.span[:]...)
		b = binary.AppendUvarint(b, uint64(t.root.series))
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(t.spans)))
	for _, s := range t.spans {
		b = binary.AppendUvarint(b, uint64(s.series))
		b = binary.AppendUvarint(b, uint64(s.n))
	}
	b = binary.AppendUvarint(b, uint64(len(t.raw)))
	for _, r := range t.raw {
		b = binary.AppendUvarint(b, seq-r.seq)
		b = binary.AppendUvarint(b, uint64(r.n))
	}
	return b
}

func (t *trace) decode(d *model.Decoder, base, seq uint64) {
	t.id = [16]byte{}
	copy(t.id[:], d.Bytes(16))
	t.start = base + uint64(d.Varint())
	t.end = t.start + d.Uvarint()
	t.root = rootSpan{}
	if k := d.Byte(); k != 0 {
		t.root.some, t.root.known, t.root.start = true, k == 1, t.start+d.Uvarint()
		copy(t.root.span[:], d.Bytes(8))
		t.root.series = uint32(d.Uvarint())
	}
	t.spans = t.spans[:0]
	for range d.Count() {
		t.spans = append(t.spans, seriesSpans{uint32(d.Uvarint()), uint32(d.Uvarint())})
	}
	t.raw = t.raw[:0]
	for range d.Count() {
		t.raw = append(t.raw, rawRef{seq - d.Uvarint(), uint32(d.Uvarint())})
	}
}

// traceBatch is what one partition brought of traces between two checkpoints.
type traceBatch struct {
	at    map[[16]byte]uint32
	parts []trace
	last  uint32
}

// part returns the part of a trace; the pointer holds until the next call.
func (b *traceBatch) part(id *[16]byte) *trace {
	if int(b.last) < len(b.parts) && b.parts[b.last].id == *id {
		return &b.parts[b.last]
	}
	i, ok := b.at[*id]
	if !ok {
		i = uint32(len(b.parts))
		if len(b.parts) < cap(b.parts) {
			b.parts = b.parts[:i+1] // keeps the slices that the part had
		} else {
			b.parts = append(b.parts, trace{})
		}
		p := &b.parts[i]
		*p = trace{id: *id, spans: p.spans[:0], raw: p.raw[:0]}
		b.at[*id] = i
	}
	b.last = i
	return &b.parts[i]
}

func (b *traceBatch) reset() {
	clear(b.at)
	b.parts, b.last = b.parts[:0], 0
}

// traceStore is the committed state of the view. It is guarded by its Set.
type traceStore struct {
	maxRecent int
	recent    map[[16]byte]*trace
	home      traceIndex
	slab      traceSlab
	blocks    []traceBlock                 // ascending by number
	next      uint32                       // number of the next block
	first     uint32                       // of the oldest stored block
	stored    struct{ first, next uint32 } // what first and next are after the fold that is under way
	dirty     map[[16]byte]*trace          // those of recent that no block holds as they are
}

// traceBlock is what memory knows of a stored block.
type traceBlock struct {
	n           uint32
	bytes       int
	traces      int
	minStart    uint64
	maxStart    uint64
	maxEnd      uint64
	maxDuration uint64
	series      []uint32 // ascending: those that some trace of the block has
	longest     []uint64 // and the longest duration of the traces with it
}

const (
	tracesPerBlock = 1024
	recentNanos    = 60e9
)

func newTraceStore(maxRecent int) *traceStore {
	return &traceStore{maxRecent: maxRecent, recent: map[[16]byte]*trace{}, dirty: map[[16]byte]*trace{}, next: 1, first: 1}
}

func traceKey(ks model.Keyspace, n uint32) []byte {
	return binary.BigEndian.AppendUint32(ks.Key(storage.TableTraces), n)
}

// install adds a part.
func (s *traceStore) install(kv model.State, p *trace) error {
	t := s.recent[p.id]
	if t == nil {
		if n, stored := s.blockOf(p.id); stored {
			var err error
			if t, err = s.inBlock(kv, n, p.id); err != nil {
				return err
			}
		}
	}
	if t == nil {
		t = s.slab.copy(p)
	} else {
		t.merge(p)
	}
	s.recent[p.id] = t
	s.dirty[p.id] = t
	return nil
}

// traceSlab hands out summaries from larger pieces of memory: they come and go together.
type traceSlab struct {
	traces []trace
	spans  []seriesSpans
	raw    []rawRef
}

func (s *traceSlab) copy(p *trace) *trace {
	if len(s.traces) == 0 {
		s.traces = make([]trace, 256)
	}
	t := &s.traces[0]
	s.traces = s.traces[1:]
	*t = *p
	t.spans, s.spans = cutSlab(s.spans, p.spans)
	t.raw, s.raw = cutSlab(s.raw, p.raw)
	return t
}

// cutSlab copies src into the front of slab, which is made anew when it is too short.
func cutSlab[T any](slab, src []T) (out, rest []T) {
	n := len(src)
	if n > len(slab) {
		slab = make([]T, max(4096, n))
	}
	copy(slab, src)
	return slab[:n:n], slab[n:]
}

// blockOf is the block that a trace is in, unless it changed lately.
func (s *traceStore) blockOf(id [16]byte) (n uint32, ok bool) {
	n, ok = s.home.get(id)
	return n, ok && n >= s.first
}

// inBlock returns a trace that a block holds, nil when it does not.
func (s *traceStore) inBlock(kv model.State, n uint32, id [16]byte) (found *trace, err error) {
	err = s.read(kv, n, anyTime, func(t *trace) bool {
		if t.id == id {
			found = new(t.copy())
		}
		return found == nil
	})
	return found, err
}

// read calls fn for each trace of a block that times accepts until it returns false; what fn is given is used again.
func (s *traceStore) read(kv model.State, n uint32, times func(start, end uint64) bool, fn func(t *trace) bool) error {
	v, err := kv.KV.Get(traceKey(kv.Keyspace, n))
	if err != nil {
		return fmt.Errorf("read block %d of traces: %w", n, err)
	}
	return decodeBlock(v, times, fn)
}

func anyTime(uint64, uint64) bool { return true }

func decodeBlock(v []byte, times func(start, end uint64) bool, fn func(t *trace) bool) error {
	d := model.Decoder{B: v}
	n, base, seq := d.Count(), d.Uvarint(), d.Uvarint()
	var t trace
	for range n {
		size := d.Uvarint()
		one := model.Decoder{B: d.Bytes(int(min(size, uint64(len(d.B)))))}
		head := one
		head.Bytes(16)
		start := base + uint64(head.Varint())
		if end := start + head.Uvarint(); d.Err == nil && head.Err == nil && !times(start, end) {
			continue
		}
		if t.decode(&one, base, seq); one.Err != nil || d.Err != nil {
			return model.ErrCorrupt
		}
		if !fn(&t) {
			return nil
		}
	}
	return d.Err
}

// fold writes the summaries that changed in new blocks and deletes blocks that ended before since (Unix nanoseconds).
func (s *traceStore) fold(ks model.Keyspace, seq, head, since uint64, then *model.Later, entries []storage.Entry) []storage.Entry {
	list := make([]*trace, 0, len(s.dirty))
	var leave [][16]byte
	for id, t := range s.dirty {
		if t.end < since { // came late: it would expire at once
			leave = append(leave, id)
			continue
		}
		list = append(list, t)
	}
	for id, t := range s.recent {
		if s.dirty[id] == nil && (t.end+recentNanos < head || len(s.recent)-len(leave) > s.maxRecent) {
			leave = append(leave, id)
		}
	}
	slices.SortFunc(list, func(a, b *trace) int { return cmp.Or(cmp.Compare(a.start, b.start), bytes.Compare(a.id[:], b.id[:])) })
	n, blocks := s.next, slices.Clip(s.blocks)
	for part := range slices.Chunk(list, tracesPerBlock) {
		m, b := packBlock(n, part, seq)
		blocks = append(blocks, m)
		entries = append(entries, storage.Entry{Key: traceKey(ks, n), Value: b})
		n++
	}
	gone := 0
	for gone < len(blocks) && blocks[gone].maxEnd < since {
		entries = append(entries, storage.Entry{Key: traceKey(ks, blocks[gone].n)})
		gone++
	}
	blocks = blocks[gone:]
	s.stored.first, s.stored.next = n, n
	if len(blocks) > 0 {
		s.stored.first = blocks[0].n
	}
	then.Do(func() { s.folded(list, leave, blocks) })
	return entries
}

// folded makes what a fold wrote the state that readers see.
func (s *traceStore) folded(list []*trace, leave [][16]byte, blocks []traceBlock) {
	for i, t := range list {
		s.home.set(t.id, s.next+uint32(i/tracesPerBlock))
	}
	for _, id := range leave {
		delete(s.recent, id)
	}
	clear(s.dirty)
	if s.stored.first != s.first {
		s.home.forget(s.stored.first)
	}
	s.blocks, s.first, s.next = blocks, s.stored.first, s.stored.next
}

// A block: number of traces, base time, checkpoint, then each trace with its length before it.
func packBlock(n uint32, part []*trace, seq uint64) (traceBlock, []byte) {
	base := part[0].start
	b := binary.AppendUvarint(nil, uint64(len(part)))
	b = binary.AppendUvarint(b, base)
	b = binary.AppendUvarint(b, seq)
	m := newMeta(n)
	var one []byte
	for _, t := range part {
		one = t.append(one[:0], base, seq)
		b = binary.AppendUvarint(b, uint64(len(one)))
		b = append(b, one...)
		m.add(t)
	}
	m.done(len(b))
	return m.traceBlock, b
}

// blockMeta gathers what memory knows of a block.
type blockMeta struct {
	traceBlock
	by map[uint32]uint64
}

func newMeta(n uint32) *blockMeta { return &blockMeta{traceBlock{n: n}, map[uint32]uint64{}} }

func (m *blockMeta) add(t *trace) {
	m.traces++
	if m.minStart == 0 || t.start < m.minStart {
		m.minStart = t.start
	}
	m.maxStart, m.maxEnd = max(m.maxStart, t.start), max(m.maxEnd, t.end)
	d := t.end - t.start
	m.maxDuration = max(m.maxDuration, d)
	for _, s := range t.spans {
		m.by[s.series] = max(m.by[s.series], d)
	}
}

func (m *blockMeta) done(size int) {
	m.bytes = size
	m.series = slices.Sorted(maps.Keys(m.by))
	m.longest = make([]uint64, len(m.series))
	for i, s := range m.series {
		m.longest[i] = m.by[s]
	}
}

// restore reads the blocks that the state names; those of a fold that a crash kept from being finished are written again.
func (s *traceStore) restore(kv model.State) error {
	return kv.KV.Scan(traceKey(kv.Keyspace, s.first), traceKey(kv.Keyspace, s.next), func(k, v []byte) error {
		m := newMeta(binary.BigEndian.Uint32(k[storage.KeyPrefixLen:]))
		err := decodeBlock(v, anyTime, func(t *trace) bool {
			m.add(t)
			s.home.set(t.id, m.n)
			return true
		})
		m.done(len(v))
		s.blocks = append(s.blocks, m.traceBlock)
		return err
	})
}
