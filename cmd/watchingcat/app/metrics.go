package app

import (
	"time"

	"github.com/gaurav/watchingcat/evaluator/export"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/kept"
	"github.com/gaurav/watchingcat/pipeline/replay"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

// metricsTopic is how OTLP metrics are read: their own source, positions and checkpoints, so that spans and metrics do not wait for
// each other, and a folder of samples for each version.
func (a *App) metricsTopic() replay.MetricsTopic {
	retention := time.Duration(a.cfg.RetMetrics)
	folders := &samples.Folders{DataDir: a.cfg.DataDir, Options: samples.Options{
		Retention: retention, MaxSeries: a.cfg.LimitSeries, MinFreeBytes: a.cfg.MinFreeDiskBytes,
	}}
	a.folders = folders
	if a.slog != nil {
		folders.Options.Logger = a.slog.With("component", "tsdb")
	}
	if a.reg != nil {
		folders.Options.Registerer = a.reg
	}
	_, topics, _ := a.cfg.Topics()
	return replay.MetricsTopic{
		Topics: topics, Encoding: a.cfg.KafkaMetricsEncoding, Stamp: a.stamp(),
		State: viewsamples.MetricsConfig{Retention: retention, DedupWindow: a.cfg.DedupWithin(), DeltaSeries: a.cfg.LimitSeries,
			Translation: a.cfg.Translation()},
		Open:     func(version uint32) ingest.SampleStore { return folders.Open(version) },
		Versions: folders.Versions, Drop: folders.Drop,
	}
}

// sources is what rules read: views and samples. An older range from a Prometheus is not in it: alerts must not wait for a server
// that does not answer.
func (a *App) sources() *query.Sources {
	return &query.Sources{Views: &query.Queryable{Reader: a.live}}
}

// allSources is what users query: older ranges too.
func (a *App) allSources() *query.Sources {
	s := a.sources()
	s.Unread = a.unread
	if p := a.stores.prometheus; p != nil {
		s.Older = p
	}
	return s
}

// unread says from when on the topics were read, and why not from before; zero: they were read from where they begin.
func (a *App) unread() (time.Time, string) {
	b := pipelineAnswers{a}.Began()
	return b.Since(a.live.Frontier().Since)
}

// openExport opens what is sent to other stores: samples, and kept traces.
func (a *App) openExport() error {
	c, err := RemoteWrite(&a.cfg)
	if err != nil {
		return err
	}
	if c != nil {
		c.Kafka, c.Reader, c.Metrics, c.Rules, c.Registerer, c.Logger = a.kafka(), a.live, a.live.Metrics().Frontier, a.eval.RuleGroups, a.reg, a.slog
		x, err := export.New(*c)
		if err != nil {
			return err
		}
		a.exports = append(a.exports, x.Run)
	}
	if k := keptTraces(&a.cfg); k != nil {
		k.Kafka, k.Registerer, k.Logger = a.kafka(), a.reg, a.slog
		k.Decode.Stamp = a.stamp()
		k.Earlier = func(id [16]byte, fn func(block []byte)) error {
			_, _, _, err := a.live.EachTraceBlock(id, func(_ views.TraceSummary, block []byte) bool {
				fn(block)
				return true
			})
			return err
		}
		a.exports = append(a.exports, kept.New(*k).Run)
	}
	return nil
}
