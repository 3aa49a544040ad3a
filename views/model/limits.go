package model

import (
	"encoding/binary"
	"time"
)

// Limits bound what views keep. Above a limit things are counted under Other.
type Limits struct {
	Services, OperationsPerService, Edges, Series int
	// ErrorGroups bounds exception groups, Patterns the log patterns of a service.
	ErrorGroups, Patterns int
	// RecentTraces bounds the summaries of traces that are in memory though a block holds them.
	RecentTraces int
	// Waiting bounds the span halves held for pairing; above it the oldest are given up early and counted.
	Waiting int
	// DedupRecords bounds the record hashes held; above it the oldest are forgotten early.
	DedupRecords int
	// DimensionValues bounds the values of each dimension; above it they count under Other.
	DimensionValues int
	// DedupSpans bounds the spans held by DedupSpans of Config, about 26 bytes each; above it the oldest are forgotten early and counted.
	DedupSpans int
}

// Config is what a Set needs to know. The zero value of a field means its default.
type Config struct {
	Version uint32 // view version
	Shard   uint16
	Limits  Limits
	// Retention is how long 10 s buckets are kept, in event time; Retention1m and Retention1h those of 1 min and 1 h. A wider level
	// is kept at least as long as a finer one.
	Retention, Retention1m, Retention1h time.Duration
	// Hot is how much of that stays in memory, HotBytes about how much memory that may take for each view.
	Hot      time.Duration
	HotBytes int
	// CacheBytes is what sums that were computed for readers may take; SpareBytes what buffers for raw records keep between checkpoints.
	CacheBytes, SpareBytes int
	// PairingWindow is how long a span half waits for its other side before it is counted alone, in event time.
	PairingWindow time.Duration
	// Compensation is how long a half that was counted alone can still be paired, in event time.
	Compensation time.Duration
	// TraceRetention is how long traces are kept, in event time; negative: no traces view. TraceBytes bounds the raw spans kept with
	// them; 0 keeps none.
	TraceRetention time.Duration
	TraceBytes     int64
	// TraceKeep thins out the raw spans of traces that have settled; nil keeps all.
	TraceKeep *Keep
	// LogRetention and LogBytes are the same for log lines; 0 bytes keep none.
	LogRetention time.Duration
	LogBytes     int64
	// DedupWindow is how far apart, by record timestamp, equal records are one sent twice; negative turns it off.
	DedupWindow time.Duration
	// DedupSpans recognises spans that are sent again in other records too, within the same window.
	DedupSpans bool
	// FutureTolerance is how far beyond the receiver's clock a span may end, see Record.Received; what ends later is shifted and counted.
	FutureTolerance time.Duration
	// Dimensions are attributes of resources or spans that are part of every key. A Set that exists keeps those that it was made with.
	Dimensions []string
	// FoldEvery and FoldBytes say when the journal is cut: after so many checkpoints or bytes.
	FoldEvery, FoldBytes int
	// MaxCommitBytes is what a fold puts into one transaction.
	MaxCommitBytes int
	// MaxCheckpointSpans and MaxCheckpointBytes (of records) are what one checkpoint takes before it leaves partitions for the next.
	MaxCheckpointSpans, MaxCheckpointBytes uint64
}

// WithDefaults is c with a value in every field.
func (c Config) WithDefaults() Config {
	Default(&c.Limits.Services, 10_000)
	Default(&c.Limits.OperationsPerService, 500)
	Default(&c.Limits.Edges, 50_000)
	Default(&c.Limits.Series, 200_000)
	Default(&c.Limits.ErrorGroups, 10_000)
	Default(&c.Limits.Patterns, 1_000)
	Default(&c.Limits.DimensionValues, 100)
	Default(&c.Limits.Waiting, 4_000_000)
	Default(&c.Limits.RecentTraces, 500_000)
	Default(&c.Limits.DedupRecords, 4_000_000)
	Default(&c.Limits.DedupSpans, 10_000_000)
	Default(&c.Retention, 6*time.Hour)
	Default(&c.Retention1m, 72*time.Hour)
	Default(&c.Retention1h, 400*24*time.Hour)
	Default(&c.Hot, time.Hour)
	Default(&c.HotBytes, 256<<20)
	Default(&c.CacheBytes, 96<<20)
	Default(&c.SpareBytes, 64<<20)
	Default(&c.TraceRetention, time.Hour)
	Default(&c.LogRetention, time.Hour)
	Default(&c.PairingWindow, 10*time.Second)
	Default(&c.Compensation, 15*time.Minute)
	Default(&c.DedupWindow, 5*time.Minute)
	Default(&c.FutureTolerance, DefaultFutureTolerance)
	Default(&c.FoldEvery, 40)
	Default(&c.FoldBytes, 16<<20)
	Default(&c.MaxCommitBytes, 4<<20)
	Default(&c.MaxCheckpointSpans, 100_000)
	Default(&c.MaxCheckpointBytes, 64<<20)
	c.Hot = min(c.Hot, c.Retention)
	return c
}

// Default sets *p to def unless it has a value.
func Default[T comparable](p *T, def T) {
	var zero T
	if *p == zero {
		*p = def
	}
}

// DefaultFutureTolerance is how far beyond the receiver's clock something may be.
const DefaultFutureTolerance = 10 * time.Second

// Keep says whose raw spans are kept once a trace has settled: those of traces with an error, of slow ones, and a sample of the rest.
// Until then all are.
type Keep struct {
	Slow   time.Duration // traces at least so long; 0: none for that
	Sample float64       // share of the others, by trace id
}

// Samples reports whether a trace is in the sample, whatever it is.
func (k *Keep) Samples(id [16]byte) bool {
	return float64(binary.BigEndian.Uint64(id[8:])>>11)/(1<<53) < k.Sample
}

// MaxLocalSeries bounds what a batch remembers between checkpoints; above it the batch starts from nothing.
const MaxLocalSeries = 20_000
