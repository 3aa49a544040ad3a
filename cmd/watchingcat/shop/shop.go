// Package shop simulates a shop of about twenty services and writes what their OpenTelemetry SDKs would send. The same seed and
// the same times give the same bytes; nothing here reads the clock.
package shop

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Fault is something that goes wrong while it lasts: a service or a database answers slowly and fails often.
type Fault struct {
	Service   string
	Database  string        // name, or system where it has none; in place of Service
	ErrorRate float64       // share of its calls that fail
	Slower    float64       // factor on its own time
	Version   string        // that the service runs meanwhile; empty: as before
	Pod       int           // only this pod of the service, from 1 on; 0: all
	Currency  string        // only requests in this currency; empty: all
	Retries   int           // how often callers repeat a call to the service that fails
	Waits     time.Duration // before each call of a database: for a connection
	Misses    bool          // the service finds nothing in its cache
}

// Shop makes traces. It is not for concurrent use.
type Shop struct {
	r     *rand.Rand
	ops   map[string]*operation
	fault *Fault
	spans []span // of the traces since the last Take
	trace pcommon.TraceID
	n     uint32
	seed  uint32

	// Staging is the share of the requests to the mobile gateway that go to a second environment, where nothing is broken.
	Staging float64
	staging bool // the request that is served

	// Suffix follows the name of each service, so that several shops are systems of their own.
	Suffix string
	// Padding is how many bytes of an attribute each span has beside its own.
	Padding int

	meters         map[string]*meter // by service in production; nil: nothing is measured
	measured, sent time.Time         // since when, and up to when deltas were sent
}

type span struct {
	podID
	id, parent  pcommon.SpanID
	trace       pcommon.TraceID
	name        string
	kind        ptrace.SpanKind
	start, end  time.Duration // since the trace began; from at on, absolute
	failed      bool
	queries     bool // a call of a database
	attrs       func(pcommon.Map)
	description string
	currency    string // of spans that know it
}

// New returns a shop; nothing is wrong in it.
func New(seed uint64) *Shop {
	//nolint:gosec // the same seed gives the same shop
	s := &Shop{r: rand.New(rand.NewPCG(seed, 0x5409)), ops: map[string]*operation{}, seed: uint32(seed)}
	for i := range operations {
		o := &operations[i]
		s.ops[o.service+"/"+o.name] = o
	}
	return s
}

// Break starts a fault, or with nil ends it.
func (s *Shop) Break(f *Fault) { s.fault = f }

// Request runs one request whose last span ends at a time. It returns how many spans that took.
func (s *Shop) Request(at time.Time) int {
	first := len(s.spans)
	binary.BigEndian.PutUint64(s.trace[:], s.r.Uint64())
	binary.BigEndian.PutUint64(s.trace[8:], s.r.Uint64())
	x, entry := s.r.Float64(), entries[len(entries)-1].op
	for _, e := range entries {
		if x -= e.share; x < 0 {
			entry = e.op
			break
		}
	}
	s.staging = entry == mobile && float64(s.trace[13])/256 < s.Staging
	s.serve(s.ops[entry], pcommon.SpanID{}, 0)
	last := time.Duration(0)
	for i := first; i < len(s.spans); i++ {
		last = max(last, s.spans[i].end)
	}
	shift := time.Duration(at.UnixNano()) - last
	for i := first; i < len(s.spans); i++ {
		s.spans[i].start += shift
		s.spans[i].end += shift
	}
	return len(s.spans) - first
}

// spanID is unique within a shop of one seed.
func (s *Shop) spanID() (id pcommon.SpanID) {
	s.n++
	binary.BigEndian.PutUint32(id[:], s.seed+1)
	binary.BigEndian.PutUint32(id[4:], s.n)
	return id
}

