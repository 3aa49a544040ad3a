package logs

import (
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/model"
)

// Record is what the views need of an OTLP log record. A decoder reuses one for all records of a message.
type Record struct {
	Time     uint64 // Unix nanoseconds: when it happened, else when it was seen
	Severity Severity
	Body     []byte
	Event    []byte // name of the event; nil: it is none
	TraceID  [16]byte
	SpanID   [8]byte
	// Exception is nil where the record has none of its attributes.
	Exception *model.Exception
}

// Text is what the line says: its body, else the name of its event.
func (l *Record) Text() []byte {
	if len(l.Body) > 0 {
		return l.Body
	}
	return l.Event
}

// Severity is the range of a record's severity number (opentelemetry/proto/logs/v1/logs.proto, SeverityNumber).
type Severity uint8

// The severities.
const (
	SeverityUnspecified Severity = iota
	SeverityTrace
	SeverityDebug
	SeverityInfo
	SeverityWarn
	SeverityError
	SeverityFatal
	severities
)

var severityNames = [severities]string{"UNSPECIFIED", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

// String is the severity's short name in OpenTelemetry's data model.
func (s Severity) String() string {
	if s >= severities {
		return severityNames[0]
	}
	return severityNames[s]
}

// ParseSeverity reads a name as String writes it, whatever its case.
func ParseSeverity(s string) (Severity, bool) {
	i := slices.Index(severityNames[:], strings.ToUpper(s))
	return Severity(max(0, i)), i >= 0
}

// SeverityOf is the range of a severity number, and where there is none of the text, as logging libraries write it.
func SeverityOf(number int32, text string) Severity {
	if number = attr.Severity(number, text); number == 0 {
		return SeverityUnspecified
	}
	return Severity(min((number-1)/4+1, int32(SeverityFatal)))
}

// Decode reads an OTLP ExportLogsServiceRequest (or LogsData, the same bytes) and calls f for each record, in order. What f is
// given is reused.
func Decode(b []byte, d *model.Dimensions, f func(r *model.Resource, l *Record)) error {
	return Each(b, d, func(r *model.Resource, _ plog.ResourceLogs, _ plog.ScopeLogs, pl plog.LogRecord) bool {
		l := read(pl)
		f(r, &l)
		return true
	})
}

// Each calls f for each record, with its resource and scope as they came, until f returns false.
func Each(b []byte, d *model.Dimensions,
	f func(r *model.Resource, rl plog.ResourceLogs, sl plog.ScopeLogs, l plog.LogRecord) bool) error {
	var u plog.ProtoUnmarshaler
	ld, err := u.UnmarshalLogs(b)
	if err != nil {
		return fmt.Errorf("malformed OTLP logs: %w", err)
	}
	for _, rl := range ld.ResourceLogs().All() {
		var r model.Resource
		if v, ok := rl.Resource().Attributes().Get("service.name"); ok {
			r.Service, r.HasService = []byte(attr.Text(v)), true
		}
		r.Dims = d.OfMap(rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			for _, l := range sl.LogRecords().All() {
				if !f(&r, rl, sl, l) {
					return nil
				}
			}
		}
	}
	return nil
}

func read(pl plog.LogRecord) Record {
	l := Record{Time: timeOf(pl), Severity: SeverityOf(int32(pl.SeverityNumber()), pl.SeverityText()),
		Body: []byte(attr.Text(pl.Body())), Event: []byte(EventName(pl)), TraceID: pl.TraceID(), SpanID: pl.SpanID()}
	typ, hasType := pl.Attributes().Get("exception.type")
	msg, hasMessage := pl.Attributes().Get("exception.message")
	if hasType || hasMessage {
		l.Exception = &model.Exception{Type: textOf(typ, hasType), Message: textOf(msg, hasMessage)}
	}
	return l
}

func textOf(v pcommon.Value, ok bool) []byte {
	if !ok {
		return nil
	}
	return []byte(attr.Text(v))
}

// EventName is the name of an event, where the data model has it or where it was before.
func EventName(l plog.LogRecord) string {
	if name := l.EventName(); name != "" {
		return attr.ValidUTF8(name)
	}
	if v, ok := l.Attributes().Get("event.name"); ok {
		return attr.Text(v)
	}
	return ""
}

// timeOf is the time that a line names; 0: none.
func timeOf(l plog.LogRecord) uint64 {
	if t := l.Timestamp(); t != 0 {
		return uint64(t)
	}
	return uint64(l.ObservedTimestamp())
}
