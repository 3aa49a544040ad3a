package traces

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

// Trace is one summary.
type Trace struct {
	ID         [16]byte
	Start, End uint64 // Unix nanoseconds
	Root       rootSpan
	Spans      []seriesSpans // by series
	Raw        []RawRef      // by number; where the raw spans are
}

// rootSpan is the span without parent; of several the one that starts first, then the one with the smaller id. While none has been seen
// (it may never come: the caller is not traced) it is the first span of all.
type rootSpan struct {
	start  uint64
	span   [8]byte
	Series uint32
	known  bool // it has no parent
	Some   bool // there is one
}

// seriesSpans counts a trace's spans of one red series.
type seriesSpans struct{ Series, N uint32 }

// NoSeries stands for spans of resources without service.name.
const NoSeries = 1<<32 - 1

// RawRef names a raw block: the checkpoint that wrote it and which of that checkpoint's blocks.
type RawRef struct {
	Seq uint64
	N   uint32
}

func (r *rootSpan) take(o *rootSpan) {
	if !o.Some || r.known && !o.known {
		return
	}
	if !r.Some || o.known && !r.known || cmp.Or(cmp.Compare(o.start, r.start), bytes.Compare(o.span[:], r.span[:])) < 0 {
		*r = *o
	}
}

func (t *Trace) count(series, n uint32) {
	i, ok := slices.BinarySearchFunc(t.Spans, series, func(s seriesSpans, id uint32) int { return cmp.Compare(s.Series, id) })
	if ok {
		t.Spans[i].N += n
		return
	}
	t.Spans = slices.Insert(t.Spans, i, seriesSpans{series, n})
}

func (t *Trace) refer(r RawRef) {
	i, ok := slices.BinarySearchFunc(t.Raw, r, func(a, b RawRef) int { return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.N, b.N)) })
	if !ok && len(t.Raw) < maxRawRefs {
		t.Raw = slices.Insert(t.Raw, i, r)
	}
}

// maxRawRefs bounds how many raw blocks one trace refers to.
const maxRawRefs = 1000

// Observe adds one span to a part. start and end in Unix nanoseconds; a span without a start is at its end.
func (t *Trace) Observe(start, end uint64, series uint32, span, parent [8]byte) {
	if start == 0 {
		start = end
	}
	if t.Start == 0 || start < t.Start {
		t.Start = start
	}
	t.End = max(t.End, end)
	if parent == ([8]byte{}) || !t.Root.known {
		t.Root.take(&rootSpan{start, span, series, parent == [8]byte{}, true})
	}
	t.count(series, 1)
}

func (t *Trace) merge(o *Trace) {
	if o.Start != 0 && (t.Start == 0 || o.Start < t.Start) {
		t.Start = o.Start
	}
	t.End = max(t.End, o.End)
	t.Root.take(&o.Root)
	for _, s := range o.Spans {
		t.count(s.Series, s.N)
	}
	for _, r := range o.Raw {
		t.refer(r)
	}
}

// Append encodes a trace:
// A trace in a journal entry or a block: id, start and end relative to base, root (0, or 1, or 2 for the first span where no root is known,
// start relative to the trace's, span id, series), number of series, each series and count, number of raw blocks, each checkpoint relative
// to seq and number.
func (t *Trace) Append(b []byte, base, seq uint64) []byte {
	b = append(b, t.ID[:]...)
	b = binary.AppendVarint(b, int64(t.Start-base))
	b = binary.AppendUvarint(b, t.End-t.Start)
	if t.Root.Some {
		known := byte(1)
		if !t.Root.known {
			known = 2
		}
		b = append(b, known)
		b = binary.AppendUvarint(b, t.Root.start-t.Start)
		b = append(b, t.Root.span[:]...)
		b = binary.AppendUvarint(b, uint64(t.Root.Series))
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(t.Spans)))
	for _, s := range t.Spans {
		b = binary.AppendUvarint(b, uint64(s.Series))
		b = binary.AppendUvarint(b, uint64(s.N))
	}
	b = binary.AppendUvarint(b, uint64(len(t.Raw)))
	for _, r := range t.Raw {
		b = binary.AppendUvarint(b, seq-r.Seq)
		b = binary.AppendUvarint(b, uint64(r.N))
	}
	return b
}

