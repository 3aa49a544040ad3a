package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// A value longer than chunkBytes is stored as chunks under keys of its own, in the same transaction; the entry itself says how
// many. Badger would put such values into its value log, a second file that a crash may tear at another place than the first.
//
//	key                                         value                      user meta
//	the entry's                                 number of chunks uint32 BE metaChunked
//	0xffffffff, the entry's, chunk uint32 BE    the chunk
//
// No version is 0xffffffff, so scans end before the chunks. Behind them, where a chunk's key would name that version or the one before, are
// the owners of segments (segments.go) and the redo area (redo.go).
const (
	chunkBytes  = blockBytes - 512
	metaChunked = 1
)

// blockBytes is the size of a block of Badger's tables. A chunk, its key and the block's trailer fit one: what is larger Badger builds in
// memory by doubling, and keeps the memory of several tables for the next ones.
const blockBytes = 32 << 10

var chunkPrefix = []byte{0xff, 0xff, 0xff, 0xff}

func chunkKey(key []byte, i uint32) []byte {
	k := make([]byte, 0, len(chunkPrefix)+len(key)+4)
	k = append(append(k, chunkPrefix...), key...)
	return binary.BigEndian.AppendUint32(k, i)
}

// writer is a transaction, or many in a row.
type writer interface {
	SetEntry(e *badger.Entry) error
	Delete(key []byte) error
}

// chunkWriter writes entries; chunks of the values that they replace are deleted.
type chunkWriter struct {
	txn     writer
	before  *badger.Txn       // reads what there was
	changed map[string]stored // what has been written in another way than what there was
	live    map[uint32]int64  // bytes that became live in a segment, less those that no longer are
}

// stored is where a value is apart from its entry.
type stored struct {
	chunks  uint32
	pointed bool
	at      pointer
}

// storedAt returns where the value at key is.
func (w *chunkWriter) storedAt(key []byte) (s stored, err error) {
	if s, ok := w.changed[string(key)]; ok {
		return s, nil
	}
	item, err := w.before.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("storage: get %x: %w", key, err)
	}
	if s.at, s.pointed, err = pointerOf(item); err != nil || s.pointed {
		return s, err
	}
	s.chunks, err = chunkCount(item)
	return s, err
}

// chunkCount returns in how many chunks the item's value is stored; 0: it is not.
func chunkCount(item *badger.Item) (n uint32, err error) {
	if item.UserMeta() != metaChunked {
		return 0, nil
	}
	err = item.Value(func(v []byte) error {
		if len(v) != 4 {
			return fmt.Errorf("%d bytes where the number of chunks is expected", len(v))
		}
		n = binary.BigEndian.Uint32(v)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("storage: read %x: %w", item.Key(), err)
	}
	return n, nil
}

func (w *chunkWriter) set(e Entry) error {
	n := e.chunks
	if len(e.Value) > chunkBytes {
		n = chunksFor(e.Value)
	}
	now := stored{chunks: n, pointed: e.pointed}
	if e.pointed {
		var err error
		if now.at, err = parsePointer(e.Value); err != nil {
			return err
		}
	}
	old, err := w.storedAt(e.Key)
	if err != nil {
		return err
	}
	if now != old {
		if w.changed == nil {
			w.changed = map[string]stored{}
		}
		w.changed[string(e.Key)] = now
	}
	for i := n; i < old.chunks; i++ {
		if err := w.txn.Delete(chunkKey(e.Key, i)); err != nil {
			return err
		}
	}
	if err := w.move(e.Key, old, now); err != nil {
		return err
	}
	if e.pointed {
		return w.txn.SetEntry((&badger.Entry{Key: e.Key, Value: e.Value}).WithMeta(metaPointer))
	}
	if e.Value == nil && n == 0 {
		return w.txn.Delete(e.Key)
	}
	if n == 0 {
		return w.txn.SetEntry(&badger.Entry{Key: e.Key, Value: e.Value, ExpiresAt: e.ExpiresAt})
	}
	if err := writeChunks(w.txn, e); err != nil {
		return err
	}
	head := &badger.Entry{Key: e.Key, Value: binary.BigEndian.AppendUint32(nil, n), ExpiresAt: e.ExpiresAt}
	return w.txn.SetEntry(head.WithMeta(metaChunked))
}

// move notes in which segment the value at key is, and no longer is.
func (w *chunkWriter) move(key []byte, old, now stored) error {
	if now == old {
		return nil
	}
	if w.live == nil && (old.pointed || now.pointed) {
		w.live = map[uint32]int64{}
	}
	if old.pointed {
		w.live[old.at.segment] -= int64(old.at.length)
		if err := w.txn.Delete(ownerKey(old.at.segment, key)); err != nil {
			return err
		}
	}
	if now.pointed {
		w.live[now.at.segment] += int64(now.at.length)
		return w.txn.SetEntry(&badger.Entry{Key: ownerKey(now.at.segment, key), Value: now.at.owner()})
	}
	return nil
}

// apart returns the item's value if it is kept apart from the entry, in a segment or in chunks; else ok is false.
func (db *DB) apart(txn *badger.Txn, item *badger.Item) (value []byte, ok bool, err error) {
	p, ok, err := pointerOf(item)
	if err != nil {
		return nil, false, err
	}
	if ok {
		value, err = db.segments.read(p)
		return value, true, err
	}
	n, err := chunkCount(item)
	if err != nil || n == 0 {
		return nil, false, err
	}
	value = make([]byte, 0, int(n)*chunkBytes)
	for i := range n {
		it, err := txn.Get(chunkKey(item.Key(), i))
		if err == nil {
			err = it.Value(func(v []byte) error { value = append(value, v...); return nil })
		}
		if err != nil {
			return nil, false, fmt.Errorf("storage: read chunk %d of %x: %w", i, item.Key(), err)
		}
	}
	return value, true, nil
}

// readValue calls fn with the item's key and whole value.
func (db *DB) readValue(txn *badger.Txn, item *badger.Item, fn func(key, value []byte) error) error {
	value, ok, err := db.apart(txn, item)
	if err != nil {
		return err
	}
	if ok {
		return fn(item.KeyCopy(nil), value)
	}
	return readInline(item, fn)
}

// readInline calls fn with the item's key and the value that its entry holds.
func readInline(item *badger.Item, fn func(key, value []byte) error) error {
	var failed error
	err := item.Value(func(v []byte) error {
		failed = fn(item.Key(), v)
		return nil
	})
	if err != nil {
		return fmt.Errorf("storage: read %x: %w", item.Key(), err)
	}
	return failed
}

// logLine formats one of Badger's lines, which end in a newline sometimes.
func logLine(f string, v []any) string { return "badger: " + strings.TrimSpace(fmt.Sprintf(f, v...)) }
