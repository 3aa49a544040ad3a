package notify

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// TestFromCommitToWebhook runs all loops over the real views: a checkpoint with errors becomes a webhook call.
func TestFromCommitToWebhook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		kv := storage.NewMem(storage.MemOptions{})
		set, err := views.Open(kv, model.Config{Version: 1})
		require.NoError(t, err)
		e, err := rules.New(rules.Config{Reader: set, KV: kv})
		require.NoError(t, err)
		src, err := rules.ParseSource("rules.yml", []byte(errorsRule), nil)
		require.NoError(t, err)
		require.NoError(t, e.Load(context.Background(), []rules.Source{src}, time.Now()))
		am, err := ParseConfig(config(b, ""))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		n, err := New(ctx, Config{KV: kv, Alerts: e, Alertmanager: am, HTTP: network.options()}, time.Now())
		require.NoError(t, err)
		done := make(chan struct{}, 2)
		for _, run := range []func(context.Context) error{e.Run, n.Run} {
			go func() { _ = run(ctx); done <- struct{}{} }()
		}
		defer func() { cancel(); <-done; <-done; n.Close() }()

		time.Sleep(time.Second) // an evaluation is due
		began := time.Now()
		a := set.Partition("otlp_spans", 0)
		require.True(t, a.Begin(model.Record{Timestamp: began.UnixMilli(), Value: []byte("one")}))
		for i := range 4 {
			a.Span(&model.Resource{Service: []byte("cart"), HasService: true},
				&model.Span{TraceID: [16]byte{1}, SpanID: [8]byte{byte(i + 1)},
					Name: []byte("GET"), End: uint64(began.UnixNano()), Kind: model.KindServer, Status: model.StatusError})
		}
		a.End()
		c, err := set.Collect(nil)
		require.NoError(t, err)
		require.NoError(t, kv.Commit(c.Commit))
		require.NoError(t, set.Install(c))
		b.await(t, "web: firing cart")
		t.Logf("record to webhook: %v", time.Since(began))
		require.Eventually(t, func() bool { return len(n.Notices(0)) == 1 }, 2*time.Minute, time.Millisecond)
	})
}
