package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// Config says what is sent, where to, and through which topic.
type Config struct {
	Kafka kafka.Config
	// Topic holds the samples until they are received, Group says which replica sends them and up to where.
	Topic, Group string
	Receiver     *Receiver
	Match        Match
	Labels       labels.Labels // of every series that lacks them
	// Interval is the time between two samples of a series, a multiple of Bucket.
	Interval time.Duration
	// Delay is how long after its timestamp, by the complete frontier, a sample is computed: until then calls are paired. At least two
	// Buckets.
	Delay time.Duration
	// QueueBytes bounds what waits in the topic; beyond it the oldest samples are dropped.
	QueueBytes int64

	Reader views.Reader
	// Metrics is the frontier of samples of OTLP metrics, which recording rules may read; nil: there are none.
	Metrics    func() model.Frontier
	Rules      func() []*promrules.Group
	Registerer prometheus.Registerer
	Logger     *slog.Logger

	// session is how long the group waits for a writer that does not answer; 0: 10 s.
	session time.Duration
}

// DelayFor is the Delay for a pairing window.
func DelayFor(pairing time.Duration) time.Duration { return max(pairing, Bucket) + Bucket }

// Exporter sends samples while it runs.
type Exporter struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	collect *collector
	sender  *sender
}

// New checks the configuration; it needs neither brokers nor receiver.
func New(c Config) (*Exporter, error) {
	if c.Interval < Bucket || c.Interval%Bucket != 0 {
		return nil, fmt.Errorf("the interval %v is no multiple of %v", c.Interval, Bucket)
	}
	if c.session == 0 {
		c.session = 10 * time.Second
	}
	c.Delay = max(c.Delay, 2*Bucket)
	x := &Exporter{cfg: c, log: c.Logger, metrics: newMetrics(c.Registerer)}
	x.collect = newCollector(&c, x.ruleFailed)
	var err error
	x.sender, err = newSender(c.Receiver, x.log, x.metrics)
	return x, err
}

func (x *Exporter) ruleFailed(rule string, err error) {
	x.metrics.ruleFailures.Inc()
	x.log.Debug("a recording rule failed for a timestamp of remote write", "rule", rule, "err", err)
}

const (
	lookEvery  = time.Second // at the frontier
	fetchBytes = 8 << 20
)

// Run writes whenever this replica is the writer, until ctx ends.
func (x *Exporter) Run(ctx context.Context) error {
	failing := false
	for {
		err := x.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		if err != nil && !failing && !errors.Is(err, kafka.ErrReplaced) {
			x.log.Warn("remote write: the topic of samples does not work; retrying", "topic", x.cfg.Topic, "err", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(2 * time.Second):
		}
	}
}

// session is one turn as the writer.
type session struct {
	*Exporter
	*kafka.Lead

	produced atomic.Int64 // headerBytes of the newest record
	passed   atomic.Int64 // headerBytes of the newest record that was sent or dropped
}

// session joins the group, writes while this replica leads, and ends when another one does.
func (x *Exporter) session(ctx context.Context) error {
	return x.cfg.Kafka.Lead(ctx, kafka.Led{Group: x.cfg.Group, Topic: x.cfg.Topic, Session: x.cfg.session, Prepare: x.create, Consume: true,
		Options: append(x.cfg.Kafka.Counted(x.cfg.Topic), kgo.FetchMaxBytes(fetchBytes), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0))}, func(ctx context.Context, l *kafka.Lead) error {
		x.log.Info("remote write: this replica is the writer", "receiver", x.cfg.Receiver.name(), "topic", x.cfg.Topic)
		x.metrics.writer.Set(1)
		defer x.metrics.writer.Set(0)
		return (&session{Exporter: x, Lead: l}).write(ctx)
	})
}

