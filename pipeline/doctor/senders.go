package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

const (
	// maxItems bounds the spans, lines or points of one record and the delays that are kept, maxServices the services that are looked at one by one.
	maxItems    = 1_000_000
	maxServices = 10_000
	// maxTraces bounds the traces whose partitions are remembered.
	maxTraces = 100_000
	// listed is how many services a finding names.
	listed = 5
)

// content is what the sampled records hold.
type content struct {
	items, unnamed      int // unnamed: of resources without service.name, or with the placeholder of an SDK
	broken              int
	firstError          error
	firstAt             string
	services            map[string]*service
	kinds               [model.Kinds]int
	dims                []int // items with a value, by dimension
	partitionOf         map[[16]byte]int32
	split               int // traces in more than one partition
	noTrace, noSeverity int // log records without a trace ID; without a severity
	delays              []time.Duration
}

// service is what a service's spans say of it.
type service struct {
	spans int
	// least is the shortest time from a span's end to its record's timestamp. Below zero the service's clock is ahead.
	least time.Duration
	names map[string]struct{}
}

// senders judges the telemetry in the sampled records, and with it those who sent it.
func (x *examination) senders(s *sampled) {
	if len(s.records) == 0 {
		return
	}
	dims, err := model.NewDimensions(x.Dimensions)
	if err != nil {
		dims = nil // a mistake in the settings, which are checked elsewhere
	}
	c := content{services: map[string]*service{}, partitionOf: map[[16]byte]int32{}, dims: make([]int, len(x.Dimensions))}
	for _, r := range s.records {
		if err := x.open(s.Topic, r, dims, &c); err != nil {
			if c.broken++; c.broken == 1 {
				c.firstError, c.firstAt = err, fmt.Sprintf("partition %d, offset %d", r.Partition, r.Offset)
			}
		}
	}
	a := about{x.r, "senders", s.Name}
	x.decoded(a, s, &c)
	if c.items == 0 {
		return
	}
	x.batches(a, s, &c)
	if s.Signal == Metrics {
		return
	}
	x.named(a, &c)
	x.dimensions(a, &c)
	if s.Signal == Logs {
		x.lines(a, &c)
		return
	}
	x.kinds(a, &c)
	x.clocks(a, &c)
	x.delay(a, &c)
	x.split(a, s, &c)
	x.operations(a, &c)
}

// open decodes one record as WatchingCat would.
func (x *examination) open(t Topic, r *kgo.Record, dims *model.Dimensions, c *content) error {
	switch t.Signal {
	case Metrics:
		return encoding.Decoder{Signal: encoding.Metrics, Encoding: t.Encoding}.Apply(r, func(m encoding.Made) error {
			md, err := ingest.DecodeMetrics(m.OTLP, maxItems)
			if err == nil {
				c.items += md.DataPointCount()
			}
			return err
		})
	case Logs:
		return encoding.Decoder{Signal: encoding.Logs, Encoding: t.Encoding}.Apply(r, func(m encoding.Made) error {
			return ingest.DecodeLogs(m.OTLP, dims, maxItems, func(of *model.Resource, l *logs.Record) { c.line(of, l) })
		})
	}
	return encoding.Decoder{Signal: encoding.Spans, Encoding: t.Encoding}.Apply(r, func(m encoding.Made) error {
		return otlp.ScanSpansWith(dims, m.OTLP, maxItems, func(of *model.Resource, s *model.Span) { c.span(r, of, s, x.LimitOperations) })
	})
}

func (c *content) line(of *model.Resource, l *logs.Record) {
	c.resource(of, nil)
	if l.TraceID == [16]byte{} {
		c.noTrace++
	}
	if l.Severity == logs.SeverityUnspecified {
		c.noSeverity++
	}
}

// resource counts an item by its resource; own are the dimensions that it has itself.
func (c *content) resource(of *model.Resource, own []model.DimensionValue) {
	c.items++
	if len(of.Service) == 0 || strings.HasPrefix(string(of.Service), "unknown_service") {
		c.unnamed++
	}
	var has uint64
	for _, list := range [][]model.DimensionValue{of.Dims, own} {
		for _, d := range list {
			if len(d.Value) > 0 {
				has |= 1 << d.Index
			}
		}
	}
	for i := range c.dims {
		if has&(1<<i) != 0 {
			c.dims[i]++
		}
	}
}

