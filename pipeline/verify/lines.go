package verify

import (
	"time"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/storage/attr"
)

// severities are the names of ranges of four severity numbers.
var severities = [...]string{"UNSPECIFIED", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

// logs counts the lines of a record; line says that the record is one line without an id.
func (c *recount) logs(ld plog.Logs, identity []byte, line bool, at arrival) {
	if ld.LogRecordCount() > c.MaxSpans {
		return
	}
	if c.Dedup >= 0 && !line && distinct(ld) {
		c.again(c.records, xxh3.Hash128(identity).Bytes(), &at)
	}
	for _, rl := range ld.ResourceLogs().All() {
		res := c.resource(rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			for _, l := range sl.LogRecords().All() {
				c.line(&res, l, at)
			}
		}
	}
}

func (c *recount) line(r *resource, l plog.LogRecord, at arrival) {
	if at.copies != nil {
		for _, a := range at.moved(func(ms int64) uint64 { return c.timeOf(l, ms) }) {
			c.line(r, l, a)
		}
		if !at.uncertain {
			return
		}
	}
	t := c.timeOf(l, at.ms)
	if t < c.from || t >= c.to {
		return
	}
	c.late = max(c.late, time.Duration(at.ms*1e6-int64(t)))
	severity := severities[0]
	if n := attr.Severity(int32(l.SeverityNumber()), l.SeverityText()); n > 0 {
		severity = severities[min(int(n-1)/4+1, len(severities)-1)]
	}
	add(c.lines, lineKey{r.service, severity, r.dims, c.bucket(t)}, count{n: 1, uncertain: at.uncertain})
}

// timeOf is the time of a line of a record.
func (c *recount) timeOf(l plog.LogRecord, ms int64) uint64 {
	came, t := uint64(max(0, ms))*1e6, uint64(l.Timestamp())
	if t == 0 {
		t = uint64(l.ObservedTimestamp())
	}
	if t == 0 || came > 0 && t > came+uint64(c.Tolerance) {
		return came
	}
	return t
}

// distinct reports whether a record holds something by which it differs from others that say the same: an id, or a time finer than a
// second.
func distinct(ld plog.Logs) bool {
	fine := func(t pcommon.Timestamp) bool { return t%1e9 != 0 }
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, l := range sl.LogRecords().All() {
				_, uid := l.Attributes().Get("log.record.uid")
				if uid || fine(l.Timestamp()) || fine(l.ObservedTimestamp()) || !l.TraceID().IsEmpty() || !l.SpanID().IsEmpty() {
					return true
				}
			}
		}
	}
	return false
}
