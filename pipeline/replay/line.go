package replay

import (
	"context"
	"errors"
	"maps"

	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// line is a generation of the views and one of the metrics, and how each runs. What a replay leaves out is nil.
type line struct {
	views      *Generation
	metrics    *MetricGeneration
	runViews   *ingest.Running // nil: it does not run
	runMetrics *ingest.Running
}

// start begins to read with what is there.
func (l *line) start(ctx context.Context) {
	if l.views != nil {
		l.runViews = l.views.Start(ctx)
	}
	if l.metrics != nil {
		l.runMetrics = l.metrics.Start(ctx)
	}
}

// end stops what runs and waits for it.
func (l *line) end() error {
	var errs []error
	for _, r := range []*ingest.Running{l.runViews, l.runMetrics} {
		if r != nil {
			r.Stop()
		}
	}
	for _, r := range []*ingest.Running{l.runViews, l.runMetrics} {
		if r != nil {
			errs = append(errs, r.End())
		}
	}
	return errors.Join(errs...)
}

// done are closed when the views or the metrics end by themselves; a nil channel never is.
func (l *line) done() (views, metrics <-chan struct{}) {
	if l.runViews != nil {
		views = l.runViews.Done
	}
	if l.runMetrics != nil {
		metrics = l.runMetrics.Done
	}
	return views, metrics
}

// positions are where the topics are read on, by partition, as committed.
func (l *line) positions() map[source.PartitionID]int64 {
	m := map[source.PartitionID]int64{}
	if l.views != nil {
		maps.Copy(m, l.views.positions())
	}
	if l.metrics != nil {
		maps.Copy(m, l.metrics.positions())
	}
	return m
}

func (l *line) states() (list []source.PartitionState) {
	if l.views != nil {
		list = l.views.Source.States()
	}
	if l.metrics != nil {
		list = append(list, l.metrics.Source.States()...)
	}
	return list
}
