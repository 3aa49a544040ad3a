package query

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	viewmodel "github.com/gaurav/watchingcat/views/model"
)

// field says which numbers of a cell a metric shows.
type field uint8

const (
	fieldCalls field = iota
	fieldSize
	fieldFailed
	fieldDuration // of red series
	fieldClient   // latency seen by the client of an edge
	fieldServer
)

// part says which series of a metric: a counter, or one part of a histogram.
type part uint8

const (
	partCounter part = iota
	partBucket
	partSum
	partCount
	partNative
)

// A metric is one metric name of one family.
type metric struct {
	name   string
	part   part
	field  field
	unit   time.Duration    // of sums and bounds
	bounds viewmodel.Bounds // of partBucket
	les    []string         // bounds as label values, "+Inf" last
	// service is the label that names the service, "" for metrics of edges.
	service string
	table   *tableFamily // nil: a metric of spans or edges
	// unpaired says that it shows the halves that made no edge.
	unpaired bool
}

// tableFamily is the metrics of one table of the views.
type tableFamily struct {
	table  viewmodel.Table
	labels []string // names, in the order of the table's labels
}

// Metadata describes a metric as /api/v1/metadata does. For histograms Name lacks the suffixes of their series.
type Metadata struct {
	Name string           `json:"-"`
	Type model.MetricType `json:"type"`
	Help string           `json:"help"`
	Unit string           `json:"unit"`
}

var (
	metrics   []metric // ordered by name
	described []Metadata
	counters  = map[string]bool{} // names whose values only grow, for classify.go
)

