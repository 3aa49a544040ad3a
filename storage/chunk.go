package storage

import (
	"encoding/binary"
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
// No version is 0xffffffff, so scans end before the chunks.
const (
	chunkBytes  = 64 << 10
	metaChunked = 1
)

var chunkPrefix = []byte{0xff, 0xff, 0xff, 0xff}

func chunkKey(key []byte, i uint32) []byte {
	k := make([]byte, 0, len(chunkPrefix)+len(key)+4)
	k = append(append(k, chunkPrefix...), key...)
	return binary.BigEndian.AppendUint32(k, i)
}

// chunkWriter puts entries into a transaction and keeps account of the chunks.
type chunkWriter struct {
	txn     *badger.Txn
	chunked map[string]uint32
	changed map[string]uint32 // what chunked will be told once the transaction is in; 0: no chunks
}

func (w *chunkWriter) chunksOf(key []byte) uint32 {
	if n, ok := w.changed[string(key)]; ok {
		return n
	}
	return w.chunked[string(key)]
}

func (w *chunkWriter) set(e Entry) error {
	n := uint32(0)
	if len(e.Value) > chunkBytes {
		n = uint32((len(e.Value) + chunkBytes - 1) / chunkBytes)
	}
	old := w.chunksOf(e.Key)
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
	if e.Value == nil {
		return w.txn.Delete(e.Key)
	}
	if n == 0 {
		return w.txn.SetEntry(&badger.Entry{Key: e.Key, Value: e.Value, ExpiresAt: e.ExpiresAt})
	}
	for i := range n {
		part := e.Value[int(i)*chunkBytes:]
		part = part[:min(len(part), chunkBytes)]
		if err := w.txn.SetEntry(&badger.Entry{Key: chunkKey(e.Key, i), Value: part, ExpiresAt: e.ExpiresAt}); err != nil {
			return err
		}
	}
	head := &badger.Entry{Key: e.Key, Value: binary.BigEndian.AppendUint32(nil, n), ExpiresAt: e.ExpiresAt}
	return w.txn.SetEntry(head.WithMeta(metaChunked))
}

// done is called when the transaction is in.
func (w *chunkWriter) done() {
	for k, n := range w.changed {
		if n == 0 {
			delete(w.chunked, k)
		} else {
			w.chunked[k] = n
		}
	}
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
	n := uint32(0)
	if err := item.Value(func(v []byte) error { n = binary.BigEndian.Uint32(v); return nil }); err != nil {
		return fmt.Errorf("storage: read %x: %w", item.Key(), err)
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

// loadChunked finds the keys that have chunks.
func (db *DB) loadChunked() error {
	db.chunked = map[string]uint32{}
	return db.view(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		o.Prefix = chunkPrefix
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k := it.Item().Key()
			if len(k) < len(chunkPrefix)+4 {
				return fmt.Errorf("storage: chunk key %x has an unknown form", k)
			}
			key := k[len(chunkPrefix) : len(k)-4]
			if n := binary.BigEndian.Uint32(k[len(k)-4:]) + 1; n > db.chunked[string(key)] {
				db.chunked[string(key)] = n
			}
		}
		return nil
	})
}

// logLine formats one of Badger's lines, which end in a newline sometimes.
func logLine(f string, v []any) string { return "badger: " + strings.TrimSpace(fmt.Sprintf(f, v...)) }
