package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/ingest"
)

// telemetry is what the process reports about itself by OpenTelemetry: metrics, shown at /metrics beside all others, and spans, exported by
// OTLP where the usual variables (OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) name a receiver. The zero value
// reports nothing.
type telemetry struct {
	metrics meterProvider
	traces  *sdktrace.TracerProvider // nil: no spans are made
}

// meterProvider is the SDK's. The interface keeps its generic types out of the packages that know App: each would compile them anew.
type meterProvider interface {
	metric.MeterProvider
	Shutdown(context.Context) error
}

// openTelemetry reads the OTEL_* variables; the SDK and its exporters read those that are not named here by themselves.
func openTelemetry(ctx context.Context, reg prometheus.Registerer, log zerolog.Logger) (t telemetry, err error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn().Err(err).Msg("OpenTelemetry: exporting WatchingCat's own telemetry failed")
	}))
	res, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("watchingcat"), semconv.ServiceVersion(Version()),
			semconv.ServiceInstanceID(uuid.NewString())), resource.WithFromEnv())
	if err != nil {
		return t, config.Usage("OTEL_RESOURCE_ATTRIBUTES: %v", err)
	}
	reader, err := otelprom.New(otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo())
	if err != nil {
		return t, fmt.Errorf("metrics of OpenTelemetry: %w", err)
	}
	t.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(res))
	exporter, err := traceExporter(ctx)
	if exporter == nil || err != nil {
		return t, err
	}
	t.traces = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	return t, nil
}

// traceExporter is nil where no spans are to be exported.
func traceExporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if endpoint == "" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	var client otlptrace.Client
	switch p := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); p {
	case "http/protobuf":
		client = otlptracehttp.NewClient()
	case "grpc":
		client = otlptracegrpc.NewClient()
	default:
		return nil, config.Usage("OTEL_EXPORTER_OTLP_PROTOCOL: %q is neither http/protobuf nor grpc", p)
	}
	exporter, err := otlptrace.New(ctx, client) // the receiver need not be there yet
	if err != nil {
		return nil, fmt.Errorf("exporter of spans to %s: %w", endpoint, err)
	}
	return exporter, nil
}

// meter and tracer are those of a package; nil where there are none.
func (t telemetry) meter(name string) metric.Meter {
	if t.metrics == nil {
		return nil
	}
	return t.metrics.Meter(ingest.Scope + name)
}

func (t telemetry) tracer(name string) trace.Tracer {
	if t.traces == nil {
		return nil
	}
	return t.traces.Tracer(ingest.Scope + name)
}

// close exports what waits, for a few seconds at most.
func (t telemetry) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs []error
	if t.traces != nil {
		if err := t.traces.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, fmt.Errorf("export the last spans: %w", err))
		}
	}
	if t.metrics != nil {
		errs = append(errs, t.metrics.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// traceHook puts the trace that an event's context is in into its line.
type traceHook struct{}

func (traceHook) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	if c := trace.SpanContextFromContext(e.GetCtx()); c.IsValid() {
		e.Str("trace_id", c.TraceID().String()).Str("span_id", c.SpanID().String())
	}
}
