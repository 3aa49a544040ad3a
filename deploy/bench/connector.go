package main

import (
	"context"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// sink takes the connector's metrics.
type sink struct{ got chan int }

func (sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s sink) ConsumeMetrics(_ context.Context, m pmetric.Metrics) error {
	s.got <- m.DataPointCount()
	return nil
}

const interval = time.Minute

// prepConnector runs the collector's spanmetrics connector as a library, with its default dimensions and buckets. Its clock is
// advanced by hand, so that it flushes when the other rows do.
func prepConnector(warm, messages [][]byte) (func() error, func(), error) {
	clock := clockwork.NewFakeClock()
	got := make(chan int, 1)
	f := spanmetricsconnector.NewFactory()
	cfg := f.CreateDefaultConfig().(*spanmetricsconnector.Config)
	cfg.MetricsFlushInterval = interval
	ctx := clockwork.AddToContext(context.Background(), clock)
	set := connector.Settings{ID: component.NewID(f.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	c, err := f.CreateTracesToMetrics(ctx, set, cfg, sink{got})
	if err != nil {
		return nil, nil, err
	}
	if err := c.Start(ctx, componenttest.NewNopHost()); err != nil {
		return nil, nil, err
	}
	work := func(messages [][]byte) error {
		var u ptrace.ProtoUnmarshaler
		n := 0
		flushed := func() {
			clock.Advance(interval)
			<-got
			n = 0
		}
		for _, m := range messages {
			td, err := u.UnmarshalTraces(m)
			if err != nil {
				return err
			}
			n += td.SpanCount()
			if err := c.ConsumeTraces(ctx, td); err != nil {
				return err
			}
			if n >= *flush {
				flushed()
			}
		}
		flushed()
		return nil
	}
	end := func() { _ = c.Shutdown(ctx) }
	if err := work(warm); err != nil {
		end()
		return nil, nil, err
	}
	return func() error { return work(messages) }, end, nil
}
