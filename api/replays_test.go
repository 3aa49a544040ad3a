package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gaurav/watchingcat/api/status"
)

// fakeReplays holds replays that stand where they were started.
type fakeReplays struct{ list []status.Replay }

func (f *fakeReplays) List() []status.Replay {
	list := slices.Clone(f.list)
	slices.Reverse(list)
	return list
}

func (f *fakeReplays) find(id string) (*status.Replay, error) {
	for i := range f.list {
		if f.list[i].ID == id {
			return &f.list[i], nil
		}
	}
	return nil, fmt.Errorf("%w: %q", status.ErrReplayUnknown, id)
}

func (f *fakeReplays) Get(id string) (status.Replay, error) {
	r, err := f.find(id)
	if err != nil {
		return status.Replay{}, err
	}
	return *r, nil
}

func (f *fakeReplays) Start(q status.ReplayRequest) (status.Replay, error) {
	for _, v := range q.Views {
		if v != "red" {
			return status.Replay{}, fmt.Errorf("%w: there is no view %q", status.ErrReplayInvalid, v)
		}
	}
	if n := len(f.list); n > 0 && f.list[n-1].State != "canceled" {
		return status.Replay{}, fmt.Errorf("%w: %s is %s", status.ErrReplayConflict, f.list[n-1].ID, f.list[n-1].State)
	}
	r := status.Replay{ReplayRequest: q, ID: strconv.Itoa(len(f.list) + 1), State: "running", Progress: 0.25, Rate: 1500,
		ETA:     2 * time.Second,
		Records: 1000, Version: 3, Partitions: []status.ReplayPartition{{Topic: "otlp_spans", Start: 10, Position: 1010, End: 4010}},
		Created: at(50 * time.Second), Updated: at(55 * time.Second)}
	f.list = append(f.list, r)
	return r, nil
}

func (f *fakeReplays) set(id, state string) error {
	r, err := f.find(id)
	if err == nil && r.State == state {
		err = fmt.Errorf("%w: it is %s", status.ErrReplayConflict, state)
	}
	if err == nil {
		r.State = state
	}
	return err
}

func (f *fakeReplays) Pause(id string) error { return f.set(id, "paused") }

func (f *fakeReplays) Resume(id string) error { return f.set(id, "running") }

func (f *fakeReplays) Cancel(_ context.Context, id string) error { return f.set(id, "canceled") }
