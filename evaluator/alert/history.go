package alert

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gaurav/watchingcat/storage"
)

// History is the newest transitions of alerts. They are stored in the transaction that stores the states, so that what a process before
// this one decided can be read.
type History struct {
	Limit int
	List  []Transition
	Next  uint64 // number of the next one
}

// MaxHistory is how many transitions are kept.
const MaxHistory = 10_000

// The value of a TableHistory entry is a Transition as JSON.
func historyKey(n uint64) []byte {
	return storage.Key(0, 0, storage.TableHistory, binary.BigEndian.AppendUint64(nil, n)...)
}

// OpenHistory reads the transitions that are stored; limit is how many are kept from now on.
func OpenHistory(kv storage.KV, limit int) (*History, error) {
	h := &History{Limit: limit}
	var foreign []storage.Entry
	prefix := storage.Key(0, 0, storage.TableHistory)
	err := kv.Scan(prefix, storage.PrefixEnd(prefix), func(key, value []byte) error {
		if len(key) != storage.KeyPrefixLen+8 { // hashes of spans, which format 2 kept in the same table
			foreign = append(foreign, storage.Entry{Key: bytes.Clone(key)})
			return nil
		}
		var t Transition
		if err := json.Unmarshal(value, &t); err != nil {
			return fmt.Errorf("evaluator: history entry %x: %w", key, err)
		}
		h.List = append(h.List, t)
		h.Next = binary.BigEndian.Uint64(key[storage.KeyPrefixLen:]) + 1
		return nil
	})
	if err == nil && len(foreign) > 0 {
		err = kv.Commit(storage.Commit{Entries: foreign})
	}
	return h, err
}

// Entries are the writes that add transitions and drop the oldest beyond the limit; add follows once they are committed.
func (h *History) Entries(list []Transition) ([]storage.Entry, error) {
	var out []storage.Entry
	for i, t := range list {
		b, err := json.Marshal(t)
		if err != nil {
			return nil, fmt.Errorf("evaluator: transition of %s: %w", t.Labels, err)
		}
		out = append(out, storage.Entry{Key: historyKey(h.Next + uint64(i)), Value: b})
	}
	for i := range h.excess(len(list)) {
		out = append(out, storage.Entry{Key: historyKey(h.Next - uint64(len(h.List)) + uint64(i))})
	}
	return out, nil
}

// excess is how many of the oldest go when n more come.
func (h *History) excess(n int) int { return min(len(h.List), max(0, len(h.List)+n-h.Limit)) }

// Add lets memory follow what Entries wrote.
func (h *History) Add(list []Transition) {
	h.List = append(h.List[h.excess(len(list)):], list...)
	h.Next += uint64(len(list))
}

// Take returns the transitions since it was called last.
func (h *History) Take() []Transition {
	out := h.List
	h.List = nil
	return out
}

// Newest returns up to limit transitions, newest first; 0 means all.
func (h *History) Newest(limit int) []Transition {
	if limit <= 0 || limit > len(h.List) {
		limit = len(h.List)
	}
	out := slices.Clone(h.List[len(h.List)-limit:])
	slices.Reverse(out)
	return out
}
