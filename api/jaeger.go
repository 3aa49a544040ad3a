package api

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/rest"
)

// jaegerTrace turns OTLP spans into the JSON of Jaeger's query service, by the rules of
// https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/jaeger/ and as Jaeger's own translation does.
func jaegerTrace(data []ptrace.Traces, id [16]byte) rest.JaegerTrace {
	t := rest.JaegerTrace{TraceID: hex.EncodeToString(id[:]), Spans: []rest.JaegerSpan{}, Processes: map[string]rest.JaegerProcess{}}
	processes := map[string]string{} // of what a process is made of
	eachSpan(data, id, func(res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span) {
		p := jaegerProcess(res)
		key := p.ServiceName
		for _, tag := range p.Tags {
			key += "\x00" + tag.Key + "\x00" + tagText(tag.Value)
		}
		name, ok := processes[key]
		if !ok {
			name = "p" + strconv.Itoa(len(processes)+1)
			processes[key] = name
			t.Processes[name] = p
		}
		t.Spans = append(t.Spans, jaegerSpan(t.TraceID, name, sc, sp))
	})
	slices.SortStableFunc(t.Spans, func(a, b rest.JaegerSpan) int {
		if a.StartTime != b.StartTime {
			return int(max(-1, min(1, a.StartTime-b.StartTime)))
		}
		return strings.Compare(a.SpanID, b.SpanID)
	})
	return t
}

func tagText(v any) string {
	s, ok := v.(string)
	if ok {
		return s
	}
	return "?"
}

func jaegerProcess(res pcommon.Resource) rest.JaegerProcess {
	p := rest.JaegerProcess{ServiceName: "OTLPResourceNoServiceName", Tags: []rest.JaegerTag{}}
	for k, v := range res.Attributes().All() {
		if k == "service.name" {
			p.ServiceName = v.AsString()
			continue
		}
		p.Tags = append(p.Tags, jaegerTag(k, v))
	}
	slices.SortStableFunc(p.Tags, func(a, b rest.JaegerTag) int { return strings.Compare(a.Key, b.Key) })
	return p
}

func jaegerTag(k string, v pcommon.Value) rest.JaegerTag {
	switch v.Type() {
	case pcommon.ValueTypeBool:
		return rest.JaegerTag{Key: k, Type: "bool", Value: v.Bool()}
	case pcommon.ValueTypeInt:
		return rest.JaegerTag{Key: k, Type: "int64", Value: v.Int()}
	case pcommon.ValueTypeDouble:
		return rest.JaegerTag{Key: k, Type: "float64", Value: v.Double()}
	case pcommon.ValueTypeBytes:
		return rest.JaegerTag{Key: k, Type: "binary", Value: base64.StdEncoding.EncodeToString(v.Bytes().AsRaw())}
	}
	return stringTag(k, v.AsString())
}

func stringTag(k, v string) rest.JaegerTag { return rest.JaegerTag{Key: k, Type: "string", Value: v} }

func jaegerSpan(traceID, process string, sc ptrace.ScopeSpans, sp ptrace.Span) rest.JaegerSpan {
	id := sp.SpanID()
	out := rest.JaegerSpan{TraceID: traceID, SpanID: hex.EncodeToString(id[:]), OperationName: sp.Name(), ProcessID: process,
		StartTime: micros(sp.StartTimestamp()), References: []rest.JaegerReference{}, Tags: []rest.JaegerTag{}, Logs: []rest.JaegerLog{}}
	if sp.EndTimestamp() > sp.StartTimestamp() {
		out.Duration = int64(sp.EndTimestamp()-sp.StartTimestamp()) / int64(time.Microsecond)
	}
	if parent := sp.ParentSpanID(); !parent.IsEmpty() {
		out.References = append(out.References, rest.JaegerReference{RefType: "CHILD_OF", TraceID: traceID, SpanID: hex.EncodeToString(parent[:])})
	}
	for _, l := range sp.Links().All() {
		to, from := l.TraceID(), l.SpanID()
		out.References = append(out.References, rest.JaegerReference{RefType: "FOLLOWS_FROM", TraceID: hex.EncodeToString(to[:]), SpanID: hex.EncodeToString(from[:])})
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
