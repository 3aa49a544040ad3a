package samples

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gaurav/watchingcat/storage"
)

// File is one file of samples as it is to be copied: its first Size bytes, whatever is appended to it.
type File struct {
	Name string // below the folder of the version, with slashes
	Size int64
	path string
}

// Open opens the file's bytes.
func (f File) Open() (io.ReadCloser, error) {
	r, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(r, f.Size), r}, nil
}

// Copy calls fn with the files that hold every sample appended so far. Until fn returns, the TSDB writes no blocks and deletes nothing;
// samples are appended as ever. fn's context ends when the samples are being closed.
//
// The files are what a kill would leave, less the chunks that are mapped to memory (chunks_head): the logs hold the samples of those too, and
// the file that is written to may be changed in place. Restore opens what was copied once, see there.
func (s *Store) Copy(ctx context.Context, fn func(ctx context.Context, files []File) error) error {
	if err := s.Wait(ctx); err != nil {
		return err
	}
	s.tending.Lock()
	defer s.tending.Unlock()
	if s.closed.Load() {
		return storage.ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.stop:
			cancel(storage.ErrClosed)
		case <-ctx.Done():
		}
	}()
	s.mu.Lock() // between two appends
	files, err := filesOf(s.dir)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("storage: list files of samples: %w", err)
	}
	if err := fn(ctx, files); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return err
	}
	return nil
}

// filesOf lists the files of a folder of samples, in an order that does not change.
func filesOf(dir string) ([]File, error) {
	var list []File
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == dir:
			return nil
		case e.IsDir() && (e.Name() == "chunks_head" || strings.Contains(e.Name(), ".tmp")):
			return fs.SkipDir
		case !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") || e.Name() == "lock":
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		list = append(list, File{filepath.ToSlash(name), info.Size(), path})
		return err
	})
	return list, err
}

// Copy copies the samples of a version: of the open store, or of the folder where none is open, which the caller holds then. It is
// ErrNoVersion if the version has no samples, or none any more.
func (f *Folders) Copy(ctx context.Context, version uint32, fn func(ctx context.Context, files []File) error) error {
	f.mu.Lock()
	s := f.open[version]
	f.mu.Unlock()
	if s != nil {
		err := s.Copy(ctx, fn)
		if errors.Is(err, storage.ErrClosed) {
			err = fmt.Errorf("%w: version %d is being deleted", ErrNoVersion, version)
		}
		return err
	}
	files, err := filesOf(f.dir(version))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: version %d", ErrNoVersion, version)
	}
	if err != nil {
		return fmt.Errorf("storage: list files of samples: %w", err)
	}
	return fn(ctx, files)
}

// ErrNoVersion is returned by Copy.
var ErrNoVersion = errors.New("storage: there are no samples of this version of the views")

// Restored opens samples that were copied into the folder of a version, and closes them. The TSDB reads its logs and writes samples that came
// out of order to blocks: their log refers to mapped chunks, which were not copied, and later chunks would be taken for them.
func (f *Folders) Restored(ctx context.Context, version uint32) (err error) {
	s := Open(f.dir(version), f.Options)
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Wait(ctx); err != nil {
		return err
	}
	if err := s.writable(0); err != nil {
		return err
	}
	s.tending.Lock()
	defer s.tending.Unlock()
	defer func() {
		if p := recover(); p != nil {
			err = storage.AsUnwritable(panicked(p))
		}
	}()
	if err := s.db.CompactOOOHead(ctx); err != nil {
		return fmt.Errorf("storage: restore samples: %w", storage.AsUnwritable(err))
	}
	return nil
}

// Folder makes the folder of a version and returns its path, for files to be restored to.
func (f *Folders) Folder(version uint32) (string, error) {
	dir := f.dir(version)
	return dir, os.MkdirAll(dir, 0o750)
}
