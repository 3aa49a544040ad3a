package evaluator

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
)

// feed applies records of spans to a Set, a checkpoint after each.
type feed struct {
	t      *testing.T
	kv     storage.KV
	set    *views.Set
	offset int64
}

func newFeed(t *testing.T) *feed {
	kv := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(kv, views.Config{Version: 1})
	require.NoError(t, err)
	return &feed{t: t, kv: kv, set: set}
}

func (f *feed) span(k views.REDKey, obs ...evaltest.Observation) {
	f.t.Helper()
	a := f.set.Partition("otlp_spans", 0)
	last := obs[len(obs)-1].At
	require.True(f.t, a.Begin(views.Record{Offset: f.offset, Timestamp: last.UnixMilli(), Value: binary.BigEndian.AppendUint64(nil, uint64(f.offset))}))
	f.offset++
	for _, o := range obs {
		end := uint64(o.At.UnixNano())
		a.Span(&views.Resource{Service: []byte(k.Service), HasService: true}, &views.Span{
			TraceID: [16]byte{o.TraceID}, SpanID: [8]byte{o.TraceID}, Name: []byte(k.Operation),
			Start: end - uint64(o.Duration), End: end, Kind: k.Kind, Status: k.Status, Size: 100})
	}
	a.End()
	c, err := f.set.Collect(nil)
	require.NoError(f.t, err)
	require.NoError(f.t, f.kv.Commit(c.Commit))
	require.NoError(f.t, f.set.Install(c))
}

// TestViewsAnswerAsTheirSpans holds the real views to the literal ones, through PromQL.
func TestViewsAnswerAsTheirSpans(t *testing.T) {
	f, r := newFeed(t), &evaltest.Reader{}
	for i := range 400 {
		s := float64(i) * 1.7
		k := views.REDKey{Service: []string{"cart", "web", "db"}[i%3], Operation: "GET", Kind: views.KindInternal, Status: views.Status(i / 7 % 3)}
		o := evaltest.Observation{At: at(s), Duration: time.Duration(i*i) * 20 * time.Microsecond, TraceID: byte(i%250 + 1)}
		f.span(k, o)
		r.Span(k, o)
	}
	eng := NewEngine(EngineConfig{}, nil, nil)
	ctx := context.Background()
	for _, text := range []string{
		`traces_span_metrics_calls_total`, `increase(calls_total[1m])`, `traces_spanmetrics_size_total`,
		`histogram_quantile(0.9, sum by (le) (rate(traces_span_metrics_duration_milliseconds_bucket[2m])))`,
		`histogram_quantile(0.9, sum(rate(traces_spanmetrics_latency[2m])))`, `traces_span_metrics_duration_seconds_sum`,
	} {
		got, err := eng.NewRangeQuery(ctx, &Queryable{Reader: f.set}, nil, text, at(-20), at(800), 13*time.Second)
		require.NoError(t, err)
		want, err := eng.NewRangeQuery(ctx, &Queryable{Reader: r}, nil, text, at(-20), at(800), 13*time.Second)
		require.NoError(t, err)
		same(t, text, want.Exec(ctx), got.Exec(ctx))
	}
	lq, err := (&Queryable{Reader: f.set}).Querier(0, at(800).UnixMilli())
	require.NoError(t, err)
	services, _, err := lq.LabelValues(ctx, "service_name", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"cart", "db", "web"}, services)
}

// TestRunFollowsTheFeed has the clock and the loop: a commit wakes the evaluator.
func TestRunFollowsTheFeed(t *testing.T) {
	f := newFeed(t)
	e, err := New(Config{Reader: f.set, KV: f.kv, Interval: time.Hour})
	require.NoError(t, err)
	src, err := ParseSource("rules.yml", []byte(alertRules(rule("Errors", errorsRule, ""))), nil)
	require.NoError(t, err)
	require.NoError(t, e.Load(context.Background(), []Source{src}, time.Now()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	defer func() { cancel(); <-done }()
	changed, stop := e.Outbox().Changed.Subscribe()
	defer stop()
	// Until the loop has subscribed, a commit may be seen at its first tick only.
	require.Eventually(t, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return !e.wake.IsZero()
	}, 20*time.Second, time.Millisecond)
	began := time.Now()
	f.span(failing, make5(began)...)
	<-changed
	t.Logf("commit to outbox: %v", time.Since(began))
	require.Equal(t, StateFiring, e.Active()[0].State)
}
