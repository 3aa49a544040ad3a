package samples

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Folders are the folders of samples, one for each version of the views that has any.
type Folders struct {
	DataDir string
	// Options are those of every version but for the Registerer, which gets a label for the version.
	Options Options

	mu   sync.Mutex
	open map[uint32]*Store // the newest of each version, closed or not
}

func (f *Folders) dir(version uint32) string {
	return filepath.Join(f.DataDir, "metrics", strconv.FormatUint(uint64(version), 10))
}

// Open begins to open the samples of a version, as the function Open does.
func (f *Folders) Open(version uint32) *Store {
	o := f.Options
	if o.Registerer != nil {
		o.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"view_version": strconv.FormatUint(uint64(version), 10)},
			o.Registerer)
	}
	s := Open(f.dir(version), o)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = map[uint32]*Store{}
	}
	f.open[version] = s
	return s
}

// Versions are those that have a folder, ascending.
func (f *Folders) Versions() ([]uint32, error) {
	entries, err := os.ReadDir(filepath.Join(f.DataDir, "metrics"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("storage: list samples: %w", err)
	}
	var list []uint32
	for _, e := range entries {
		if v, err := strconv.ParseUint(e.Name(), 10, 32); err == nil && e.IsDir() {
			list = append(list, uint32(v))
		}
	}
	slices.Sort(list)
	return list, nil
}

// Drop deletes the samples of a version, which must be closed. Called again after an interruption it goes on.
func (f *Folders) Drop(version uint32) error {
	f.mu.Lock()
	delete(f.open, version)
	f.mu.Unlock()
	if err := os.RemoveAll(f.dir(version)); err != nil {
		return fmt.Errorf("storage: drop samples of version %d: %w", version, err)
	}
	return nil
}
