package live

import (
	"io"
	"time"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// Each call on Live takes its own View; see View for what the methods do.

// Frontier says for which times the views speak.
func (l *Live) Frontier() model.Frontier {
	v := l.View()
	defer v.Release()
	return v.Frontier()
}

// Services returns every service with spans in the range.
func (l *Live) Services(from, to time.Time) ([]model.Service, error) {
	v := l.View()
	defer v.Release()
	return v.Services(from, to)
}

// ServiceCounts is Services with what was counted.
func (l *Live) ServiceCounts(from, to time.Time) ([]model.ServiceCounts, error) {
	v := l.View()
	defer v.Release()
	return v.ServiceCounts(from, to)
}

// ServiceTrends returns the incoming requests of every service in steps.
func (l *Live) ServiceTrends(from, to time.Time, step time.Duration) ([]model.ServiceTrend, error) {
	v := l.View()
	defer v.Release()
	return v.ServiceTrends(from, to, step)
}

// Service sums up a service over all its dimensions.
func (l *Live) Service(name string, from, to time.Time) (model.Service, bool, error) {
	v := l.View()
	defer v.Release()
	return v.Service(name, from, to)
}

// Operations returns every (name, kind) of a service with spans in the range.
func (l *Live) Operations(service string, from, to time.Time) ([]model.Operation, bool, error) {
	v := l.View()
	defer v.Release()
	return v.Operations(service, from, to)
}

// Latencies returns the operations that match accepts, with their histograms.
func (l *Live) Latencies(from, to time.Time, match func(k model.REDKey) bool) ([]model.OperationLatency, error) {
	v := l.View()
	defer v.Release()
	return v.Latencies(from, to, match)
}

// ServicePoints returns a chart.
func (l *Live) ServicePoints(service, operation string, from, to time.Time, step time.Duration) ([]model.Point, bool, error) {
	v := l.View()
	defer v.Release()
	return v.ServicePoints(service, operation, from, to, step)
}

// ServiceMap returns the edges of a range.
func (l *Live) ServiceMap(from, to time.Time) (model.Map, error) {
	v := l.View()
	defer v.Release()
	return v.ServiceMap(from, to)
}

// SelectRED returns the series that match accepts.
func (l *Live) SelectRED(from, to time.Time, match func(id uint32, k model.REDKey) bool) ([]model.REDTimeline, error) {
	v := l.View()
	defer v.Release()
	return v.SelectRED(from, to, match)
}

// SelectEdges returns the edges that match accepts.
func (l *Live) SelectEdges(from, to time.Time, match func(id uint32, k model.EdgeKey) bool) ([]model.EdgeTimeline, error) {
	v := l.View()
	defer v.Release()
	return v.SelectEdges(from, to, match)
}

// TableRows returns the series of a table with anything in the range.
func (l *Live) TableRows(t model.Table, from, to time.Time, match func(labels []string) bool) ([]cells.TallyRow, error) {
	v := l.View()
	defer v.Release()
	return v.TableRows(t, from, to, match)
}

// SelectTable returns the series of a table that match accepts.
func (l *Live) SelectTable(t model.Table, from, to time.Time, match func(labels []string) bool) ([]cells.TallyTimeline, error) {
	v := l.View()
	defer v.Release()
	return v.SelectTable(t, from, to, match)
}

// SearchTraces returns the traces that q selects.
func (l *Live) SearchTraces(q views.TraceQuery) (views.TraceResult, error) {
	v := l.View()
	defer v.Release()
	return v.SearchTraces(q)
}

// ScanSpans calls fn with blocks that may have the spans that q selects.
func (l *Live) ScanSpans(q views.SpanScan, fn func(block []byte, dims model.DimFilter) error) (views.SpanScanResult, error) {
	v := l.View()
	defer v.Release()
	return v.ScanSpans(q, fn)
}

// Trace returns a trace's summary and raw records.
func (l *Live) Trace(id [16]byte) (views.TraceSummary, [][]byte, int, bool, error) {
	v := l.View()
	defer v.Release()
	return v.Trace(id)
}

// LogPatterns returns the patterns of a range.
func (l *Live) LogPatterns(from, to time.Time, service string) ([]views.LogPattern, error) {
	v := l.View()
	defer v.Release()
	return v.LogPatterns(from, to, service)
}

// SearchLogs returns the newest lines that q selects.
func (l *Live) SearchLogs(q views.LogQuery) (views.LogResult, error) {
	v := l.View()
	defer v.Release()
	return v.SearchLogs(q)
}

// TailLogs returns lines of new checkpoints.
func (l *Live) TailLogs(q views.LogQuery, after uint64, limit int) ([]views.LogLine, int, uint64, error) {
	v := l.View()
	defer v.Release()
	return v.TailLogs(q, after, limit)
}

// Counters are those of the version that goes on with the topic.
func (l *Live) Counters() model.Counters {
	v := l.View()
	defer v.Release()
	return v.Counters()
}

// Progress is how far the version that goes on with the topic has read each partition.
func (l *Live) Progress() []model.Progress {
	v := l.View()
	defer v.Release()
	return v.live.Progress()
}

// Dump writes the canonical text of a view of the version that goes on with the topic.
func (l *Live) Dump(w io.Writer, view string) error {
	v := l.View()
	defer v.Release()
	return v.live.Dump(w, view)
}

// Feed publishes checkpoints and swaps.
func (l *Live) Feed() *model.Feed { return &l.feed }
