package books

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

// A SavedView is the query of a page of the user interface under a name: the value of an object of storage.KindSavedView.
type SavedView struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	Page  string    `json:"page"`
	Query string    `json:"query"` // of the page's URL
	By    string    `json:"by"`    // who saved it last
	At    time.Time `json:"at"`    // by the wall clock
}

// mostViews is how many an installation keeps.
const mostViews = 500

// What is wrong with a change of saved views.
var (
	ErrViewUnknown = errors.New("there is no such saved view")
	ErrViewExists  = errors.New("the page already has a saved view of this name")
	ErrViewsFull   = fmt.Errorf("there are %d saved views, which is the limit", mostViews)
)

// ViewBook is the views that users save. Its methods may be called concurrently.
type ViewBook struct {
	KV      storage.KV
	Objects storage.Editor

	mu sync.Mutex // one change at a time: each is made of what is stored
}

// List returns them, ordered by name.
func (b *ViewBook) List() ([]SavedView, error) {
	out, err := viewShelf.list(b.KV)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b SavedView) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Page, b.Page), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// Get returns one, or ErrViewUnknown.
func (b *ViewBook) Get(id string) (*SavedView, error) { return viewShelf.get(b.KV, id) }

// Tag is that of a saved view as it is stored.
func (v *SavedView) Tag() (string, error) { return tagOf(v) }

// Create saves a new one.
func (b *ViewBook) Create(ctx context.Context, v SavedView) (SavedView, error) {
	v.ID = newRuleID()
	return v, b.edit(ctx, v, "create", func(list []SavedView) error {
		if len(list) >= mostViews {
			return ErrViewsFull
		}
		return free(list, v)
	})
}

// Update replaces the one with the ID of v.
func (b *ViewBook) Update(ctx context.Context, v SavedView, match IfMatch) error {
	return b.edit(ctx, v, "update", func(list []SavedView) error {
		if err := viewShelf.matches(b.KV, v.ID, match); err != nil {
			return err
		}
		return free(list, v)
	})
}

// Delete removes one. now is the wall clock.
func (b *ViewBook) Delete(ctx context.Context, by, id string, match IfMatch, now time.Time) error {
	return edit(ctx, &b.mu, b.Objects, now, func() (storage.Edit, error) {
		if err := viewShelf.matches(b.KV, id, match); err != nil {
			return storage.Edit{}, err
		}
		return viewShelf.remove(by, id)
	})
}

// edit stores v if check accepts it beside those that are stored.
func (b *ViewBook) edit(ctx context.Context, v SavedView, action string, check func(list []SavedView) error) error {
	return edit(ctx, &b.mu, b.Objects, v.At, func() (storage.Edit, error) {
		list, err := b.List()
		if err != nil {
			return storage.Edit{}, err
		}
		if err := check(list); err != nil {
			return storage.Edit{}, err
		}
		return viewShelf.put(v.By, action, v.ID, &v)
	})
}

// free checks that no other view of the page has the name.
func free(list []SavedView, v SavedView) error {
	if slices.ContainsFunc(list, func(o SavedView) bool { return o.ID != v.ID && o.Page == v.Page && o.Name == v.Name }) {
		return ErrViewExists
	}
	return nil
}
