package evaluator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

// SLOBook is the SLOs that users make.
type SLOBook struct {
	KV      storage.KV
	Objects storage.Editor
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

// Create stores a new one under an id that follows from its name.
func (b *SLOBook) Create(ctx context.Context, by string, s SLO, now time.Time) (string, error) {
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
func (b *SLOBook) Update(ctx context.Context, by, id string, s SLO, now time.Time) error {
	s.ID = id
	if err := b.free(ctx, s, id); err != nil {
		return err
	}
	if _, err := b.Get(id); err != nil {
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
	return b.Objects.Write(ctx, storage.Edit{By: by, Action: action, Objects: []storage.Object{{Kind: storage.KindSLO, ID: s.ID, Value: v}}}, now)
}

// Delete removes one.
func (b *SLOBook) Delete(ctx context.Context, by, id string, now time.Time) error {
	if err := b.Objects.Sync(ctx); err != nil {
		return err
	}
	if _, err := b.Get(id); err != nil {
		return err
	}
	return b.Objects.Write(ctx, storage.Edit{By: by, Action: "delete", Objects: []storage.Object{{Kind: storage.KindSLO, ID: id}}}, now)
}
