package main

import (
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// spansOf converts spans that ended at times moved by shift. The data set has neither kind nor status: a span is of the server where its
// parent is of another service or not there, of the client where a child is of another service, else internal.
func spansOf(list []span, shift time.Duration) ptrace.Traces {
	service := make(map[string]string, len(list))
	for _, s := range list {
		service[s.id] = serviceOf(s.pod)
	}
	calls := map[string]bool{}
	for _, s := range list {
		if p, ok := service[s.parent]; ok && p != serviceOf(s.pod) {
			calls[s.parent] = true
		}
	}
	td := ptrace.NewTraces()
	byPod := map[string]ptrace.SpanSlice{}
	for _, s := range list {
		out, ok := byPod[s.pod]
		if !ok {
			rs := td.ResourceSpans().AppendEmpty()
			resource(rs.Resource().Attributes(), s.pod)
			out = rs.ScopeSpans().AppendEmpty().Spans()
			byPod[s.pod] = out
		}
		x := out.AppendEmpty()
		x.SetName(s.name)
		x.SetTraceID(id16(s.trace))
		x.SetSpanID(id8(s.id))
		x.SetStartTimestamp(pcommon.NewTimestampFromTime(s.start.Add(shift)))
		x.SetEndTimestamp(pcommon.NewTimestampFromTime(s.end.Add(shift)))
		p, ok := service[s.parent]
		if s.parent != "root" {
			x.SetParentSpanID(id8(s.parent))
		}
		switch {
		case !ok || p != serviceOf(s.pod):
			x.SetKind(ptrace.SpanKindServer)
		case calls[s.id]:
			x.SetKind(ptrace.SpanKindClient)
		default:
			x.SetKind(ptrace.SpanKindInternal)
		}
	}
	return td
}

func resource(m pcommon.Map, pod string) {
	m.PutStr("service.name", serviceOf(pod))
	m.PutStr("k8s.pod.name", pod)
}

func id16(s string) (id pcommon.TraceID) {
	_, _ = hex.Decode(id[:], []byte(s[:min(len(s), 32)])) // what is no id is none
	return id
}

func id8(s string) (id pcommon.SpanID) {
	_, _ = hex.Decode(id[:], []byte(s[:min(len(s), 16)]))
	return id
}

// linesOf converts log lines: the body of what the container runtime wrote, and its severity.
func linesOf(list []line, shift time.Duration) plog.Logs {
	ld := plog.NewLogs()
	byPod := map[string]plog.LogRecordSlice{}
	for _, l := range list {
		out, ok := byPod[l.pod]
		if !ok {
			rl := ld.ResourceLogs().AppendEmpty()
			resource(rl.Resource().Attributes(), l.pod)
			out = rl.ScopeLogs().AppendEmpty().LogRecords()
			byPod[l.pod] = out
		}
		x := out.AppendEmpty()
		at := pcommon.NewTimestampFromTime(l.at.Add(shift))
		x.SetTimestamp(at)
		x.SetObservedTimestamp(at)
		if len(l.trace) == 32 && len(l.span) == 16 {
			x.SetTraceID(id16(l.trace))
			x.SetSpanID(id8(l.span))
		}
		body, severity := bodyOf(l.text)
		x.Body().SetStr(body)
		x.SetSeverityText(severity)
		x.SetSeverityNumber(severities[strings.ToUpper(severity)])
	}
	return ld
}

var severities = map[string]plog.SeverityNumber{"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "WARNING": 13, "ERROR": 17, "FATAL": 21}

var (
	plainLine = regexp.MustCompile(`^\s*(?:[\d.:\- T]+)?(TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL)\s+(.*)`)
	ids       = regexp.MustCompile(`TraceID: \S+ SpanID: \S+ `)
)

// bodyOf unpacks a line of Docker's log: text, or JSON with a severity.
func bodyOf(text string) (body, severity string) {
	var docker struct{ Log string }
	if json.Unmarshal([]byte(text), &docker) == nil && docker.Log != "" {
		text = docker.Log
	}
	text = strings.TrimSpace(text)
	var structured struct{ Message, Severity string }
	if json.Unmarshal([]byte(text), &structured) == nil && structured.Message != "" {
		return ids.ReplaceAllString(structured.Message, ""), structured.Severity
	}
	if m := plainLine.FindStringSubmatch(text); m != nil {
		return ids.ReplaceAllString(m[2], ""), m[1]
	}
	return ids.ReplaceAllString(text, ""), ""
}

// pointsOf converts rows of metrics to the names that the Collector's kubelet receiver uses.
func pointsOf(list []sample, shift time.Duration) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for _, s := range list {
		rm := md.ResourceMetrics().AppendEmpty()
		resource(rm.Resource().Attributes(), s.pod)
		out := rm.ScopeMetrics().AppendEmpty().Metrics()
		gauge := func(name, unit string, v float64) {
			m := out.AppendEmpty()
			m.SetName(name)
			m.SetUnit(unit)
			p := m.SetEmptyGauge().DataPoints().AppendEmpty()
			p.SetTimestamp(pcommon.NewTimestampFromTime(s.at.Add(shift)))
			p.SetDoubleValue(v)
		}
		gauge("k8s.pod.cpu.usage", "{cpu}", s.cpu)
		gauge("k8s.pod.cpu_limit_utilization", "1", s.cpuLimit)
		gauge("k8s.pod.memory.usage", "By", s.memory)
		gauge("k8s.pod.memory_limit_utilization", "1", s.memoryLimit)
	}
	return md
}
