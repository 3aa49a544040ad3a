package books

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
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
	list, err := b.stored()
	if err != nil {
		return nil, err
	}
	e, err := Example()
	if err != nil {
		return nil, err
	}
	return append(list, *e), nil
}

func (b *DashboardBook) stored() ([]Dashboard, error) {
	objects, err := storage.Objects(b.KV, storage.KindDashboard)
	if err != nil {
		return nil, err
	}
	out := make([]Dashboard, len(objects))
	for i, o := range objects {
		if err := json.Unmarshal(o.Value, &out[i]); err != nil {
			return nil, fmt.Errorf("evaluator: dashboard %s: %w", o.ID, err)
		}
	}
	slices.SortStableFunc(out, func(x, y Dashboard) int { return strings.Compare(strings.ToLower(x.Title), strings.ToLower(y.Title)) })
	return out, nil
}

// Get returns one, or ErrDashboardUnknown.
func (b *DashboardBook) Get(id string) (*Dashboard, error) {
	if id == ExampleID {
		return Example()
	}
	v, err := storage.GetObject(b.KV, storage.KindDashboard, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrDashboardUnknown
	}
	if err != nil {
		return nil, err
	}
	var d Dashboard
	if err := json.Unmarshal(v, &d); err != nil {
		return nil, fmt.Errorf("evaluator: dashboard %s: %w", id, err)
	}
	return &d, nil
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
		return dashboardEdit(by, "create", d.ID, &d)
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
		return dashboardEdit(by, "update", id, &d)
	})
}

// Delete removes one.
func (b *DashboardBook) Delete(ctx context.Context, by, id string, match IfMatch, now time.Time) error {
	return edit(ctx, &b.mu, b.Objects, now, func() (storage.Edit, error) {
		if err := b.matches(id, match); err != nil {
			return storage.Edit{}, err
		}
		return dashboardEdit(by, "delete", id, nil)
	})
}

func dashboardEdit(by, action, id string, d *Dashboard) (e storage.Edit, err error) {
	o := storage.Object{Kind: storage.KindDashboard, ID: id}
	if d != nil {
		if o.Value, err = json.Marshal(d); err != nil {
			return e, fmt.Errorf("evaluator: dashboard %s: %w", id, err)
		}
	}
	return storage.Edit{By: by, Action: action, Objects: []storage.Object{o}}, nil
}

// matches reads one that is to be changed.
func (b *DashboardBook) matches(id string, match IfMatch) error {
	if id == ExampleID {
		return ErrDashboardExample
	}
	d, err := b.Get(id)
	if err != nil {
		return err
	}
	return match.check(d.Tag())
}
