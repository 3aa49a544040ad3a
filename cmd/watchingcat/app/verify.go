package app

import (
	"time"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/replay"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/pipeline/verify"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

// verified is what is compared with the topics.
type verified struct {
	cfg  *config.Config
	gens *replay.Generations
	live *live.Live
}

// config is how the views are compared with the topics; most bounds what that takes in memory.
func (a verified) config(k kafka.Config, of ingest.Encodings, most int64) verify.Config {
	_, _, logs := a.cfg.Topics()
	return verify.Config{
		Kafka:     k,
		Views:     func() (views.Reader, func()) { return live.Snapshot(a.live) },
		Positions: a.positions,
		Since:     a.since,
		Rules: func() verify.Rules {
			v := a.live.View()
			defer v.Release()
			return verify.Rules{Dimensions: v.Set().Dimensions().Names(), Pairing: a.cfg.PairingWindow, Dedup: a.cfg.DedupWithin(),
				Spans: a.cfg.DedupSpans, Tolerance: model.DefaultFutureTolerance, MaxSpans: 100_000, MaxBytes: most}
		},
		Decoder: func(topic string) encoding.Decoder { return of.Decoder(logs.Match(topic)) },
		Settled: a.cfg.PairingWindow + a.cfg.Lateness + 5*time.Second,
		Share:   a.cfg.VerifyShare,
	}
}

// positions is up to where the views hold the topics of spans and logs that are read.
func (a verified) positions() map[source.PartitionID]verify.Position {
	traces, _, logs := a.cfg.Topics()
	m := map[source.PartitionID]verify.Position{}
	for _, p := range a.live.Progress() {
		if traces.Match(p.Topic) || logs.Match(p.Topic) {
			m[source.PartitionID{Topic: p.Topic, Partition: p.Partition}] = verify.Position{Offset: p.Position, Watermark: p.Watermark}
		}
	}
	return m
}

// since is from when on one version of the views has counted every record.
func (a verified) since() time.Time {
	since := time.Time{}
	if at := a.gens.Began().Latest; !at.IsZero() {
		since = at.Add(model.DefaultFutureTolerance + a.cfg.PairingWindow)
	}
	v := a.live.View()
	defer v.Release()
	layout := v.Layout()
	for _, view := range []string{model.ViewRED, model.ViewServiceMap, model.TableLogs.String()} {
		list := layout.Of(view)
		if from := time.Unix(list[len(list)-1].From, 0); from.After(since) {
			since = from
		}
	}
	return since
}