func (c *content) span(r *kgo.Record, of *model.Resource, s *model.Span, limit int) {
	c.resource(of, s.Dims)
	if s.Kind < model.Kinds {
		c.kinds[s.Kind]++
	}
	delay := r.Timestamp.Sub(time.Unix(0, int64(s.End))) //nolint:gosec // beyond 2262 it is wrong anyway
	if len(c.delays) < maxItems {
		c.delays = append(c.delays, delay)
	}
	if p, ok := c.partitionOf[s.TraceID]; ok && p >= 0 && p != r.Partition {
		c.split++
		c.partitionOf[s.TraceID] = -1
	} else if !ok && len(c.partitionOf) < maxTraces {
		c.partitionOf[s.TraceID] = r.Partition
	}
	by := c.services[string(of.Service)]
	if by == nil {
		if len(c.services) >= maxServices {
			return
		}
		by = &service{least: delay, names: map[string]struct{}{}}
		c.services[string(of.Service)] = by
	}
	by.spans++
	by.least = min(by.least, delay)
	if len(by.names) <= limit {
		by.names[string(s.Name)] = struct{}{}
	}
}

func (x *examination) decoded(a about, s *sampled, c *content) {
	if c.broken == 0 {
		a.ok("records_decoded", "%s in %s", many(c.items, item(s.Signal), item(s.Signal)+"s"), many(len(s.records), "record", "records"))
		return
	}
	level := Warning
	if c.broken == len(s.records) {
		level = Failure
	}
	remedy := "Set encoding: otlp_proto (or otlp_json) for " + s.Signal + " in the Collector's Kafka exporter, and write no other records to this topic."
	if errors.Is(c.firstError, encoding.ErrEncoding) {
		remedy = "Change the setting that the reason names, or the encoding of the exporter that writes to this topic."
	}
	a.found(level, "records_decoded", remedy,
		"WatchingCat moves records that it cannot decode to the dead-letter topic "+x.DeadLetter+".",
		"%s of %s cannot be decoded, the first at %s: %v", many(c.broken, "record", "records"), many(len(s.records), "record", "records"), c.firstAt, c.firstError)
}

func item(signal string) string {
	switch signal {
	case Metrics:
		return "data point"
	case Logs:
		return "log record"
	}
	return "span"
}

// batches: many small records cost more than few large ones.
func (x *examination) batches(a about, s *sampled, c *content) {
	mean := float64(c.items) / float64(len(s.records)-c.broken)
	if mean < 10 && s.perSecond() > 100 {
		a.found(Note, "batch_size", "Add the batch processor to the Collector's pipeline (send_batch_size: 1024, timeout: 200ms). With partition_traces_by_id a record holds one trace, whatever its batches.",
			"Each record costs brokers and readers as much as several "+item(s.Signal)+"s do.", "%.1f %ss in a record on average, at %s", mean, item(s.Signal), rate(s.perSecond()))
		return
	}
	a.ok("batch_size", "%.3g %ss in a record on average", mean, item(s.Signal))
}

func (x *examination) named(a about, c *content) {
	if c.unnamed == 0 {
		a.ok("service_name", "every resource has a service.name")
		return
	}
	a.found(Warning, "service_name", "Set OTEL_SERVICE_NAME in the applications that lack it.", "What has no name counts as one service.",
		"%s has no service.name, or the placeholder unknown_service", percent(c.unnamed, c.items))
}

func (x *examination) dimensions(a about, c *content) {
	for i, n := range c.dims {
		name := x.Dimensions[i]
		if n > 0 {
			a.ok("dimension", "%s has the dimension %s", percent(n, c.items), name)
			continue
		}
		a.found(Note, "dimension", "Set the attribute with the Collector's resource processor, or remove it from WATCHINGCAT_DIMENSIONS.",
			"All data counts under the empty value.", "nothing has the dimension %s", name)
	}
}

