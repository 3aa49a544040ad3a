package backup

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"golang.org/x/time/rate"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
)

// Source is the state of a process, or of a folder that no process uses.
type Source struct {
	State   *storage.DB
	Samples *samples.Folders
	// Describe says what the state holds.
	Describe      func(storage.KV) (Contents, error)
	Program, Host string
	Now           func() time.Time
}

// Options are settings of Take.
type Options struct {
	// ID is the name of the backup ("": a new one).
	ID string
	// BytesPerSecond bounds how fast it writes (0: no bound).
	BytesPerSecond int64
	// Keep is how many complete backups the store keeps, the new one included (0: all).
	Keep int
	// Wrote is called with the bytes of each file that was written; nil: nothing is.
	Wrote func(n int64)
}

// attempts is how often a backup begins anew after a version of the views was deleted meanwhile.
const attempts = 3

// Take writes a backup. What an error leaves behind is deleted, if the store still answers; it is incomplete in any case.
func Take(ctx context.Context, st Store, src Source, o Options) (m *Manifest, err error) {
	if o.Wrote == nil {
		o.Wrote = func(int64) {}
	}
	for range attempts {
		m, err = takeOnce(ctx, st, src, o)
		if err == nil || !errors.Is(err, samples.ErrNoVersion) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if o.Keep > 0 {
		if err := Prune(ctx, st, o.Keep, m.Finished); err != nil {
			return m, fmt.Errorf("the backup %s is complete, but deleting older ones failed: %w", m.ID, err)
		}
	}
	return m, nil
}

func takeOnce(ctx context.Context, st Store, src Source, o Options) (_ *Manifest, err error) {
	began := src.Now().UTC()
	frozen, err := src.State.Freeze()
	if err != nil {
		return nil, err
	}
	defer frozen.Release()
	m := &Manifest{Format: Format, ID: cmp.Or(o.ID, newID(began)), Program: src.Program, Host: src.Host, Started: began,
		SamplesRetention: int64(cmp.Or(src.Samples.Options.Retention, samples.DefaultRetention).Seconds())}
	if m.Contents, err = src.Describe(frozen); err != nil {
		return nil, err
	}
	t := &taking{st: st, m: m, o: o, frozen: frozen}
	if o.BytesPerSecond > 0 {
		t.limit = rate.NewLimiter(rate.Limit(o.BytesPerSecond), int(min(o.BytesPerSecond, 1<<20)))
	}
	defer func() {
		if err != nil {
			t.clean(ctx)
		}
	}()
	for _, v := range m.Samples {
		if err := src.Samples.Copy(ctx, v, func(ctx context.Context, files []samples.File) error { return t.samples(ctx, v, files) }); err != nil {
			return nil, fmt.Errorf("back up samples: %w", err)
		}
	}
	err = t.stream(ctx, stateStream, func(w io.Writer) error {
		_, err := frozen.Backup(w, 0)
		return err
	})
	frozen.Release()
	if err != nil {
		return nil, err
	}
	m.Finished = src.Now().UTC()
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	return m, put(ctx, st, path.Join(m.ID, manifestName), append(b, '\n'))
}

// taking is a backup that is being written.
type taking struct {
	st     Store
	m      *Manifest
	o      Options
	limit  *rate.Limiter
	frozen *storage.Frozen
}

// stream writes a stream.
func (t *taking) stream(ctx context.Context, name string, fill func(w io.Writer) error) error {
	w, err := newStreamWriter(ctx, t.st, t.m.ID, name, t.limit, t.o.Wrote)
	if err != nil {
		return err
	}
	if err := fill(w); err != nil {
		return errors.Join(err, w.abort())
	}
	s, err := w.close()
	if err != nil {
		return err
	}
	t.m.Streams = append(t.m.Streams, s)
	return nil
}

// samples writes the files of the samples of a version, as a tar archive.
func (t *taking) samples(ctx context.Context, version uint32, files []samples.File) error {
	return t.stream(ctx, samplesStream(version), func(w io.Writer) error {
		archive := tar.NewWriter(w)
		for _, f := range files {
			if err := t.frozen.Err(); err != nil {
				return err
			}
			if err := archive.WriteHeader(&tar.Header{Name: f.Name, Size: f.Size, Mode: 0o640, Format: tar.FormatPAX}); err != nil {
				return err
			}
			r, err := f.Open()
			if err != nil {
				return err
			}
			_, err = io.Copy(archive, r)
			if err = errors.Join(err, r.Close()); err != nil {
				return err
			}
		}
		return archive.Close()
	})
}

// clean deletes what a failed backup wrote. It has its own time: the backup's may be over.
func (t *taking) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = remove(ctx, t.st, t.m.ID) // what stays is incomplete, and Prune deletes it
}
