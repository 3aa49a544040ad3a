package views

import (
	"time"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// Reader answers from committed state only. *Set implements it; from is inclusive, to exclusive, and both are widened to bucket
// edges. Every slice is the caller's own and sorted by name.
type Reader interface {
	Frontier() model.Frontier
	Services(from, to time.Time) ([]model.Service, error)
	// Service sums up a service over all its dimensions; ok=false: it has no spans in the range.
	Service(name string, from, to time.Time) (s model.Service, ok bool, err error)
	// ServiceCounts is Services with what was counted, to add up and to compare.
	ServiceCounts(from, to time.Time) ([]model.ServiceCounts, error)
	// ServiceTrends returns the incoming requests of every service that has any, in steps as ServicePoints.
	ServiceTrends(from, to time.Time, step time.Duration) ([]model.ServiceTrend, error)
	// Operations reports ok=false for a service the views do not know at all.
	Operations(service string, from, to time.Time) (ops []model.Operation, ok bool, err error)
	// Latencies returns the operations that match accepts, with their histograms; the status of a key is not set.
	Latencies(from, to time.Time, match func(k model.REDKey) bool) ([]model.OperationLatency, error)
	// ServicePoints has a point for each step, empty ones included. An empty operation means all. A step is at least as wide as the
	// buckets kept of the time where the range begins.
	ServicePoints(service, operation string, from, to time.Time, step time.Duration) (points []model.Point, ok bool, err error)
	ServiceMap(from, to time.Time) (model.Map, error)
	// SelectRED and SelectEdges return the series that match accepts, with their buckets in the range.
	SelectRED(from, to time.Time, match func(id uint32, k model.REDKey) bool) ([]model.REDTimeline, error)
	SelectEdges(from, to time.Time, match func(id uint32, k model.EdgeKey) bool) ([]model.EdgeTimeline, error)
	// TableRows and SelectTable return the series of a table that match accepts: those with anything in the range, summed; and all,
	// with their buckets in the range.
	TableRows(t model.Table, from, to time.Time, match func(labels []string) bool) ([]cells.TallyRow, error)
	SelectTable(t model.Table, from, to time.Time, match func(labels []string) bool) ([]cells.TallyTimeline, error)
	// SearchTraces returns summaries, best first.
	SearchTraces(q TraceQuery) (TraceResult, error)
	// ScanSpans calls fn with blocks of raw records that may have the spans, in an order that spreads over the range.
	ScanSpans(q SpanScan, fn func(block []byte, dims model.DimFilter) error) (SpanScanResult, error)
	// Trace returns a trace's summary and the raw records with its spans, see Set.Trace. It reports ok=false for one not known.
	Trace(id [16]byte) (t TraceSummary, raw [][]byte, missing int, ok bool, err error)
	// EachTraceBlock is Trace with one block in memory at a time; fn returns false for no more.
	EachTraceBlock(id [16]byte, fn func(t TraceSummary, block []byte) bool) (t TraceSummary, missing int, ok bool, err error)
	// LogPatterns returns patterns, most frequent first; SearchLogs recent lines, newest first; TailLogs those of new checkpoints.
	LogPatterns(from, to time.Time, service string) ([]LogPattern, error)
	SearchLogs(q LogQuery) (LogResult, error)
	// CountLogs counts lines in steps; LogsAfter returns those that follow a place, oldest first.
	CountLogs(q LogQuery, step time.Duration) (LogCounts, error)
	LogsAfter(q LogQuery, after LogPlace) (LogResult, error)
	TailLogs(q LogQuery, after uint64, limit int) (lines []LogLine, dropped int, seq uint64, err error)
	// Kept says from when on all traces and log lines are held.
	Kept() Kept
	// Counters returns what the views counted beside series, over all time.
	Counters() model.Counters
	Feed() *model.Feed
}
