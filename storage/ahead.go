package storage

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Most of a large commit are values of new keys, such as blocks of spans. Their chunks are invisible until the entry that counts them is
// written, so they go to their place before the commit, once, and the commit holds the counts. The redo area lists them meanwhile:
//
//	redoPrefix, 'a', part uint32 BE    keys and numbers of the chunks that are written ahead
//
// A crash before the commit leaves the list and chunks without an entry, which Open deletes.

func redoAheadKey(i uint32) []byte { return redoKey('a', i) }

// writeAhead writes chunks of new keys in place. It returns the entries with counts for them, and how many parts the list has.
func (db *DB) writeAhead(entries []Entry) (rest []Entry, parts uint32, err error) {
	before := db.b.NewTransaction(false)
	defer before.Discard()
	cw := chunkWriter{before: before}
	times := map[string]int{}
	for _, e := range entries {
		times[string(e.Key)]++
	}
	var ahead []int
	for i, e := range entries {
		if len(e.Value) <= chunkBytes || times[string(e.Key)] > 1 {
			continue
		}
		old, err := cw.storedAt(e.Key)
		if err != nil {
			return nil, 0, err
		}
		if old.chunks == 0 {
			ahead = append(ahead, i)
		}
	}
	if len(ahead) == 0 {
		return entries, 0, nil
	}
	w := db.newSplitWriter()
	defer w.discard()
	rest = append([]Entry{}, entries...)
	var list []byte
	for at, i := range ahead {
		e := &rest[i]
		e.chunks = chunksFor(e.Value)
		list = binary.AppendUvarint(list, uint64(len(e.Key)))
		list = append(list, e.Key...)
		list = binary.AppendUvarint(list, uint64(e.chunks))
		if len(list) < chunkBytes/2 && at < len(ahead)-1 {
			continue
		}
		if err := w.SetEntry(&badger.Entry{Key: redoAheadKey(parts), Value: list}); err != nil {
			return nil, parts, commitError(err)
		}
		list = nil
		parts++
	}
	if err := w.flush(); err != nil {
		return nil, parts, commitError(err)
	}
	for _, i := range ahead {
		e := &rest[i]
		if err := writeChunks(w, *e); err != nil {
			return nil, parts, commitError(err)
		}
		e.Value = nil
	}
	return rest, parts, w.flush()
}

// forgetAhead deletes the listed chunks of entries that were not committed, then the list.
func (db *DB) forgetAhead(lists [][]byte) error {
	before := db.b.NewTransaction(false)
	defer before.Discard()
	cw := chunkWriter{before: before}
	w := db.newSplitWriter()
	defer w.discard()
	for _, list := range lists {
		for len(list) > 0 {
			size, n := binary.Uvarint(list)
			if n <= 0 || size > uint64(len(list)-n) {
				return errRedo
			}
			key := list[n : n+int(size)]
			list = list[n+int(size):]
			count, n := binary.Uvarint(list)
			if n <= 0 {
				return errRedo
			}
			list = list[n:]
			if now, err := cw.storedAt(key); err != nil {
				return err
			} else if now.chunks > 0 {
				continue
			}
			for i := range uint32(count) {
				if err := w.Delete(chunkKey(key, i)); err != nil {
					return commitError(err)
				}
			}
		}
	}
	if err := w.flush(); err != nil {
		return commitError(err)
	}
	if err := deleteKeys(w, redoAheadKey, uint32(len(lists))); err != nil {
		return err
	}
	return w.flush()
}

func chunksFor(value []byte) uint32 {
	return uint32((len(value) + chunkBytes - 1) / chunkBytes)
}

func writeChunks(w writer, e Entry) error {
	for i := range chunksFor(e.Value) {
		part := e.Value[int(i)*chunkBytes:]
		part = part[:min(len(part), chunkBytes)]
		if err := w.SetEntry(&badger.Entry{Key: chunkKey(e.Key, i), Value: part, ExpiresAt: e.ExpiresAt}); err != nil {
			return fmt.Errorf("chunk %d of %x: %w", i, e.Key, err)
		}
	}
	return nil
}
