package spans

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/model"
)

// Resources is a block of OTLP records, one after the other, without the resources that keep refuses: most need not be decoded.
func Resources(block []byte, keep func(one []byte) bool) []byte {
	var out []byte
	for rest := block; len(rest) > 0; {
		_, _, size := protowire.ConsumeField(rest)
		if size < 0 {
			return block // whoever decodes it says what is wrong
		}
		if keep(rest[:size]) {
			out = append(out, rest[:size]...)
		}
		rest = rest[size:]
	}
	return out
}

// Decode reads a block of OTLP records.
func Decode(block []byte) (ptrace.Traces, error) {
	var u ptrace.ProtoUnmarshaler
	td, err := u.UnmarshalTraces(block)
	if err != nil {
		return td, fmt.Errorf("decode kept spans: %w", err)
	}
	return td, nil
}

// EachOf calls fn for the spans of a service in a block of OTLP records.
func EachOf(block []byte, service string, fn func(res pcommon.Resource, sp ptrace.Span)) error {
	if AsSent(service) {
		block = Resources(block, func(one []byte) bool { return bytes.Contains(one, []byte(service)) })
	}
	td, err := Decode(block)
	if err != nil {
		return err
	}
	for _, rs := range td.ResourceSpans().All() {
		if ServiceOf(rs.Resource()) != service {
			continue
		}
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				fn(rs.Resource(), sp)
			}
		}
	}
	return nil
}

// AsSent reports whether a name stands in records as it is known. Names are cut and made valid where they enter.
func AsSent(name string) bool {
	return name != "" && len(name) < 128 && utf8.ValidString(name) && !strings.ContainsRune(name, utf8.RuneError)
}

// ServiceOf is the service of a resource as the views name it; "" where it has none.
func ServiceOf(res pcommon.Resource) string {
	v, ok := res.Attributes().Get("service.name")
	if !ok {
		return ""
	}
	return model.CleanName(attr.Text(v))
}

// Limits are durations in nanoseconds by operation.
type Limits map[model.REDKey]uint64

// Add sets the limit of each operation to a quantile of its durations.
func (l Limits) Add(list []model.OperationLatency, quantile float64) {
	for i := range list {
		o := &list[i]
		l[model.REDKey{Service: o.Service, Operation: o.Name, Kind: o.Kind}] = uint64(o.Hist.Quantile(quantile))
	}
}

// Exceeds reports whether a span of a service took longer than the limit of its operation.
func (l Limits) Exceeds(service string, sp ptrace.Span) bool {
	most, ok := l[model.REDKey{Service: service, Operation: model.CleanName(sp.Name()), Kind: model.Kind(sp.Kind())}]
	return ok && Duration(sp) > most
}