// serve runs an operation from a time on and returns when it ends and whether it failed.
func (s *Shop) serve(o *operation, parent pcommon.SpanID, from time.Duration) (end time.Duration, failed bool) {
	id := s.spanID()
	i := len(s.spans)
	s.spans = append(s.spans, span{})
	own, pod := s.lasts(o.ms), s.podOf(o.service, id)
	broken := s.breaks(o.service, pod)
	if broken {
		own = time.Duration(float64(own) * max(1, s.fault.Slower))
	}
	failed = broken && s.r.Float64() < s.fault.ErrorRate || s.r.Float64() < 0.001
	t := from + own/2
	for _, c := range o.calls {
		p := c.p
		if broken && s.fault.Misses && c.db != nil {
			p = 1
		}
		if failed || s.r.Float64() >= p {
			continue
		}
		if broken && c.db != nil {
			t += s.fault.Waits
		}
		var bad bool
		if t, bad = s.attempts(o, c, id, t); bad && c.topic == "" {
			failed = true
		}
	}
	end = t + own/2
	sp := span{podID: podID{o.service, pod, s.staging}, id: id, parent: parent, trace: s.trace, name: o.name, kind: ptrace.SpanKindServer,
		start: from, end: end, failed: failed}
	switch o.proto {
	case http:
		status := int64(200)
		if failed {
			status = 500
		}
		sp.attrs = servedHTTP(o, status)
	case grpc:
		grpcStatus := int64(0)
		if failed {
			grpcStatus = 13
		}
		sp.attrs = servedGRPC(o, grpcStatus)
	case consume:
		sp.kind = ptrace.SpanKindConsumer
		sp.attrs = consumed(o)
	}
	if paying[o.name] {
		sp.currency = s.currency()
	}
	if failed {
		sp.description = o.service + " could not finish " + o.name
	}
	s.spans[i] = sp
	return end, failed
}

// attempts runs one call of an operation, and runs it again where it fails and its caller repeats it.
func (s *Shop) attempts(o *operation, c call, parent pcommon.SpanID, from time.Duration) (end time.Duration, failed bool) {
	end, failed = s.call(o, c, parent, from)
	for n := 0; failed && s.fault != nil && n < s.fault.Retries && c.op != "" && s.ops[c.op].service == s.fault.Service; n++ {
		end, failed = s.call(o, c, parent, end)
	}
	return end, failed
}

// breaks reports whether the fault is in a pod of a service, for the request that is served.
func (s *Shop) breaks(service string, pod int) bool {
	f := s.fault
	return f != nil && !s.staging && f.Service == service && (f.Pod == 0 || f.Pod == pod) && (f.Currency == "" || f.Currency == s.currency())
}

// currency is that of the request.
func (s *Shop) currency() string {
	switch n := s.trace[15] % 10; {
	case n == 0:
		return "JPY"
	case n < 3:
		return "USD"
	}
	return "EUR"
}

// podID is one pod of a service.
type podID struct {
	service string
	pod     int
	staging bool
}

// podOf is the pod, from 1 on, in which a span of a service is served.
func (s *Shop) podOf(service string, id pcommon.SpanID) int {
	return 1 + int(id[7]^s.trace[14])%max(1, pods[service])
}

// call runs one call of an operation and returns when its caller goes on.
func (s *Shop) call(o *operation, c call, parent pcommon.SpanID, from time.Duration) (end time.Duration, failed bool) {
	id := s.spanID()
	i := len(s.spans)
	s.spans = append(s.spans, span{})
	sp := span{podID: podID{o.service, s.podOf(o.service, parent), s.staging}, id: id, parent: parent, trace: s.trace, kind: ptrace.SpanKindClient,
		start: from}
	net := s.lasts(0.3)
	switch {
	case c.db != nil:
		db := c.db
		lasts := s.lasts(db.ms)
		if f := s.fault; f != nil && !s.staging && f.Database != "" && f.Database == cmp.Or(db.name, db.system) {
			lasts = time.Duration(float64(lasts) * max(1, f.Slower))
			sp.failed = s.r.Float64() < f.ErrorRate
		}
		sp.name, sp.end = db.query, from+lasts
		sp.queries, sp.attrs = true, queried(db)
	case c.topic != "":
		topic := c.topic
		sp.name, sp.kind, sp.end = topic+" publish", ptrace.SpanKindProducer, from+net
		sp.attrs = published(topic, o.service)
		for _, handler := range subscribers[topic] {
			s.serve(s.ops[handler], id, sp.end+s.lasts(20))
		}
	case c.host != "":
		sp.name, sp.end = "POST", from+s.lasts(35)
		sp.attrs = calledHost(c.host)
	default:
		to := s.ops[c.op]
		sp.name = to.name
		sp.end, sp.failed = s.serve(to, id, from+net/2)
		sp.end += net / 2
		sp.attrs = called(to)
	}
	s.spans[i] = sp
	return sp.end, sp.failed
}

// lasts draws a lognormal duration around a median in milliseconds.
func (s *Shop) lasts(ms float64) time.Duration {
	return time.Duration(ms * math.Exp(0.4*s.r.NormFloat64()) * 1e6)
}

func firstWord(s string) string {
	for i := range s {
		if s[i] == ' ' {
			return s[:i]
		}
	}
	return s
}

