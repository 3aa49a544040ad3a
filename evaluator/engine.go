package evaluator

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
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

// maxSubquerySteps bounds the steps of one subquery: the engine makes lists of as many numbers before it reads the first sample, and a
// query of a few letters would take all memory that there is.
const maxSubquerySteps = 1_000_000

// NewParser returns the PromQL parser that the engine and the rules share.
func NewParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// maxQuery bounds the text of a query in bytes: the longer, the more than proportionally long the engine prepares it.
const maxQuery = 64 << 10

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
	return &boundedEngine{promql.NewEngine(o), c.SubqueryInterval}
}

// boundedEngine refuses queries that would cost more than the engine itself bounds.
type boundedEngine struct {
	*promql.Engine
	subqueryInterval time.Duration
}

// NewInstantQuery implements promql.QueryEngine.
func (e *boundedEngine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (promql.Query, error) {
	if err := checkLength(qs); err != nil {
		return nil, err
	}
	query, err := e.Engine.NewInstantQuery(ctx, q, opts, qs, ts)
	return e.bounded(query, err)
}

// NewRangeQuery implements promql.QueryEngine.
func (e *boundedEngine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	if err := checkLength(qs); err != nil {
		return nil, err
	}
	query, err := e.Engine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
	return e.bounded(query, err)
}

func checkLength(qs string) error {
	if len(qs) > maxQuery {
		return fmt.Errorf("the query has %d bytes, at most %d are evaluated: shorten it, or ask in parts", len(qs), maxQuery)
	}
	return nil
}

func (e *boundedEngine) bounded(q promql.Query, err error) (promql.Query, error) {
	if err != nil {
		return q, err
	}
	if err := e.check(q); err != nil {
		q.Close()
		return nil, err
	}
	return q, nil
}

// check counts the steps of subqueries: each is evaluated once, over all that those around it look at.
func (e *boundedEngine) check(q promql.Query) error {
	stmt, ok := q.Statement().(*parser.EvalStmt)
	if !ok {
		return nil
	}
	var err error
	parser.Inspect(stmt.Expr, func(n parser.Node, path []parser.Node) error {
		sub, ok := n.(*parser.SubqueryExpr)
		if !ok || err != nil {
			return err
		}
		covers := stmt.End.Sub(stmt.Start).Seconds() + sub.Range.Seconds() // durations end at 292 years
		for _, p := range path {
			if outer, ok := p.(*parser.SubqueryExpr); ok {
				covers += outer.Range.Seconds()
			}
		}
		step := cmp.Or(sub.Step, e.subqueryInterval)
		if steps := covers / step.Seconds(); steps > maxSubquerySteps {
			err = fmt.Errorf("the subquery [%s:%s] has %.0f steps, at most %d are evaluated: give it a wider step or a shorter range",
				model.Duration(sub.Range), model.Duration(step), steps, maxSubquerySteps)
		}
		return err
	})
	return err
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

// orEngine is e, or an engine with the defaults.
func orEngine(e promql.QueryEngine) promql.QueryEngine {
	if e == nil {
		return NewEngine(EngineConfig{}, slog.New(slog.DiscardHandler), nil)
	}
	return e
}
