package jaeger

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/attr"
)

// Trace turns OTLP spans into the JSON of Jaeger's query service, by the rules of
// https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/jaeger/ and as Jaeger's own translation does.
func Trace(data []ptrace.Traces, id [16]byte) rest.JaegerTrace {
	t := newBuilder(id)
	var from pcommon.Resource
	var p resource
	older.EachSpan(data, id, func(res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span) {
		if len(t.Spans) == 0 || res != from {
			from, p = res, resourceOf(res)
		}
		t.add(&p, sc, sp)
	})
	return t.trace()
}

// resource is a process, and a text that identifies it.
type resource struct {
	rest.JaegerProcess
	key string
}

func resourceOf(res pcommon.Resource) resource {
	p := resource{JaegerProcess: processOf(res)}
	var key strings.Builder
	key.WriteString(p.ServiceName)
	for _, tag := range p.Tags {
		fmt.Fprintf(&key, "\x00%s\x00%s\x00%v", tag.Key, tag.Type, tag.Value) // writing to a Builder never fails
	}
	p.key = key.String()
	return p
}

// builder makes a trace span by span.
type builder struct {
	rest.JaegerTrace
	names map[string]string // of processes, by key
}

func newBuilder(id [16]byte) *builder {
	return &builder{rest.JaegerTrace{TraceID: hex.EncodeToString(id[:]), Spans: []rest.JaegerSpan{},
		Processes: map[string]rest.JaegerProcess{}}, map[string]string{}}
}

func (t *builder) add(p *resource, sc ptrace.ScopeSpans, sp ptrace.Span) {
	name, ok := t.names[p.key]
	if !ok {
		name = "p" + strconv.Itoa(len(t.names)+1)
		t.names[p.key] = name
		t.Processes[name] = p.JaegerProcess
	}
	t.Spans = append(t.Spans, spanOf(t.TraceID, name, sc, sp))
}

// trace is the trace with its spans by start.
func (t *builder) trace() rest.JaegerTrace {
	slices.SortStableFunc(t.Spans, func(a, b rest.JaegerSpan) int {
		return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), strings.Compare(a.SpanID, b.SpanID))
	})
	return t.JaegerTrace
}

func processOf(res pcommon.Resource) rest.JaegerProcess {
	p := rest.JaegerProcess{ServiceName: "OTLPResourceNoServiceName", Tags: []rest.JaegerTag{}}
	if v, ok := res.Attributes().Get(older.ServiceName); ok { // the first, as everywhere
		p.ServiceName = attr.Text(v)
	}
	for k, v := range res.Attributes().All() {
		if k != older.ServiceName {
			p.Tags = append(p.Tags, tagOf(k, v))
		}
	}
	slices.SortStableFunc(p.Tags, func(a, b rest.JaegerTag) int { return strings.Compare(a.Key, b.Key) })
	return p
}

// tagOf is an attribute as a tag. As in Jaeger, an integer that JavaScript would change is a tag of integers whose value is a string.
func tagOf(k string, v pcommon.Value) rest.JaegerTag {
	k = attr.ValidUTF8(k)
	switch v.Type() {
	case pcommon.ValueTypeBool:
		return rest.JaegerTag{Key: k, Type: "bool", Value: v.Bool()}
	case pcommon.ValueTypeInt:
		return rest.JaegerTag{Key: k, Type: "int64", Value: attr.Int(v.Int())}
	case pcommon.ValueTypeDouble:
		return rest.JaegerTag{Key: k, Type: "float64", Value: attr.Double(v.Double())}
	case pcommon.ValueTypeBytes:
		return rest.JaegerTag{Key: k, Type: "binary", Value: base64.StdEncoding.EncodeToString(v.Bytes().AsRaw())}
	}
	return older.StringTag(k, attr.Text(v))
}

func spanOf(traceID, process string, sc ptrace.ScopeSpans, sp ptrace.Span) rest.JaegerSpan {
	id := sp.SpanID()
	out := rest.JaegerSpan{TraceID: traceID, SpanID: hex.EncodeToString(id[:]), OperationName: attr.ValidUTF8(sp.Name()),
		ProcessID: process, StartTime: micros(sp.StartTimestamp()), References: []rest.JaegerReference{}, Tags: []rest.JaegerTag{},
		Logs: []rest.JaegerLog{}}
	if sp.EndTimestamp() > sp.StartTimestamp() {
		out.Duration = int64(sp.EndTimestamp()-sp.StartTimestamp()) / int64(time.Microsecond)
	}
	if parent := sp.ParentSpanID(); !parent.IsEmpty() {
		out.References = append(out.References,
			rest.JaegerReference{RefType: "CHILD_OF", TraceID: traceID, SpanID: hex.EncodeToString(parent[:])})
	}
	for _, l := range sp.Links().All() {
		to, from := l.TraceID(), l.SpanID()
		out.References = append(out.References,
			rest.JaegerReference{RefType: "FOLLOWS_FROM", TraceID: hex.EncodeToString(to[:]), SpanID: hex.EncodeToString(from[:])})
	}
	for k, v := range sp.Attributes().All() {
		out.Tags = append(out.Tags, tagOf(k, v))
	}
	out.Tags = append(out.Tags, older.SpanTags(sc, sp)...)
	for _, e := range sp.Events().All() {
		log := rest.JaegerLog{Timestamp: micros(e.Timestamp()), Fields: []rest.JaegerTag{}}
		if e.Name() != "" {
			log.Fields = append(log.Fields, older.StringTag("event", e.Name()))
		}
		for k, v := range e.Attributes().All() {
			log.Fields = append(log.Fields, tagOf(k, v))
		}
		out.Logs = append(out.Logs, log)
	}
	return out
}

func micros(t pcommon.Timestamp) int64 { return int64(t) / int64(time.Microsecond) }
