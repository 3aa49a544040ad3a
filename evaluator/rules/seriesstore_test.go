package rules

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	promstorage "github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/query"
)

// appendable is what rules write as a whole storage, beside views.
type appendable struct {
	joined
	store *SeriesStore
}

func (a appendable) Appender(ctx context.Context) promstorage.Appender { return nil }
func (a appendable) AppenderV2(ctx context.Context) promstorage.AppenderV2 {
	return a.store.AppenderV2(ctx)
}
func (a appendable) StartTime() (int64, error) { return 0, nil }
func (a appendable) Close() error              { return nil }

// PromQL's own acceptance scripts pass on our engine and what it reads.
func TestPromQLScripts(t *testing.T) {
	opts := promqltest.TestParserOpts
	engine := promqltest.NewTestEngineWithOpts(t,
		promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
			EnableDelayedNameRemoval: true, UseStartTimestamps: true, NoStepSubqueryIntervalFn: func(int64) int64 { return 60_000 },
			Parser: parser.NewParser(opts)})
	promqltest.RunBuiltinTestsWithStorage(t, engine, func(testing.TB) promstorage.Storage {
		store := NewSeriesStore(200*365*24*time.Hour, 1<<30, 1<<30)
		return appendable{joined{&query.Sources{Views: &query.Queryable{Reader: &evaltest.Reader{}}}, store}, store}
	})
}
