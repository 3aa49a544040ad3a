package app

import (
	"context"
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaurav/watchingcat/api/status"
	"github.com/gaurav/watchingcat/pipeline/replay"
)

// replayAnswers answers for the API about replays.
type replayAnswers struct{ gens *replay.Generations }

var _ status.Replayer = replayAnswers{}

func (r replayAnswers) List() []status.Replay {
	var out []status.Replay
	for _, p := range r.gens.Replays() {
		out = append(out, replayOf(p))
	}
	return out
}

func (r replayAnswers) Get(id string) (status.Replay, error) {
	p, err := r.gens.Replay(id)
	return replayOf(p), replayError(err)
}

func (r replayAnswers) Start(q status.ReplayRequest) (status.Replay, error) {
	p, err := r.gens.StartReplay(replay.Request{Views: q.Views, From: q.From, To: q.To, Keep: q.Keep})
	return replayOf(p), replayError(err)
}

func (r replayAnswers) Pause(id string) error  { return replayError(r.gens.PauseReplay(id)) }
func (r replayAnswers) Resume(id string) error { return replayError(r.gens.ResumeReplay(id)) }
func (r replayAnswers) Cancel(ctx context.Context, id string) error {
	return replayError(r.gens.CancelReplay(ctx, id))
}

func replayOf(p replay.Progress) status.Replay {
	out := status.Replay{ReplayRequest: status.ReplayRequest{Views: p.Views, From: p.From, To: p.To, Keep: p.Keep}, ID: p.ID,
		State: string(p.State), Progress: p.Done, Rate: p.Rate, ETA: p.ETA, Records: p.Records, Waiting: p.Waiting, Version: p.Version,
		Error: p.Error, Created: p.Created, Updated: p.Updated}
	for i, part := range p.Parts {
		out.Partitions = append(out.Partitions,
			status.ReplayPartition{Topic: part.Topic, Partition: part.Partition, Start: part.Start, Position: p.Positions[i], End: part.End})
	}
	return out
}

// replayError gives an error of the pipeline the name that the API knows.
func replayError(err error) error {
	for is, as := range map[error]error{replay.ErrNoReplay: status.ErrReplayUnknown, replay.ErrActive: status.ErrReplayConflict,
		replay.ErrState: status.ErrReplayConflict, replay.ErrBad: status.ErrReplayInvalid} {
		if errors.Is(err, is) {
			return namedError{as, err}
		}
	}
	return err
}

// namedError is err, which the API knows as another one.
type namedError struct{ as, err error }

func (e namedError) Error() string   { return strings.TrimPrefix(e.err.Error(), "pipeline: ") }
func (e namedError) Unwrap() []error { return []error{e.as, e.err} }

var (
	descReplayProgress = prometheus.NewDesc("watchingcat_replay_progress", "How far the newest replay is, 0 to 1.", []string{"id"}, nil)
	descReplayRecords  = prometheus.NewDesc("watchingcat_replay_records_total", "Records that the newest replay has read.", []string{"id"},
		nil)
	descReplayState = prometheus.NewDesc("watchingcat_replay_state", "1 for the state of the newest replay.", []string{"id", "state"},
		nil)
)

// collectReplay shows the newest replay, the first of the list, as metrics.
func collectReplay(list []replay.Progress, ch chan<- prometheus.Metric) {
	if len(list) == 0 {
		return
	}
	p := list[0]
	ch <- prometheus.MustNewConstMetric(descReplayProgress, prometheus.GaugeValue, p.Done, p.ID)
	ch <- prometheus.MustNewConstMetric(descReplayRecords, prometheus.CounterValue, float64(p.Records), p.ID)
	for _, s := range []replay.State{replay.Running, replay.Paused, replay.Swapped, replay.Canceled, replay.Failed} {
		v := 0.0
		if s == p.State {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(descReplayState, prometheus.GaugeValue, v, p.ID, string(s))
	}
}
