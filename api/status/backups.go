package status

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/backup"
)

// Backuper is what the API needs to back up the state. *backup.Runner is one.
type Backuper interface {
	Location() (location string, interval time.Duration)
	// List is ordered newest first.
	List() []backup.Job
	Get(id string) (backup.Job, error)
	Start(ctx context.Context, location string, keep int) (backup.Job, error)
	Cancel(id string) error
}

// NoBackups stands for an installation that makes none.
var NoBackups Backuper = withoutBackups{}

type withoutBackups struct{}

func (withoutBackups) Location() (location string, interval time.Duration) { return "", 0 }

func (withoutBackups) List() []backup.Job { return nil }

func (withoutBackups) Get(string) (backup.Job, error) { return backup.Job{}, backup.ErrUnknown }

func (withoutBackups) Start(context.Context, string, int) (backup.Job, error) {
	return backup.Job{}, backup.ErrStopped
}

func (withoutBackups) Cancel(string) error { return backup.ErrUnknown }

// BackupAnswer is a backup as the API answers it.
func BackupAnswer(j backup.Job) rest.Backup {
	out := rest.Backup{Id: j.ID, State: rest.BackupState(j.State), Location: j.Location, Scheduled: j.Scheduled, Bytes: j.Bytes,
		Started: j.Started.UTC(), Finished: answer.TimeOrNil(j.Finished), Error: answer.TextOrNil(j.Error)}
	if j.Positions != nil {
		list := []rest.BackupPosition{}
		for _, p := range j.Positions {
			list = append(list, rest.BackupPosition{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset})
		}
		out.Positions = &list
	}
	return out
}

// backupError says which status an error of a Backuper is. Opening a store fails because of the location or of the server's settings.
func backupError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, backup.ErrUnknown):
		return answer.Advise(answer.Problemf(answer.ErrNotFound, "backup_not_found", "%v", err),
			"GET /api/v1/backups lists the backups of this process; `watchingcat backup --list` those of a location.")
	case errors.Is(err, backup.ErrRunning):
		return answer.Advise(answer.Problemf(answer.ErrConflict, "backup_conflict", "%v", err),
			"Wait until it has ended, or cancel it: DELETE /api/v1/backups/{id}.")
	case errors.Is(err, backup.ErrStopped):
		return answer.Problemf(answer.ErrUnavailable, "backups_unavailable", "%v", err)
	}
	return answer.Problemf(answer.ErrBadRequest, "invalid_backup", "%v", err)
}

// Backups answers for backups.
type Backups struct {
	Backups Backuper
	Audit   func(ctx context.Context, action, kind, id string)
}

// ListBackups implements rest.StrictServerInterface.
func (s *Backups) ListBackups(context.Context, rest.ListBackupsRequestObject) (rest.ListBackupsResponseObject, error) {
	location, interval := s.Backups.Location()
	out := rest.BackupList{Location: answer.TextOrNil(location), Backups: []rest.Backup{}}
	if interval > 0 {
		seconds := interval.Seconds()
		out.IntervalS = &seconds
	}
	for _, j := range s.Backups.List() {
		out.Backups = append(out.Backups, BackupAnswer(j))
	}
	return rest.ListBackups200JSONResponse(out), nil
}

// StartBackup implements rest.StrictServerInterface.
func (s *Backups) StartBackup(ctx context.Context, q rest.StartBackupRequestObject) (rest.StartBackupResponseObject, error) {
	location, keep := "", -1
	if b := q.Body; b != nil {
		if b.Location != nil {
			location = *b.Location
		}
		if b.Keep != nil {
			keep = int(*b.Keep)
		}
	}
	if location != "" && !strings.Contains(location, "://") && !filepath.IsAbs(location) {
		return nil, answer.Problemf(answer.ErrBadRequest, "invalid_backup", "%q is not an absolute path of a folder", location)
	}
	j, err := s.Backups.Start(ctx, location, keep)
	if err != nil {
		return nil, backupError(err)
	}
	s.Audit(ctx, "start", storage.KindBackup, j.ID)
	return rest.StartBackup202JSONResponse(BackupAnswer(j)), nil
}

// GetBackup implements rest.StrictServerInterface.
func (s *Backups) GetBackup(_ context.Context, q rest.GetBackupRequestObject) (rest.GetBackupResponseObject, error) {
	j, err := s.Backups.Get(q.Id)
	return rest.GetBackup200JSONResponse(BackupAnswer(j)), backupError(err)
}

// CancelBackup implements rest.StrictServerInterface.
func (s *Backups) CancelBackup(ctx context.Context, q rest.CancelBackupRequestObject) (rest.CancelBackupResponseObject, error) {
	if err := s.Backups.Cancel(q.Id); err != nil {
		return nil, backupError(err)
	}
	s.Audit(ctx, "cancel", storage.KindBackup, q.Id)
	return rest.CancelBackup204Response{}, nil
}
