package traces

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// RawStore is what memory knows of the raw blocks of one signal.
type RawStore struct {
	signal   byte // in keys
	maxBytes int64
	Kept     []RawMeta // ascending by checkpoint
	bytes    int64
	Dropped  uint64 // newest event time among what was dropped
	Guessed  bool   // dropped is where what is kept begins: what was dropped before the start is not known
	Enc      *zstd.Encoder
	dec      *zstd.Decoder
	stray    [][]byte
}

// RawMeta is what one checkpoint wrote.
type RawMeta struct {
	Seq    uint64
	Blocks uint32
	Bytes  int64
	Begin  uint64 // oldest and newest event time in it
	End    uint64
	Sifted bool // what need not be kept was taken out
	Starts bool // begin is no later than the start of any span
}

// rawBlockBytes is how much a block holds before the next is begun.
const rawBlockBytes = 512 << 10

// maxRawBlock is the largest block that is read: one full block and one maximal record.
const maxRawBlock = rawBlockBytes + 64<<20

// NewRawStore returns a RawStore for one signal that keeps at most maxBytes; 0 keeps nothing.
func NewRawStore(signal byte, maxBytes int64) (*RawStore, error) {
	// The store has checksums of its own. Spans are mostly repeated names, ids and times: coding their literals took a third of the time
	// and saved nothing of them, a fifth of texts. Log lines are texts.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithNoEntropyCompression(signal == model.RawSignalSpans))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxRawBlock))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &RawStore{signal: signal, maxBytes: maxBytes, Enc: enc, dec: dec}, nil
}

// Key is where a block is stored.
func (s *RawStore) Key(ks model.Keyspace, r RawRef) []byte {
	k := binary.BigEndian.AppendUint64(ks.Key(storage.TableRaw, s.signal), r.Seq)
	return binary.BigEndian.AppendUint32(k, r.N)
}

// MetaKey is where what is known of a checkpoint's blocks is stored.
func (s *RawStore) MetaKey(ks model.Keyspace, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(ks.Key(storage.TableMeta, model.MetaRaw, s.signal), seq)
}

// RawSpare keeps the buffers of blocks between checkpoints, for all partitions together: each would keep what its largest burst needed.
type RawSpare struct {
	mu     sync.Mutex
	Most   int // bytes
	blocks [][]byte
	bytes  int
}

func (p *RawSpare) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.blocks)
	if n == 0 {
		return nil
	}
	b := p.blocks[n-1]
	p.blocks, p.blocks[n-1] = p.blocks[:n-1], nil
	p.bytes -= cap(b)
	return b
}

func (p *RawSpare) give(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cap(b) > 0 && p.bytes+cap(b) <= p.Most {
		p.blocks = append(p.blocks, b[:0])
		p.bytes += cap(b)
	}
}

// RawBatch is what one partition read of raw records between two checkpoints.
type RawBatch struct {
	Blocks [][]byte
	begin  uint64 // oldest and newest event time
	end    uint64
}

// Add keeps a record, with a head before it, and returns the number of its block in the batch.
func (b *RawBatch) Add(spare *RawSpare, head, value []byte, begin, end uint64) uint32 {
	if len(b.Blocks) == 0 || begin < b.begin {
		b.begin = begin
	}
	if n := len(b.Blocks); n == 0 || len(b.Blocks[n-1])+len(value) > rawBlockBytes {
		block := spare.take()
		if block == nil && n > 0 {
			block = make([]byte, 0, rawBlockBytes) // it will be filled too, and need not grow
		}
		b.Blocks = append(b.Blocks, block)
	}
	b.end = max(b.end, end)
	last := &b.Blocks[len(b.Blocks)-1]
	*last = append(append(*last, head...), value...)
	return uint32(len(b.Blocks) - 1)
}

// Reset makes the batch empty and gives its buffers to spare.
func (b *RawBatch) Reset(spare *RawSpare) {
	for i, block := range b.Blocks {
		spare.give(block)
		b.Blocks[i] = nil
	}
	b.Blocks, b.begin, b.end = b.Blocks[:0], 0, 0
}

// Collect returns the entries that keep the blocks of a checkpoint. Block n of batch i becomes number base(i)+n.
func (s *RawStore) Collect(ks model.Keyspace, seq uint64, batches []*RawBatch) (entries []storage.Entry, m RawMeta) {
	m.Seq, m.Starts = seq, true
	var filters []byte
	for _, b := range batches {
		for _, block := range b.Blocks {
			if s.signal == model.RawSignalSpans {
				filters = filterOf(block).append(filters)
			}
			v := s.Enc.EncodeAll(block, make([]byte, 0, len(block)/3))
			m.Bytes += int64(len(v))
			entries = append(entries, storage.Entry{Key: s.Key(ks, RawRef{seq, m.Blocks}), Value: v})
			m.Blocks++
		}
		if len(b.Blocks) > 0 && (m.Begin == 0 || b.begin < m.Begin) {
			m.Begin = b.begin
		}
		m.End = max(m.End, b.end)
	}
	if filters != nil {
		m.Bytes += int64(len(filters))
		entries = append(entries, storage.Entry{Key: filterKey(ks, seq), Value: filters})
	}
	entries = s.dropStray(entries)
	if m.Blocks == 0 {
		return entries, m
	}
	return append(entries, storage.Entry{Key: s.MetaKey(ks, seq), Value: m.Append(nil)}), m
}

