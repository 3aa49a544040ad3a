package source

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// pool keeps the memory of record batches that were applied, for those that are fetched next. A batch gives its memory back when the last
// of its records is recycled; what was fetched and never handed out, or is obsolete, is left to the garbage collector. It implements
// kgo.PoolDecompressBytes and kgo.PoolRecords.
//
// Buffers are kept by size, each a power of two, because franz-go clears the whole buffer of a batch, not only what the batch filled.
type pool struct {
	bytes   [smallestClasses + 1]sync.Pool // of *[]byte; the last holds what is larger
	records sync.Pool                      // of *[]kgo.Record
	growth  atomic.Uint64                  // how many times as large batches become that do not say so, in 256ths
}

const (
	smallestBuffer  = 12 // as a power of two
	smallestClasses = 15 // up to 64 MiB
)

// class is that of a buffer which holds n bytes.
func class(n int) int { return min(max(bits.Len(uint(n-1))-smallestBuffer, 0), smallestClasses) }

// GetDecompressBytes returns a buffer that holds the batch if it can be known how large it will be, and probably else.
func (p *pool) GetDecompressBytes(compressed []byte, codec kgo.CompressionCodecType) []byte {
	n := p.size(compressed, codec)
	c := class(n)
	if b, ok := p.bytes[c].Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:0]
	}
	if c == smallestClasses {
		return nil // grows as it is needed, within the limit of a batch
	}
	return make([]byte, 0, 1<<(c+smallestBuffer))
}

// zstdSlack is what the decoder wants beyond the content of a frame.
const zstdSlack = 16

// size is how many bytes a batch will have.
func (p *pool) size(compressed []byte, codec kgo.CompressionCodecType) int {
	if codec == kgo.CodecZstd {
		var h zstd.Header
		if h.Decode(compressed) == nil && h.HasFCS && h.FrameContentSize < maxBuffer {
			return int(h.FrameContentSize) + zstdSlack
		}
	}
	return min(len(compressed)*int(max(p.growth.Load(), 4*256))/256, maxBuffer)
}

const maxBuffer = 1 << (smallestBuffer + smallestClasses - 1)

// PutDecompressBytes keeps a buffer.
func (p *pool) PutDecompressBytes(b []byte) {
	c := bits.Len(uint(cap(b))) - 1 - smallestBuffer // what it holds surely
	if c < 0 || c >= smallestClasses {
		return
	}
	p.bytes[c].Put(&b)
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
