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
// No version is 0xffffffff, so scans end before the chunks. Behind them, where a chunk's key would name that version, is the redo
// area (redo.go).
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
	changed map[string]uint32 // chunks of what has been written
}

// chunksOf returns how many chunks the value at key has.
func (w *chunkWriter) chunksOf(key []byte) (uint32, error) {
	if n, ok := w.changed[string(key)]; ok {
		return n, nil
	}
	item, err := w.before.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("storage: get %x: %w", key, err)
	}
	return chunkCount(item)
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
	old, err := w.chunksOf(e.Key)
	if err != nil {
		return err
	}
	if n != old {
		if w.changed == nil {
			w.changed = map[string]uint32{}
		}
		w.changed[string(e.Key)] = n
	}
	for i := n; i < old; i++ {
		if err := w.txn.Delete(chunkKey(e.Key, i)); err != nil {
			return err
		}
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

// readValue calls fn with the item's key and whole value.
func readValue(txn *badger.Txn, item *badger.Item, fn func(key, value []byte) error) error {
	if item.UserMeta() != metaChunked {
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
	n, err := chunkCount(item)
	if err != nil {
		return err
	}
	key := item.KeyCopy(nil)
	whole := make([]byte, 0, int(n)*chunkBytes)
	for i := range n {
		it, err := txn.Get(chunkKey(key, i))
		if err == nil {
			err = it.Value(func(v []byte) error { whole = append(whole, v...); return nil })
		}
		if err != nil {
			return fmt.Errorf("storage: read chunk %d of %x: %w", i, key, err)
		}
	}
	return fn(key, whole)
}

// logLine formats one of Badger's lines, which end in a newline sometimes.
func logLine(f string, v []any) string { return "badger: " + strings.TrimSpace(fmt.Sprintf(f, v...)) }