// TraceID is that of the last request.
func (s *Shop) TraceID() [16]byte { return s.trace }

// Spans is how many spans wait to be taken.
func (s *Shop) Spans() int { return len(s.spans) }

// Take returns everything since the last Take as OTLP export requests: up to n of them, services dealt out among them as if several
// collectors had received them.
func (s *Shop) Take(n int) ([][]byte, error) {
	requests := map[int]ptrace.Traces{}
	slots := map[podID]ptrace.SpanSlice{}
	order := []int{}
	for i := range s.spans {
		sp := &s.spans[i]
		s.measure(sp)
		slot, ok := slots[sp.podID]
		if !ok {
			k := s.r.IntN(n)
			td, ok := requests[k]
			if !ok {
				td = ptrace.NewTraces()
				requests[k] = td
				order = append(order, k)
			}
			slot = s.resource(td, sp.podID)
			slots[sp.podID] = slot
		}
		to := slot.AppendEmpty()
		sp.write(to)
		if s.Padding > 0 {
			to.Attributes().PutStr("app.payload", s.padding())
		}
	}
	s.spans = s.spans[:0]
	var m ptrace.ProtoMarshaler
	var out [][]byte
	for _, k := range order {
		b, err := m.MarshalTraces(requests[k])
		if err != nil {
			return nil, fmt.Errorf("shop: encode spans: %w", err)
		}
		out = append(out, b)
	}
	return out, nil
}

// padding is text that compresses about as well as requests do.
func (s *Shop) padding() string {
	var b strings.Builder
	for b.Len() < s.Padding {
		fmt.Fprintf(&b, "item=%d&quantity=%d&", s.r.IntN(100_000), s.r.IntN(9))
	}
	return b.String()[:s.Padding]
}

func (s *Shop) resource(td ptrace.Traces, pod podID) ptrace.SpanSlice {
	rs := td.ResourceSpans().AppendEmpty()
	s.describe(rs.Resource().Attributes(), pod)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("github.com/gaurav/watchingcat/cmd/watchingcat/shop")
	return ss.Spans()
}

// describe writes the resource of a pod of a service.
func (s *Shop) describe(a pcommon.Map, p podID) {
	environment := "production"
	if p.staging {
		environment = "staging"
	}
	version := "1.4.2"
	if f := s.fault; f != nil && !p.staging && f.Service == p.service && f.Version != "" && (f.Pod == 0 || f.Pod == p.pod) {
		version = s.fault.Version
	}
	a.PutStr("service.name", p.service+s.Suffix)
	a.PutStr("service.namespace", namespaces[p.service])
	a.PutStr("service.version", version)
	a.PutStr("service.instance.id", fmt.Sprintf("%s-%d", p.service, p.pod-1))
	a.PutStr("deployment.environment.name", environment)
	a.PutStr("telemetry.sdk.language", "go")
	a.PutStr("telemetry.sdk.name", "opentelemetry")
	a.PutStr("telemetry.sdk.version", "1.41.0")
	a.PutStr("host.name", "node-7")
	a.PutStr("k8s.namespace.name", namespaces[p.service])
	a.PutStr("k8s.deployment.name", p.service)
	a.PutStr("k8s.pod.name", fmt.Sprintf("%s-7c9d8b6f5d-x2x4%c", p.service, 'j'+p.pod))
	a.PutStr("container.id", fmt.Sprintf("4c1d0c5b0a8f0e4f9a3f7f6f1f2d8d%02x", 110+p.pod))
	a.PutStr("os.type", "linux")
}

func (sp *span) write(to ptrace.Span) {
	to.SetTraceID(sp.trace)
	to.SetSpanID(sp.id)
	to.SetParentSpanID(sp.parent)
	to.SetName(sp.name)
	to.SetKind(sp.kind)
	to.SetStartTimestamp(pcommon.Timestamp(sp.start))
	to.SetEndTimestamp(pcommon.Timestamp(sp.end))
	sp.attrs(to.Attributes())
	if sp.currency != "" {
		to.Attributes().PutStr("app.currency", sp.currency)
	}
	if !sp.failed {
		return
	}
	to.Status().SetCode(ptrace.StatusCodeError)
	to.Status().SetMessage(sp.description)
	if sp.description != "" {
		e := to.Events().AppendEmpty()
		e.SetName("exception")
		e.SetTimestamp(pcommon.Timestamp(sp.end))
		e.Attributes().PutStr("exception.type", "shop.Error")
		e.Attributes().PutStr("exception.message", sp.description)
		e.Attributes().PutStr("exception.stacktrace", sp.stack())
	}
}
