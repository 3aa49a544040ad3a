package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
)

// ErrUnwritable is what every error of a write is that changed nothing and may pass: the same write may be tried again.
var ErrUnwritable = errors.New("storage: the data folder cannot be written")

// unwritable is a reason for ErrUnwritable.
type unwritable struct{ text, advice, reason string }

func (u *unwritable) Error() string        { return "storage: " + u.text + ": " + u.advice }
func (u *unwritable) Is(target error) bool { return target == ErrUnwritable }

// Reasons why the data folder cannot be written. Each is an ErrUnwritable.
var (
	// ErrDiskFull is returned while free space is under the floor.
	ErrDiskFull error = &unwritable{"free disk space is under the floor", "free space, or make the volume larger", "disk_full"}
	// ErrReadOnly is returned while the folder takes no new files.
	ErrReadOnly error = &unwritable{"the data folder is read-only", "mount it writable and give the process's user the right to write",
		"read_only"}
	// ErrDescriptors is returned while the process may open no more files.
	ErrDescriptors error = &unwritable{"no file descriptors are left",
		"close connections, or raise the limit of open files (ulimit -n, LimitNOFILE)", "descriptors"}
	// ErrFolderGone is returned once the folder is not the one that was opened.
	ErrFolderGone error = &unwritable{"the data folder was deleted or replaced while the process runs",
		"restart the process: it reads the topics again, or what a backup restored", "folder_gone"}
	// ErrReopening is returned while the state is opened again after a write that failed midway.
	ErrReopening error = &unwritable{"the state is being opened again after a failed write",
		"no action is needed, unless this lasts: then restart the process", "reopening"}
)

// UnwritableReason is the value of the label reason for an error, "" for one that is no ErrUnwritable.
func UnwritableReason(err error) string {
	var u *unwritable
	if errors.As(err, &u) {
		return u.reason
	}
	return ""
}

// unwritableErrno returns the reason that an error of the operating system means; nil: another.
func unwritableErrno(err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return ErrDescriptors
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return ErrReadOnly
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrDiskFull
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ESTALE):
		return ErrFolderGone
	}
	return nil
}

// AsUnwritable adds the reason to an error of the operating system that has one.
func AsUnwritable(err error) error {
	if why := unwritableErrno(err); why != nil && !errors.Is(err, ErrUnwritable) {
		return fmt.Errorf("%w (%w)", why, err)
	}
	return err
}

// probeDescriptors is how many files a probe opens at once: a write may begin a new log, a table and a list of tables, while a
// compaction writes others.
const probeDescriptors = 8

// probeName begins the name of the file that a probe makes and removes; probes may run at once.
const probeName = ".writable.watchingcat."

var probes atomic.Uint64

// FolderGuard finds out whether a folder takes files, before they are needed: what fails midway inside of a database cannot be undone.
type FolderGuard struct {
	dir    string
	anchor string      // a path in the folder, or itself
	was    os.FileInfo // of the anchor, when the folder was opened
	create func(name string) (*os.File, error)
}

// NewFolderGuard returns the guard of dir, which must stay the folder in which anchor is now.
func NewFolderGuard(dir, anchor string) (*FolderGuard, error) {
	was, err := os.Stat(anchor)
	if err != nil {
		return nil, err
	}
	return &FolderGuard{dir: dir, anchor: anchor, was: was, create: createFile}, nil
}

func createFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
}

// Same returns an error if the path no longer leads to the folder that was opened: what is written then is lost with the process.
func (g *FolderGuard) Same() error {
	now, err := os.Stat(g.anchor)
	switch {
	case err == nil && os.SameFile(now, g.was):
		return nil
	case err == nil:
		err = errors.New("another folder has its name")
	case unwritableErrno(err) != nil && !errors.Is(err, os.ErrNotExist):
		return AsUnwritable(err)
	}
	return fmt.Errorf("%w (%s: %w)", ErrFolderGone, g.dir, err)
}

// Check returns why the folder takes no new files; nil: it does.
func (g *FolderGuard) Check() error {
	if err := g.Same(); err != nil {
		return err
	}
	name := filepath.Join(g.dir, probeName+strconv.FormatUint(probes.Add(1), 10))
	var open []*os.File
	var err error
	for len(open) < probeDescriptors && err == nil {
		var f *os.File
		if f, err = g.create(name); err == nil {
			open = append(open, f)
		}
	}
	made := len(open) > 0
	for _, f := range open {
		err = errors.Join(err, f.Close())
	}
	if made {
		err = errors.Join(err, os.Remove(name))
	}
	if err == nil {
		return nil
	}
	if why := AsUnwritable(err); errors.Is(why, ErrUnwritable) {
		return why
	}
	return fmt.Errorf("%w (%s: %w)", ErrUnwritable, g.dir, err)
}
