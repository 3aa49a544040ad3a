package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gaurav/watchingcat/storage"
)

// Machine is what WatchingCat gets from the machine that it runs on.
type Machine struct {
	DataDir string
	// RawBytes is what raw spans and log lines may take in DataDir, MinFree what is to stay free there.
	RawBytes, MinFree uint64
	// Memory is the limit that the process keeps, in bytes; OpenFiles is its limit of open files, Clients how many connections that allows.
	Memory             int64
	OpenFiles, Clients int
}

const (
	// viewsBytes is room for views, metric samples and compaction beside raw records.
	viewsBytes = 2 << 30
	// fineMemory is what caches and windows are sized for; fewFiles allows about a thousand clients.
	fineMemory = 1 << 30
	fewFiles   = 4096
)

// Examine adds what it finds to r. It creates and removes a file in the data folder, if the folder exists.
func (m Machine) Examine(r *Report) {
	m.disk(about{r, "machine", m.DataDir})
	a := about{r, "machine", ""}
	if m.Memory < fineMemory {
		a.found(Note, "memory", "Give the process 1 GiB or more where there is room (WATCHINGCAT_MEMORY_LIMIT, or the limit of the container).",
			"Caches and windows are sized from it; reads are slower with less.", "the memory limit is %s", size(int(m.Memory)))
	} else {
		a.ok("memory", "the memory limit is %s", size(int(m.Memory)))
	}
	if m.OpenFiles < fewFiles {
		a.found(Warning, "open_files", "Raise the limit of open files to 65536 (ulimit -n, LimitNOFILE of the unit).",
			"Connections beyond it are refused.", "%d files may be open, which leaves %s", m.OpenFiles, many(m.Clients, "connection", "connections"))
		return
	}
	a.ok("open_files", "%d files may be open, which leaves %s", m.OpenFiles, many(m.Clients, "connection", "connections"))
}

func (m Machine) disk(a about) {
	dir, exists, err := nearest(m.DataDir)
	if err == nil && exists {
		err = writable(dir)
	}
	if err != nil {
		a.found(Failure, "data_dir", "Make the folder writable for the user that runs WatchingCat, or set WATCHINGCAT_DATA_DIR.", "", "the data folder cannot be used: %v", err)
		return
	}
	free, err := storage.FreeBytes(dir)
	if err != nil {
		a.found(Note, "disk", "Look at the free space of "+dir+".", "", "the free space cannot be read: %v", err)
		return
	}
	used := uint64(0)
	if exists {
		if used, err = storage.FolderSize(dir); err != nil {
			a.found(Note, "disk", "Make the folder readable for this user.", "", "its size cannot be read: %v", err)
			return
		}
	}
	if needs := m.RawBytes + m.MinFree + viewsBytes; free+used < needs {
		a.found(Warning, "disk", "Use a larger disk, or lower WATCHINGCAT_RETENTION_TRACES and WATCHINGCAT_RETENTION_LOGS.",
			fmt.Sprintf("Reading pauses while less than %s are free.", size(int(m.MinFree))),                                              //nolint:gosec // a size of a disk
			"%s are free and %s in use; the retention settings may take %s", size(int(free)), size(int(used)), size(int(needs-m.MinFree))) //nolint:gosec // sizes of disks
		return
	}
	a.ok("disk", "%s are free, %s in use", size(int(free)), size(int(used))) //nolint:gosec // sizes of disks
}

// nearest is the folder, or the nearest one above that exists.
func nearest(dir string) (found string, exists bool, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", false, err
	}
	for at, exists := dir, true; ; exists = false {
		info, err := os.Stat(at)
		switch {
		case err == nil && info.IsDir():
			return at, exists, nil
		case err == nil:
			return "", false, fmt.Errorf("%s is not a folder", at)
		case !errors.Is(err, fs.ErrNotExist) || filepath.Dir(at) == at:
			return "", false, err
		}
		at = filepath.Dir(at)
	}
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
