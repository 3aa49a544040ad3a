package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/storage"
)

// Limits bound what a Book keeps; zero values mean the defaults.
type Limits struct {
	Retention time.Duration // after an incident resolved (30 d)
	Incidents int           // the oldest resolved ones go first (5,000)
	OpenOnes  int           // alerts beyond so many open incidents belong to none (200)
}

// Book is all incidents. Its methods may be called concurrently.
type Book struct {
	kv     storage.KV
	limits Limits

	mu      sync.RWMutex // a Tx holds it until its entries are committed
	open    map[string]*Incident
	headers []Header // of all, the oldest first
}

// ErrNotFound says that there is no such incident, or no more.
var ErrNotFound = errors.New("evaluator: no such incident")

const (
	keyHeader = 'h'
	keyBody   = 'b'
)

func key(kind byte, id string) []byte {
	return append(storage.Key(0, 0, storage.TableIncident, kind), id...)
}

// Open reads the headers of all incidents and the open ones whole.
func Open(kv storage.KV, l Limits) (*Book, error) {
	if l.Retention == 0 {
		l.Retention = 30 * 24 * time.Hour
	}
	if l.Incidents == 0 {
		l.Incidents = 5000
	}
	if l.OpenOnes == 0 {
		l.OpenOnes = 200
	}
	b := &Book{kv: kv, limits: l, open: map[string]*Incident{}}
	prefix := key(keyHeader, "")
	err := kv.Scan(prefix, storage.PrefixEnd(prefix), func(k, value []byte) error {
		var h Header
		if err := json.Unmarshal(value, &h); err != nil {
			return fmt.Errorf("evaluator: incident %s: %w", k[len(prefix):], err)
		}
		b.headers = append(b.headers, h)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, h := range b.headers {
		if h.Open() {
			if b.open[h.ID], err = b.read(h.ID); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func (b *Book) read(id string) (*Incident, error) {
	value, err := b.kv.Get(key(keyBody, id))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("evaluator: incident %s: %w", id, err)
	}
	i := &Incident{}
	if err := json.Unmarshal(value, i); err != nil {
		return nil, fmt.Errorf("evaluator: incident %s: %w", id, err)
	}
	return i, nil
}

// List returns the headers of all incidents, the newest first.
func (b *Book) List() []Header {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := slices.Clone(b.headers)
	slices.Reverse(out)
	return out
}

// OpenOnes is how many incidents are open.
func (b *Book) OpenOnes() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.open)
}

// Get returns an incident, or ErrNotFound. An id of another replica leads to the incident here that the same alert belongs to: the two may
// differ by the moment in which the alert fired.
func (b *Book) Get(id string) (*Incident, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	id = b.currentID(id)
	if i := b.open[id]; i != nil {
		return i.clone(), nil
	}
	if i, err := b.read(id); !errors.Is(err, ErrNotFound) {
		return i, err
	}
	return b.near(id)
}

// Current is the id of the incident that an incident became part of; its own where it did not.
func (b *Book) Current(id string) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.currentID(id)
}

func (b *Book) currentID(id string) string {
	if b.at(id) >= 0 {
		return id
	}
	for n := len(b.headers) - 1; n >= 0; n-- {
		if slices.Contains(b.headers[n].Merged, id) {
			return b.headers[n].ID
		}
	}
	return id
}

// near looks for the incident whose alert made an id at another replica.
func (b *Book) near(id string) (*Incident, error) {
	var at, of int64
	if n, err := fmt.Sscanf(id, "%x-%x", &at, &of); err != nil || n != 2 {
		return nil, ErrNotFound
	}
	fired := time.Unix(at, 0)
	for n := len(b.headers) - 1; n >= 0; n-- {
		h := &b.headers[n]
		if h.FiredAt.After(fired.Add(JoinWithin)) || !h.Open() && h.ResolvedAt.Before(fired.Add(-JoinWithin)) {
			continue
		}
		i := b.open[h.ID]
		if i == nil {
			var err error
			if i, err = b.read(h.ID); err != nil {
				return nil, err
			}
		}
		if slices.ContainsFunc(i.Members, func(m Member) bool { return strings.HasSuffix(id, "-"+m.Key[:8]) }) {
			return i.clone(), nil
		}
	}
	return nil, ErrNotFound
}

// newID is the id of the incident that begins with an alert: when it fired, and which it is, so that replicas come to the same.
func newID(r *alert.Record) string { return fmt.Sprintf("%08x-%s", r.FiredAt.Unix(), KeyOf(r)[:8]) }
