package shop

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// meter is what one service has measured.
type meter struct {
	http   map[httpKey]*explicit
	rpc    map[string]*exponential // by method
	orders int64                   // since they were sent last
}

type httpKey struct {
	method, route string
	status        int64
}

// explicit is a histogram of seconds with the bounds that OpenTelemetry recommends for HTTP.
type explicit struct {
	counts   [15]uint64
	sum      float64
	exemplar *span
}

var httpBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// exponential is a histogram of seconds at a scale of 3.
type exponential struct {
	counts map[int32]uint64
	n      uint64
	sum    float64
}

// Measure makes the services keep metrics from start on; Metrics returns them.
func (s *Shop) Measure(start time.Time) {
	s.meters, s.measured, s.sent = map[string]*meter{}, start, start
}

// measure notes a span in its service's metrics.
func (s *Shop) measure(sp *span) {
	if s.meters == nil || sp.staging || sp.kind != ptrace.SpanKindServer {
		return
	}
	m := s.meters[sp.service]
	if m == nil {
		m = &meter{http: map[httpKey]*explicit{}, rpc: map[string]*exponential{}}
		s.meters[sp.service] = m
	}
	seconds := (sp.end - sp.start).Seconds()
	method, route, isHTTP := strings.Cut(sp.name, " ")
	if !isHTTP {
		route = sp.name
	}
	if s.ops[sp.service+"/"+sp.name].proto == grpc {
		e := m.rpc[sp.name]
		if e == nil {
			e = &exponential{counts: map[int32]uint64{}}
			m.rpc[sp.name] = e
		}
		e.counts[int32(math.Ceil(math.Log2(max(seconds, 1e-6))*8))-1]++
		e.n++
		e.sum += seconds
		if sp.name == "PlaceOrder" && !sp.failed {
			m.orders++
		}
		return
	}
	if !isHTTP {
		method = "POST"
	}
	k := httpKey{method, route, 200}
	if sp.failed {
		k.status = 500
	}
	h := m.http[k]
	if h == nil {
		h = &explicit{}
		m.http[k] = h
	}
	i, _ := slices.BinarySearch(httpBounds, seconds)
	h.counts[i]++
	h.sum += seconds
	last := *sp
	h.exemplar = &last
}

// Metrics returns what the services' SDKs export at a time, as one OTLP export request: HTTP and RPC durations and memory, and as
// deltas the orders placed since the last call. What was not taken yet is not in it. nil: nothing was measured.
func (s *Shop) Metrics(at time.Time) ([]byte, error) {
	md := pmetric.NewMetrics()
	start, now := pcommon.NewTimestampFromTime(s.measured), pcommon.NewTimestampFromTime(at)
	for _, service := range slices.Sorted(maps.Keys(s.meters)) {
		rm := md.ResourceMetrics().AppendEmpty()
		s.describe(rm.Resource().Attributes(), podID{service: service, pod: 1})
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName("github.com/gaurav/watchingcat/cmd/watchingcat/shop")
		m, ms := s.meters[service], sm.Metrics()
		memory(ms, service, at)
		if len(m.http) > 0 {
			h := describe(ms, "http.server.request.duration", "s", "Duration of HTTP server requests.").SetEmptyHistogram()
			h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			for _, k := range slices.SortedFunc(maps.Keys(m.http), httpKey.compare) {
				m.http[k].write(k, h.DataPoints().AppendEmpty(), start, now)
			}
		}
		if len(m.rpc) > 0 {
			h := describe(ms, "rpc.server.call.duration", "s", "Duration of inbound remote procedure calls.").SetEmptyExponentialHistogram()
			h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			for _, method := range slices.Sorted(maps.Keys(m.rpc)) {
				d := h.DataPoints().AppendEmpty()
				d.SetStartTimestamp(start)
				d.SetTimestamp(now)
				d.Attributes().PutStr("rpc.method", method)
				m.rpc[method].write(d)
			}
		}
		if service == "checkout" {
			c := describe(ms, "shop.orders.placed", "{order}", "Orders placed.").SetEmptySum()
			c.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			c.SetIsMonotonic(true)
			d := c.DataPoints().AppendEmpty()
			d.SetStartTimestamp(pcommon.NewTimestampFromTime(s.sent))
			d.SetTimestamp(now)
			d.SetIntValue(m.orders)
			m.orders = 0
		}
	}
	s.sent = at
	if md.ResourceMetrics().Len() == 0 {
		return nil, nil
	}
	var w pmetric.ProtoMarshaler
	b, err := w.MarshalMetrics(md)
	if err != nil {
		return nil, fmt.Errorf("shop: encode metrics: %w", err)
	}
	return b, nil
}

func (k httpKey) compare(o httpKey) int {
	return strings.Compare(fmt.Sprint(k), fmt.Sprint(o))
}

func describe(ms pmetric.MetricSlice, name, unit, help string) pmetric.Metric {
	m := ms.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	m.SetDescription(help)
	return m
}

func (h *explicit) write(k httpKey, d pmetric.HistogramDataPoint, start, now pcommon.Timestamp) {
	d.SetStartTimestamp(start)
	d.SetTimestamp(now)
	d.ExplicitBounds().FromRaw(httpBounds)
	d.BucketCounts().FromRaw(h.counts[:])
	n := uint64(0)
	for _, c := range h.counts {
		n += c
	}
	d.SetCount(n)
	d.SetSum(h.sum)
	d.Attributes().PutStr("http.request.method", k.method)
	d.Attributes().PutStr("http.route", k.route)
	d.Attributes().PutInt("http.response.status_code", k.status)
	if sp := h.exemplar; sp != nil {
		e := d.Exemplars().AppendEmpty()
		e.SetTimestamp(pcommon.Timestamp(sp.end))
		e.SetDoubleValue((sp.end - sp.start).Seconds())
		e.SetTraceID(sp.trace)
		e.SetSpanID(sp.id)
		h.exemplar = nil
	}
}

func (e *exponential) write(d pmetric.ExponentialHistogramDataPoint) {
	d.SetScale(3)
	d.SetCount(e.n)
	d.SetSum(e.sum)
	idx := slices.Sorted(maps.Keys(e.counts))
	d.Positive().SetOffset(idx[0])
	for i := idx[0]; i <= idx[len(idx)-1]; i++ {
		d.Positive().BucketCounts().Append(e.counts[i])
	}
}

// memory grows for a while and is given back, at another time in each service.
func memory(ms pmetric.MetricSlice, service string, at time.Time) {
	f := fnv.New32a()
	_, _ = f.Write([]byte(service)) // cannot fail
	n := int64(f.Sum32())
	const cycle = 4 * time.Minute
	phase := time.Duration(at.UnixNano()+n*int64(time.Second)) % cycle
	d := describe(ms, "process.memory.usage", "By", "The amount of physical memory in use.").SetEmptyGauge().DataPoints().AppendEmpty()
	d.SetTimestamp(pcommon.NewTimestampFromTime(at))
	d.SetIntValue((80+n%60)<<20 + int64(phase/time.Millisecond)*256)
}
