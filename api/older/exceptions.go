package older

import (
	"bytes"
	"cmp"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/spans"
)

// The attributes of an exception, in OpenTelemetry's semantic conventions.
const (
	exceptionType    = "exception.type"
	exceptionMessage = "exception.message"
	exceptionStack   = "exception.stacktrace"
	serviceVersion   = "service.version"
)

// Exception is one exception as a span or a log record has it.
type Exception struct {
	Time                        time.Time
	TraceID                     [16]byte
	SpanID                      [8]byte
	Service, Operation, Version string
	Message, Stack              string
	OfLog                       bool
}

// SpanException finds the exception of a type that a span recorded. known says that the span is kept, whether or not it recorded one.
func SpanException(m answer.Moment, at model.Exemplar, typ string) (found *Exception, known bool, err error) {
	var failed error
	_, _, _, err = m.Views.EachTraceBlock(at.TraceID, func(_ views.TraceSummary, block []byte) bool {
		var td ptrace.Traces
		td, failed = spans.Decode(spans.Resources(block, func(one []byte) bool { return bytes.Contains(one, at.SpanID[:]) }))
		if failed != nil {
			return false
		}
		EachSpan([]ptrace.Traces{td}, at.TraceID, func(res pcommon.Resource, _ ptrace.ScopeSpans, sp ptrace.Span) {
			if sp.SpanID() != pcommon.SpanID(at.SpanID) || found != nil {
				return
			}
			known = true
			for _, e := range sp.Events().All() {
				if textOf(e.Attributes(), exceptionType) != typ || e.Name() != "exception" {
					continue
				}
				found = &Exception{Time: e.Timestamp().AsTime(), TraceID: at.TraceID, SpanID: at.SpanID,
					Service: textOf(res.Attributes(), ServiceName), Operation: sp.Name(), Version: textOf(res.Attributes(), serviceVersion),
					Message: textOf(e.Attributes(), exceptionMessage), Stack: textOf(e.Attributes(), exceptionStack)}
			}
		})
		return found == nil
	})
	return found, known, cmp.Or(err, failed)
}

// LogException finds the newest exception of a type among the kept log lines that a query selects.
func LogException(m answer.Moment, q views.LogQuery, typ string) (*Exception, error) {
	q.Attributes, q.Limit, q.Budget = map[string]string{exceptionType: typ}, 1, exceptionBudget
	res, err := m.Views.SearchLogs(q)
	if err != nil || len(res.Lines) == 0 {
		return nil, err
	}
	l := &res.Lines[0]
	text := func(of map[string]any, key string) string {
		s, _ := of[key].(string)
		return s
	}
	return &Exception{Time: l.Time, TraceID: l.TraceID, SpanID: l.SpanID, Service: l.Service, Version: text(l.Resource, serviceVersion),
		Message: text(l.Attributes, exceptionMessage), Stack: text(l.Attributes, exceptionStack), OfLog: true}, nil
}

// exceptionBudget is how many bytes of log lines are searched for one exception.
const exceptionBudget = 32 << 20

func textOf(of pcommon.Map, key string) string {
	v, ok := of.Get(key)
	if !ok {
		return ""
	}
	return attr.Text(v)
}
