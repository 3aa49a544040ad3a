package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/cmd/watchingcat/shop"
	"github.com/gaurav/watchingcat/pipeline/kafka"
)

// loader writes a shop's spans to Kafka at a steady rate.
type loader struct {
	kafka    kafka.Config
	topic    string
	logs     string // topic of log lines; none are written when empty
	metrics  string // topic of metrics; none are written when empty
	seed     uint64
	rate     int    // spans a second
	spans    int    // in all; 0: no end
	requests int    // export requests a step, at most
	byTrace  bool   // one trace a record, its id as the key
	codec    string // compression of batches
	faults   func(since time.Duration) *shop.Fault
	staging  float64 // share of requests to a second environment, see shop.Shop

	sent, acked atomic.Int64
}

const (
	loadStep    = 100 * time.Millisecond // how often spans are written
	metricsStep = 5 * time.Second        // how often metrics are
	flushWait   = 30 * time.Second
)

func loadCommand() *cobra.Command {
	var l loader
	var lasts time.Duration
	var logs, metrics bool
	c := &cobra.Command{
		Use:   "load",
		Short: "Write generated spans to Kafka at a steady rate",
		Long: "Write the spans of a simulated shop of about twenty services to Kafka, as a Collector's kafkaexporter writes them with its defaults. " +
			"The same seed gives the same requests. The command ends after --duration or --spans, or on Ctrl-C, and prints how many spans Kafka acknowledged.",
		Example: "  watchingcat load --kafka-brokers kafka-1:9092 --rate 5000 --duration 10m --logs --metrics",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			if err := cfg.NeedBrokers(); err != nil {
				return err
			}
			if l.rate < 1 {
				return config.Usage("--rate must be at least 1")
			}
			if err := cfg.Written(); err != nil {
				return err
			}
			l.kafka, l.topic, l.requests = cfg.Kafka(), cfg.KafkaTracesTopic, 4
			if logs {
				l.logs = cfg.KafkaLogsTopic
			}
			if metrics {
				l.metrics = cfg.KafkaMetricsTopic
			}
			ctx := c.Context()
			if lasts > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, lasts)
				defer cancel()
			}
			start := time.Now()
			err = l.run(ctx)
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				err = nil
			}
			fmt.Fprintf(c.OutOrStdout(), "spans=%d acknowledged=%d seconds=%.1f\n", l.sent.Load(), l.acked.Load(),
				time.Since(start).Seconds())
			return err
		},
	}
	config.AddSettings(c, config.OthersTaken,
		slices.Concat(config.BrokerSettings, []string{"kafka_traces_topic", "kafka_logs_topic", "kafka_metrics_topic"})...)
	c.Flags().IntVar(&l.rate, "rate", 1000, "`number` of spans per second")
	c.Flags().IntVar(&l.spans, "spans", 0, "stop after about this `number` of spans; 0: no limit")
	c.Flags().DurationVar(&lasts, "duration", 0, "stop after this time; 0: no limit")
	c.Flags().BoolVar(&logs, "logs", false, "also write the log lines of the same requests")
	c.Flags().BoolVar(&metrics, "metrics", false, "also write metrics of the same services, every 5 s")
	c.Flags().BoolVar(&l.byTrace, "partition-traces-by-id", false,
		"write one trace per record with the trace ID as the key, as kafkaexporter does with the setting of this name")
	c.Flags().StringVar(&l.codec, "compression", "none", "compression of the batches: none, gzip, snappy, lz4 or zstd")
	c.Flags().Uint64Var(&l.seed, "seed", 1, "`number` that seeds the generator")
	return c
}

