package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage/backup"
)

// fakeBackups holds backups that stand where they were started.
type fakeBackups struct{ list []backup.Job }

func (*fakeBackups) Location() (location string, interval time.Duration) {
	return "/backups", time.Hour
}

func (f *fakeBackups) List() []backup.Job {
	list := slices.Clone(f.list)
	slices.Reverse(list)
	return list
}

func (f *fakeBackups) Get(id string) (backup.Job, error) {
	for _, j := range f.list {
		if j.ID == id {
			return j, nil
		}
	}
	return backup.Job{}, backup.ErrUnknown
}

func (f *fakeBackups) Start(_ context.Context, location string, _ int) (backup.Job, error) {
	switch {
	case len(f.list) > 0 && f.list[len(f.list)-1].State == backup.StateRunning:
		return backup.Job{}, fmt.Errorf("%w: %s", backup.ErrRunning, f.list[len(f.list)-1].ID)
	case strings.Contains(location, "://"):
		return backup.Job{}, errors.New("the location is not s3://bucket/prefix")
	}
	j := backup.Job{ID: fmt.Sprint(len(f.list) + 1), Location: cmp.Or(location, "/backups"), State: backup.StateRunning,
		Started: time.Unix(1000, 0)}
	f.list = append(f.list, j)
	return j, nil
}

func (f *fakeBackups) Cancel(id string) error {
	for i := range f.list {
		if f.list[i].ID == id {
			f.list[i].State, f.list[i].Finished, f.list[i].Error = backup.StateCanceled, time.Unix(1001, 0), "canceled"
			return nil
		}
	}
	return backup.ErrUnknown
}

// TestBackups: a backup is started, shown and canceled; a mistake is the caller's, a second one at once is a conflict.
func TestBackups(t *testing.T) {
	f := &fakeBackups{}
	b := newBench(t, func(c *Config) { c.Backups = f })
	post := func(body string) (int, string) {
		w := b.do(http.MethodPost, "/api/v1/backups", body, "Content-Type: application/json")
		return w.Code, w.Body.String()
	}
	code, body := post(`{"location":"relative"}`)
	require.Equal(t, http.StatusBadRequest, code, body)
	code, body = post(`{"location":"ftp://x"}`)
	require.Equal(t, http.StatusBadRequest, code, body)
	code, body = post(`{"keep":-1}`)
	require.Equal(t, http.StatusBadRequest, code, body)
	code, body = post(``)
	require.Equal(t, http.StatusAccepted, code, body)
	require.Contains(t, body, `"location":"/backups"`)
	code, body = post(`{"location":"/other","keep":3}`)
	require.Equal(t, http.StatusConflict, code, body)
	require.Equal(t, http.StatusNotFound, b.do(http.MethodGet, "/api/v1/backups/9", "").Code)
	require.Equal(t, http.StatusNotFound, b.do(http.MethodDelete, "/api/v1/backups/9", "").Code)
	require.Equal(t, http.StatusNoContent, b.do(http.MethodDelete, "/api/v1/backups/1", "").Code)
	require.Contains(t, b.do(http.MethodGet, "/api/v1/backups/1", "").Body.String(), `"state":"canceled"`)
	f.list[0].State, f.list[0].Positions = backup.StateComplete, []backup.Position{{Topic: "t", Partition: 1, Offset: 2}}
	list := b.do(http.MethodGet, "/api/v1/backups", "").Body.String()
	require.Contains(t, list, `"positions":[{"offset":2,"partition":1,"topic":"t"}]`)
	require.Contains(t, list, `"interval_s":3600`)

	none := newBench(t, func(c *Config) { c.Backups = nil })
	require.Equal(t, http.StatusServiceUnavailable, none.do(http.MethodPost, "/api/v1/backups", "").Code)
	require.Equal(t, http.StatusOK, none.do(http.MethodGet, "/api/v1/backups", "").Code)
}
