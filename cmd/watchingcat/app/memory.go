package app

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/receiver"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// roomy is from where on there is memory to compress the state on disk.
const roomy = 4 << 30

// memory is the process's limit and what is sized from it. The parts add up to about two thirds of it; the rest is for answers, rules,
// the metrics of OTLP and the garbage between two collections.
type memory int64

// memoryLimit is the configured limit, else what the control group allows less a tenth, else three quarters of the machine.
func memoryLimit(c *config.Config) memory {
	if c.MemoryLimit > 0 {
		return memory(c.MemoryLimit)
	}
	if n, err := memlimit.FromCgroup(); err == nil {
		if total, err := memlimit.FromSystem(); err != nil || n < total {
			return max(config.MinMemory, memory(n/10*9))
		}
	}
	n, err := memlimit.FromSystem()
	if err != nil {
		return 4 << 30
	}
	return max(config.MinMemory, memory(n/4*3))
}

// share is a part of the limit, at most the size that is enough however much memory there is.
func (m memory) share(parts int64, enough int64) int64 { return min(int64(m)/parts, enough) }

// memTable is the size of one of Badger's memtables; it maps about six times as much into memory while one is flushed.
func (m memory) memTable() int64 {
	return max(storage.MinMemTableBytes, m.share(32, storage.DefaultMemTableBytes))
}

func (m memory) blockCache() int64 { return m.share(32, 64<<20) }

// kept is what the spans of traces take that are not decided about.
func (m memory) kept() int64 { return max(1<<20, m.share(16, 256<<20)) }

// verified is what a minute that is counted again takes.
func (m memory) verified() int64 { return m.share(32, 256<<20) }

// trace is how many bytes of spans an answer about one trace holds: decoded and as JSON they take about fifteen times as much. The spans of
// one record always fit.
func (m memory) trace() int64 { return max(16<<20, m.share(64, 32<<20)) }

// answers is how many bytes one answer of a raw store may have, and all large ones together. The spans of a trace take two and a half times
// as many bytes as JSON as they take in OTLP.
func (m memory) answers() (one, all int64) {
	return 2 * m.trace(), max(2*m.trace(), 4*m.share(64, 32<<20))
}

// buffered is what may be fetched from one topic and not applied yet, fetch what one request to a broker may bring, compressed.
func (m memory) buffered() int64 { return m.share(32, 256<<20) }
func (m memory) fetch() int64    { return max(256<<10, m.share(256, 32<<20)) }

// decompress is what a batch of records may have decompressed, oversize one that is fetched alone.
func (m memory) decompress() int { return int(max(20<<20, m.share(16, 64<<20))) }
func (m memory) oversize() int   { return int(max(64<<20, m.share(6, 512<<20))) }

// pending is what may be applied from one topic and not committed yet.
func (m memory) pending() uint64 { return uint64(m.share(48, 32<<20)) }

// applying is what large records may have that are decoded at the same time; decoded they take several times as much.
func (m memory) applying() int64 { return m.share(32, 64<<20) }

// otlp is how large a request to the OTLP receivers may be, and how many may be in progress: a quarter of the memory at most.
func (m memory) otlp() (largest, requests int) {
	largest = int(m.share(64, receiver.DefaultMaxBytes))
	return largest, int(min(1024, max(16, int64(m)/4/int64(largest))))
}

// views are the parts of the views that grow with the traffic.
func (m memory) views(c *model.Config) {
	const group, hash, spanHash, trace = 150, 80, 40, 600 // bytes of each, about
	c.Limits.Waiting = int(m.share(8*group, 4_000_000))
	c.Limits.DedupRecords = int(m.share(24*hash, 4_000_000))
	c.Limits.DedupSpans = int(m.share(8*spanHash, 10_000_000))
	c.Limits.RecentTraces = int(m.share(12*trace, 500_000))
	c.HotBytes = int(m.share(48, 256<<20))
	c.CacheBytes = int(m.share(32, 96<<20))
	c.SpareBytes = int(m.share(64, 64<<20))
	c.MaxCheckpointBytes = uint64(m.share(24, 64<<20))
}

// outside is what the process takes beside the heap of Go: Badger and the TSDB map files into memory.
func (m memory) outside() int64 { return int64(m) / 4 }

// heap is what is left for the heap of Go.
func (m memory) heap() int64 { return max(int64(m)/2, int64(m)-m.outside()) }

// mapped is the part of the mapped files of the state.
func (m memory) mapped() int64 { return max(64<<20, int64(m)/12) }

// gcPercent is how much garbage there may be for what is in use before the garbage collector runs. Little is allocated for a span, so that it
// takes one to two percent of the CPU at this value; at Go's own, 100, the process has a third more memory for nothing.
const gcPercent = 50

// apply makes the garbage collector keep within the limit. GOGC, if set, says when it runs below that.
func (m memory) apply() {
	debug.SetMemoryLimit(m.heap())
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// heapLive is what the last garbage collection found in use, in bytes.
func heapLive() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

// slowFrom is the share of the heap's limit from which on reading slows down; beyond it the garbage collector would run all the time.
const slowFrom = 0.75

// slowDown is how long to wait before the next batch is read: the more of the heap's limit is in use, the longer, up to half a second. It
// never stands still, because what fills the memory may be something else.
func (m memory) slowDown() time.Duration {
	over := float64(heapLive())/float64(m.heap()) - slowFrom
	if over <= 0 {
		return 0
	}
	return min(500*time.Millisecond, time.Duration(over/(1-slowFrom)*float64(500*time.Millisecond)))
}
