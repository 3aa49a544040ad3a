package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/prometheus/client_golang/prometheus"
)

// status is what is known of the pipeline at a moment.
type status struct {
	ready      bool
	partitions []partitionStatus
	checks     map[string]string // what is not ready, by name; empty when everything is
}

type partitionStatus struct {
	source.PartitionState
	committed int64 // next record that views hold
	watermark time.Time
	lag       int64
}

// status tells whether views have caught up: every partition is read to its end, or what was read last is young enough.
func (a *App) status(now time.Time) status {
	s := status{checks: map[string]string{}}
	watermarks := map[source.PartitionID]time.Time{}
	positions := map[source.PartitionID]int64{}
	for _, p := range append(a.live.Progress(), a.live.Metrics().Progress()...) {
		id := source.PartitionID{Topic: p.Topic, Partition: p.Partition}
		watermarks[id], positions[id] = p.Watermark, p.Position
	}
	states := a.gens.Current().Source.States()
	if len(states) == 0 {
		s.checks["kafka"] = "no partition of " + a.cfg.KafkaTracesTopic + " is known yet: the brokers do not answer or the topic does not exist"
	}
	metrics := a.gens.CurrentMetrics()
	states = append(states, metrics.Source.States()...)
	slices.SortStableFunc(states, func(a, b source.PartitionState) int { return strings.Compare(a.Topic, b.Topic) })
	reading := metrics.Opened()
	for _, st := range states {
		if st.Partition < 0 { // the topic as a whole
			// a team without logs or metrics in Kafka has no topic for them, and is ready
			if st.Err != nil && (st.Topic == a.cfg.KafkaTracesTopic || !errors.Is(st.Err, source.ErrNoTopic)) {
				s.checks[st.Topic] = st.Err.Error()
			}
			continue
		}
		id := source.PartitionID{Topic: st.Topic, Partition: st.Partition}
		p := partitionStatus{PartitionState: st, committed: positions[id], watermark: watermarks[id]}
		p.lag = max(0, st.HighWatermark-p.committed)
		s.partitions = append(s.partitions, p)
		wrong := "" // every answer asks for this: words are made where there is something to say
		switch behind := now.Sub(p.watermark); {
		case st.Topic == a.cfg.KafkaMetricsTopic && !reading: // samples that are being opened keep nobody else waiting
		case st.Err != nil:
			wrong = st.Err.Error()
		case st.Idle || st.HighWatermark >= 0 && !st.LastFetch.IsZero() && p.lag == 0:
		case p.watermark.IsZero():
			wrong = fmt.Sprintf("nothing read yet, %d records to go", p.lag)
		case behind > a.cfg.ReadyMaxLag:
			wrong = fmt.Sprintf("%v behind, %d records to go", behind.Round(time.Second), p.lag)
		}
		if wrong != "" {
			s.checks[fmt.Sprintf("%s/%d", st.Topic, st.Partition)] = wrong
		}
	}
	for name, err := range map[string]error{"checkpoint": a.gens.Current().Ingest.Last().Err, "metrics checkpoint": metrics.Ingest.Last().Err} {
		if err != nil {
			s.checks[name] = err.Error()
		}
	}
	if err := a.db.Unwritable(); err != nil {
		s.checks["data folder"] = err.Error()
	}
	s.ready = len(s.checks) == 0
	return s
}

// statusCollector shows partitions and counters as metrics.
type statusCollector struct{ app *App }

var (
	descLag        = prometheus.NewDesc("watchingcat_partition_lag_records", "Records that views do not hold yet.", []string{"topic", "partition"}, nil)
	descWatermark  = prometheus.NewDesc("watchingcat_partition_watermark_timestamp_seconds", "Newest event time of a partition.", []string{"topic", "partition"}, nil)
	descGroupLag   = prometheus.NewDesc("kafka_consumergroup_lag", "Lag under the name that alerts on kafka_exporter use.", []string{"consumergroup", "topic", "partition"}, nil)
	descCheckpoint = prometheus.NewDesc("watchingcat_checkpoint_age_seconds", "Time since the last checkpoint, or since the start.", nil, nil)
	descPending    = prometheus.NewDesc("watchingcat_checkpoint_pending_records", "Spans and log lines that are applied and wait for a checkpoint.", nil, nil)
	descReady      = prometheus.NewDesc("watchingcat_ready", "1 when every partition is caught up.", nil, nil)
	descHeld       = prometheus.NewDesc("watchingcat_span_halves_waiting", "Span halves that wait for their other side.", nil, nil)
	descDropped    = prometheus.NewDesc("watchingcat_spans_set_aside_total", "Spans not counted in the usual place, by reason.", []string{"reason"}, nil)
	descDuplicates = prometheus.NewDesc("watchingcat_duplicate_records_total", "Records recognised as sent again.", nil, nil)
	descDupSpans   = prometheus.NewDesc("watchingcat_duplicate_spans_total", "Spans recognised as sent again, beside those of duplicate records.", nil, nil)
	descDedupLost  = prometheus.NewDesc("watchingcat_dedup_spans_forgotten_total", "Spans forgotten before the de-duplication window had passed, because too many were held.", nil, nil)
	descGaps       = prometheus.NewDesc("watchingcat_topic_gaps", "Ranges of offsets that were deleted from topics before they were read.", nil, nil)
)

// Describe sends nothing: which partitions there are is not known beforehand.
func (statusCollector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the state of the pipeline.
func (s statusCollector) Collect(ch chan<- prometheus.Metric) {
	a, now := s.app, time.Now()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	st := a.status(now)
	for _, p := range st.partitions {
		n := fmt.Sprint(p.Partition)
		gauge(descLag, float64(p.lag), p.Topic, n)
		gauge(descGroupLag, float64(p.lag), a.cfg.KafkaGroup, p.Topic, n)
		if !p.watermark.IsZero() {
			gauge(descWatermark, float64(p.watermark.UnixNano())/1e9, p.Topic, n)
		}
	}
	gauge(descCheckpoint, a.checkpointAge(now).Seconds())
	gauge(descPending, float64(a.gens.Current().Set.Pending()))
	ready := 0.0
	if st.ready {
		ready = 1
	}
	gauge(descReady, ready)
	c := a.live.Counters()
	gauge(descHeld, float64(c.Waiting))
	for reason, n := range map[string]uint64{"unattributed": c.Unattributed, "too_late": c.TooLate, "future": c.Future, "overflow": c.Overflowed} {
		ch <- prometheus.MustNewConstMetric(descDropped, prometheus.CounterValue, float64(n), reason)
	}
	ch <- prometheus.MustNewConstMetric(descDuplicates, prometheus.CounterValue, float64(c.Duplicates))
	ch <- prometheus.MustNewConstMetric(descDupSpans, prometheus.CounterValue, float64(c.DuplicateSpans))
	ch <- prometheus.MustNewConstMetric(descDedupLost, prometheus.CounterValue, float64(c.DedupLost))
	a.collectReplay(ch)
	gauge(descGaps, float64(len(a.gapList())))
}

func (a *App) checkpointAge(now time.Time) time.Duration {
	at := a.gens.Current().Ingest.Last().At
	if at.IsZero() {
		at = a.start
	}
	return max(0, now.Sub(at))
}

func (a *App) gapList() []ingest.Gap {
	return a.gens.Gaps()
}
