package app

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/api/alerting"
	"github.com/gaurav/watchingcat/cmd/watchingcat/shop"
	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/backtest"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/notify"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/replay"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

var recordedFor = flag.Duration("recorded", 5*time.Minute, "how long TestTopicBacktestIsLive records")

// recordedRules are evaluated at both frontiers, with and without for, over spans, edges, logs' neighbours and what rules record.
const recordedRules = `groups:
- name: live
  interval: 15s
  rules:
  - {record: "job:errors:rate1m", expr: 'sum by (service_name) (rate(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m]))'}
  - {alert: Errors, expr: 'sum by (service_name) (increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m])) > 8', labels: {severity: page}}
  - {alert: ErrorRatio, for: 30s, keep_firing_for: 20s, expr: 'sum by (service_name) (rate(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[2m])) / sum by (service_name) (rate(traces_span_metrics_calls_total[2m])) > 0.08'}
  - {alert: Slow, for: 20s, expr: 'histogram_quantile(0.9, sum by (service_name, le) (rate(traces_span_metrics_duration_milliseconds_bucket{span_kind="SPAN_KIND_SERVER"}[1m]))) > 150'}
  - {alert: FailingCalls, expr: 'sum by (client, server) (increase(traces_service_graph_request_failed_total[1m])) > 6'}
  - {alert: Recorded, expr: 'job:errors:rate1m > 0.2'}
- name: quiet
  interval: 5s
  rules:
  - {alert: Quiet, for: 10s, expr: 'sum by (service_name) (increase(traces_span_metrics_calls_total{service_name=~"fraud|tax"}[1m])) < 12'}
  - {alert: Dropped, expr: 'sum(rate(traces_span_metrics_calls_total[30s])) < 0.8 * sum(rate(traces_span_metrics_calls_total[30s] offset 1m))'}
`

// TestTopicBacktestIsLive records the moments at which a live run looked at its views, and evaluates its rules once more over what the
// topics hold, at these moments: every transition is the same, to the millisecond, and so is every notification. Without the moments, by
// the records' timestamps alone, each alert that does not flap fires within two seconds of when it did.
func TestTopicBacktestIsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const topic, partitions = "otlp_spans", 3
		network := &kfake.VirtualNetwork{}
		broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen),
			kfake.SeedTopics(partitions, topic))
		require.NoError(t, err)
		defer broker.Close()
		brokers := kafka.Config{Brokers: broker.ListenAddrs(), Dialer: network.DialContext}
		config := model.Config{PairingWindow: 10 * time.Second, Compensation: time.Minute}
		begin := time.Now()

		gens, err := replay.OpenGenerations(replay.GenerationsConfig{Store: storage.NewMem(storage.MemOptions{}),
			GenerationConfig: replay.GenerationConfig{
				Kafka: brokers, Views: config, Spans: kafka.TopicsOf(topic), Lateness: 2 * time.Second, Interval: 250 * time.Millisecond,
				Logger: zerolog.Nop()}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- gens.Run(ctx) }()
		src, err := rules.ParseSource("rules.yml", []byte(recordedRules), nil)
		require.NoError(t, err)
		var shopping sync.WaitGroup
		shopping.Go(func() { buy(ctx, t, brokers, topic, partitions) })
		moments, live := watch(t, gens.Live(), src, begin.Add(*recordedFor))
		cancel()
		shopping.Wait()
		require.NoError(t, <-ended)

		fired := map[string]int{}
		for _, x := range live {
			if x.To == alert.StateFiring {
				fired[x.Labels.Get("alertname")]++
			}
		}
		t.Logf("%d moments, %d transitions, fired: %v", len(moments), len(live), fired)
		for _, name := range []string{"Errors", "ErrorRatio", "Slow", "FailingCalls", "Recorded", "Quiet", "Dropped"} {
			require.Positive(t, fired[name], name)
		}
		end := moments[len(moments)-1].Now
		again := func(moments []replay.Moment) *backtest.Result {
			res, err := rereadRules(t.Context(),
				replay.RereadConfig{Kafka: brokers, Views: config, Spans: kafka.TopicsOf(topic), Lateness: 2 * time.Second, To: end,
					Moments: moments, Logger: zerolog.Nop()}, nil, []backtest.Spec{{Sources: []rules.Source{src}, Start: begin, End: end}})
			require.NoError(t, err)
			return res[0]
		}
		exact := again(moments)
		require.Equal(t, transitionLines(live), transitionLines(exact.Transitions))
		require.Equal(t, noticesOf(t, live, end), noticesOf(t, exact.Transitions, end))

		byClock := again(nil)
		firedAt := func(list []alert.Transition) (out []string, at []time.Time) {
			for _, x := range list {
				// Slow and Dropped flap: when they are looked at decides whether they fire
				if name := x.Labels.Get("alertname"); x.To == alert.StateFiring && name != "Slow" && name != "Dropped" {
					out, at = append(out, x.Labels.String()), append(at, x.Time)
				}
			}
			return out, at
		}
		wantNames, want := firedAt(live)
		gotNames, got := firedAt(byClock.Transitions)
		require.ElementsMatch(t, wantNames, gotNames)
		var farthest time.Duration
		for i, name := range wantNames {
			nearest := time.Hour
			for k := range got {
				if gotNames[k] == name {
					nearest = min(nearest, got[k].Sub(want[i]).Abs())
				}
			}
			farthest = max(farthest, nearest)
		}
		t.Logf("by the records' timestamps: at most %v apart", farthest)
		require.LessOrEqual(t, farthest, 2*time.Second)
	})
}