// Decode reads what Append wrote with the same base; seq is the checkpoint of an entry of the journal.
func (t *Trace) Decode(d *model.Decoder, base, seq uint64) {
	t.ID = [16]byte{}
	copy(t.ID[:], d.Bytes(16))
	t.Start = base + uint64(d.Varint())
	t.End = t.Start + d.Uvarint()
	t.Root = rootSpan{}
	if k := d.Byte(); k != 0 {
		t.Root.Some, t.Root.known, t.Root.start = true, k == 1, t.Start+d.Uvarint()
		copy(t.Root.span[:], d.Bytes(8))
		t.Root.Series = uint32(d.Uvarint())
	}
	t.Spans = t.Spans[:0]
	for range d.Count() {
		t.Spans = append(t.Spans, seriesSpans{uint32(d.Uvarint()), uint32(d.Uvarint())})
	}
	t.Raw = t.Raw[:0]
	for range d.Count() {
		t.Raw = append(t.Raw, RawRef{seq - d.Uvarint(), uint32(d.Uvarint())})
	}
}

// Batch is what one partition brought of traces between two checkpoints.
type Batch struct {
	At    map[[16]byte]uint32
	Parts []Trace
	last  uint32
}

// Part returns the part of a trace; the pointer holds until the next call.
func (b *Batch) Part(id *[16]byte) *Trace {
	if int(b.last) < len(b.Parts) && b.Parts[b.last].ID == *id {
		return &b.Parts[b.last]
	}
	i, ok := b.At[*id]
	if !ok {
		i = uint32(len(b.Parts))
		if len(b.Parts) < cap(b.Parts) {
			b.Parts = b.Parts[:i+1] // keeps the slices that the part had
		} else {
			b.Parts = append(b.Parts, Trace{})
		}
		p := &b.Parts[i]
		*p = Trace{ID: *id, Spans: p.Spans[:0], Raw: p.Raw[:0]}
		b.At[*id] = i
	}
	b.last = i
	return &b.Parts[i]
}

// Reset makes the batch empty and keeps its memory.
func (b *Batch) Reset() {
	clear(b.At)
	b.Parts, b.last = b.Parts[:0], 0
}

// Store is the committed state of the view. It is guarded by its Set.
type Store struct {
	maxRecent int
	Recent    map[[16]byte]*Trace
	Home      traceIndex
	slab      traceSlab
	Blocks    []Block                      // ascending by number
	Next      uint32                       // number of the next block
	First     uint32                       // of the oldest stored block
	Stored    struct{ First, Next uint32 } // what first and next are after the fold that is under way
	Dirty     map[[16]byte]*Trace          // those of recent that no block holds as they are
}

// Block is what memory knows of a stored block.
type Block struct {
	N           uint32
	bytes       int
	traces      int
	MinStart    uint64
	MaxStart    uint64
	MaxEnd      uint64
	MaxDuration uint64
	Series      []uint32 // ascending: those that some trace of the block has
	Longest     []uint64 // and the longest duration of the traces with it
}

const (
	tracesPerBlock = 1024
	recentNanos    = 60e9
)

// NewStore returns an empty Store.
func NewStore(maxRecent int) *Store {
	return &Store{maxRecent: maxRecent, Recent: map[[16]byte]*Trace{}, Dirty: map[[16]byte]*Trace{}, Next: 1, First: 1}
}

func traceKey(ks model.Keyspace, n uint32) []byte {
	return binary.BigEndian.AppendUint32(ks.Key(storage.TableTraces), n)
}

