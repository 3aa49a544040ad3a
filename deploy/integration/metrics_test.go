//go:build integration

package integration

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/views/metricstest"
)

const metricsTopic = "otlp_metrics"

// TestMetrics sends metrics through a collector and real Kafka, which deals them out to partitions, and kills watchingcat now and
// then: in the end counters that were sent as deltas have the sum of all increments, and gauges their last values.
func TestMetrics(t *testing.T) {
	k := startKafka(t, 1)
	createTopics(t, k.Brokers(), metricsTopic)
	a := newApp(t, k.Brokers())
	a.start()
	a.up()
	otlpHTTP := port(t)
	startCollector(t, "metrics", "KAFKA="+k.Brokers()[0], fmt.Sprint("OTLP_GRPC=", port(t)), fmt.Sprint("OTLP_HTTP=", otlpHTTP))
	url := fmt.Sprintf("http://127.0.0.1:%d/v1/metrics", otlpHTTP)
	waitFor(t, func() bool { return postMetrics(t.Context(), url, pmetric.NewMetrics()) == nil })

	r := rand.New(rand.NewPCG(*seed, 11))
	hits, buckets, last := map[string]float64{}, map[string]float64{}, map[string]float64{}
	before := pcommon.NewTimestampFromTime(time.Now())
	for i := range 150 {
		now := pcommon.NewTimestampFromTime(time.Now())
		for _, service := range []string{"cart", "web", "pay"} {
			md := pmetric.NewMetrics()
			ms := metricstest.Resource(md, service, service+"-0")
			n := int64(r.IntN(10))
			metricstest.Sum(ms, "hits", pmetric.AggregationTemporalityDelta, before, now).SetIntValue(n)
			hits[service] += float64(n)
			h := metricstest.Histogram(ms, "latency", pmetric.AggregationTemporalityDelta, before, now)
			h.ExplicitBounds().FromRaw([]float64{1})
			h.BucketCounts().FromRaw([]uint64{uint64(n), 1})
			h.SetCount(uint64(n) + 1)
			buckets[service] += float64(n)
			last[service] = float64(r.IntN(1000))
			metricstest.Gauge(ms, "depth", now, last[service])
			if err := postMetrics(t.Context(), url, md); err != nil {
				t.Fatal(err)
			}
		}
		before = now
		if i%30 == 20 {
			a.Kill()
			a.start()
		}
		time.Sleep(time.Duration(20+r.IntN(60)) * time.Millisecond)
	}
	a.ready()
	for query, want := range map[string]map[string]float64{
		"hits_total": hits, `latency_seconds_bucket{le="1"}`: buckets, "depth_ratio": last,
	} {
		waitFor(t, func() bool {
			found := 0
			for _, s := range a.query(query) {
				if math.Abs(s.value-want[s.labels["service_name"]]) < 1e-9 {
					found++
				}
			}
			return found == len(want)
		})
	}
	for _, name := range []string{"watchingcat_metric_dead_letters_total", "watchingcat_metric_points_dropped_total"} {
		if v, err := a.metric(name); err == nil && v > 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	t.Logf("counters %v, gauges %v are exact after 5 kills", hits, last)
}

func postMetrics(ctx context.Context, url string, md pmetric.Metrics) error {
	var m pmetric.ProtoMarshaler
	b, err := m.MarshalMetrics(md)
	if err != nil {
		return err
	}
	return postOTLP(ctx, url, b)
}
