package views

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// Raw blocks keep recent records as they came: the values of Kafka records, one after the other, compressed with zstd. OTLP's
// messages are lists, and lists written one after the other are one list, so a block is itself an OTLP message. Before a record of logs
// stands a field that OTLP does not have (see lineClock).
//
// Blocks are written with the checkpoint that took their records and named by its number. They are dropped, the oldest first, when
// they are older than retention or more than may be kept.

// rawStore is what memory knows of the raw blocks of one signal.
type rawStore struct {
	signal   byte // in keys
	maxBytes int64
	kept     []rawMeta // ascending by checkpoint
	bytes    int64
	dropped  uint64 // newest event time among what was dropped
	guessed  bool   // dropped is where what is kept begins: what was dropped before the start is not known
	enc      *zstd.Encoder
	dec      *zstd.Decoder
	stray    [][]byte
}

// rawMeta is what one checkpoint wrote.
type rawMeta struct {
	seq    uint64
	blocks uint32
	bytes  int64
	begin  uint64 // oldest and newest event time in it
	end    uint64
	sifted bool // what need not be kept was taken out
	starts bool // begin is no later than the start of any span
}

// rawBlockBytes is how much a block holds before the next is begun.
const rawBlockBytes = 512 << 10

// maxRawBlock is the largest block that is read: one full block and one maximal record.
const maxRawBlock = rawBlockBytes + 64<<20

func newRawStore(signal byte, maxBytes int64) (*rawStore, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxRawBlock))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &rawStore{signal: signal, maxBytes: maxBytes, enc: enc, dec: dec}, nil
}

func (s *rawStore) key(ks model.Keyspace, r rawRef) []byte {
	k := binary.BigEndian.AppendUint64(ks.Key(storage.TableRaw, s.signal), r.seq)
	return binary.BigEndian.AppendUint32(k, r.n)
}

func (s *rawStore) metaKey(ks model.Keyspace, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(ks.Key(storage.TableMeta, model.MetaRaw, s.signal), seq)
}

// rawSpare keeps the buffers of blocks between checkpoints, for all partitions together: each would keep what its largest burst needed.
type rawSpare struct {
	mu     sync.Mutex
	most   int // bytes
	blocks [][]byte
	bytes  int
}

func (p *rawSpare) take() []byte {
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

func (p *rawSpare) give(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cap(b) > 0 && p.bytes+cap(b) <= p.most {
		p.blocks = append(p.blocks, b[:0])
		p.bytes += cap(b)
	}
}

// rawBatch is what one partition read of raw records between two checkpoints.
type rawBatch struct {
	blocks [][]byte
	begin  uint64 // oldest and newest event time
	end    uint64
}

// add keeps a record, with a head before it, and returns the number of its block in the batch.
func (b *rawBatch) add(spare *rawSpare, head, value []byte, begin, end uint64) uint32 {
	if len(b.blocks) == 0 || begin < b.begin {
		b.begin = begin
	}
	if n := len(b.blocks); n == 0 || len(b.blocks[n-1])+len(value) > rawBlockBytes {
		b.blocks = append(b.blocks, spare.take())
	}
	b.end = max(b.end, end)
	last := &b.blocks[len(b.blocks)-1]
	*last = append(append(*last, head...), value...)
	return uint32(len(b.blocks) - 1)
}

func (b *rawBatch) reset(spare *rawSpare) {
	for i, block := range b.blocks {
		spare.give(block)
		b.blocks[i] = nil
	}
	b.blocks, b.begin, b.end = b.blocks[:0], 0, 0
}

// collect returns the entries that keep the blocks of a checkpoint. Block n of batch i becomes number base(i)+n.
func (s *rawStore) collect(ks model.Keyspace, seq uint64, batches []*rawBatch) (entries []storage.Entry, m rawMeta) {
	m.seq, m.starts = seq, true
	var filters []byte
	for _, b := range batches {
		for _, block := range b.blocks {
			if s.signal == model.RawSignalSpans {
				filters = filterOf(block).append(filters)
			}
			v := s.enc.EncodeAll(block, make([]byte, 0, len(block)/3))
			m.bytes += int64(len(v))
			entries = append(entries, storage.Entry{Key: s.key(ks, rawRef{seq, m.blocks}), Value: v})
			m.blocks++
		}
		if len(b.blocks) > 0 && (m.begin == 0 || b.begin < m.begin) {
			m.begin = b.begin
		}
		m.end = max(m.end, b.end)
	}
	if filters != nil {
		m.bytes += int64(len(filters))
		entries = append(entries, storage.Entry{Key: filterKey(ks, seq), Value: filters})
	}
	entries = s.dropStray(entries)
	if m.blocks == 0 {
		return entries, m
	}
	return append(entries, storage.Entry{Key: s.metaKey(ks, seq), Value: m.append(nil)}), m
}

// dropStray deletes what a crash left over, at once: the numbers of lost checkpoints are used again.
func (s *rawStore) dropStray(entries []storage.Entry) []storage.Entry {
	written := len(entries)
	for _, k := range s.stray {
		if !slices.ContainsFunc(entries[:written], func(e storage.Entry) bool { return bytes.Equal(e.Key, k) }) {
			entries = append(entries, storage.Entry{Key: k})
		}
	}
	s.stray = nil
	return entries
}

func (m *rawMeta) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(m.blocks))
	b = binary.AppendUvarint(b, uint64(m.bytes))
	b = binary.AppendUvarint(b, m.begin)
	b = binary.AppendUvarint(b, m.end)
	flags := byte(0)
	if m.sifted {
		flags |= rawSifted
	}
	if m.starts {
		flags |= rawStarts
	}
	return append(b, flags)
}