func init() {
	for _, f := range []struct {
		calls, duration, service string
		unit                     time.Duration
		bounds                   viewmodel.Bounds
		native                   bool
	}{
		{"traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds", "service_name", time.Millisecond,
			viewmodel.CollectorBounds, false},
		{"", "traces_span_metrics_duration_seconds", "service_name", time.Second, viewmodel.CollectorBounds, false},
		{"calls_total", "duration_milliseconds", "service_name", time.Millisecond, viewmodel.CollectorBounds, false},
		{"traces_spanmetrics_calls_total", "traces_spanmetrics_latency", "service", time.Second, viewmodel.TempoBounds, true},
	} {
		if f.calls != "" {
			counterOf(metric{name: f.calls, field: fieldCalls, service: f.service}, "Spans, by service, name, kind and status.", "")
		}
		histogramOf(f.duration, fieldDuration, f.unit, f.bounds, f.service, f.native, "Duration of spans.")
	}
	counterOf(metric{name: "traces_spanmetrics_size_total", field: fieldSize, service: "service"}, "Encoded size of spans.", "bytes")
	counterOf(metric{name: "traces_service_graph_request_total", field: fieldCalls}, "Calls between two services.", "")
	counterOf(metric{name: "traces_service_graph_request_failed_total", field: fieldFailed}, "Failed calls between two services.", "")
	counterOf(metric{name: "traces_service_graph_unpaired_spans_total", field: fieldCalls, unpaired: true},
		"Spans of calls that made no edge, by reason.", "")
	histogramOf("traces_service_graph_request_client_seconds", fieldClient, time.Second, viewmodel.CollectorBounds, "", true,
		"Latency of calls between two services as the client sees it.")
	histogramOf("traces_service_graph_request_server_seconds", fieldServer, time.Second, viewmodel.CollectorBounds, "", true,
		"Latency of calls between two services as the server sees it.")
	tableMetrics()
	slices.SortFunc(metrics, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	slices.SortFunc(described, func(a, b Metadata) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range metrics {
		counters[m.name] = true
	}
}

// tableMetrics are those of the tables; Prometheus' naming, under the prefix of the signal they come from.
func tableMetrics() {
	for _, f := range []struct {
		table         viewmodel.Table
		labels        []string
		total, failed string
		bytes         string
		duration      string
		what          string
	}{
		{viewmodel.TableErrors, []string{"service_name", "span_name", "exception_type", "exception_message", "source"}, "exceptions_total",
			"", "", "", "Exceptions of span events and log records, by group"},
		{viewmodel.TableDatabases, []string{"service_name", "db_system", "db_namespace", "db_operation", "db_collection"},
			"traces_database_calls_total", "traces_database_failed_total", "",
			"traces_database_duration_seconds", "Calls of databases"},
		{viewmodel.TableMessaging, []string{"service_name", "messaging_system", "messaging_destination", "messaging_role"},
			"traces_messaging_spans_total", "traces_messaging_failed_total", "",
			"traces_messaging_duration_seconds", "Spans that send or take messages"},
		{viewmodel.TableVersions, []string{"service_name", "service_version"}, "traces_version_spans_total", "traces_version_failed_total",
			"", "", "Spans of a version of a service"},
		{viewmodel.TableLogs, []string{"service_name", "severity"}, "logs_records_total", "", "logs_bytes_total", "", "Log records"},
	} {
		t := &tableFamily{f.table, f.labels}
		counterOf(metric{name: f.total, field: fieldCalls, service: "service_name", table: t}, f.what+".", "")
		if f.failed != "" {
			counterOf(metric{name: f.failed, field: fieldFailed, service: "service_name", table: t}, f.what+", with an error.", "")
		}
		if f.bytes != "" {
			counterOf(metric{name: f.bytes, field: fieldSize, service: "service_name", table: t}, "Bytes of the bodies of log records.",
				"bytes")
		}
		if f.duration == "" {
			continue
		}
		n := len(metrics)
		histogramOf(f.duration, fieldDuration, time.Second, viewmodel.CollectorBounds, "service_name", true, f.what+": their duration.")
		for i := range metrics[n:] {
			metrics[n+i].table = t
		}
	}
}

func counterOf(m metric, help, unit string) {
	m.part = partCounter
	metrics = append(metrics, m)
	described = append(described, Metadata{m.name, model.MetricTypeCounter, help, unit})
}

func histogramOf(name string, f field, unit time.Duration, b viewmodel.Bounds, service string, native bool, help string) {
	les := make([]string, 0, len(b)+1)
	for _, bound := range b {
		les = append(les, formatLE(bound, unit))
	}
	les = append(les, "+Inf")
	m := metric{field: f, unit: unit, service: service}
	add := func(suffix string, p part, b viewmodel.Bounds, les []string) {
		m.name, m.part, m.bounds, m.les = name+suffix, p, b, les
		metrics = append(metrics, m)
	}
	add("_bucket", partBucket, b, les)
	add("_sum", partSum, nil, nil)
	add("_count", partCount, nil, nil)
	if native {
		add("", partNative, nil, nil)
	}
	unitName := "seconds"
	if unit == time.Millisecond {
		unitName = "milliseconds"
	}
	described = append(described, Metadata{name, model.MetricTypeHistogram, help, unitName})
}

// formatLE writes a bound as the collector's Prometheus exporter does.
func formatLE(bound, unit time.Duration) string {
	return strconv.FormatFloat(float64(bound)/float64(unit), 'g', -1, 64)
}

// MetadataOf describes the metric of the views that a series has by its name; false: the views have none.
func MetadataOf(name string) (Metadata, bool) {
	if !counters[name] {
		return Metadata{}, false
	}
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		base, ok := strings.CutSuffix(name, suffix)
		i, found := slices.BinarySearchFunc(described, base, func(m Metadata, name string) int { return strings.Compare(m.Name, name) })
		if ok && found {
			return described[i], true
		}
	}
	return Metadata{}, false
}

// MetricMetadata returns type, help and unit of every metric of the views, ordered by name.
func MetricMetadata() []Metadata { return slices.Clone(described) }

var (
	kindNames = [...]string{"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER",
		"SPAN_KIND_CONSUMER"}
	statusNames = [...]string{"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"}
)

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return names[0]
}

// redLabel is the value of label name of a red series, "" where it has none.
func (m *metric) redLabel(k viewmodel.REDKey, name string) string {
	switch name {
	case labels.MetricName:
		return m.name
	case m.service:
		return k.Service
	case "span_name":
		return k.Operation
	case "span_kind":
		return nameOf(kindNames[:], int(k.Kind))
	case "status_code":
		return nameOf(statusNames[:], int(k.Status))
	}
	return dimension(k.Dims, "", name)
}

