package ingest

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"
	otelattr "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/trace"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// Scope begins the name of an instrumentation scope of WatchingCat.
const Scope = "github.com/gaurav/watchingcat/"

// ownScopes are those of the spans that WatchingCat makes of itself.
var ownScopes = []string{Scope + "api", Scope + "pipeline"}

// Telemetry is where batches are counted and traced. The zero value is nowhere.
type Telemetry struct {
	Meter  metric.Meter
	Tracer trace.Tracer
}

// batchTelemetry counts and traces the batches that an intake takes.
//
// Our own spans come back to us by the topic. A batch makes a span only if it holds a record that is not wholly made of own spans:
// so each span of a batch belongs to a record of another sender, and our own telemetry makes no further telemetry. Own spans are
// known by the name of their scope, which neither settings nor collectors change, so that two installations that read one topic do not
// keep each other busy either.
type batchTelemetry struct {
	tracer   trace.Tracer
	consumed messagingconv.ClientConsumedMessages
	duration messagingconv.ProcessDuration
	otlp     func(*kgo.Record) ([]byte, error)
}

// Buckets of durations in seconds, as the semantic conventions of messaging advise.
var processBuckets = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}

func newBatchTelemetry(t Telemetry, toOTLP func(*kgo.Record) ([]byte, error)) (b batchTelemetry, err error) {
	b = batchTelemetry{tracer: t.Tracer, otlp: toOTLP}
	if toOTLP == nil {
		b.otlp = encoding.Decoder{Signal: encoding.Spans}.OTLP
	}
	if b.consumed, err = messagingconv.NewClientConsumedMessages(t.Meter); err != nil {
		return b, fmt.Errorf("pipeline: metrics: %w", err)
	}
	if b.duration, err = messagingconv.NewProcessDuration(t.Meter, metric.WithExplicitBucketBoundaries(processBuckets...)); err != nil {
		return b, fmt.Errorf("pipeline: metrics: %w", err)
	}
	return b, nil
}

func batchAttributes(topic string) []otelattr.KeyValue {
	return []otelattr.KeyValue{semconv.MessagingSystemKafka, semconv.MessagingOperationName("process"),
		semconv.MessagingDestinationName(topic)}
}

// take hands a message to next. One that comes again, because next failed, is counted again.
func (b *batchTelemetry) take(msg *message.Message, next message.NoPublishHandlerFunc) error {
	batch, ok := source.BatchFrom(msg.Context())
	if !ok {
		return next(msg)
	}
	span := b.begin(msg, &batch)
	began := time.Now()
	err := next(msg)
	attributes := batchAttributes(batch.Topic)
	if err != nil {
		attributes = append(attributes, semconv.ErrorType(err))
	}
	set := otelattr.NewSet(attributes...)
	ctx := msg.Context()
	b.consumed.AddSet(ctx, int64(len(batch.Records)), set)
	b.duration.RecordSet(ctx, time.Since(began).Seconds(), set)
	if span != nil {
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
	return err
}

// begin starts the span of a batch and puts it into the message's context; nil where there is to be none.
func (b *batchTelemetry) begin(msg *message.Message, batch *source.Batch) trace.Span {
	if b.tracer == nil || ownBatch(batch, b.otlp) {
		return nil
	}
	ctx, span := b.tracer.Start(msg.Context(), "process "+batch.Topic, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(batchAttributes(batch.Topic)...),
		trace.WithAttributes(semconv.MessagingOperationTypeProcess,
			semconv.MessagingDestinationPartitionID(strconv.Itoa(int(batch.Partition))),
			semconv.MessagingBatchMessageCount(len(batch.Records)), semconv.MessagingKafkaOffset(int(batch.Records[0].Offset))))
	msg.SetContext(ctx)
	return span
}

// ownBatch reports whether a batch holds nothing but own spans, or nothing at all. It ends at the first record of another sender.
func ownBatch(b *source.Batch, toOTLP func(*kgo.Record) ([]byte, error)) bool {
	for _, r := range b.Records {
		if value, err := toOTLP(r); err != nil || !ownSpans(value) {
			return false
		}
	}
	return true
}

// ownSpans reports whether all spans of an OTLP record are our own. Of a record that does not parse they are not: it becomes a dead
// letter, once.
func ownSpans(record []byte) bool {
	return eachField(record, 1, func(resourceSpans []byte) bool {
		return eachField(resourceSpans, 2, func(scopeSpans []byte) bool {
			own, spans := false, false
			ok := eachField(scopeSpans, 2, func([]byte) bool { spans = true; return true }) &&
				eachField(scopeSpans, 1, func(scope []byte) bool {
					return eachField(scope, 1, func(name []byte) bool { own = slices.Contains(ownScopes, string(name)); return true })
				})
			return ok && (own || !spans)
		})
	})
}

// eachField calls f with each field of a message that has the number and a length; false when one call says so or b is malformed.
func eachField(b []byte, num int32, f func([]byte) bool) bool {
	for i := 0; i < len(b); {
		x, ok := otlp.NextField(b, i)
		if !ok {
			return false
		}
		if i = x.Next; x.Num == num && x.Wire == otlp.WireLen && !f(x.Data) {
			return false
		}
	}
	return true
}
