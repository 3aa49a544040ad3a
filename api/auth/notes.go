package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

// useEvery is how exactly the last use of a token is kept: each use would be a write.
const useEvery = time.Hour

// A note is an object that holds a time: when a token was used, until when a login would have been valid.
func note(kind, id string, t time.Time) storage.Object {
	b, _ := json.Marshal(t.UTC()) // a time of this millennium always can be
	return storage.Object{Kind: kind, ID: id, Value: b}
}

// noted is the time of a note, zero where there is none.
func (a *Accounts) noted(kind, id string) (t time.Time, err error) {
	b, err := storage.GetObject(a.KV, kind, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return t, nil
	case err == nil:
		err = json.Unmarshal(b, &t)
	}
	if err != nil {
		return t, fmt.Errorf("auth: %s %s: %w", kind, id, err)
	}
	return t, nil
}

// uses is when tokens were used last, by id: in this process, and as it was noted last.
type uses struct {
	mu   sync.Mutex
	last map[string]use
}

type use struct{ at, noted time.Time }

// Used records that a token is in use. Once an hour it returns a note of that, which the caller writes for all replicas.
func (a *Accounts) Used(p Principal, now time.Time) (storage.Object, bool) {
	if p.token == "" {
		return storage.Object{}, false
	}
	a.uses.mu.Lock()
	defer a.uses.mu.Unlock()
	u, known := a.uses.last[p.token]
	if !known {
		u.noted, _ = a.noted(storage.KindTokenUse, p.token) // a note that cannot be read is written again
	}
	due := now.Sub(u.noted) >= useEvery
	if u.at = now; due {
		u.noted = now
	}
	if a.uses.last == nil {
		a.uses.last = map[string]use{}
	}
	a.uses.last[p.token] = u
	return note(storage.KindTokenUse, p.token, now), due
}

// lastUse is when a token was used last, by what this process saw and what was noted.
func (a *Accounts) lastUse(id string) (time.Time, error) {
	noted, err := a.noted(storage.KindTokenUse, id)
	a.uses.mu.Lock()
	defer a.uses.mu.Unlock()
	if u := a.uses.last[id]; u.at.After(noted) {
		return u.at, err
	}
	return noted, err
}

// forgetUse drops what is remembered of a token that is gone.
func (a *Accounts) forgetUse(id string) {
	a.uses.mu.Lock()
	defer a.uses.mu.Unlock()
	delete(a.uses.last, id)
}

// endings are logins that this process ended, by id, until they would have expired. The topic brings them to all replicas later.
type endings struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// EndLogin ends the login that p is verified by, and its renewals. It returns the note of that for all replicas, and deletions of notes
// that have expired. Changed finds the connections of the login that are open.
func (a *Auth) EndLogin(p Principal) ([]storage.Object, error) {
	if p.session == "" {
		return nil, nil
	}
	now := a.cfg.Now()
	until := now.Add(a.cfg.Duration + time.Minute) // one that is renewed at this moment is valid for as long
	a.ended.mu.Lock()
	defer a.ended.mu.Unlock()
	if a.ended.until == nil {
		a.ended.until = map[string]time.Time{}
	}
	for id, until := range a.ended.until {
		if !now.Before(until) {
			delete(a.ended.until, id)
		}
	}
	a.ended.until[p.session] = until
	out := []storage.Object{note(storage.KindEnded, p.session, until)}
	list, err := storage.Objects(a.KV, storage.KindEnded)
	for _, o := range list {
		var until time.Time
		if err := json.Unmarshal(o.Value, &until); err != nil || !now.Before(until) {
			out = append(out, storage.Object{Kind: o.Kind, ID: o.ID})
		}
	}
	return out, err
}

// isEnded reports whether a login was ended. A login whose note cannot be read counts as ended.
func (a *Accounts) isEnded(session string) bool {
	if session == "" {
		return false
	}
	a.ended.mu.Lock()
	_, here := a.ended.until[session]
	a.ended.mu.Unlock()
	if here {
		return true
	}
	until, err := a.noted(storage.KindEnded, session)
	return err != nil || !until.IsZero()
}
