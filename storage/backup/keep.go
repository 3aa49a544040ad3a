package backup

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Entry is one backup of a store.
type Entry struct {
	ID       string
	Complete bool
	Bytes    int64
	Modified time.Time // when its newest file was written
}

// List returns the backups of a store, the newest first.
func List(ctx context.Context, st Store) ([]Entry, error) {
	objects, err := st.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list backups in %s: %w", st, err)
	}
	by := map[string]*Entry{}
	var list []*Entry
	for _, o := range objects {
		id, name, ok := strings.Cut(o.Name, "/")
		if !ok || !IsID(id) {
			continue
		}
		e := by[id]
		if e == nil {
			e = &Entry{ID: id}
			by[id] = e
			list = append(list, e)
		}
		e.Complete = e.Complete || name == manifestName
		e.Bytes += o.Bytes
		if o.Modified.After(e.Modified) {
			e.Modified = o.Modified
		}
	}
	slices.SortFunc(list, func(a, b *Entry) int { return strings.Compare(b.ID, a.ID) })
	out := make([]Entry, len(list))
	for i, e := range list {
		out[i] = *e
	}
	return out, nil
}

// Newest returns the newest complete backup, or ErrNoBackup.
func Newest(ctx context.Context, st Store) (string, error) {
	list, err := List(ctx, st)
	if err != nil {
		return "", err
	}
	for _, e := range list {
		if e.Complete {
			return e.ID, nil
		}
	}
	err = fmt.Errorf("%w in %s", ErrNoBackup, st)
	if len(list) > 0 {
		err = fmt.Errorf("%w; %d incomplete ones are there", err, len(list))
	}
	return "", err
}

// abandoned is how long nothing is written to an incomplete backup before it is deleted: another process may be writing it.
const abandoned = 24 * time.Hour

// Prune deletes complete backups but for the newest, and incomplete ones to which nothing was written for a day.
func Prune(ctx context.Context, st Store, keep int, now time.Time) error {
	list, err := List(ctx, st)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range list {
		if e.Complete {
			if keep--; keep >= 0 {
				continue
			}
		} else if now.Sub(e.Modified) < abandoned {
			continue
		}
		errs = append(errs, remove(ctx, st, e.ID))
	}
	return errors.Join(errs...)
}

// remove deletes a backup, its manifest first: what is left of it is incomplete.
func remove(ctx context.Context, st Store, id string) error {
	if err := st.Delete(ctx, path.Join(id, manifestName)); err != nil {
		return fmt.Errorf("delete %s of %s: %w", id, st, err)
	}
	objects, err := st.List(ctx, id+"/")
	if err != nil {
		return fmt.Errorf("delete %s of %s: %w", id, st, err)
	}
	for _, o := range objects {
		if err := st.Delete(ctx, o.Name); err != nil {
			return fmt.Errorf("delete %s of %s: %w", o.Name, st, err)
		}
	}
	return nil
}
