package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/cmd/watchingcat/shop"
)

// writer writes records to a topic at a rate, in batches that are made ready before and get the times of now.
type writer struct {
	topic string
	rate  int // units a second
	next  func(now time.Time) (value []byte, units int, err error)

	acked  atomic.Int64 // units
	failed atomic.Pointer[error]
}

// run writes until ctx ends and waits for every acknowledgement.
func (w *writer) run(ctx context.Context, broker string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(w.topic), kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 3, 1, nil, w.topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", w.topic, err)
	}
	began, sent := time.Now(), 0
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		for now := time.Now(); float64(sent) < now.Sub(began).Seconds()*float64(w.rate); {
			value, n, err := w.next(now)
			if err != nil {
				return err
			}
			sent += n
			cl.Produce(context.WithoutCancel(ctx), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					w.failed.CompareAndSwap(nil, &err)
					return
				}
				w.acked.Add(int64(n))
			})
		}
	}
	if err := cl.Flush(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if err := w.failed.Load(); err != nil {
		return fmt.Errorf("write to %s: %w", w.topic, *err)
	}
	return nil
}

// logWriter writes what a shop's services log.
func logWriter(topic string, rate int) (*writer, error) {
	s := shop.New(7)
	var pool []plog.Logs
	at := time.Now()
	for len(pool) < 400 {
		for range 20 {
			s.Request(at)
		}
		b, err := s.Logs()
		if err == nil {
			_, err = s.Take(1)
		}
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue
		}
		var u plog.ProtoUnmarshaler
		ld, err := u.UnmarshalLogs(b)
		if err != nil {
			return nil, err
		}
		pool = append(pool, ld)
	}
	i := 0
	return &writer{topic: topic, rate: rate, next: func(now time.Time) ([]byte, int, error) {
		ld := pool[i%len(pool)]
		i++
		ts := pcommon.NewTimestampFromTime(now)
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, l := range sl.LogRecords().All() {
					l.SetTimestamp(ts)
					l.SetObservedTimestamp(ts)
				}
			}
		}
		var m plog.ProtoMarshaler
		b, err := m.MarshalLogs(ld)
		return b, ld.LogRecordCount(), err
	}}, nil
}

// pointsOfInstance is how many series an instance exports at a time.
const pointsOfInstance = 100

// pointWriter writes what the SDKs of instances export: in turn gauges, cumulative sums, sums as deltas and histograms.
func pointWriter(topic string, rate, series int) (*writer, error) {
	if series < pointsOfInstance {
		return nil, errors.New("-series is less than what one instance exports")
	}
	start := pcommon.NewTimestampFromTime(time.Now())
	pool := make([]pmetric.Metrics, series/pointsOfInstance)
	before := make([]pcommon.Timestamp, len(pool))
	for i := range pool {
		pool[i], before[i] = instance(i, start), start
	}
	i := 0
	return &writer{topic: topic, rate: rate, next: func(now time.Time) ([]byte, int, error) {
		n := i % len(pool)
		i++
		ts := pcommon.NewTimestampFromTime(now)
		export(pool[n], before[n], ts, uint64(i))
		before[n] = ts
		var m pmetric.ProtoMarshaler
		b, err := m.MarshalMetrics(pool[n])
		return b, pointsOfInstance, err
	}}, nil
}

func instance(i int, start pcommon.Timestamp) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", i%25))
	rm.Resource().Attributes().PutStr("service.instance.id", fmt.Sprintf("instance-%d", i))
	ms := rm.ScopeMetrics().AppendEmpty().Metrics()
	for j := range pointsOfInstance / 10 {
		route := func(a pcommon.Map) { a.PutStr("http.route", fmt.Sprintf("/api/items/%d", j)) }
		for k := range 4 {
			m := ms.AppendEmpty()
			m.SetName(fmt.Sprintf("pool.%d.in_use", k))
			p := m.SetEmptyGauge().DataPoints().AppendEmpty()
			route(p.Attributes())
		}
		for k := range 4 {
			m := ms.AppendEmpty()
			m.SetName(fmt.Sprintf("requests.%d", k))
			sum := m.SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			if k == 3 {
				sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			}
			p := sum.DataPoints().AppendEmpty()
			p.SetStartTimestamp(start)
			route(p.Attributes())
		}
		for k := range 2 {
			m := ms.AppendEmpty()
			m.SetName(fmt.Sprintf("latency.%d", k))
			h := m.SetEmptyHistogram()
			h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			p := h.DataPoints().AppendEmpty()
			p.SetStartTimestamp(start)
			p.ExplicitBounds().FromRaw([]float64{0.005, 0.025, 0.1, 0.5, 2.5, 10})
			p.BucketCounts().FromRaw(make([]uint64, 7))
			route(p.Attributes())
		}
	}
	return md
}

// export moves every series on.
func export(md pmetric.Metrics, before, at pcommon.Timestamp, n uint64) {
	for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		switch m.Type() {
		case pmetric.MetricTypeGauge:
			p := m.Gauge().DataPoints().At(0)
			p.SetTimestamp(at)
			p.SetDoubleValue(float64(n % 1009))
		case pmetric.MetricTypeSum:
			p := m.Sum().DataPoints().At(0)
			if m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityDelta {
				p.SetStartTimestamp(before)
				p.SetIntValue(int64(n % 7))
			} else {
				p.SetIntValue(p.IntValue() + int64(n%7))
			}
			p.SetTimestamp(at)
		case pmetric.MetricTypeHistogram:
			p := m.Histogram().DataPoints().At(0)
			p.SetTimestamp(at)
			b := p.BucketCounts()
			b.SetAt(int(n%7), b.At(int(n%7))+1)
			p.SetCount(p.Count() + 1)
			p.SetSum(p.Sum() + float64(n%7))
		}
	}
}
