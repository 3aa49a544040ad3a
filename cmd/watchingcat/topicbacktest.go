package main

import (
	"context"
	"errors"
	"time"

	"github.com/gaurav/watchingcat/evaluator"
	"github.com/gaurav/watchingcat/pipeline"
	"github.com/gaurav/watchingcat/views"
)

// rereadRules evaluates rules over what the topics hold of a past, all backtests in one reading. Their Reader and Queryable are those of
// the reading; samples of OTLP metrics are read where they are kept (nil: there are none).
func rereadRules(ctx context.Context, c pipeline.RereadConfig, samples views.SampleReader, list []evaluator.Backtest) (results []*evaluator.BacktestResult, err error) {
	following := make([]*evaluator.Following, len(list))
	c.Stop = func(ctx context.Context, now time.Time) error {
		for _, f := range following {
			if err := f.Advance(ctx, now); err != nil {
				return err
			}
		}
		return nil
	}
	r, err := pipeline.OpenReread(ctx, c)
	if err != nil {
		return nil, err
	}
	for i, b := range list {
		b.Reader = r.Set
		b.Queryable = &evaluator.Sources{Views: &evaluator.Queryable{Reader: r.Set}, Samples: samples}
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
