package query

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// EngineConfig bounds what one PromQL query may cost. Zero values mean the defaults, which are Prometheus' own.
type EngineConfig struct {
	MaxSamples int           // held in memory by one query; 50 million
	Timeout    time.Duration // of one query; 2 min
	Lookback   time.Duration // after which a series without a sample is gone; 5 min
	// SubqueryInterval is the step of subqueries that give none; 1 min.
	SubqueryInterval time.Duration
	// Concurrency is how many queries run at once, others wait; 0: no limit.
	Concurrency int
}

// NewEngine builds a PromQL engine. Its metrics, prometheus_engine_*, go to reg, which may be nil.
func NewEngine(c EngineConfig, log *slog.Logger, reg prometheus.Registerer) promql.QueryEngine {
	if c.MaxSamples == 0 {
		c.MaxSamples = 50_000_000
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Minute
	}
	if c.Lookback == 0 {
		c.Lookback = 5 * time.Minute
	}
	if c.SubqueryInterval == 0 {
		c.SubqueryInterval = time.Minute
	}
	o := promql.EngineOpts{
		Logger: log, Reg: reg, MaxSamples: c.MaxSamples, Timeout: c.Timeout, LookbackDelta: c.Lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return c.SubqueryInterval.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, Parser: NewParser(),
	}
	if c.Concurrency > 0 {
		o.ActiveQueryTracker = places(make(chan struct{}, c.Concurrency))
	}
	return &boundedEngine{promql.NewEngine(o), c.SubqueryInterval, c.Timeout}
}

// boundedEngine refuses queries that would cost more than the engine itself bounds.
type boundedEngine struct {
	*promql.Engine
	subqueryInterval time.Duration
	timeout          time.Duration
}

// NewInstantQuery implements promql.QueryEngine.
func (e *boundedEngine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string,
	ts time.Time) (promql.Query, error) {
	query, err := e.Engine.NewInstantQuery(ctx, q, opts, qs, ts)
	return e.bounded(query, err)
}

// NewRangeQuery implements promql.QueryEngine.
func (e *boundedEngine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time,
	interval time.Duration) (promql.Query, error) {
	if steps := end.Sub(start).Seconds() / max(interval, time.Millisecond).Seconds(); steps > maxSubquerySteps {
		return nil, fmt.Errorf("the query has %.0f steps, at most %d are evaluated: take a wider step or a shorter range", steps,
			maxSubquerySteps)
	}
	query, err := e.Engine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
	return e.bounded(query, err)
}

func (e *boundedEngine) bounded(q promql.Query, err error) (promql.Query, error) {
	if err != nil {
		return q, err
	}
	if stmt, ok := q.Statement().(*parser.EvalStmt); ok {
		if err := CheckExpr(stmt.Expr, stmt.Start, stmt.End, stmt.Interval, e.subqueryInterval); err != nil {
			q.Close()
			return nil, err
		}
	}
	return &watchedQuery{Query: q, timeout: e.timeout}, nil
}

// places is a promql.QueryTracker that keeps nothing but how many run.
type places chan struct{}

func (p places) GetMaxConcurrent() int { return cap(p) }
func (p places) Delete(int)            { <-p }
func (p places) Close() error          { return nil }

// Insert waits for a place.
func (p places) Insert(ctx context.Context, _ string) (int, error) {
	select {
	case p <- struct{}{}:
		return 0, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
