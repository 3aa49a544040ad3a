package books

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

//go:embed example.json
var exampleJSON []byte

// ExampleID is the ID of the dashboard that every installation has. It cannot be changed.
const ExampleID = "example-services"

// DashboardBook is the dashboards that users make, and one example.
type DashboardBook struct {
	KV      storage.KV
	Objects storage.Editor

	mu sync.Mutex // one change at a time: each is made of what is stored
}

// Example is the dashboard that is part of the program.
func Example() (*Dashboard, error) {
	var d Dashboard
	if err := json.Unmarshal(exampleJSON, &d); err != nil {
		return nil, fmt.Errorf("evaluator: example dashboard: %w", err)
	}
	d.ID = ExampleID
	return &d, nil
}

// List returns them by title, and the example last.
func (b *DashboardBook) List() ([]Dashboard, error) {
	list, err := dashboardShelf.list(b.KV)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(x, y Dashboard) int { return strings.Compare(strings.ToLower(x.Title), strings.ToLower(y.Title)) })
	e, err := Example()
	if err != nil {
		return nil, err
	}
	return append(list, *e), nil
}

// Get returns one, or ErrDashboardUnknown.
func (b *DashboardBook) Get(id string) (*Dashboard, error) {
	if id == ExampleID {
		return Example()
	}
	return dashboardShelf.get(b.KV, id)
}

// Tag is that of a dashboard as it is stored.
func (d *Dashboard) Tag() (string, error) { return tagOf(d) }

// Create stores a new one under an ID of its own.
func (b *DashboardBook) Create(ctx context.Context, by string, d Dashboard, now time.Time) (string, error) {
	d.ID, d.UpdatedAt, d.UpdatedBy = newRuleID(), now.UTC(), by
	if err := d.Check(); err != nil {
		return "", err
	}
	return d.ID, edit(ctx, &b.mu, b.Objects, now, func() (storage.Edit, error) {
		list, err := storage.Objects(b.KV, storage.KindDashboard)
		if err != nil {
			return storage.Edit{}, err
		}
		if len(list) >= MaxDashboards {
			return storage.Edit{}, dashboardWrong("%d dashboards are stored, which is the limit: delete one first", len(list))
		}
		return dashboardShelf.put(by, "create", d.ID, &d)
	})
}

// Update replaces one.
func (b *DashboardBook) Update(ctx context.Context, by, id string, d Dashboard, match IfMatch, now time.Time) error {
	d.ID, d.UpdatedAt, d.UpdatedBy = id, now.UTC(), by
	if err := d.Check(); err != nil {
		return err
	}
	return edit(ctx, &b.mu, b.Objects, now, func() (storage.Edit, error) {
		if err := b.matches(id, match); err != nil {
			return storage.Edit{}, err
		}
		return dashboardShelf.put(by, "update", id, &d)
	})
}

// Delete removes one.
func (b *DashboardBook) Delete(ctx context.Context, by, id string, match IfMatch, now time.Time) error {
	return edit(ctx, &b.mu, b.Objects, now, func() (storage.Edit, error) {
		if err := b.matches(id, match); err != nil {
			return storage.Edit{}, err
		}
		return dashboardShelf.remove(by, id)
	})
}

// matches reports whether one can be changed, and is the one that its editor saw.
func (b *DashboardBook) matches(id string, match IfMatch) error {
	if id == ExampleID {
		return ErrDashboardExample
	}
	return dashboardShelf.matches(b.KV, id, match)
}
