package encoding

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gogo/protobuf/jsonpb"
	jaegermodel "github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	zipkinmodel "github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/otlp"
)

// maxParts bounds the messages and texts of a record: two bytes become an object of a hundred.
const maxParts = 1_000_000

var (
	errParts = fmt.Errorf("more than %d parts in one record: send fewer spans in one record", maxParts)
	errShape = errors.New("the ids of its spans do not have 16 and 8 bytes")
	errEmpty = errors.New("the record is empty")
)

// fromJaegerProto takes a Span, as the Collector writes them, or a Batch.
func fromJaegerProto(b []byte) ([]byte, error) {
	if err := countParts(b); err != nil {
		return nil, err
	}
	var batch jaegermodel.Batch
	switch {
	case isJaegerSpan(b):
		var span jaegermodel.Span
		if err := span.Unmarshal(b); err != nil {
			return nil, err
		}
		batch = jaegermodel.Batch{Spans: []*jaegermodel.Span{&span}, Process: span.Process}
	case isJaegerBatch(b):
		if err := batch.Unmarshal(b); err != nil {
			return nil, err
		}
	default:
		return nil, errShape
	}
	return fromJaeger(&batch)
}

func fromJaegerJSON(b []byte) ([]byte, error) {
	if err := otlp.CheckJSON(b); err != nil {
		return nil, err
	}
	var span jaegermodel.Span
	if err := jsonpb.Unmarshal(bytes.NewReader(b), &span); err != nil {
		return nil, err
	}
	if span.TraceID == (jaegermodel.TraceID{}) || span.SpanID == 0 {
		return nil, errShape
	}
	return fromJaeger(&jaegermodel.Batch{Spans: []*jaegermodel.Span{&span}, Process: span.Process})
}

func fromJaeger(batch *jaegermodel.Batch) ([]byte, error) {
	td, err := jaeger.ProtoToTraces([]*jaegermodel.Batch{batch})
	if err != nil {
		return nil, err
	}
	return marshal(td)
}

func fromZipkinJSON(b []byte) ([]byte, error) {
	if err := otlp.CheckJSON(b); err != nil {
		return nil, err
	}
	var spans []*zipkinmodel.SpanModel
	if err := json.Unmarshal(b, &spans); err != nil {
		return nil, err
	}
	return fromZipkin(spans)
}

func fromZipkinProto(b []byte) ([]byte, error) {
	if err := countParts(b); err != nil {
		return nil, err
	}
	spans, err := zipkin_proto3.ParseSpans(b, false)
	if err != nil {
		return nil, err
	}
	return fromZipkin(spans)
}

// fromZipkin leaves tags texts, as Zipkin's are and as the Collector's receiver does by default.
func fromZipkin(spans []*zipkinmodel.SpanModel) ([]byte, error) {
	spans = slices.DeleteFunc(spans, func(s *zipkinmodel.SpanModel) bool { return s == nil })
	td, err := zipkinv2.ToTranslator{}.ToTraces(spans)
	if err != nil {
		return nil, err
	}
	return marshal(td)
}

func marshal(td ptrace.Traces) ([]byte, error) {
	var m ptrace.ProtoMarshaler
	return m.MarshalTraces(td)
}

// countParts refuses what would take far more memory than bytes, before anything is built, and what is no protobuf.
func countParts(b []byte) error {
	if len(b) == 0 {
		return errEmpty
	}
	left := maxParts
	if !countFields(b, 0, &left) {
		return otlp.ErrMalformed
	}
	if left < 0 {
		return errParts
	}
	return nil
}

// countFields counts the fields of messages down to the values of tags. Texts may look like messages: they count for a little more.
func countFields(b []byte, depth int, left *int) bool {
	for i := 0; i < len(b) && *left >= 0; {
		f, ok := otlp.NextField(b, i)
		if !ok {
			return false
		}
		i = f.Next
		*left--
		if f.Wire == otlp.WireLen && depth < 4 {
			countFields(f.Data, depth+1, left)
		}
	}
	return true
}