// edgeLabel is the value of label name of an edge, "" where it has none.
func (m *metric) edgeLabel(k viewmodel.EdgeKey, name string) string {
	reason, unpaired := k.Unpaired()
	switch name {
	case labels.MetricName:
		return m.name
	case "reason":
		return reason
	}
	if unpaired {
		return ""
	}
	switch name {
	case "client":
		return k.Client
	case "server":
		return k.Server
	case "connection_type":
		return k.Connection
	}
	if v := dimension(k.ClientDims, clientPrefix, name); v != "" {
		return v
	}
	return dimension(k.ServerDims, serverPrefix, name)
}

// tableLabel is the value of label name of a table's series, "" where it has none.
func (m *metric) tableLabel(values []string, name string) string {
	if name == labels.MetricName {
		return m.name
	}
	if i := slices.Index(m.table.labels, name); i >= 0 && i < len(values) {
		return values[i]
	}
	return dimension(tableDims(m, values), "", name)
}

// tableDims are the dimensions of a table's series: its last value.
func tableDims(m *metric, values []string) viewmodel.Dims {
	if n := len(m.table.labels); n < len(values) {
		return viewmodel.Dims(values[n])
	}
	return ""
}

// The labels of the dimensions of an edge's ends begin as the servicegraph connector's do.
const (
	clientPrefix = "client_"
	serverPrefix = "server_"
)

// dimLabel is a dimension as a label.
type dimLabel struct{ name, value string }

// dimLabels remembers the labels of dimensions. There are as many as combinations of values, which the views bound.
var dimLabels sync.Map // views.Dims to []dimLabel

func labelsOf(d viewmodel.Dims) []dimLabel {
	if known, ok := dimLabels.Load(d); ok {
		return known.([]dimLabel)
	}
	var out []dimLabel
	d.Each(func(name, value string) { out = append(out, dimLabel{viewmodel.LabelOf(name), value}) })
	dimLabels.Store(d, out)
	return out
}

// dimension is the value of the label that a dimension has under a prefix, "" where there is none.
func dimension(d viewmodel.Dims, prefix, name string) string {
	if d == "" {
		return ""
	}
	if name, ok := strings.CutPrefix(name, prefix); ok {
		for _, l := range labelsOf(d) {
			if l.name == name {
				return l.value
			}
		}
	}
	return ""
}

func appendDimNames(names []string, d viewmodel.Dims, prefix string) []string {
	if d == "" {
		return names
	}
	for _, l := range labelsOf(d) {
		names = append(names, prefix+l.name)
	}
	return names
}

// seriesLabels are the labels of one series that a metric shows, le left out.
type seriesLabels struct {
	get   func(name string) string // "" where the series has none
	names []string                 // those that it may have
}

func (m *metric) redLabels(k viewmodel.REDKey) seriesLabels {
	return seriesLabels{func(name string) string { return m.redLabel(k, name) }, appendDimNames(m.labelNames(), k.Dims, "")}
}

func (m *metric) edgeLabels(k viewmodel.EdgeKey) seriesLabels {
	names := appendDimNames(m.labelNames(), k.ClientDims, clientPrefix)
	return seriesLabels{func(name string) string { return m.edgeLabel(k, name) }, appendDimNames(names, k.ServerDims, serverPrefix)}
}

func (m *metric) tableLabels(values []string) seriesLabels {
	return seriesLabels{func(name string) string { return m.tableLabel(values, name) },
		appendDimNames(m.labelNames(), tableDims(m, values), "")}
}

// labelNames are the labels a metric may carry, le and dimensions left out.
func (m *metric) labelNames() []string {
	if m.table != nil {
		return append([]string{labels.MetricName}, m.table.labels...)
	}
	if m.service != "" {
		return []string{labels.MetricName, m.service, "span_kind", "span_name", "status_code"}
	}
	if m.unpaired {
		return []string{labels.MetricName, "reason"}
	}
	return []string{labels.MetricName, "client", "connection_type", "server"}
}
