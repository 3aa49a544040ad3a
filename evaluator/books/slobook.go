package books

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

// SLOBook is the SLOs that users make.
type SLOBook struct {
	KV      storage.KV
	Objects storage.Editor

	mu sync.Mutex // one change at a time: each is made of what is stored
}

// List returns them, ordered by id.
func (b *SLOBook) List() ([]SLO, error) { return SLOs(b.KV) }

// Get returns one, or ErrRuleUnknown.
func (b *SLOBook) Get(id string) (*SLO, error) {
	v, err := storage.GetObject(b.KV, storage.KindSLO, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrRuleUnknown
	}
	if err != nil {
		return nil, err
	}
	var s SLO
	if err := json.Unmarshal(v, &s); err != nil {
		return nil, fmt.Errorf("evaluator: SLO %s: %w", id, err)
	}
	return &s, nil
}

// Tag is that of an SLO as it is stored.
func (s *SLO) Tag() (string, error) { return tagOf(s) }

// Create stores a new one under an id that follows from its name.
func (b *SLOBook) Create(ctx context.Context, by string, s SLO, now time.Time) (string, error) {
	s.ID = NewSLOID(s.Name)
	if s.ID == "" {
		s.ID = newRuleID() // of a name in other letters
	}
	if err := s.Check(); err != nil {
		return "", err
	}
	return s.ID, b.edit(ctx, now, func() (storage.Edit, error) {
		if err := b.free(s, ""); err != nil {
			return storage.Edit{}, err
		}
		return sloEdit(by, "create", s.ID, &s)
	})
}

// Update replaces one.
func (b *SLOBook) Update(ctx context.Context, by, id string, s SLO, match IfMatch, now time.Time) error {
	s.ID = id
	if err := s.Check(); err != nil {
		return err
	}
	return b.edit(ctx, now, func() (storage.Edit, error) {
		if err := b.free(s, id); err != nil {
			return storage.Edit{}, err
		}
		if err := b.matches(id, match); err != nil {
			return storage.Edit{}, err
		}
		return sloEdit(by, "update", id, &s)
	})
}

// Delete removes one.
func (b *SLOBook) Delete(ctx context.Context, by, id string, match IfMatch, now time.Time) error {
	return b.edit(ctx, now, func() (storage.Edit, error) {
		if err := b.matches(id, match); err != nil {
			return storage.Edit{}, err
		}
		return sloEdit(by, "delete", id, nil)
	})
}

func (b *SLOBook) edit(ctx context.Context, now time.Time, of func() (storage.Edit, error)) error {
	return edit(ctx, &b.mu, b.Objects, now, of)
}

// sloEdit is the edit that stores an SLO, or deletes it if s is nil.
func sloEdit(by, action, id string, s *SLO) (e storage.Edit, err error) {
	o := storage.Object{Kind: storage.KindSLO, ID: id}
	if s != nil {
		if o.Value, err = json.Marshal(s); err != nil {
			return e, fmt.Errorf("evaluator: SLO %s: %w", id, err)
		}
	}
	return storage.Edit{By: by, Action: action, Objects: []storage.Object{o}}, nil
}

// matches reads one that is to be changed.
func (b *SLOBook) matches(id string, match IfMatch) error {
	s, err := b.Get(id)
	if err != nil {
		return err
	}
	return match.check(s.Tag())
}

// free checks that no other SLO has its name: the series of an SLO are known by it.
func (b *SLOBook) free(s SLO, self string) error {
	list, err := b.List()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(o SLO) bool { return o.ID != self && (o.Name == s.Name || o.ID == s.ID) }) {
		return fmt.Errorf("%w: there is one named %q already", ErrSLOInvalid, s.Name)
	}
	return nil
}
