package source

import (
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// pool keeps the memory of record batches that were applied, for those that are fetched next. A batch gives its memory back when the last
// of its records is recycled; what was fetched and never handed out, or is obsolete, is left to the garbage collector. It implements
// kgo.PoolDecompressBytes and kgo.PoolRecords.
//
// Buffers are kept by size, each a power of two, because franz-go clears the whole buffer of a batch, not only what the batch filled.
type pool struct {
	most    int                                           // bytes that a batch may have
	bytes   [largestBuffer - smallestBuffer + 1]sync.Pool // of *[]byte
	records sync.Pool                                     // of *[]kgo.Record
}

// Buffers that are kept, as powers of two: 4 KiB to 64 MiB.
const (
	smallestBuffer = 12
	largestBuffer  = 26
)

// GetDecompressBytes returns a buffer that holds the batch if it can be known how large it will be, and probably otherwise.
func (p *pool) GetDecompressBytes(compressed []byte, codec kgo.CompressionCodecType) []byte {
	n := max(min(decompressedSize(compressed, codec), p.most, 1<<largestBuffer), 1<<smallestBuffer)
	size := bits.Len(uint(n - 1))
	if b, ok := p.bytes[size-smallestBuffer].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1<<size)
}

// zstdSlack is what the decoder wants beyond the content of a frame.
const zstdSlack = 16

// decompressedSize is how many bytes a batch will have, where it says so and that is not too large for a buffer; otherwise a guess.
func decompressedSize(compressed []byte, codec kgo.CompressionCodecType) int {
	var h zstd.Header
	if codec == kgo.CodecZstd && h.Decode(compressed) == nil && h.HasFCS && h.FrameContentSize < 1<<largestBuffer {
		return int(h.FrameContentSize) + zstdSlack
	}
	return 4 * len(compressed)
}

// PutDecompressBytes keeps a buffer among those of the largest size that it has surely.
func (p *pool) PutDecompressBytes(b []byte) {
	if size := bits.Len(uint(cap(b))) - 1; size >= smallestBuffer && size <= largestBuffer {
		p.bytes[size-smallestBuffer].Put(&b)
	}
}

// GetRecords returns room for n records.
func (p *pool) GetRecords(n int) []kgo.Record {
	if r, ok := p.records.Get().(*[]kgo.Record); ok && cap(*r) >= n {
		return (*r)[:0]
	}
	return make([]kgo.Record, 0, n)
}

// PutRecords keeps the room of records.
func (p *pool) PutRecords(r []kgo.Record) { p.records.Put(&r) }
