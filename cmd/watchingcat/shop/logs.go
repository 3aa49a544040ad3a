package shop

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Logs returns what the services logged about the requests since the last Take, as one OTLP export request; nil when they logged
// nothing. Call it before Take.
func (s *Shop) Logs() ([]byte, error) {
	ld := plog.NewLogs()
	slots := map[podID]plog.LogRecordSlice{}
	for i := range s.spans {
		sp := &s.spans[i]
		severity, body := sp.says()
		if body == "" {
			continue
		}
		slot, ok := slots[sp.podID]
		if !ok {
			rl := ld.ResourceLogs().AppendEmpty()
			s.describe(rl.Resource().Attributes(), sp.podID)
			sl := rl.ScopeLogs().AppendEmpty()
			sl.Scope().SetName("shop.log")
			slot = sl.LogRecords()
			slots[sp.podID] = slot
		}
		sp.log(slot.AppendEmpty(), severity, body)
	}
	if ld.LogRecordCount() == 0 {
		return nil, nil
	}
	var m plog.ProtoMarshaler
	b, err := m.MarshalLogs(ld)
	if err != nil {
		return nil, fmt.Errorf("shop: encode logs: %w", err)
	}
	return b, nil
}

// says is what the service logged when the span ended. It depends on the span alone, so that the spans of a seed stay the same.
func (sp *span) says() (plog.SeverityNumber, string) {
	n := binary.BigEndian.Uint32(sp.id[4:]) * 2654435761 >> 8
	took := (sp.end - sp.start).Round(time.Microsecond)
	switch server := sp.kind == ptrace.SpanKindServer || sp.kind == ptrace.SpanKindConsumer; {
	case server && sp.failed:
		return plog.SeverityNumberError, fmt.Sprintf("request failed: %s after %v", sp.description, took)
	case sp.failed:
		return plog.SeverityNumberWarn, fmt.Sprintf("call %q failed, giving up after %d attempts", sp.name, 1+n%3)
	case server && took > 500*time.Millisecond:
		return plog.SeverityNumberWarn, fmt.Sprintf("slow request: %s took %v", sp.name, took)
	case sp.queries && took > 100*time.Millisecond:
		return plog.SeverityNumberWarn, fmt.Sprintf("slow query: %s took %v", sp.name, took)
	case server && n%4 == 0:
		return plog.SeverityNumberInfo, fmt.Sprintf("handled %s for customer %d in %v", sp.name, 10_000+n%5000, took)
	case !server && n%16 == 0:
		return plog.SeverityNumberDebug, fmt.Sprintf("connection %d to pool of %s returned", n%50, firstWord(sp.name))
	}
	return 0, ""
}

func (sp *span) log(to plog.LogRecord, severity plog.SeverityNumber, body string) {
	to.SetTimestamp(pcommon.Timestamp(sp.end))
	to.SetObservedTimestamp(pcommon.Timestamp(sp.end))
	to.SetSeverityNumber(severity)
	to.SetSeverityText(severity.String())
	to.Body().SetStr(body)
	to.SetTraceID(sp.trace)
	to.SetSpanID(sp.id)
	to.Attributes().PutStr("code.function.name", "serve")
	if severity == plog.SeverityNumberError {
		to.Attributes().PutStr("exception.type", "shop.Error")
		to.Attributes().PutStr("exception.message", sp.description)
	}
}
