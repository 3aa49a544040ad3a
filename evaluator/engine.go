package evaluator

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// EngineConfig bounds what one PromQL query may cost. Zero values mean the defaults, which are Prometheus' own.
type EngineConfig struct {
	MaxSamples int           // held in memory by one query; 50 million
	Timeout    time.Duration // of one query; 2 min
	Lookback   time.Duration // after which a series without a sample is gone; 5 min
	// SubqueryInterval is the step of subqueries that give none; 1 min.
	SubqueryInterval time.Duration
}

// NewParser returns the PromQL parser that the engine and the rules share.
func NewParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// NewEngine builds a PromQL engine. Its metrics, prometheus_engine_*, go to reg, which may be nil.
func NewEngine(c EngineConfig, log *slog.Logger, reg prometheus.Registerer) *promql.Engine {
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
	return promql.NewEngine(promql.EngineOpts{
		Logger: log, Reg: reg, MaxSamples: c.MaxSamples, Timeout: c.Timeout, LookbackDelta: c.Lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return c.SubqueryInterval.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, Parser: NewParser(),
	})
}

// orEngine is e, or an engine with the defaults.
func orEngine(e promql.QueryEngine) promql.QueryEngine {
	if e == nil {
		return NewEngine(EngineConfig{}, slog.New(slog.DiscardHandler), nil)
	}
	return e
}