func (x *examination) lines(a about, c *content) {
	if c.noTrace == c.items {
		a.found(Note, "log_trace", "Use the logging bridge of the OpenTelemetry SDKs, or parse the trace ID in the Collector.",
			"Without it log lines cannot be shown with their trace.", "no log record has a trace ID")
	}
	if c.noSeverity*2 > c.items {
		a.found(Note, "log_severity", "Parse the severity in the Collector (severity_parser of the receiver's operators).",
			"Log volume is divided by severity, and growing errors are evidence for a cause.", "%s of the log records have no severity", percent(c.noSeverity, c.items))
	}
}

// kinds: rates, errors and durations of a service are those of its server and consumer spans.
func (x *examination) kinds(a about, c *content) {
	if n := c.kinds[model.KindServer] + c.kinds[model.KindConsumer]; n == 0 {
		a.found(Warning, "span_kind", "Instrument the servers (an OpenTelemetry agent or the library of the framework), or keep SERVER spans in the Collector's filters.",
			"A service's requests and its place on the map come from spans of kind SERVER and CONSUMER.", "no span has the kind SERVER or CONSUMER")
		return
	}
	a.ok("span_kind", "%s of the spans are SERVER, %s CLIENT", percent(c.kinds[model.KindServer], c.items), percent(c.kinds[model.KindClient], c.items))
}

// clocks names the services whose spans end after the Collector wrote them.
func (x *examination) clocks(a about, c *content) {
	var ahead []string
	for name, s := range c.services {
		if s.least < -clockSlack {
			ahead = append(ahead, fmt.Sprintf("%s by %v", name, (-s.least).Round(100*time.Millisecond)))
		}
	}
	if len(ahead) == 0 {
		a.ok("sender_clock", "no service's clock is ahead of its Collector's")
		return
	}
	slices.Sort(ahead)
	a.found(Warning, "sender_clock", "Synchronize the clocks of the machines of these services (NTP).",
		"Spans end after they were written. WatchingCat moves what is more than 10 s ahead to the time of its record.",
		"%s ahead of the Collector's clock: %s", many(len(ahead), "service is", "services are"), join(first(ahead)))
}

// first are the first few of a list, with how many more there are.
func first(list []string) []string {
	if len(list) <= listed {
		return list
	}
	return append(slices.Clone(list[:listed]), fmt.Sprintf("%d more", len(list)-listed))
}

// slowArrival is how long spans may be on the way.
const slowArrival = 5 * time.Second

func (x *examination) delay(a about, c *content) {
	slices.Sort(c.delays)
	median, late := c.delays[len(c.delays)/2], c.delays[len(c.delays)*99/100]
	if median > slowArrival {
		a.found(Warning, "arrival", "Lower the timeout of the Collector's batch processor and of tail sampling, and look at its queue.",
			"Alerts and pages are later by as much; what is too late for its bucket's retention is not counted.",
			"half of the spans were written to Kafka more than %v after their end, 1 %% more than %v", median.Round(time.Millisecond), late.Round(time.Millisecond))
		return
	}
	a.ok("arrival", "spans were written to Kafka %v after their end (median; 1 %% more than %v)", max(0, median).Round(time.Millisecond), max(0, late).Round(time.Millisecond))
}

func (x *examination) split(a about, s *sampled, c *content) {
	if c.split == 0 || len(s.partitions) < 2 {
		return
	}
	a.found(Note, "trace_partition", "Set partition_traces_by_id: true in the Collector's Kafka exporter.",
		"WatchingCat pairs calls across partitions, but waits for the slower one.", "%s in more than one partition", many(c.split, "trace of the sample is", "traces of the sample are"))
}

// operations names the services whose span names hold values, as paths with IDs do.
func (x *examination) operations(a about, c *content) {
	var many []string
	for name, s := range c.services {
		if n := len(s.names); n > x.LimitOperations || n > 100 && n*2 > s.spans {
			many = append(many, fmt.Sprintf("%s (%d names in %d spans)", name, n, s.spans))
		}
	}
	if len(many) == 0 {
		a.ok("operations", "span names have few values")
		return
	}
	slices.Sort(many)
	a.found(Warning, "operations", "Name spans by their route (http.route), not by their path, or replace IDs with the Collector's transform processor.",
		fmt.Sprintf("WatchingCat tracks %d operations of a service; the others count under _other.", x.LimitOperations),
		"span names look as if they held IDs: %s", join(first(many)))
}
