package app

import (
	"context"
	"errors"
	"time"

	"github.com/gaurav/watchingcat/evaluator/backtest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/replay"
	"github.com/gaurav/watchingcat/views/samples"
)

// topicBacktests is an alerting.TopicBacktester over the topics that the process reads.
type topicBacktests struct{ *App }

const (
	// leastWarmUp is how long before a backtest records are read at least, so that series that are seldom are known.
	leastWarmUp = 15 * time.Minute
	// exportMargin is how much later than their events records may be written.
	exportMargin = time.Minute
)

// Backtest implements alerting.TopicBacktester.
func (t topicBacktests) Backtest(ctx context.Context, list []backtest.Spec,
	report func(progress.Reading)) ([]*backtest.Result, time.Time, error) {
	warmUp, start, end := leastWarmUp, list[0].Start, list[0].End
	for i := range list {
		list[i].Step = t.cfg.CommitInterval
		warmUp = max(warmUp, backtest.WarmUp(list[i].Sources))
	}
	to := end.Add(exportMargin)
	if now := time.Now(); now.Before(to) {
		to = now
	}
	view := t.live.View()
	defer view.Release()
	var since time.Time
	traces, _, logs := t.cfg.Topics()
	results, err := rereadRules(ctx, replay.RereadConfig{
		Kafka: t.cfg.Kafka(), Views: t.viewConfig(), Spans: traces, Logs: logs, Encodings: t.encodings(), Lateness: t.cfg.Lateness, Interval: t.cfg.CommitInterval,
		From: start.Add(-warmUp - t.cfg.PairingWindow - exportMargin), To: to, Logger: t.log,
		Progress: report,
		Opened:   func(r *replay.Reread) { since = r.Since },
	}, view.Samples(), list)
	return results, since, err
}

// rereadRules evaluates rules over what the topics hold of a past, all backtests in one reading. Their Reader and Queryable are those of
// the reading; samples of OTLP metrics are read where they are kept (nil: there are none).
func rereadRules(ctx context.Context, c replay.RereadConfig, samples samples.SampleReader,
	list []backtest.Spec) (results []*backtest.Result, err error) {
	following := make([]*backtest.Following, len(list))
	c.Stop = func(ctx context.Context, now time.Time) error {
		for _, f := range following {
			if err := f.Advance(ctx, now); err != nil {
				return err
			}
		}
		return nil
	}
	r, err := replay.OpenReread(ctx, c)
	if err != nil {
		return nil, err
	}
	for i, b := range list {
		b.Reader = r.Set
		b.Queryable = &query.Sources{Views: &query.Queryable{Reader: r.Set}, Samples: samples}
		if following[i], err = b.Follow(ctx); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	if err := r.Run(ctx); err != nil {
		return nil, err
	}
	for _, f := range following {
		results = append(results, f.Result())
	}
	return results, nil
}
