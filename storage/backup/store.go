package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Store is where backups are kept: files by names with slashes. Its String shows no credentials.
type Store interface {
	// Put writes a file whole, or not at all, and returns when it is durable.
	Put(ctx context.Context, name string, b []byte) error
	// Get opens a file; it is ErrNoFile if there is none.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List returns the files whose names begin with prefix, in any order.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Delete deletes a file; one that does not exist is deleted.
	Delete(ctx context.Context, name string) error
	String() string
}

// Object is one file of a store.
type Object struct {
	Name     string
	Bytes    int64
	Modified time.Time
}

// ErrNoFile is returned by Store.Get.
var ErrNoFile = errors.New("there is no such file")

// Split takes the ID of a backup off the end of a location: a folder or a URL names all backups in it, or one.
func Split(location string) (root, id string) {
	place, query := location, ""
	if i := strings.IndexByte(location, '?'); i >= 0 && strings.Contains(location[:i], "://") {
		place, query = location[:i], location[i:]
	}
	place = strings.TrimRight(place, "/")
	i := strings.LastIndexAny(place, `/\`)
	last := place[i+1:]
	switch {
	case !IsID(last):
		return location, ""
	case i < 0:
		return ".", last
	}
	return place[:i+1] + query, last
}

// local keeps backups in a folder.
type local struct{ dir string }

// Folder is the store in a folder, which is made when something is written.
func Folder(dir string) Store { return local{filepath.Clean(dir)} }

func (l local) String() string { return l.dir }

func (l local) path(name string) string { return filepath.Join(l.dir, filepath.FromSlash(name)) }

// temporary ends the names of files that are being written.
const temporary = ".tmp"

func (l local) Put(ctx context.Context, name string, b []byte) (err error) {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	to := l.path(name)
	dir := filepath.Dir(to)
	made := !exists(dir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	out, err := os.OpenFile(to+temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = out.Write(b)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return errors.Join(err, os.Remove(to+temporary))
	}
	if err := os.Rename(to+temporary, to); err != nil {
		return err
	}
	if err := syncFolder(dir); err != nil || !made {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// syncFolder makes the names in a folder survive a power loss.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (l local) Get(_ context.Context, name string) (io.ReadCloser, error) {
	r, err := os.Open(l.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoFile, l.path(name))
	}
	return r, err
}

func (l local) List(_ context.Context, prefix string) ([]Object, error) {
	var list []Object
	err := filepath.WalkDir(l.dir, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the folder, or a backup that is being deleted
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(l.dir, p)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		if e.IsDir() {
			if top, _, _ := strings.Cut(name, "/"); !IsID(top) {
				return fs.SkipDir // of others
			}
			return nil
		}
		if !strings.HasPrefix(name, prefix) {
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		list = append(list, Object{name, info.Size(), info.ModTime()})
		return nil
	})
	return list, err
}

func (l local) Delete(_ context.Context, name string) error {
	if err := os.Remove(l.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if dir := filepath.Dir(l.path(name)); dir != l.dir {
		_ = os.Remove(dir) // it is removed with its last file
	}
	return nil
}