// run writes until ctx ends or enough was written; what was handed to the client is flushed.
func (l *loader) run(ctx context.Context) error {
	opts, err := l.kafka.Opts()
	if err != nil {
		return config.Usage("%v", err)
	}
	codec, ok := kafka.Codecs[cmp.Or(l.codec, "none")]
	if !ok {
		return config.Usage("--compression: %q is none of none, gzip, snappy, lz4, zstd", l.codec)
	}
	opts = append(opts, kgo.DefaultProduceTopic(l.topic), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.UnknownTopicRetries(10),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerBatchCompression(codec), kgo.MaxBufferedRecords(10_000))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	if err := l.ensureTopic(ctx, cl); err != nil {
		return err
	}
	s := shop.New(l.seed)
	s.Staging = l.staging
	start, t := time.Now(), time.NewTicker(loadStep)
	defer t.Stop()
	if l.metrics != "" {
		s.Measure(start)
	}
	exported := start
	var failed atomic.Pointer[error]
	for ctx.Err() == nil && (l.spans == 0 || l.sent.Load() < int64(l.spans)) {
		now := time.Now()
		if l.faults != nil {
			s.Break(l.faults(now.Sub(start)))
		}
		due := int64(now.Sub(start).Seconds() * float64(l.rate))
		if l.spans > 0 {
			due = min(due, int64(l.spans))
		}
		if err := l.step(ctx, cl, s, due, now, &failed); err != nil {
			return err
		}
		if l.metrics != "" && now.Sub(exported) >= metricsStep {
			exported = now
			if err := l.writeMetrics(ctx, cl, s, now, &failed); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWait)
	defer cancel()
	if err := cl.Flush(flush); err != nil {
		return fmt.Errorf("the brokers did not acknowledge everything within %v", flushWait)
	}
	if e := failed.Load(); e != nil {
		return fmt.Errorf("write to Kafka: %w", *e)
	}
	return nil
}

// ensureTopic makes the topics, with the brokers' defaults, unless they are there.
func (l *loader) ensureTopic(ctx context.Context, cl *kgo.Client) error {
	for _, topic := range []string{l.topic, l.logs, l.metrics} {
		if topic == "" {
			continue
		}
		_, err := kadm.NewClient(cl).CreateTopic(ctx, -1, -1, nil, topic)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	return nil
}

// oneTrace writes the spans of the last request as one record.
func (l *loader) oneTrace(ctx context.Context, cl *kgo.Client, s *shop.Shop, failed *atomic.Pointer[error]) error {
	n, id := int64(s.Spans()), s.TraceID()
	if err := l.writeLogs(ctx, cl, s, failed); err != nil {
		return err
	}
	requests, err := s.Take(1)
	if err != nil {
		return err
	}
	l.produce(ctx, cl, &kgo.Record{Key: id[:], Value: requests[0]}, n, failed)
	l.sent.Add(n)
	return nil
}

func (l *loader) produce(ctx context.Context, cl *kgo.Client, r *kgo.Record, spans int64, failed *atomic.Pointer[error]) {
	cl.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
			return
		}
		l.acked.Add(spans)
	})
}

// step writes the requests that bring what was sent to due spans, ending evenly between the step before and now.
func (l *loader) step(ctx context.Context, cl *kgo.Client, s *shop.Shop, due int64, now time.Time, failed *atomic.Pointer[error]) error {
	for at := now.Add(-loadStep); l.sent.Load() < due; {
		for s.Spans() < 1500 && l.sent.Load()+int64(s.Spans()) < due {
			at = at.Add(time.Duration(float64(loadStep) / float64(due-l.sent.Load()) * 8))
			if at.After(now) {
				at = now
			}
			s.Request(at)
			if l.byTrace {
				break
			}
		}
		if l.byTrace {
			if err := l.oneTrace(ctx, cl, s, failed); err != nil {
				return err
			}
			continue
		}
		n := int64(s.Spans())
		if err := l.writeLogs(ctx, cl, s, failed); err != nil {
			return err
		}
		requests, err := s.Take(l.requests)
		if err != nil {
			return err
		}
		share := n / int64(len(requests))
		for i, b := range requests {
			count := share
			if i == 0 {
				count = n - share*int64(len(requests)-1)
			}
			l.produce(ctx, cl, &kgo.Record{Value: b}, count, failed)
		}
		l.sent.Add(n)
	}
	return nil
}

// writeLogs writes what was logged since the last step.
func (l *loader) writeLogs(ctx context.Context, cl *kgo.Client, s *shop.Shop, failed *atomic.Pointer[error]) error {
	if l.logs == "" {
		return nil
	}
	b, err := s.Logs()
	if err != nil || b == nil {
		return err
	}
	cl.Produce(context.WithoutCancel(ctx), &kgo.Record{Topic: l.logs, Value: b}, func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	})
	return nil
}

// writeMetrics writes what the services export every few seconds.
func (l *loader) writeMetrics(ctx context.Context, cl *kgo.Client, s *shop.Shop, now time.Time, failed *atomic.Pointer[error]) error {
	b, err := s.Metrics(now)
	if err != nil || b == nil {
		return err
	}
	cl.Produce(context.WithoutCancel(ctx), &kgo.Record{Topic: l.metrics, Value: b}, func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	})
	return nil
}
