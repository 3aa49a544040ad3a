package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// SpaceProbe guards the free-space floor. It asks the file system at most once a second and counts its own writes in between.
type SpaceProbe struct {
	dir   string
	floor uint64
	free  func(dir string) (uint64, error)
	now   func() time.Time

	probed  time.Time
	last    uint64
	written uint64 // since probed
}

// NewSpaceProbe returns the guard of the floor of dir.
func NewSpaceProbe(dir string, floor uint64, free func(dir string) (uint64, error), now func() time.Time) SpaceProbe {
	return SpaceProbe{dir: dir, floor: floor, free: free, now: now}
}

// Check returns ErrDiskFull if a commit of that many bytes would reach the floor.
func (s *SpaceProbe) Check(commit uint64) error {
	if now := s.now(); s.probed.IsZero() || now.Sub(s.probed) >= time.Second || now.Before(s.probed) {
		free, err := s.free(s.dir)
		if err != nil {
			return fmt.Errorf("storage: free space of %s: %w", s.dir, err)
		}
		s.probed, s.last, s.written = now, free, 0
	}
	if s.last < s.floor+s.written+commit {
		return fmt.Errorf("%w: %d bytes free in %s, floor %d", ErrDiskFull, s.last, s.dir, s.floor)
	}
	s.written += commit
	return nil
}

// filesIn returns the paths of the files in a folder whose names end in suffix. The folder's name may hold any character.
func filesIn(dir, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("storage: list files: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// recoverMargin is for the headers of the files that Badger makes at Open.
const recoverMargin = 1 << 20

// roomToRecover refuses to open on a disk that cannot take what Badger will write back from its memtable logs: it would not
// fail but be killed.
func roomToRecover(dir string, freeBytes func(dir string) (uint64, error)) error {
	files, err := filesIn(dir, ".mem")
	if err != nil {
		return err
	}
	need := uint64(0)
	for _, f := range files {
		if fi, err := os.Stat(f); err == nil {
			need += allocated(fi)
		}
	}
	free, err := freeBytes(dir)
	if err != nil {
		return fmt.Errorf("storage: free space of %s: %w", dir, err)
	}
	if free < need+recoverMargin {
		return fmt.Errorf("%w: recovery needs %d bytes in %s, %d are free", ErrDiskFull, need, dir, free)
	}
	return nil
}

// removeEmptyMemtables deletes the empty files that a kill inside Badger's file deletion leaves. Badger truncates a memtable's
// log before it removes it, and refuses to open when it finds one of length 0 (dgraph-io/badger issue 2207).
func removeEmptyMemtables(dir string) error {
	files, err := filesIn(dir, ".mem")
	if err != nil {
		return err
	}
	for _, f := range files {
		fi, err := os.Stat(f)
		if err != nil {
			return fmt.Errorf("storage: look at memtable: %w", err)
		}
		if fi.Size() > 0 {
			continue
		}
		if err := os.Remove(f); err != nil {
			return fmt.Errorf("storage: remove empty memtable: %w", err)
		}
	}
	return nil
}
