package notify

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/common/model"

	"github.com/gaurav/watchingcat/storage"
)

// unlogged is an alert that was put as firing and that the notification log does not know.
type unlogged struct {
	labels model.LabelSet
	noted  bool // the store says that it is suppressed
	over   bool // it has resolved: the note stays as it is until the outbox has forgotten it
}

// readSuppressed are the hashes of alerts that the process before this one noted as suppressed.
func (k *keeper) readSuppressed() (map[uint64]bool, error) {
	out := map[uint64]bool{}
	prefix := storage.Key(0, 0, storage.TableNotify, kindSuppressed)
	err := k.kv.Keys(prefix, storage.PrefixEnd(prefix), func(key []byte) error {
		if len(key) != len(prefix)+8 {
			return fmt.Errorf("notify: suppressed alert %x has an unknown form", key)
		}
		out[binary.BigEndian.Uint64(key[len(prefix):])] = true
		return nil
	})
	return out, err
}

// open begins to watch an alert that fires, until the notification log knows it or it is closed.
func (k *keeper) open(hash uint64, l model.LabelSet, noted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if u := k.unlogged[hash]; u != nil {
		u.over = false
	} else {
		k.unlogged[hash] = &unlogged{labels: l, noted: noted}
	}
}

// ended keeps the note about an alert as it is.
func (k *keeper) ended(hash uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if u := k.unlogged[hash]; u != nil {
		u.over = true
	}
}

// forgotten forgets alerts that have ended, and with them the notes.
func (k *keeper) forgotten(hashes []uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range hashes {
		if u := k.unlogged[h]; u != nil && u.over {
			k.close(h)
		}
	}
}

// forgetNotes drops notes about alerts that are not watched.
func (k *keeper) forgetNotes(noted map[uint64]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for h := range noted {
		if k.unlogged[h] == nil {
			k.unsent[string(suppressedKey(h))] = nil
		}
	}
}

// close forgets an alert and the note about it.
func (k *keeper) close(hash uint64) {
	if u := k.unlogged[hash]; u != nil {
		delete(k.unlogged, hash)
		if u.noted {
			k.unsent[string(suppressedKey(hash))] = nil
		}
	}
}

func suppressedKey(hash uint64) []byte {
	return storage.Key(0, 0, storage.TableNotify, binary.BigEndian.AppendUint64([]byte{kindSuppressed}, hash)...)
}
