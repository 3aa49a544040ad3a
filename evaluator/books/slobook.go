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

// matches reads one that is to be changed.
func (b *SLOBook) matches(id string, match IfMatch) error {
	s, err := b.Get(id)
	if err != nil {
		return err
	}
	tag, err := s.Tag()
	return errors.Join(err, match.check(tag))
}

// Create stores a new one under an id that follows from its name.
func (b *SLOBook) Create(ctx context.Context, by string, s SLO, now time.Time) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.ID = NewSLOID(s.Name)
	if s.ID == "" {
		s.ID = newRuleID() // of a name in other letters
	}
	if err := b.free(ctx, s, ""); err != nil {
		return "", err
	}
	return s.ID, b.write(ctx, by, "create", s, now)
}

// Update replaces one.
func (b *SLOBook) Update(ctx context.Context, by, id string, s SLO, match IfMatch, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.ID = id
	if err := b.free(ctx, s, id); err != nil {
		return err
	}
	if err := b.matches(id, match); err != nil {
		return err
	}
	return b.write(ctx, by, "update", s, now)
}

// free checks an SLO and that no other has its name: the series of an SLO are known by it.
func (b *SLOBook) free(ctx context.Context, s SLO, self string) error {
	if err := s.Check(); err != nil {
		return err
	}
	if err := b.Objects.Sync(ctx); err != nil {
		return err
	}
	list, err := b.List()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(o SLO) bool { return o.ID != self && (o.Name == s.Name || o.ID == s.ID) }) {
		return fmt.Errorf("%w: there is one named %q already", ErrSLOInvalid, s.Name)
	}
	return nil
}

func (b *SLOBook) write(ctx context.Context, by, action string, s SLO, now time.Time) error {
	v, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("evaluator: SLO %s: %w", s.ID, err)
	}
	return b.Objects.Write(ctx, storage.Edit{By: by, Action: action,
		Objects: []storage.Object{{Kind: storage.KindSLO, ID: s.ID, Value: v}}}, now)
}

// Delete removes one.
func (b *SLOBook) Delete(ctx context.Context, by, id string, match IfMatch, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.Objects.Sync(ctx); err != nil {
		return err
	}
	if err := b.matches(id, match); err != nil {
		return err
	}
	return b.Objects.Write(ctx, storage.Edit{By: by, Action: "delete", Objects: []storage.Object{{Kind: storage.KindSLO, ID: id}}}, now)
}
