package views

import "time"

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

func (c Config) withDefaults() Config {
	set(&c.Limits.Services, 10_000)
	set(&c.Limits.OperationsPerService, 500)
	set(&c.Limits.Edges, 50_000)
	set(&c.Limits.Series, 200_000)
	set(&c.Limits.ErrorGroups, 10_000)
	set(&c.Limits.Patterns, 1_000)
	set(&c.Limits.DimensionValues, 100)
	set(&c.Limits.Waiting, 4_000_000)
	set(&c.Limits.RecentTraces, 500_000)
	set(&c.Limits.DedupRecords, 4_000_000)
	set(&c.Limits.DedupSpans, 10_000_000)
	set(&c.Retention, 6*time.Hour)
	set(&c.Retention1m, 72*time.Hour)
	set(&c.Retention1h, 400*24*time.Hour)
	set(&c.Hot, time.Hour)
	set(&c.HotBytes, 256<<20)
	set(&c.CacheBytes, 96<<20)
	set(&c.SpareBytes, 64<<20)
	set(&c.TraceRetention, time.Hour)
	set(&c.LogRetention, time.Hour)
	set(&c.PairingWindow, 10*time.Second)
	set(&c.Compensation, 15*time.Minute)
	set(&c.DedupWindow, 5*time.Minute)
	set(&c.FutureTolerance, DefaultFutureTolerance)
	set(&c.FoldEvery, 40)
	set(&c.FoldBytes, 16<<20)
	set(&c.MaxCommitBytes, 4<<20)
	set(&c.MaxCheckpointSpans, 100_000)
	set(&c.MaxCheckpointBytes, 64<<20)
	c.Hot = min(c.Hot, c.Retention)
	return c
}

func set[T comparable](p *T, def T) {
	var zero T
	if *p == zero {
		*p = def
	}
}
