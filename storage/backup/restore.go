package backup

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
)

// RestoreOptions are settings of Restore.
type RestoreOptions struct {
	State   storage.Options
	Samples samples.Options // but for the retention, which is that of the backup
	// Describe says what the state holds: it must be what the manifest says.
	Describe func(storage.KV) (Contents, error)
	// Read is called with the bytes of each file that was read; nil: nothing is.
	Read func(n int64)
}

// Restore writes a backup to an empty folder, or to one in which a restore was interrupted. The folder is a data folder only when it returns
// nil: until then every command refuses it.
func Restore(ctx context.Context, st Store, m *Manifest, dir string, o RestoreOptions) (err error) {
	if o.Read == nil {
		o.Read = func(int64) {}
	}
	if err := room(dir, m, &o); err != nil {
		return err
	}
	db, err := storage.OpenToRestore(dir, o.State)
	if err != nil {
		return err
	}
	if err := restoreInto(ctx, st, m, dir, db, o); err != nil {
		return errors.Join(err, db.Close())
	}
	if err := db.Close(); err != nil {
		return err
	}
	return storage.EndRestore(dir)
}

// room returns an error if the disk cannot hold what is restored.
func room(dir string, m *Manifest, o *RestoreOptions) error {
	free, floor := o.State.FreeBytes, o.State.MinFreeBytes
	if free == nil {
		free = storage.FreeBytes
	}
	if floor == 0 {
		floor = storage.DefaultMinFreeBytes
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return storage.AsUnwritable(err)
	}
	n, err := free(dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if need := uint64(m.Unpacked()) + floor; n < need {
		return fmt.Errorf("%w: %d bytes are free in %s, the backup needs %d and %d stay free (WATCHINGCAT_MIN_FREE_DISK_BYTES)",
			storage.ErrDiskFull, n, dir, m.Unpacked(), floor)
	}
	return nil
}

func restoreInto(ctx context.Context, st Store, m *Manifest, dir string, db *storage.DB, o RestoreOptions) error {
	state, _ := m.stream(stateStream)
	err := reading(ctx, st, m.ID, state, o.Read, func(r io.Reader) error { return db.Restore(r) })
	if errors.Is(err, storage.ErrBackupDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	got, err := o.Describe(db)
	if err != nil {
		return err
	}
	if err := m.agrees(got); err != nil {
		return err
	}
	o.Samples.Retention = time.Duration(m.SamplesRetention) * time.Second
	folders := &samples.Folders{DataDir: dir, Options: o.Samples}
	for _, v := range m.Samples {
		s, _ := m.stream(samplesStream(v))
		to, err := folders.Folder(v)
		if err != nil {
			return storage.AsUnwritable(err)
		}
		if err := reading(ctx, st, m.ID, s, o.Read, func(r io.Reader) error { return unpack(r, to) }); err != nil {
			return fmt.Errorf("restore samples: %w", storage.AsUnwritable(err))
		}
		if err := folders.Restored(ctx, v); err != nil {
			return err
		}
		if err := syncFolder(filepath.Dir(to)); err != nil {
			return err
		}
	}
	return nil
}

// agrees compares what was restored with what the manifest says.
func (m *Manifest) agrees(got Contents) error {
	if fmt.Sprint(got.Positions) != fmt.Sprint(m.Positions) || fmt.Sprint(got.Views) != fmt.Sprint(m.Views) {
		return fmt.Errorf("%w: its state has other positions or versions than its manifest", ErrDamaged)
	}
	return nil
}

// reading calls fn with a stream, and reads the rest of it.
func reading(ctx context.Context, st Store, id string, s Stream, read func(int64), fn func(io.Reader) error) error {
	r, err := openStream(ctx, st, id, s, read)
	if err != nil {
		return err
	}
	defer r.Close()
	if err = fn(r); err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		return r.err // rather than what became of it
	}
	return err
}

// unpack writes the files of an archive below a folder, and returns when they are on disk.
func unpack(r io.Reader, dir string) error {
	made := map[string]bool{dir: true}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(filepath.FromSlash(h.Name)) || h.Typeflag != tar.TypeReg {
			return fmt.Errorf("%w: it names a file %q", ErrDamaged, h.Name)
		}
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		for d := filepath.Dir(name); !made[d]; d = filepath.Dir(d) {
			made[d] = true
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			return err
		}
		out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		//nolint:gosec // a file is as long as its header says, and the manifest has the sum of the stream
		_, err = io.Copy(out, in)
		if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
			return err
		}
	}
	for d := range made {
		if err := syncFolder(d); err != nil {
			return err
		}
	}
	return nil
}

// Verify reads all of a backup and compares it with its checksums.
func Verify(ctx context.Context, st Store, m *Manifest, read func(n int64)) error {
	for _, s := range m.Streams {
		if err := reading(ctx, st, m.ID, s, read, func(io.Reader) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}
