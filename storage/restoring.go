package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// restoringName is the file that says that what is in its folder is a part of a backup. It is the first file of a restore, and
// is removed when everything else is on disk, so an interrupted restore is never taken for a whole state.
const restoringName = "RESTORING.watchingcat"

// ErrRestoring is returned by Open for a folder into which a restore did not end.
var ErrRestoring = errors.New("storage: the restore into this data folder did not finish: run `watchingcat restore` again")

// ErrNotEmpty is returned for a restore into a folder or a database that holds something.
var ErrNotEmpty = errors.New("storage: restore needs an empty data folder")

// beside are entries of a folder that is empty nevertheless: the lock file, and that of ext4's own.
var beside = []string{"LOCK.watchingcat", "lost+found"}

// clearToRestore deletes the remains of a restore, and notes that one begins. The caller holds the folder.
func clearToRestore(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("storage: restore: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return slices.Contains(beside, e.Name()) })
	began := slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == restoringName })
	if len(entries) > 0 && !began {
		return fmt.Errorf("%w: %s holds %s", ErrNotEmpty, dir, entries[0].Name())
	}
	for _, e := range entries {
		if e.Name() == restoringName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("storage: delete the remains of an interrupted restore: %w", err)
		}
	}
	if began {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, restoringName), os.O_CREATE|os.O_WRONLY, 0o640)
	if err == nil {
		_, err = f.WriteString("watchingcat restore did not finish: run it again.\n")
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = syncFolder(dir)
	}
	if err != nil {
		return fmt.Errorf("storage: restore: %w", AsUnwritable(err))
	}
	return nil
}

// EndRestore makes a folder that OpenToRestore opened, and that is closed, one that Open takes. Everything in it must have been synced.
func EndRestore(dir string) error {
	err := syncFolder(dir)
	if err == nil {
		err = os.Remove(filepath.Join(dir, restoringName))
	}
	if err == nil {
		err = syncFolder(dir)
	}
	if err != nil {
		return fmt.Errorf("storage: end of a restore: %w", err)
	}
	return nil
}

// restored returns an error if a restore into the folder did not end.
func restored(dir string) error {
	_, err := os.Stat(filepath.Join(dir, restoringName))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("storage: open state in %s: %w", dir, err)
	}
	return fmt.Errorf("%w (%s)", ErrRestoring, dir)
}
