package storage

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// A Commit that one Badger transaction cannot hold has the chunks of new values written ahead (ahead.go). If the rest is still too large
// it goes through the redo area, so that a Commit of any size is atomic:
//
//  1. the rest, encoded, is written in pieces, in as many transactions as it takes;
//  2. the head, which says how many pieces there are, is written: from here on the commit has happened;
//  3. its entries are written, again in as many transactions as it takes;
//  4. the head is deleted, then the pieces.
//
// Readers see the state before until the last step is done, because the snapshot that they share is renewed after it. A crash
// before step 2 leaves pieces without a head, which Open deletes; a crash after it leaves a head, and Open repeats steps 3 and 4.
//
//	redoPrefix, 'p', piece uint32 BE   a part of the encoded commit
//	redoPrefix, 'h'                    number of pieces uint32 BE
var redoPrefix = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func redoHeadKey() []byte { return append(append([]byte{}, redoPrefix...), 'h') }

func redoPieceKey(i uint32) []byte { return redoKey('p', i) }

func redoKey(kind byte, i uint32) []byte {
	return binary.BigEndian.AppendUint32(append(append([]byte{}, redoPrefix...), kind), i)
}

// deleteKeys deletes the first n keys of a kind.
func deleteKeys(w writer, key func(uint32) []byte, n uint32) error {
	for i := range n {
		if err := w.Delete(key(i)); err != nil {
			return commitError(err)
		}
	}
	return nil
}

// splitWriter spreads writes over as many transactions as they take.
type splitWriter struct {
	db  *DB
	txn *badger.Txn
	n   int // transactions committed
}

func (db *DB) newSplitWriter() *splitWriter {
	return &splitWriter{db: db, txn: db.b.NewTransaction(true)}
}

func (w *splitWriter) write(put func() error) error {
	err := put()
	if !errors.Is(err, badger.ErrTxnTooBig) {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	return put()
}

// SetEntry writes an entry.
func (w *splitWriter) SetEntry(e *badger.Entry) error {
	return w.write(func() error { return w.txn.SetEntry(e) })
}

// Delete deletes a key.
func (w *splitWriter) Delete(key []byte) error {
	return w.write(func() error { return w.txn.Delete(key) })
}

// flush commits what was written since the last flush.
func (w *splitWriter) flush() error {
	if err := w.txn.Commit(); err != nil {
		return midway{err}
	}
	w.n++
	w.txn = w.db.b.NewTransaction(true)
	if hook := w.db.o.afterPart; hook != nil {
		hook(w.n)
	}
	return nil
}

func (w *splitWriter) discard() { w.txn.Discard() }

// commitLarge applies a commit that is too large for one transaction. The caller holds mu.
func (db *DB) commitLarge(all []Entry) error {
	entries, parts, err := db.writeAhead(all)
	if err == nil {
		err = db.commit(entries, parts)
		if err == nil {
			db.large.Add(1)
			if hook := db.o.afterPart; hook != nil {
				hook(0)
			}
			return nil
		}
	}
	pieces := uint32(0)
	if errors.Is(err, badger.ErrTxnTooBig) {
		pieces, err = db.writePieces(entries)
	}
	if err != nil {
		if _, ok := errors.AsType[midway](err); !ok {
			err = errors.Join(err, db.recoverLarge())
		}
		return fmt.Errorf("storage: write a large commit ahead: %w", err)
	}
	err = db.b.Update(func(txn *badger.Txn) error {
		return txn.Set(redoHeadKey(), binary.BigEndian.AppendUint32(nil, pieces))
	})
	if err != nil {
		return midway{commitError(err)} // it may have happened
	}
	db.large.Add(1)
	live, err := db.redo(entries, pieces, parts)
	if err != nil {
		return midway{err} // the commit has happened: reopening finishes it before anything else is written
	}
	db.settle(live)
	return nil
}

// writePieces writes the encoded entries and returns how many pieces that took.
func (db *DB) writePieces(entries []Entry) (pieces uint32, err error) {
	w := db.newSplitWriter()
	defer w.discard()
	buf := make([]byte, 0, 2*chunkBytes)
	put := func(n int) error {
		err := w.SetEntry(&badger.Entry{Key: redoPieceKey(pieces), Value: append([]byte{}, buf[:n]...)})
		buf = append(buf[:0], buf[n:]...)
		pieces++
		return err
	}
	for _, e := range entries {
		buf = appendEntry(buf, e)
		for len(buf) >= chunkBytes {
			if err := put(chunkBytes); err != nil {
				return pieces, err
			}
		}
	}
	if len(buf) > 0 {
		if err := put(len(buf)); err != nil {
			return pieces, err
		}
	}
	return pieces, w.flush()
}

// redo writes entries and deletes the head, the list of what was written ahead, and the pieces. It returns what that changed in segments.
func (db *DB) redo(entries []Entry, pieces, parts uint32) (map[uint32]int64, error) {
	w := db.newSplitWriter()
	defer w.discard()
	before := db.b.NewTransaction(false)
	defer before.Discard()
	cw := chunkWriter{txn: w, before: before}
	for _, e := range entries {
		if err := cw.set(e); err != nil {
			return nil, commitError(err)
		}
	}
	if err := w.Delete(redoHeadKey()); err != nil {
		return nil, commitError(err)
	}
	if err := deleteKeys(w, redoAheadKey, parts); err != nil {
		return nil, err
	}
	if err := w.flush(); err != nil {
		return nil, commitError(err)
	}
	return cw.live, db.deletePieces(pieces)
}

func (db *DB) deletePieces(pieces uint32) error {
	w := db.newSplitWriter()
	defer w.discard()
	if err := deleteKeys(w, redoPieceKey, pieces); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return commitError(err)
	}
	return nil
}

