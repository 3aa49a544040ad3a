package encoding

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/pipeline/otlp"
)

const (
	headerPrefix = "kafka.header." // as the Collector's kafkareceiver names them
	keyAttribute = "messaging.kafka.message.key"
	serviceName  = "service.name"

	maxHeaders     = 64      // that a line keeps; the others are left out
	maxHeaderBytes = 8 << 10 // of names and values together
)

// fromLine makes a log line of a record: its value is the body, its timestamp the time, its headers are attributes of the resource, its key
// is one of the line. The header service.name names the service.
func fromLine(r *kgo.Record, text bool) ([]byte, error) {
	if len(r.Value) == 0 {
		return nil, errEmpty
	}
	if name := looksLike(r.Value); name == OTLPJSON || name == OTLPProto && !utf8.Valid(r.Value) {
		return nil, otlp.ErrMalformed // a line by its encoding alone
	}
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	headers(r.Headers, rl.Resource().Attributes())
	l := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	if !r.Timestamp.IsZero() {
		at := pcommon.NewTimestampFromTime(r.Timestamp)
		l.SetTimestamp(at)
		l.SetObservedTimestamp(at)
	}
	switch {
	case text:
		l.Body().SetStr(string(bytes.ToValidUTF8(r.Value, []byte("\uFFFD"))))
	case utf8.Valid(r.Value):
		l.Body().SetStr(string(r.Value))
	default:
		l.Body().SetEmptyBytes().FromRaw(r.Value)
	}
	if len(r.Key) > 0 && len(r.Key) <= maxHeaderBytes {
		l.Attributes().PutStr(keyAttribute, strings.ToValidUTF8(string(r.Key), "\uFFFD"))
	}
	var m plog.ProtoMarshaler
	return m.MarshalLogs(ld)
}

// headers keeps the first of equal names.
func headers(list []kgo.RecordHeader, into pcommon.Map) {
	size := 0
	for _, h := range list[:min(len(list), maxHeaders)] {
		if size += len(h.Key) + len(h.Value); size > maxHeaderBytes {
			return
		}
		name := strings.ToValidUTF8(h.Key, "\uFFFD")
		if name != serviceName {
			name = headerPrefix + name
		}
		if _, twice := into.Get(name); !twice {
			into.PutStr(name, strings.ToValidUTF8(string(h.Value), "\uFFFD"))
		}
	}
}