// buy makes the shop busy until ctx ends; it breaks now and then, and is closed for a while.
func buy(ctx context.Context, t *testing.T, kafka kafka.Config, topic string, partitions int) {
	opts, err := kafka.Opts()
	if err != nil {
		t.Error(err)
		return
	}
	cl, err := kgo.NewClient(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))...)
	if err != nil {
		t.Error(err)
		return
	}
	defer cl.Close()
	s, r := shop.New(3), rand.New(rand.NewPCG(4, 4))
	begin := time.Now()
	for ctx.Err() == nil {
		closed := false
		switch second := int(time.Since(begin).Seconds()) % 300; {
		case second >= 60 && second < 110:
			s.Break(&shop.Fault{Service: "pricing", ErrorRate: 0.5, Slower: 1})
		case second >= 130 && second < 190:
			s.Break(&shop.Fault{Database: "products", Slower: 30})
		case second >= 220 && second < 260:
			closed = true
		default:
			s.Break(nil)
		}
		for range 2 {
			if !closed {
				s.Request(time.Now())
			}
		}
		list, err := s.Take(2)
		if err != nil {
			t.Error(err)
			return
		}
		for _, b := range list {
			time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
			if err := cl.ProduceSync(ctx,
				&kgo.Record{Topic: topic, Partition: int32(r.IntN(partitions)), Value: b}).FirstErr(); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
		time.Sleep(400 * time.Millisecond)
	}
}

// watch evaluates rules as the views change until a time, as Evaluator.Run does, and notes when it looked.
func watch(t *testing.T, live *live.Live, src rules.Source, until time.Time) (moments []replay.Moment, list []alert.Transition) {
	e, err := rules.New(rules.Config{Reader: live, KV: storage.NewMem(storage.MemOptions{})})
	require.NoError(t, err)
	require.NoError(t, e.Load(t.Context(), []rules.Source{src}, time.Now()))
	sub := live.Feed().Subscribe()
	defer sub.Close()
	for time.Now().Before(until) {
		select {
		case <-sub.C:
		case <-time.After(119 * time.Millisecond): // never when a checkpoint is taken
		}
		c := sub.Take()
		c.Frontier = live.Frontier()
		m := replay.Moment{Now: time.Now(), Complete: c.Frontier.Complete, Positions: map[source.PartitionID]int64{}}
		for _, p := range live.Progress() {
			m.Positions[source.PartitionID{Topic: p.Topic, Partition: p.Partition}] = p.Position
		}
		moments = append(moments, m)
		require.NoError(t, e.Advance(t.Context(), c, m.Now))
		require.Equal(t, c.Frontier.Seq, live.Frontier().Seq, "a commit came in between")
	}
	list = e.History(0)
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b alert.Transition) int { return a.Time.Compare(b.Time) }) // what waits for all data comes later
	return moments, list
}

func transitionLines(list []alert.Transition) (out []string) {
	for _, x := range list {
		out = append(out, fmt.Sprintf("%s %s %s -> %s %v", x.Time.UTC().Format(time.RFC3339Nano), x.Labels, x.From, x.To, x.Value))
	}
	return slices.Sorted(slices.Values(out))
}

// noticesOf are the notifications that transitions would have caused.
func noticesOf(t *testing.T, list []alert.Transition, end time.Time) []string {
	c, err := notify.ParseConfig("route: {receiver: all, group_by: [alertname], group_wait: 5s, group_interval: 30s}\nreceivers: [{name: all, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}]\n")
	require.NoError(t, err)
	notices, err := notify.Simulate(c, alerting.AlertChanges(&backtest.Result{Transitions: list}), end)
	require.NoError(t, err)
	require.NotEmpty(t, notices)
	var out []string
	for _, n := range notices {
		out = append(out, fmt.Sprintf("%v %s %s %v %v", n.Time.UTC(), n.Receiver, n.Reason, n.Firing, n.Resolved))
	}
	return slices.Sorted(slices.Values(out))
}