// recoverLarge finishes or forgets the large commit that a crash interrupted.
func (db *DB) recoverLarge() error {
	var head []byte
	var ahead [][]byte
	pieces, blob := uint32(0), []byte{}
	err := db.b.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = redoPrefix
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			item := it.Item()
			err := item.Value(func(v []byte) error {
				switch item.Key()[len(redoPrefix)] {
				case 'a':
					ahead = append(ahead, append([]byte{}, v...))
				case 'h':
					head = append([]byte{}, v...)
				default:
					pieces++
					blob = append(blob, v...)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("storage: read an interrupted commit: %w", err)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case head == nil:
		if pieces > 0 {
			err = db.deletePieces(pieces)
		}
		if err == nil && len(ahead) > 0 {
			err = db.forgetAhead(ahead)
		}
		return err
	case len(head) != 4 || binary.BigEndian.Uint32(head) > pieces:
		return fmt.Errorf("storage: an interrupted commit in %s is damaged: %d of its pieces are there, its head is %x", db.dir, pieces,
			head)
	}
	entries, err := decodeEntries(blob)
	if err != nil {
		return err
	}
	if _, err := db.redo(entries, pieces, uint32(len(ahead))); err != nil {
		return err
	}
	db.renew()
	return nil
}

// all is every write of the commit, positions too.
func (c Commit) all() []Entry {
	out := make([]Entry, 0, len(c.Entries)+len(c.Positions))
	out = append(out, c.Entries...)
	for _, p := range c.Positions {
		out = append(out, Entry{Key: positionKey(c.Version, c.Shard, p.Topic, p.Partition), Value: encodePosition(p)})
	}
	return out
}

// An entry in the redo area: key, then 0 for a delete; 1, expiry, value; 2, expiry, number of chunks that have been written ahead; or 3,
// expiry, pointer into a segment. Lengths before key, value and pointer.
func appendEntry(b []byte, e Entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(e.Key)))
	b = append(b, e.Key...)
	if e.chunks > 0 {
		return binary.AppendUvarint(binary.AppendUvarint(append(b, 2), e.ExpiresAt), uint64(e.chunks))
	}
	if e.Value == nil {
		return append(b, 0)
	}
	kind := byte(1)
	if e.pointed {
		kind = 3
	}
	b = binary.AppendUvarint(append(b, kind), e.ExpiresAt)
	b = binary.AppendUvarint(b, uint64(len(e.Value)))
	return append(b, e.Value...)
}

var errRedo = errors.New("storage: an interrupted commit is damaged")

func decodeEntries(b []byte) (list []Entry, err error) {
	uvarint := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err, b = errRedo, nil
			return 0
		}
		b = b[n:]
		return v
	}
	bytes := func() []byte {
		n := uvarint()
		if n > uint64(len(b)) {
			err, b = errRedo, nil
			return nil
		}
		v := b[:n:n]
		b = b[n:]
		return v
	}
	for len(b) > 0 && err == nil {
		e := Entry{Key: bytes()}
		switch {
		case err != nil:
		case len(b) == 0 || b[0] > 3:
			err = errRedo
		case b[0] == 0:
			b = b[1:]
		case b[0] == 2:
			b = b[1:]
			e.ExpiresAt = uvarint()
			e.chunks = uint32(uvarint())
		default:
			e.pointed = b[0] == 3
			b = b[1:]
			e.ExpiresAt = uvarint()
			e.Value = bytes()
		}
		list = append(list, e)
	}
	return list, err
}