// Flags of a rawMeta. Those written before there was rawStarts have the least of the records' ends as begin.
const rawSifted, rawStarts = 1, 2

func (m *rawMeta) decode(d *model.Decoder) {
	m.blocks, m.bytes, m.begin, m.end = uint32(d.Uvarint()), int64(d.Uvarint()), d.Uvarint(), d.Uvarint()
	flags := d.Byte()
	m.sifted, m.starts = flags&rawSifted != 0, flags&rawStarts != 0
}

// replace notes what sifting left of a checkpoint's blocks.
func (s *rawStore) replace(m rawMeta) {
	i, ok := slices.BinarySearchFunc(s.kept, m.seq, func(k rawMeta, seq uint64) int { return cmp.Compare(k.seq, seq) })
	if ok {
		s.bytes += m.bytes - s.kept[i].bytes
		s.kept[i] = m
	}
}

func (s *rawStore) install(m rawMeta) {
	if m.blocks > 0 {
		s.kept = append(s.kept, m)
		s.bytes += m.bytes
	}
}

// fold drops what is older than since (Unix nanoseconds) or too much.
func (s *rawStore) fold(ks model.Keyspace, since uint64, then *model.Later, entries []storage.Entry) []storage.Entry {
	gone, left := 0, s.bytes
	for gone < len(s.kept) && (s.kept[gone].end < since || left > s.maxBytes) {
		m := s.kept[gone]
		for n := range m.blocks {
			entries = append(entries, storage.Entry{Key: s.key(ks, rawRef{m.seq, n})})
		}
		if s.signal == model.RawSignalSpans {
			entries = append(entries, storage.Entry{Key: filterKey(ks, m.seq)})
		}
		entries = append(entries, storage.Entry{Key: s.metaKey(ks, m.seq)})
		left -= m.bytes
		gone++
	}
	then.Do(func() {
		for _, m := range s.kept[:gone] {
			s.bytes -= m.bytes
			s.dropped, s.guessed = max(s.dropped, m.end), false
		}
		s.kept = slices.Delete(s.kept, 0, gone)
	})
	return entries
}

// restore reads what is kept. Blocks of a checkpoint after seq were written before a crash and never committed.
func (s *rawStore) restore(kv model.State, seq uint64) error {
	prefix := kv.Key(storage.TableMeta, model.MetaRaw, s.signal)
	err := kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		d := model.Decoder{B: v}
		m := rawMeta{seq: binary.BigEndian.Uint64(k[len(prefix):])}
		if m.decode(&d); m.seq <= seq {
			s.install(m)
		} else {
			s.stray = append(s.stray, slices.Clone(k))
		}
		return d.Err
	})
	if err != nil {
		return fmt.Errorf("read what raw blocks there are: %w", err)
	}
	if len(s.kept) > 0 {
		s.dropped, s.guessed = s.kept[0].begin, true
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
	return stray(s.key(kv.Keyspace, rawRef{seq: seq + 1}), kv.Key(storage.TableRaw, s.signal))
}

// holds reports whether a block is kept.
func (s *rawStore) holds(r rawRef) bool { return len(s.kept) > 0 && r.seq >= s.kept[0].seq }

// get returns the OTLP bytes of a block that was held; ok is false when it has been dropped since, or is lost. It needs no lock: to read and to
// decompress takes long, and a checkpoint would wait for it, and all other readers for the checkpoint.
func (s *rawStore) get(kv model.State, r rawRef) (b []byte, ok bool, err error) {
	v, err := kv.KV.Get(s.key(kv.Keyspace, r))
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrLost) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read raw block %d/%d: %w", r.seq, r.n, err)
	}
	b, err = s.dec.DecodeAll(v, nil)
	if err != nil {
		return nil, false, fmt.Errorf("raw block %d/%d: %w", r.seq, r.n, err)
	}
	return b, true, nil
}

// ForgetRaw drops the raw records of a Set that takes nothing more, those that are older than retention at a time: what replaced it
// no longer shows them.
func (s *Set) ForgetRaw(now time.Time, commit func(storage.Commit) error) error {
	var then model.Later
	at := model.UnixNano(now, 0)
	before := func(retention time.Duration) uint64 { return at - min(at, uint64(max(0, retention))) }
	s.mu.RLock()
	entries := s.rawSpans.fold(s.kv.Keyspace, before(s.cfg.TraceRetention), &then, nil)
	entries = s.rawLogs.fold(s.kv.Keyspace, before(s.cfg.LogRetention), &then, entries)
	s.mu.RUnlock()
	for part := range slices.Chunk(entries, forgetBatch) {
		if err := commit(storage.Commit{Version: s.cfg.Version, Shard: s.cfg.Shard, Entries: part}); err != nil {
			return fmt.Errorf("views: drop raw records of version %d: %w", s.cfg.Version, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range then {
		f()
	}
	return nil
}

// forgetBatch keys are deleted by one transaction.
const forgetBatch = 10_000