// dropStray deletes what a crash left over, at once: the numbers of lost checkpoints are used again.
func (s *RawStore) dropStray(entries []storage.Entry) []storage.Entry {
	written := len(entries)
	for _, k := range s.stray {
		if !slices.ContainsFunc(entries[:written], func(e storage.Entry) bool { return bytes.Equal(e.Key, k) }) {
			entries = append(entries, storage.Entry{Key: k})
		}
	}
	s.stray = nil
	return entries
}

// Append encodes what is known of a checkpoint's blocks.
func (m *RawMeta) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(m.Blocks))
	b = binary.AppendUvarint(b, uint64(m.Bytes))
	b = binary.AppendUvarint(b, m.Begin)
	b = binary.AppendUvarint(b, m.End)
	flags := byte(0)
	if m.Sifted {
		flags |= rawSifted
	}
	if m.Starts {
		flags |= rawStarts
	}
	return append(b, flags)
}

// Flags of a rawMeta. Those written before there was rawStarts have the least of the records' ends as begin.
const rawSifted, rawStarts = 1, 2

// Decode reads what Append wrote.
func (m *RawMeta) Decode(d *model.Decoder) {
	m.Blocks, m.Bytes, m.Begin, m.End = uint32(d.Uvarint()), int64(d.Uvarint()), d.Uvarint(), d.Uvarint()
	flags := d.Byte()
	m.Sifted, m.Starts = flags&rawSifted != 0, flags&rawStarts != 0
}

// Replace notes what sifting left of a checkpoint's blocks.
func (s *RawStore) Replace(m RawMeta) {
	i, ok := slices.BinarySearchFunc(s.Kept, m.Seq, func(k RawMeta, seq uint64) int { return cmp.Compare(k.Seq, seq) })
	if ok {
		s.bytes += m.Bytes - s.Kept[i].Bytes
		s.Kept[i] = m
	}
}

// Install makes the blocks of a committed checkpoint known.
func (s *RawStore) Install(m RawMeta) {
	if m.Blocks > 0 {
		s.Kept = append(s.Kept, m)
		s.bytes += m.Bytes
	}
}

// Fold drops what is older than since (Unix nanoseconds) or too much.
func (s *RawStore) Fold(ks model.Keyspace, since uint64, then *model.Later, entries []storage.Entry) []storage.Entry {
	gone, left := 0, s.bytes
	for gone < len(s.Kept) && (s.Kept[gone].End < since || left > s.maxBytes) {
		m := s.Kept[gone]
		for n := range m.Blocks {
			entries = append(entries, storage.Entry{Key: s.Key(ks, RawRef{m.Seq, n})})
		}
		if s.signal == model.RawSignalSpans {
			entries = append(entries, storage.Entry{Key: filterKey(ks, m.Seq)})
		}
		entries = append(entries, storage.Entry{Key: s.MetaKey(ks, m.Seq)})
		left -= m.Bytes
		gone++
	}
	then.Do(func() {
		for _, m := range s.Kept[:gone] {
			s.bytes -= m.Bytes
			s.Dropped, s.Guessed = max(s.Dropped, m.End), false
		}
		s.Kept = slices.Delete(s.Kept, 0, gone)
	})
	return entries
}

// Restore reads what is kept. Blocks of a checkpoint after seq were written before a crash and never committed.
func (s *RawStore) Restore(kv model.State, seq uint64) error {
	prefix := kv.Key(storage.TableMeta, model.MetaRaw, s.signal)
	err := kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		d := model.Decoder{B: v}
		m := RawMeta{Seq: binary.BigEndian.Uint64(k[len(prefix):])}
		if m.Decode(&d); m.Seq <= seq {
			s.Install(m)
		} else {
			s.stray = append(s.stray, slices.Clone(k))
		}
		return d.Err
	})
	if err != nil {
		return fmt.Errorf("read what raw blocks there are: %w", err)
	}
	if len(s.Kept) > 0 {
		s.Dropped, s.Guessed = s.Kept[0].Begin, true
	}
	stray := func(from, prefix []byte) error {
		return kv.KV.Keys(from, storage.PrefixEnd(prefix), func(k []byte) error {
			s.stray = append(s.stray, slices.Clone(k))
			return nil
		})
	}
	if s.signal == model.RawSignalSpans {
		if err := stray(filterKey(kv.Keyspace, seq+1), kv.Key(storage.TableRaw, model.RawSignalFilters)); err != nil {
			return err
		}
	}
	return stray(s.Key(kv.Keyspace, RawRef{Seq: seq + 1}), kv.Key(storage.TableRaw, s.signal))
}

// Holds reports whether a block is kept.
func (s *RawStore) Holds(r RawRef) bool { return len(s.Kept) > 0 && r.Seq >= s.Kept[0].Seq }

// Get returns the OTLP bytes of a block that was held; ok is false when it has been dropped since, or is lost. It needs no lock: to read
// and to decompress takes long, and a checkpoint would wait for it, and all other readers for the checkpoint.
func (s *RawStore) Get(kv model.State, r RawRef) (b []byte, ok bool, err error) {
	v, err := kv.KV.Get(s.Key(kv.Keyspace, r))
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrLost) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read raw block %d/%d: %w", r.Seq, r.N, err)
	}
	b, err = s.dec.DecodeAll(v, nil)
	if err != nil {
		return nil, false, fmt.Errorf("raw block %d/%d: %w", r.Seq, r.N, err)
	}
	return b, true, nil
}
