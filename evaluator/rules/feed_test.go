package rules

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// TestRunFollowsTheFeed has the clock and the loop: a commit wakes the evaluator.
func TestRunFollowsTheFeed(t *testing.T) {
	f := evaltest.NewSpanFeed(t)
	e, err := New(Config{Reader: f.Set, KV: f.KV, Interval: time.Hour})
	require.NoError(t, err)
	src, err := ParseSource("rules.yml", []byte(evaltest.AlertRules(evaltest.Rule("Errors", evaltest.ErrorsRule, ""))), nil)
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
	}, 2*time.Minute, time.Millisecond)
	began := time.Now()
	f.Span(evaltest.Failing, make5(began)...)
	<-changed
	t.Logf("commit to outbox: %v", time.Since(began))
	require.Equal(t, alert.StateFiring, e.Active()[0].State)
}

// TestTablesAnswerInPromQL reads log lines, exceptions and database calls as series, and wakes a rule over them.
func TestTablesAnswerInPromQL(t *testing.T) {
	kv := storage.NewMem(storage.MemOptions{})
	s, err := viewstest.New(kv, model.Config{})
	require.NoError(t, err)
	e, err := New(Config{Reader: s.Set, KV: kv, Interval: time.Hour})
	require.NoError(t, err)
	src, err := ParseSource("rules.yml",
		[]byte(evaltest.AlertRules(evaltest.Rule("LogErrors", `increase(logs_records_total{severity="ERROR"}[1m]) > 2`, ""))), nil)
	require.NoError(t, err)
	require.NoError(t, e.Load(context.Background(), []Source{src}, time.Unix(0, 0)))
	sub := s.Set.Feed().Subscribe()
	defer sub.Close()
	apply := func(rec viewstest.Record) {
		t.Helper()
		s.Topic[0] = append(s.Topic[0], rec)
		s.Apply(0, int64(len(s.Topic[0])-1))
		_, err := s.Checkpoint(nil)
		require.NoError(t, err)
	}
	var rec viewstest.Record
	for _, l := range []string{"20s cart ERROR | disk full", "21s cart ERROR | disk full",
		"22s cart ERROR exception=IOError:disk_7 | disk full", "22s cart INFO | fine"} {
		line, err := viewstest.ParseLog(l)
		require.NoError(t, err)
		rec.Logs = append(rec.Logs, line)
	}
	apply(rec)
	span, err := viewstest.ParseLine("23s 100ms cart client q id=t1/a db.system=pg db.operation.name=SELECT error exception=IOError:disk_8")
	require.NoError(t, err)
	apply(viewstest.Record{Spans: []viewstest.Line{span}})

	eng, ctx := query.NewEngine(query.EngineConfig{}, nil, nil), context.Background()
	for text, want := range map[string]string{
		`sum by (severity) (logs_records_total)`:            `{severity="ERROR"} => 3 @[30000]` + "\n" + `{severity="INFO"} => 1 @[30000]`,
		`increase(exceptions_total[1m])`:                    `{exception_message="disk <*>", exception_type="IOError", service_name="cart", source="log"} => 1 @[30000]` + "\n" + `{exception_message="disk <*>", exception_type="IOError", service_name="cart", source="span", span_name="q"} => 1 @[30000]`,
		`traces_database_failed_total`:                      `{__name__="traces_database_failed_total", db_operation="SELECT", db_system="pg", service_name="cart"} => 1 @[30000]`,
		`traces_database_duration_seconds_count`:            `{__name__="traces_database_duration_seconds_count", db_operation="SELECT", db_system="pg", service_name="cart"} => 1 @[30000]`,
		`traces_database_duration_seconds_bucket{le="0.1"}`: `{__name__="traces_database_duration_seconds_bucket", db_operation="SELECT", db_system="pg", le="0.1", service_name="cart"} => 1 @[30000]`,
	} {
		q, err := eng.NewInstantQuery(ctx, &query.Queryable{Reader: s.Set}, nil, text, time.Unix(30, 0))
		require.NoError(t, err)
		res := q.Exec(ctx)
		require.NoError(t, res.Err)
		v, err := res.Vector()
		require.NoError(t, err)
		slices.SortFunc(v, func(a, b promql.Sample) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
		require.Equal(t, want, v.String(), text)
	}
	c := sub.Take()
	require.True(t, c.Tables.Has(model.TableLogs) && c.Tables.Has(model.TableErrors) && c.Tables.Has(model.TableDatabases))
	require.NoError(t, e.Advance(ctx, c, time.Unix(24, 0)))
	require.Len(t, e.Active(), 1)
	require.Equal(t, alert.StateFiring, e.Active()[0].State)
}
