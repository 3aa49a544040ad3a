package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"time"
)

// Format is the format of backups that this program writes, and the newest that it reads.
const Format = 1

// manifestName is the file that makes a backup complete.
const manifestName = "manifest.json"

// maxManifest bounds a manifest: about 200,000 files.
const maxManifest = 64 << 20

// Errors that callers distinguish.
var (
	ErrNoBackup   = errors.New("there is no complete backup")
	ErrIncomplete = errors.New("the backup is incomplete: it has no manifest, which is written last")
	ErrDamaged    = errors.New("the backup is damaged")
	ErrFormat     = errors.New("the backup has a format that this version of WatchingCat does not read: use the version that wrote it, or a later one")
)

// Manifest says what a backup holds.
type Manifest struct {
	Format   int       `json:"format"`
	ID       string    `json:"id"`
	Program  string    `json:"program"` // its version
	Host     string    `json:"host"`
	Started  time.Time `json:"started"` // the state is as of this time
	Finished time.Time `json:"finished"`
	Contents
	SamplesRetention int64    `json:"samples_retention_s"`
	Streams          []Stream `json:"streams"`
}

// Contents is what the state holds, as far as whoever restores it needs to know.
type Contents struct {
	Views     []View     `json:"views"`
	Positions []Position `json:"positions"`
	Samples   []uint32   `json:"samples"` // versions of the views that have metric samples
}

// View is one version of the views.
type View struct {
	Version uint32 `json:"version"`
	Format  uint64 `json:"format"`
	Live    bool   `json:"live"`
}

// Position is the next record of a partition that the live version of the views reads.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Stream is one kind of data, cut into files.
type Stream struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"` // before compression
	Files []File `json:"files"`
}

// File is a piece of a stream.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Size is the size of the backup in its store.
func (m *Manifest) Size() (n int64) {
	for _, s := range m.Streams {
		for _, f := range s.Files {
			n += f.Bytes
		}
	}
	return n
}

// Unpacked is how many bytes are restored.
func (m *Manifest) Unpacked() (n int64) {
	for _, s := range m.Streams {
		n += s.Bytes
	}
	return n
}

func (m *Manifest) stream(name string) (Stream, bool) {
	for _, s := range m.Streams {
		if s.Name == name {
			return s, true
		}
	}
	return Stream{}, false
}

var idForm = regexp.MustCompile(`^\d{8}T\d{6}Z-[0-9a-f]{4}$`)

// newID is the name of a backup. Names sort by time.
func newID(now time.Time) string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // it never fails
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}

// IsID reports whether a name is that of a backup.
func IsID(name string) bool { return idForm.MatchString(name) }

// ReadManifest reads and checks the manifest of a backup.
func ReadManifest(ctx context.Context, st Store, id string) (*Manifest, error) {
	b, err := readAll(ctx, st, path.Join(id, manifestName), maxManifest)
	if errors.Is(err, ErrNoFile) {
		return nil, fmt.Errorf("%s in %s: %w", id, st, ErrIncomplete)
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %s: %w", id, err)
	}
	m, err := parseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w", id, st, err)
	}
	if m.ID != id {
		return nil, fmt.Errorf("%s in %s: %w: its manifest is of %q", id, st, ErrDamaged, m.ID)
	}
	return m, nil
}

func parseManifest(b []byte) (*Manifest, error) {
	var version struct{ Format int }
	if err := json.Unmarshal(b, &version); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrDamaged, err)
	}
	if version.Format < 1 || version.Format > Format {
		return nil, fmt.Errorf("%w (format %d, this one reads %d)", ErrFormat, version.Format, Format)
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrDamaged, err)
	}
	if _, ok := m.stream(stateStream); !ok {
		return nil, fmt.Errorf("%w: its manifest names no state", ErrDamaged)
	}
	for _, v := range m.Samples {
		if _, ok := m.stream(samplesStream(v)); !ok {
			return nil, fmt.Errorf("%w: its manifest lacks the samples of version %d", ErrDamaged, v)
		}
	}
	for _, s := range m.Streams {
		for i, f := range s.Files {
			if f.Name != pieceName(s.Name, i) || f.Bytes < 0 || f.Bytes > maxPiece || len(f.SHA256) != 64 {
				return nil, fmt.Errorf("%w: its manifest names a file %q of %d bytes", ErrDamaged, f.Name, f.Bytes)
			}
		}
	}
	return m, nil
}

const stateStream = "state"

func samplesStream(version uint32) string { return fmt.Sprintf("samples-%d", version) }

// pieceName is the name of a stream's file: together, in their order, the files are one zstd stream.
func pieceName(stream string, n int) string { return fmt.Sprintf("%s.zst.%06d", stream, n) }
