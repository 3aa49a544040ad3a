package books

import (
	"context"
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
func (b *SLOBook) Get(id string) (*SLO, error) { return sloShelf.get(b.KV, id) }

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
		return sloShelf.put(by, "create", s.ID, &s)
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
		if err := sloShelf.matches(b.KV, id, match); err != nil {
			return storage.Edit{}, err
		}
		return sloShelf.put(by, "update", id, &s)
	})
}

// Delete removes one.
func (b *SLOBook) Delete(ctx context.Context, by, id string, match IfMatch, now time.Time) error {
	return b.edit(ctx, now, func() (storage.Edit, error) {
		if err := sloShelf.matches(b.KV, id, match); err != nil {
			return storage.Edit{}, err
		}
		return sloShelf.remove(by, id)
	})
}

func (b *SLOBook) edit(ctx context.Context, now time.Time, of func() (storage.Edit, error)) error {
	return edit(ctx, &b.mu, b.Objects, now, of)
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
