// Package tempdb opens Badger in a temporary folder, for one benchmark.
package tempdb

import (
	"errors"
	"os"

	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/storage"
)

// DB is an open database.
type DB struct {
	*storage.DB
	Dir string
}

// Open makes a folder with a prefix, in parent or where the system keeps temporary files.
func Open(parent, prefix string) (*DB, error) {
	dir, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, err
	}
	db, err := storage.Open(dir, storage.Options{Logger: zerolog.Nop()})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &DB{db, dir}, nil
}

// Remove closes the database and removes its folder.
func (d *DB) Remove() error { return errors.Join(d.Close(), os.RemoveAll(d.Dir)) }
