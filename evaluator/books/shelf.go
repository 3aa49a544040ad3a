package books

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gaurav/watchingcat/storage"
)

// A shelf is the documents of one kind in the store, each an object of its own with a T in JSON.
type shelf[T any] struct {
	kind    string // see storage
	name    string // of one, for errors
	unknown error  // says that there is none with an ID
}

var (
	sloShelf       = shelf[SLO]{storage.KindSLO, "SLO", ErrRuleUnknown}
	dashboardShelf = shelf[Dashboard]{storage.KindDashboard, "dashboard", ErrDashboardUnknown}
	viewShelf      = shelf[SavedView]{storage.KindSavedView, "saved view", ErrViewUnknown}
)

// list returns them all, ordered by ID.
func (s *shelf[T]) list(kv storage.KV) ([]T, error) {
	objects, err := storage.Objects(kv, s.kind)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(objects))
	for i, o := range objects {
		if err := json.Unmarshal(o.Value, &out[i]); err != nil {
			return nil, fmt.Errorf("evaluator: %s %s: %w", s.name, o.ID, err)
		}
	}
	return out, nil
}

// get returns one, or the error that it is unknown.
func (s *shelf[T]) get(kv storage.KV, id string) (*T, error) {
	value, err := storage.GetObject(kv, s.kind, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, s.unknown
	}
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(value, v); err != nil {
		return nil, fmt.Errorf("evaluator: %s %s: %w", s.name, id, err)
	}
	return v, nil
}

// put is the edit that stores v under an ID.
func (s *shelf[T]) put(by, action, id string, v *T) (storage.Edit, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return storage.Edit{}, fmt.Errorf("evaluator: %s %s: %w", s.name, id, err)
	}
	return storage.Edit{By: by, Action: action, Objects: []storage.Object{{Kind: s.kind, ID: id, Value: value}}}, nil
}

// remove is the edit that deletes the one with an ID.
func (s *shelf[T]) remove(by, id string) (storage.Edit, error) {
	return storage.Edit{By: by, Action: "delete", Objects: []storage.Object{{Kind: s.kind, ID: id}}}, nil
}

// matches reports whether there is one with an ID, and it is the one that its editor saw.
func (s *shelf[T]) matches(kv storage.KV, id string, match IfMatch) error {
	v, err := s.get(kv, id)
	if err != nil {
		return err
	}
	return match.check(tagOf(v))
}
