package storage

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/google/btree"
)

// Mem is the KV in memory, DB's twin for simulations: it can lose what was not synced, and fail on demand.
//
// Its tree is copied on write, so a snapshot costs nothing; commits since the last sync are kept as a list, so that Crash can
// apply a prefix of them to what was durable. Entries never expire.
type Mem struct {
	o MemOptions

	mu      sync.Mutex
	tree    *btree.BTreeG[memEntry]
	durable *btree.BTreeG[memEntry]
	pending []Commit // since durable
	fail    []error
	closed  bool
}

// MemOptions are settings of NewMem.
type MemOptions struct {
	// SyncEvery makes every nth commit durable with those before it. 0 and 1 sync each commit as DB does; a negative value leaves
	// it to Sync and to the bound of maxPending.
	SyncEvery int
}

// maxPending bounds the list of unsynced commits.
const maxPending = 4096

type memEntry struct{ key, value []byte }

func memLess(a, b memEntry) bool { return bytes.Compare(a.key, b.key) < 0 }

var _ KV = (*Mem)(nil)

// NewMem returns an empty store.
func NewMem(o MemOptions) *Mem {
	t := btree.NewG(32, memLess)
	return &Mem{o: o, tree: t, durable: t.Clone()}
}

// FailNext makes the next Commit return err and write nothing. Calls add up: each fails one Commit.
func (m *Mem) FailNext(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = append(m.fail, err)
}

// Commit applies c.
func (m *Mem) Commit(c Commit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if len(m.fail) > 0 {
		err := m.fail[0]
		m.fail = m.fail[1:]
		return err
	}
	c.apply(m.tree)
	m.pending = append(m.pending, c)
	if n := len(m.pending); m.o.SyncEvery == 0 || m.o.SyncEvery > 0 && n >= m.o.SyncEvery || n >= maxPending {
		m.sync()
	}
	return nil
}

func (c Commit) apply(t *btree.BTreeG[memEntry]) {
	for _, e := range c.Entries {
		if e.Value == nil {
			t.Delete(memEntry{key: e.Key})
		} else {
			t.ReplaceOrInsert(memEntry{e.Key, e.Value})
		}
	}
	for _, p := range c.Positions {
		t.ReplaceOrInsert(memEntry{positionKey(c.Version, c.Shard, p.Topic, p.Partition), encodePosition(p)})
	}
}

// Sync makes every commit so far durable.
func (m *Mem) Sync() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sync()
}

func (m *Mem) sync() { m.durable, m.pending = m.tree.Clone(), m.pending[:0] }

// Unsynced returns how many commits a Crash could lose.
func (m *Mem) Unsynced() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pending)
}

// Crash returns the store as it would be after a crash: the durable state and the first keep(n) of the n unsynced commits
// (nil: none of them). m itself is closed.
func (m *Mem) Crash(keep func(n int) int) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := 0
	if keep != nil {
		k = max(0, min(keep(len(m.pending)), len(m.pending)))
	}
	t := m.durable.Clone()
	for _, c := range m.pending[:k] {
		c.apply(t)
	}
	m.closed = true
	return &Mem{o: m.o, tree: t, durable: t.Clone()}
}

// Get returns a copy of the value at key, or ErrNotFound.
func (m *Mem) Get(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	e, ok := m.tree.Get(memEntry{key: key})
	if !ok {
		return nil, ErrNotFound
	}
	return append([]byte{}, e.value...), nil
}

// Scan calls fn for each entry with from <= key < to, from one snapshot; fn may call back.
func (m *Mem) Scan(from, to []byte, fn func(key, value []byte) error) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	snapshot := m.tree.Clone()
	m.mu.Unlock()
	var err error
	snapshot.AscendGreaterOrEqual(memEntry{key: from}, func(e memEntry) bool {
		if len(to) > 0 && bytes.Compare(e.key, to) >= 0 {
			return false
		}
		// capped, so that an append by fn cannot reach the store
		err = fn(slices.Clip(e.key), slices.Clip(e.value))
		return err == nil
	})
	return err
}

// Keys is Scan without the values.
func (m *Mem) Keys(from, to []byte, fn func(key []byte) error) error {
	return m.Scan(from, to, func(k, _ []byte) error { return fn(k) })
}

// Positions returns every position stored for a version and shard, ordered by topic and partition.
func (m *Mem) Positions(version uint32, shard uint16) ([]Position, error) {
	return positions(m, version, shard)
}

// DropVersion deletes the views of a version in a shard, as DB does.
func (m *Mem) DropVersion(_ context.Context, version uint32, shard uint16) error {
	var c Commit
	from := Key(version, shard, 0)[:KeyPrefixLen-1]
	err := m.Keys(from, PrefixEnd(from), func(k []byte) error {
		if ofViews(k) {
			c.Entries = append(c.Entries, Entry{Key: bytes.Clone(k)})
		}
		return nil
	})
	if err != nil || len(c.Entries) == 0 {
		return err
	}
	return m.Commit(c)
}

// Close makes every later call return ErrClosed.
func (m *Mem) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