// Install adds a part.
func (s *Store) Install(kv model.State, p *Trace) error {
	t := s.Recent[p.ID]
	if t == nil {
		if n, stored := s.BlockOf(p.ID); stored {
			var err error
			if t, err = s.InBlock(kv, n, p.ID); err != nil {
				return err
			}
		}
	}
	if t == nil {
		t = s.slab.copy(p)
	} else {
		t.merge(p)
	}
	s.Recent[p.ID] = t
	s.Dirty[p.ID] = t
	return nil
}

// traceSlab hands out summaries from larger pieces of memory: they come and go together.
type traceSlab struct {
	traces []Trace
	spans  []seriesSpans
	raw    []RawRef
}

func (s *traceSlab) copy(p *Trace) *Trace {
	if len(s.traces) == 0 {
		s.traces = make([]Trace, 256)
	}
	t := &s.traces[0]
	s.traces = s.traces[1:]
	*t = *p
	t.Spans, s.spans = cutSlab(s.spans, p.Spans)
	t.Raw, s.raw = cutSlab(s.raw, p.Raw)
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

// BlockOf is the block that a trace is in, unless it changed lately.
func (s *Store) BlockOf(id [16]byte) (n uint32, ok bool) {
	n, ok = s.Home.Get(id)
	return n, ok && n >= s.First
}

// InBlock returns a trace that a block holds, nil when it does not.
func (s *Store) InBlock(kv model.State, n uint32, id [16]byte) (found *Trace, err error) {
	err = s.Read(kv, n, AnyTime, func(t *Trace) bool {
		if t.ID == id {
			found = new(t.Copy())
		}
		return found == nil
	})
	return found, err
}

// Read calls fn for each trace of a block that times accepts until it returns false; what fn is given is used again.
func (s *Store) Read(kv model.State, n uint32, times func(start, end uint64) bool, fn func(t *Trace) bool) error {
	v, err := kv.KV.Get(traceKey(kv.Keyspace, n))
	if err != nil {
		return fmt.Errorf("read block %d of traces: %w", n, err)
	}
	return DecodeBlock(v, times, fn)
}

// AnyTime accepts the traces of all times, for DecodeBlock.
func AnyTime(uint64, uint64) bool { return true }

// DecodeBlock calls fn for the traces of a stored block whose times are accepted, until fn returns false.
func DecodeBlock(v []byte, times func(start, end uint64) bool, fn func(t *Trace) bool) error {
	d := model.Decoder{B: v}
	n, base, seq := d.Count(), d.Uvarint(), d.Uvarint()
	var t Trace
	for range n {
		size := d.Uvarint()
		one := model.Decoder{B: d.Bytes(int(min(size, uint64(len(d.B)))))}
		head := one
		head.Bytes(16)
		start := base + uint64(head.Varint())
		if end := start + head.Uvarint(); d.Err == nil && head.Err == nil && !times(start, end) {
			continue
		}
		if t.Decode(&one, base, seq); one.Err != nil || d.Err != nil {
			return model.ErrCorrupt
		}
		if !fn(&t) {
			return nil
		}
	}
	return d.Err
}

// Fold writes the summaries that changed in new blocks and deletes blocks that ended before since (Unix nanoseconds).
func (s *Store) Fold(ks model.Keyspace, seq, head, since uint64, then *model.Later, entries []storage.Entry) []storage.Entry {
	list := make([]*Trace, 0, len(s.Dirty))
	var leave [][16]byte
	for id, t := range s.Dirty {
		if t.End < since { // came late: it would expire at once
			leave = append(leave, id)
			continue
		}
		list = append(list, t)
	}
	for id, t := range s.Recent {
		if s.Dirty[id] == nil && (t.End+recentNanos < head || len(s.Recent)-len(leave) > s.maxRecent) {
			leave = append(leave, id)
		}
	}
	slices.SortFunc(list, func(a, b *Trace) int { return cmp.Or(cmp.Compare(a.Start, b.Start), bytes.Compare(a.ID[:], b.ID[:])) })
	n, blocks := s.Next, slices.Clip(s.Blocks)
	for part := range slices.Chunk(list, tracesPerBlock) {
		m, b := packBlock(n, part, seq)
		blocks = append(blocks, m)
		entries = append(entries, storage.Entry{Key: traceKey(ks, n), Value: b})
		n++
	}
	gone := 0
	for gone < len(blocks) && blocks[gone].MaxEnd < since {
		entries = append(entries, storage.Entry{Key: traceKey(ks, blocks[gone].N)})
		gone++
	}
	blocks = blocks[gone:]
	s.Stored.First, s.Stored.Next = n, n
	if len(blocks) > 0 {
		s.Stored.First = blocks[0].N
	}
	then.Do(func() { s.folded(list, leave, blocks) })
	return entries
}

// folded makes what a fold wrote the state that readers see.
func (s *Store) folded(list []*Trace, leave [][16]byte, blocks []Block) {
	for i, t := range list {
		s.Home.set(t.ID, s.Next+uint32(i/tracesPerBlock))
	}
	for _, id := range leave {
		delete(s.Recent, id)
	}
	clear(s.Dirty)
	if s.Stored.First != s.First {
		s.Home.forget(s.Stored.First)
	}
	s.Blocks, s.First, s.Next = blocks, s.Stored.First, s.Stored.Next
}

// A block: number of traces, base time, checkpoint, then each trace with its length before it.
func packBlock(n uint32, part []*Trace, seq uint64) (Block, []byte) {
	base := part[0].Start
	b := binary.AppendUvarint(nil, uint64(len(part)))
	b = binary.AppendUvarint(b, base)
	b = binary.AppendUvarint(b, seq)
	m := newMeta(n)
	var one []byte
	for _, t := range part {
		one = t.Append(one[:0], base, seq)
		b = binary.AppendUvarint(b, uint64(len(one)))
		b = append(b, one...)
		m.add(t)
	}
	m.done(len(b))
	return m.Block, b
}

// blockMeta gathers what memory knows of a block.
type blockMeta struct {
	Block
	by map[uint32]uint64
}

func newMeta(n uint32) *blockMeta { return &blockMeta{Block{N: n}, map[uint32]uint64{}} }

func (m *blockMeta) add(t *Trace) {
	m.traces++
	if m.MinStart == 0 || t.Start < m.MinStart {
		m.MinStart = t.Start
	}
	m.MaxStart, m.MaxEnd = max(m.MaxStart, t.Start), max(m.MaxEnd, t.End)
	d := t.End - t.Start
	m.MaxDuration = max(m.MaxDuration, d)
	for _, s := range t.Spans {
		m.by[s.Series] = max(m.by[s.Series], d)
	}
}

func (m *blockMeta) done(size int) {
	m.bytes = size
	m.Series = slices.Sorted(maps.Keys(m.by))
	m.Longest = make([]uint64, len(m.Series))
	for i, s := range m.Series {
		m.Longest[i] = m.by[s]
	}
}

// AppendState encodes the numbers of the blocks that are stored.
func (s *Store) AppendState(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.Stored.First)), uint64(s.Stored.Next))
}

// RestoreState reads what AppendState wrote.
func (s *Store) RestoreState(d *model.Decoder) {
	s.First, s.Next = uint32(d.Uvarint()), uint32(d.Uvarint())
}

// Restore reads the blocks that the state names; those of a fold that a crash kept from being finished are written again.
func (s *Store) Restore(kv model.State) error {
	return kv.KV.Scan(traceKey(kv.Keyspace, s.First), traceKey(kv.Keyspace, s.Next), func(k, v []byte) error {
		m := newMeta(binary.BigEndian.Uint32(k[storage.KeyPrefixLen:]))
		err := DecodeBlock(v, AnyTime, func(t *Trace) bool {
			m.add(t)
			s.Home.set(t.ID, m.N)
			return true
		})
		m.done(len(v))
		s.Blocks = append(s.Blocks, m.Block)
		return err
	})
}

// Copy is a Trace that shares no memory with t.
func (t *Trace) Copy() Trace {
	c := *t
	c.Spans, c.Raw = slices.Clone(t.Spans), slices.Clone(t.Raw)
	return c
}
