package api

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

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/attr"
)

// jaegerTrace turns OTLP spans into the JSON of Jaeger's query service, by the rules of
// https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/jaeger/ and as Jaeger's own translation does.
func jaegerTrace(data []ptrace.Traces, id [16]byte) rest.JaegerTrace {
	t := newJaegerBuilder(id)
	var from pcommon.Resource
	var p jaegerResource
	eachSpan(data, id, func(res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span) {
		if len(t.Spans) == 0 || res != from {
			from, p = res, jaegerResourceOf(res)
		}
		t.add(&p, sc, sp)
	})
	return t.trace()
}

// jaegerResource is a process, and a text that identifies it.
type jaegerResource struct {
	rest.JaegerProcess
	key string
}

func jaegerResourceOf(res pcommon.Resource) jaegerResource {
	p := jaegerResource{JaegerProcess: jaegerProcess(res)}
	var key strings.Builder
	key.WriteString(p.ServiceName)
	for _, tag := range p.Tags {
		fmt.Fprintf(&key, "\x00%s\x00%s\x00%v", tag.Key, tag.Type, tag.Value) // writing to a Builder never fails
	}
	p.key = key.String()
	return p
}

// jaegerBuilder makes a trace span by span.
type jaegerBuilder struct {
	rest.JaegerTrace
	names map[string]string // of processes, by key
}

func newJaegerBuilder(id [16]byte) *jaegerBuilder {
	return &jaegerBuilder{rest.JaegerTrace{TraceID: hex.EncodeToString(id[:]), Spans: []rest.JaegerSpan{},
		Processes: map[string]rest.JaegerProcess{}}, map[string]string{}}
}

func (t *jaegerBuilder) add(p *jaegerResource, sc ptrace.ScopeSpans, sp ptrace.Span) {
	name, ok := t.names[p.key]
	if !ok {
		name = "p" + strconv.Itoa(len(t.names)+1)
		t.names[p.key] = name
		t.Processes[name] = p.JaegerProcess
	}
	t.Spans = append(t.Spans, jaegerSpan(t.TraceID, name, sc, sp))
}

// trace is the trace with its spans by start.
func (t *jaegerBuilder) trace() rest.JaegerTrace {
	slices.SortStableFunc(t.Spans, func(a, b rest.JaegerSpan) int {
		return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), strings.Compare(a.SpanID, b.SpanID))
	})
	return t.JaegerTrace
}

func jaegerProcess(res pcommon.Resource) rest.JaegerProcess {
	p := rest.JaegerProcess{ServiceName: "OTLPResourceNoServiceName", Tags: []rest.JaegerTag{}}
	if v, ok := res.Attributes().Get(serviceName); ok { // the first, as everywhere
		p.ServiceName = attr.Text(v)
	}
	for k, v := range res.Attributes().All() {
		if k != serviceName {
			p.Tags = append(p.Tags, jaegerTag(k, v))
		}
	}
	slices.SortStableFunc(p.Tags, func(a, b rest.JaegerTag) int { return strings.Compare(a.Key, b.Key) })
	return p
}

// serviceName is the resource attribute that names the service.
const serviceName = "service.name"

// jaegerTag is an attribute as a tag. As in Jaeger, an integer that JavaScript would change is a tag of integers whose value is a string.
func jaegerTag(k string, v pcommon.Value) rest.JaegerTag {
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
	return stringTag(k, attr.Text(v))
}

func stringTag(k, v string) rest.JaegerTag {
	return rest.JaegerTag{Key: k, Type: "string", Value: attr.ValidUTF8(v)}
}

func jaegerSpan(traceID, process string, sc ptrace.ScopeSpans, sp ptrace.Span) rest.JaegerSpan {
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
		out.Tags = append(out.Tags, jaegerTag(k, v))
	}
	out.Tags = append(out.Tags, spanTags(sc, sp)...)
	for _, e := range sp.Events().All() {
		log := rest.JaegerLog{Timestamp: micros(e.Timestamp()), Fields: []rest.JaegerTag{}}
		if e.Name() != "" {
			log.Fields = append(log.Fields, stringTag("event", e.Name()))
		}
		for k, v := range e.Attributes().All() {
			log.Fields = append(log.Fields, jaegerTag(k, v))
		}
		out.Logs = append(out.Logs, log)
	}
	return out
}

// spanTags are kind, status, tracestate and scope, which Jaeger has as tags.
func spanTags(sc ptrace.ScopeSpans, sp ptrace.Span) (tags []rest.JaegerTag) {
	if k := sp.Kind(); k != ptrace.SpanKindUnspecified {
		tags = append(tags, stringTag("span.kind", strings.ToLower(k.String())))
	}
	switch sp.Status().Code() {
	case ptrace.StatusCodeError:
		tags = append(tags, stringTag("otel.status_code", "ERROR"), rest.JaegerTag{Key: "error", Type: "bool", Value: true})
	case ptrace.StatusCodeOk:
		tags = append(tags, stringTag("otel.status_code", "OK"))
	}
	if m := sp.Status().Message(); m != "" {
		tags = append(tags, stringTag("otel.status_description", m))
	}
	if st := sp.TraceState().AsRaw(); st != "" {
		tags = append(tags, stringTag("w3c.tracestate", st))
	}
	if name := sc.Scope().Name(); name != "" {
		tags = append(tags, stringTag("otel.scope.name", name))
	}
	if version := sc.Scope().Version(); version != "" {
		tags = append(tags, stringTag("otel.scope.version", version))
	}
	return tags
}

func micros(t pcommon.Timestamp) int64 { return int64(t) / int64(time.Microsecond) }
