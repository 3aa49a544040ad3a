package status

import (
	"context"
	"errors"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage"
)

// Replayer is what the API needs to rebuild views. Its errors are ErrReplayUnknown, ErrReplayConflict and ErrReplayInvalid, or wrap
// them; others are internal.
type Replayer interface {
	// List is ordered newest first.
	List() []Replay
	Get(id string) (Replay, error)
	Start(q ReplayRequest) (Replay, error)
	Pause(id string) error
	Resume(id string) error
	Cancel(ctx context.Context, id string) error
}

// Errors of Replays.
var (
	ErrReplayUnknown  = errors.New("no such replay")
	ErrReplayConflict = errors.New("another replay runs, or this one is in no state for that")
	ErrReplayInvalid  = errors.New("such a replay cannot be")
)

// ReplayRequest says what to rebuild; zero times are open ends.
type ReplayRequest struct {
	Views    []string
	From, To time.Time
	Keep     bool
}

// Replay is one replay and how far it is.
type Replay struct {
	ReplayRequest
	ID, State        string
	Progress, Rate   float64
	ETA              time.Duration // negative: not known
	Records          int64
	Waiting          bool
	Version          uint32 // 0: not known yet
	Partitions       []ReplayPartition
	Error            string
	Created, Updated time.Time
}

// ReplayPartition is how far a replay has read a partition.
type ReplayPartition struct {
	Topic                string
	Partition            int32
	Start, Position, End int64
}

// None stands for an installation without replays.
var None Replayer = noReplays{}

// noReplays has none, and starts none.
type noReplays struct{}

func (noReplays) List() []Replay { return nil }

func (noReplays) Get(string) (Replay, error) { return Replay{}, ErrReplayUnknown }

func (noReplays) Start(ReplayRequest) (Replay, error) { return Replay{}, ErrReplayInvalid }

func (noReplays) Pause(string) error { return ErrReplayUnknown }

func (noReplays) Resume(string) error { return ErrReplayUnknown }

func (noReplays) Cancel(context.Context, string) error { return ErrReplayUnknown }

// ReplayAnswer is a replay as the API answers it.
func ReplayAnswer(r Replay) rest.Replay {
	out := rest.Replay{Id: r.ID, State: rest.ReplayState(r.State), Progress: r.Progress, Rate: r.Rate, Records: r.Records,
		Waiting: r.Waiting, Views: append([]string{}, r.Views...), From: answer.TimeOrNil(r.From), To: answer.TimeOrNil(r.To), Keep: r.Keep,
		Partitions: []rest.ReplayPartition{}, Error: answer.TextOrNil(r.Error), Created: r.Created.UTC(), Updated: r.Updated.UTC()}
	if r.ETA >= 0 {
		s := r.ETA.Seconds()
		out.EtaS = &s
	}
	if r.Version > 0 {
		v := int64(r.Version)
		out.Version = &v
	}
	for _, p := range r.Partitions {
		out.Partitions = append(out.Partitions,
			rest.ReplayPartition{Topic: p.Topic, Partition: p.Partition, Start: p.Start, Position: p.Position, End: p.End})
	}
	return out
}

func replaysOf(r Replayer) []rest.Replay {
	out := []rest.Replay{}
	for _, one := range r.List() {
		out = append(out, ReplayAnswer(one))
	}
	return out
}

// replayError says which status an error of Replays is.
func replayError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrReplayUnknown):
		return answer.Advise(answer.Problemf(answer.ErrNotFound, "replay_not_found", "%v", err), "GET /api/v1/replays lists the replays.")
	case errors.Is(err, ErrReplayConflict):
		return answer.Advise(answer.Problemf(answer.ErrConflict, "replay_conflict", "%v", err),
			"GET /api/v1/replays shows the states; cancel or resume the one that has not ended.")
	case errors.Is(err, ErrReplayInvalid):
		return answer.Problemf(answer.ErrBadRequest, "invalid_replay", "%v", err)
	}
	return err
}

// Replays answers for replays.
type Replays struct {
	Replays Replayer
	Audit   func(ctx context.Context, action, kind, id string)
}

// ListReplays implements rest.StrictServerInterface.
func (s *Replays) ListReplays(context.Context, rest.ListReplaysRequestObject) (rest.ListReplaysResponseObject, error) {
	return rest.ListReplays200JSONResponse{Replays: replaysOf(s.Replays)}, nil
}

// StartReplay implements rest.StrictServerInterface.
func (s *Replays) StartReplay(ctx context.Context, q rest.StartReplayRequestObject) (rest.StartReplayResponseObject, error) {
	var r ReplayRequest
	if b := q.Body; b != nil {
		var err error
		if b.From != nil {
			if r.From, err = answer.ParseTime("from", *b.From); err != nil {
				return nil, err
			}
		}
		if b.To != nil {
			if r.To, err = answer.ParseTime("to", *b.To); err != nil {
				return nil, err
			}
		}
		if b.Views != nil {
			r.Views = *b.Views
		}
		r.Keep = b.Keep != nil && *b.Keep
	}
	started, err := s.Replays.Start(r)
	if err != nil {
		return nil, replayError(err)
	}
	s.Audit(ctx, "start", storage.KindReplay, started.ID)
	return rest.StartReplay202JSONResponse(ReplayAnswer(started)), nil
}

// GetReplay implements rest.StrictServerInterface.
func (s *Replays) GetReplay(_ context.Context, q rest.GetReplayRequestObject) (rest.GetReplayResponseObject, error) {
	r, err := s.Replays.Get(q.Id)
	return rest.GetReplay200JSONResponse(ReplayAnswer(r)), replayError(err)
}

// CancelReplay implements rest.StrictServerInterface.
func (s *Replays) CancelReplay(ctx context.Context, q rest.CancelReplayRequestObject) (rest.CancelReplayResponseObject, error) {
	if err := s.Replays.Cancel(context.WithoutCancel(ctx), q.Id); err != nil {
		return nil, replayError(err)
	}
	s.Audit(ctx, "cancel", storage.KindReplay, q.Id)
	return rest.CancelReplay204Response{}, nil
}

// PauseReplay implements rest.StrictServerInterface.
func (s *Replays) PauseReplay(ctx context.Context, q rest.PauseReplayRequestObject) (rest.PauseReplayResponseObject, error) {
	if err := s.Replays.Pause(q.Id); err != nil {
		return nil, replayError(err)
	}
	s.Audit(ctx, "pause", storage.KindReplay, q.Id)
	r, err := s.Replays.Get(q.Id)
	return rest.PauseReplay200JSONResponse(ReplayAnswer(r)), replayError(err)
}

// ResumeReplay implements rest.StrictServerInterface.
func (s *Replays) ResumeReplay(ctx context.Context, q rest.ResumeReplayRequestObject) (rest.ResumeReplayResponseObject, error) {
	if err := s.Replays.Resume(q.Id); err != nil {
		return nil, replayError(err)
	}
	s.Audit(ctx, "resume", storage.KindReplay, q.Id)
	r, err := s.Replays.Get(q.Id)
	return rest.ResumeReplay200JSONResponse(ReplayAnswer(r)), replayError(err)
}
