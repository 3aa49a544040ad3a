package evaluator

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gaurav/watchingcat/storage"
)

// history is the newest transitions of alerts. They are stored in the transaction that stores the states, so that what a process before
// this one decided can be read.
type history struct {
	limit int
	list  []Transition
	next  uint64 // number of the next one
}

const maxHistory = 10_000

// The value of a TableHistory entry is a Transition as JSON.
func historyKey(n uint64) []byte {
	return storage.Key(0, 0, storage.TableHistory, binary.BigEndian.AppendUint64(nil, n)...)
}

func openHistory(kv storage.KV, limit int) (*history, error) {
	h := &history{limit: limit}
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
		h.list = append(h.list, t)
		h.next = binary.BigEndian.Uint64(key[storage.KeyPrefixLen:]) + 1
		return nil
	})
	if err == nil && len(foreign) > 0 {
		err = kv.Commit(storage.Commit{Entries: foreign})
	}
	return h, err
}

// entries are the writes that add transitions and drop the oldest beyond the limit; add follows once they are committed.
func (h *history) entries(list []Transition) ([]storage.Entry, error) {
	var out []storage.Entry
	for i, t := range list {
		b, err := json.Marshal(t)
		if err != nil {
			return nil, fmt.Errorf("evaluator: transition of %s: %w", t.Labels, err)
		}
		out = append(out, storage.Entry{Key: historyKey(h.next + uint64(i)), Value: b})
	}
	for i := range h.excess(len(list)) {
		out = append(out, storage.Entry{Key: historyKey(h.next - uint64(len(h.list)) + uint64(i))})
	}
	return out, nil
}

// excess is how many of the oldest go when n more come.
func (h *history) excess(n int) int { return min(len(h.list), max(0, len(h.list)+n-h.limit)) }

func (h *history) add(list []Transition) {
	h.list = append(h.list[h.excess(len(list)):], list...)
	h.next += uint64(len(list))
}

// take returns the transitions since it was called last.
func (h *history) take() []Transition {
	out := h.list
	h.list = nil
	return out
}

// newest returns up to limit transitions, newest first; 0 means all.
func (h *history) newest(limit int) []Transition {
	if limit <= 0 || limit > len(h.list) {
		limit = len(h.list)
	}
	out := slices.Clone(h.list[len(h.list)-limit:])
	slices.Reverse(out)
	return out
}