// write computes and sends.
func (s *session) write(ctx context.Context) error {
	if err := s.Identify(ctx, s.cfg.Topic); err != nil {
		return err
	}
	at, err := s.readTail(ctx)
	if err != nil {
		return err
	}
	last, err := s.committed(ctx)
	if err != nil {
		return err
	}
	s.produced.Store(at.end)
	s.passed.Store(at.end)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.fill(ctx, at) })
	g.Go(func() error { return s.drain(ctx, last) })
	return g.Wait()
}

// fill computes sets as the frontier moves on, and appends them to the topic.
func (s *session) fill(ctx context.Context, at tail) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		sets, skipped, err := s.collect.due(ctx, at.last, s.cfg.Interval, s.cfg.Delay)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.log.Error("computing samples for remote write failed; retrying", "err", err)
		}
		if skipped > 0 {
			s.metrics.skipped.Add(float64(skipped))
			s.log.Error("remote write: timestamps are skipped because the views no longer hold them in buckets of 10 s", "timestamps", skipped)
		}
		for i := range sets {
			if err := s.put(ctx, &sets[i], &at); err != nil {
				return err
			}
		}
		if len(sets) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// put appends one set.
func (s *session) put(ctx context.Context, x *set, at *tail) error {
	series := ended(x, at.series)
	parts, dropped, err := encode(x)
	if err != nil {
		return err
	}
	if dropped > 0 {
		s.metrics.dropped.WithLabelValues(dropTooMany).Add(float64(dropped))
	}
	if len(parts) > 0 {
		if at.end, err = s.append(ctx, x.t, parts, at.end); err != nil {
			return err
		}
		s.produced.Store(at.end)
	}
	s.metrics.series.Set(float64(len(series)))
	at.last, at.series = x.t, series
	return nil
}

// drain sends what the topic holds.
func (s *session) drain(ctx context.Context, last int64) error {
	w := whole{last: last}
	next := int64(-1) // offset
	for {
		fetched := s.Client.PollRecords(ctx, 64)
		if err := fetched.Err(); err != nil {
			return fmt.Errorf("read topic %s: %w", s.cfg.Topic, err)
		}
		for _, r := range fetched.Records() {
			if r.Partition != 0 {
				continue
			}
			if next >= 0 && r.Offset > next {
				s.log.Error("remote write: the broker deleted samples before they were sent", "records", r.Offset-next)
				s.metrics.lost.Add(float64(r.Offset - next))
			}
			next = r.Offset + 1
			e, ok := parseEntry(r)
			if !ok {
				continue
			}
			if set := w.add(e); set != nil {
				if err := s.sendSet(ctx, set); err != nil {
					return err
				}
			}
			s.passed.Store(e.end)
			s.metrics.queue.Set(float64(s.waiting()))
		}
	}
}

// waiting is how many bytes of samples the topic holds that are neither sent nor dropped.
func (s *session) waiting() int64 { return max(0, s.produced.Load()-s.passed.Load()) }

// sendSet sends or drops the parts of a set, and commits that.
func (s *session) sendSet(ctx context.Context, set []entry) error {
	s.passed.Store(min(s.passed.Load(), set[0].end-int64(len(set[0].payload))))
	full := func() bool {
		s.metrics.queue.Set(float64(s.waiting()))
		return s.waiting() > s.cfg.QueueBytes
	}
	for i := range set {
		e := &set[i]
		refused, gaveUp := 0, full()
		if !gaveUp {
			var err error
			if refused, gaveUp, err = s.sender.send(ctx, e, full); err != nil {
				return err
			}
		}
		if gaveUp {
			s.metrics.dropped.WithLabelValues(dropQueueFull).Add(float64(e.samples))
			continue
		}
		s.metrics.dropped.WithLabelValues(dropRefused).Add(float64(refused))
		s.metrics.sent.Add(float64(e.samples - refused))
	}
	last := set[len(set)-1]
	s.metrics.newest.Set(float64(last.t) / 1e3)
	return s.commit(ctx, last)
}
