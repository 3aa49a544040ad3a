package api

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/backtest"
	"github.com/gaurav/watchingcat/pipeline/progress"
)

// topicDouble is a TopicBacktester whose steps the test sends.
type topicDouble struct {
	steps chan func(context.Context, []backtest.Spec, func(progress.Reading)) ([]*backtest.Result, time.Time, error)
}

func (d topicDouble) Backtest(ctx context.Context, list []backtest.Spec,
	progress func(progress.Reading)) ([]*backtest.Result, time.Time, error) {
	select {
	case next := <-d.steps:
		return next(ctx, list, progress)
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
}

const topicBody = `{"rule": {"name": "A", "expr": "sum(rate(calls_total[1m])) > 1"}, "start": "1700000000", "end": "1700000600", "variants": [{"threshold": 5}]}`

func TestTopicBacktests(t *testing.T) {
	d := topicDouble{steps: make(chan func(context.Context, []backtest.Spec, func(progress.Reading)) ([]*backtest.Result, time.Time, error))}
	b := newBench(t, func(c *Config) { c.Topics = d })
	const path = "/api/v1/alerts/backtests"
	state := func(id, want string) map[string]any {
		t.Helper()
		var last map[string]any
		require.Eventually(t, func() bool {
			last = b.ask("GET", path+"/"+id, "", 200)
			return last["state"] == want
		}, 2*time.Minute, time.Millisecond, "%v", last)
		return last
	}
	require.Equal(t, "running", b.ask("POST", path, topicBody, 202)["state"])
	require.Equal(t, "backtest_active", b.ask("POST", path, topicBody, 409)["code"])

	reached, goOn := make(chan struct{}), make(chan struct{})
	go func() {
		d.steps <- func(_ context.Context, list []backtest.Spec, report func(progress.Reading)) ([]*backtest.Result, time.Time, error) {
			report(progress.Reading{At: time.Unix(1_700_000_300, 0), Records: 50, Total: 200, Rate: 25})
			close(reached)
			<-goOn
			var out []*backtest.Result
			for _, x := range list {
				out = append(out, &backtest.Result{Start: x.Start, End: x.End, Step: time.Second, Evaluations: 7})
			}
			return out, time.Unix(1_700_000_100, 0), nil
		}
	}()
	<-reached
	half := state("1", "running")
	require.Equal(t, []any{0.25, 50.0, 200.0, 25.0, 6.0},
		[]any{half["progress"], half["records"], half["total"], half["rate"], half["eta_s"]})
	close(goOn)
	done := state("1", "done")
	result := done["result"].(map[string]any)
	meta := result["meta"].(map[string]any)
	require.Equal(t, []any{"kafka", "2023-11-14T22:15:00Z", true}, []any{meta["source"], meta["since"], meta["partial"]})
	require.Len(t, result["variants"], 1)
	require.Equal(t, 7.0, result["evaluations"])

	b.ask("POST", path, topicBody, 202)
	go func() {
		d.steps <- func(context.Context, []backtest.Spec, func(progress.Reading)) ([]*backtest.Result, time.Time, error) {
			return nil, time.Time{}, errors.New("the broker is away")
		}
	}()
	require.Equal(t, "the broker is away", state("2", "failed")["error"])

	b.ask("POST", path, topicBody, 202)
	go func() {
		d.steps <- func(context.Context, []backtest.Spec, func(progress.Reading)) ([]*backtest.Result, time.Time, error) {
			panic("planted")
		}
	}()
	require.Contains(t, state("3", "failed")["error"], "the backtest panicked")
	require.InDelta(t, 1, testutil.ToFloat64(b.s.requests.Panics.WithLabelValues("backtest")), 0)

	b.ask("POST", path, topicBody, 202)
	b.ask("DELETE", path+"/4", "", 204)
	b.ask("GET", path+"/4", "", 404)
	for _, bad := range []string{
		`{}`, `{"rule": {"name": "A", "expr": "sum("}}`, `{"rule": {"name": "A", "expr": "vector(1) > 0"}, "step": "1m"}`,
		// what would never end, or take all memory, is refused before it begins
		`{"rule": {"name": "A", "expr": "sum_over_time(sum_over_time(vector(1)[1y:1s])[1y:1s]) > 1"}}`,
		`{"rule": {"name": "A", "expr": "count({service_name=~\"((((a{0,100}){0,100}){0,100}){0,10})\"}) > 1"}}`,
		`{"rule": {"name": "A", "expr": "vector(1) > 0", "annotations": {"summary": "{{range 1000000000}}{{end}}"}}}`,
	} {
		b.ask("POST", path, bad, 400)
	}
	list := b.ask("GET", path, "", 200)["backtests"].([]any)
	require.Len(t, list, 3)
	require.Equal(t, "3", list[0].(map[string]any)["id"])

	b.ask("POST", path, topicBody, 202)
	b.s.Close() // ends what runs
	require.Equal(t, string(rest.TopicBacktestStateFailed), state("5", "failed")["state"])
	require.Equal(t, "stopping", b.ask("POST", path, topicBody, 503)["code"])
}
