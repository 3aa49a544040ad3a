package storage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"
)

// A backup is a line of text, then Badger's own stream of entries: lists of them, the length of each before it (uint64 LE). In place of
// pointers into segments it has what they lead to, so it needs no other file; of where segments' entries are found it has nothing, because
// Restore makes that anew.
const (
	backupMagic    = "watchingcat backup 2\n"
	backupMagicOld = "watchingcat backup 1\n" // before there were segments; the rest is the same
)

// maxBackupList is the longest list that is read: Badger's own are of 100 MB or a value.
const maxBackupList = 1 << 30

// ErrNotEmpty is returned by Restore when the database holds something.
var ErrNotEmpty = errors.New("storage: restore needs an empty data folder")

// Backup writes every change after the state that an earlier Backup returned (0: all) and returns the state it reached. It runs
// beside commits; the positions inside belong to the entries inside.
func (db *DB) Backup(w io.Writer, since uint64) (uint64, error) {
	if _, err := io.WriteString(w, backupMagic); err != nil {
		return 0, fmt.Errorf("storage: backup: %w", err)
	}
	db.use.RLock()
	defer db.use.RUnlock()
	s := db.snapshot() // no segment that is live now or later is deleted
	if s == nil {
		return 0, db.absent()
	}
	defer s.release()
	r, pipe := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := db.fillIn(r, w)
		r.CloseWithError(err) // ends Badger's stream too
		ended <- err
	}()
	upTo, err := db.b.Backup(pipe, since)
	pipe.CloseWithError(err)
	if cause := <-ended; cause != nil {
		err = cause
	}
	if err != nil {
		return 0, fmt.Errorf("storage: backup: %w", err)
	}
	return upTo, nil
}

// fillIn copies Badger's stream and puts values in the place of pointers. Of an entry that has one only the newest version is copied: the
// segments of others may be gone.
func (db *DB) fillIn(r io.Reader, w io.Writer) error {
	return eachList(r, func(list *pb.KVList) error {
		rest := list.Kv[:0]
		var last string
		for _, kv := range list.Kv {
			if len(kv.Key) >= len(segmentPrefix) && string(kv.Key[:len(segmentPrefix)]) == string(segmentPrefix) {
				continue
			}
			again := string(kv.Key) == last
			last = string(kv.Key)
			if !inSegments(kv.Key) || len(kv.UserMeta) == 0 || kv.UserMeta[0] != metaPointer || len(kv.Value) == 0 {
				rest = append(rest, kv)
				continue
			}
			if again {
				continue
			}
			p, err := parsePointer(kv.Value)
			if err != nil {
				return fmt.Errorf("%x: %w", kv.Key, err)
			}
			kv.Value, err = db.segments.read(p)
			if errors.Is(err, ErrLost) {
				db.o.Logger.Warn().Err(err).Msg("a backup leaves out raw records that are lost")
				continue
			}
			if err != nil {
				return err
			}
			if err := writeList(w, &pb.KVList{Kv: []*pb.KV{kv}}); err != nil { // alone: values may be large
				return err
			}
		}
		list.Kv = rest
		return writeList(w, list)
	})
}

// takeOut copies a backup for Badger and puts pointers in the place of values, which go to segments.
func (db *DB) takeOut(r io.Reader, w io.Writer) error {
	return eachList(r, func(list *pb.KVList) error {
		for _, kv := range list.Kv {
			if len(kv.UserMeta) == 0 || kv.UserMeta[0] != metaPointer || len(kv.Value) == 0 {
				continue
			}
			p, err := db.segments.append(kv.Value)
			if err != nil {
				return err
			}
			kv.Value = p.append(nil)
		}
		return writeList(w, list)
	})
}

func eachList(r io.Reader, fn func(*pb.KVList) error) error {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		var size uint64
		err := binary.Read(br, binary.LittleEndian, &size)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if size > maxBackupList {
			return fmt.Errorf("the backup is damaged: a list of %d bytes", size)
		}
		buf := make([]byte, size)
		if _, err := io.ReadFull(br, buf); err != nil {
			return err
		}
		list := &pb.KVList{}
		if err := proto.Unmarshal(buf, list); err != nil {
			return err
		}
		if err := fn(list); err != nil {
			return err
		}
	}
}

func writeList(w io.Writer, list *pb.KVList) error {
	if len(list.Kv) == 0 {
		return nil
	}
	buf, err := proto.Marshal(list)
	if err != nil {
		return err
	}
	if err := binary.Write(w, binary.LittleEndian, uint64(len(buf))); err != nil {
		return err
	}
	_, err = w.Write(buf)
	return err
}

// Restore loads a full Backup, and the increments after it in their order, into an empty database.
func (db *DB) Restore(parts ...io.Reader) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed.Load() {
		return ErrClosed
	}
	errFound := errors.New("found")
	if err := db.Keys(nil, nil, func([]byte) error { return errFound }); errors.Is(err, errFound) {
		return fmt.Errorf("%w: %s", ErrNotEmpty, db.dir)
	} else if err != nil {
		return err
	}
	for _, r := range parts {
		if err := db.load(r); err != nil {
			return fmt.Errorf("storage: restore: %w", err)
		}
	}
	if err := db.recoverLarge(); err != nil { // a backup may have been made in the midst of one
		return err
	}
	if err := db.own(); err != nil {
		return fmt.Errorf("storage: restore: %w", err)
	}
	return nil
}

func (db *DB) load(r io.Reader) (err error) {
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != backupMagic && string(magic) != backupMagicOld {
		return errors.New("this is no backup made by watchingcat")
	}
	defer func() { // over a damaged list
		if p := recover(); p != nil {
			err = fmt.Errorf("the backup is damaged: %v", p)
		}
	}()
	out, pipe := io.Pipe()
	defer out.Close() // ends takeOut
	ended := make(chan error, 1)
	go func() {
		err := db.takeOut(r, pipe)
		pipe.CloseWithError(err)
		ended <- err
	}()
	if err := db.b.Load(out, 16); err != nil {
		return err // takeOut's too
	}
	if err := <-ended; err != nil {
		return err
	}
	if err := db.segments.seal(); err != nil {
		return err
	}
	db.renew()
	return nil
}

// own writes by which key each pointer's segment is found, and counts what is live.
func (db *DB) own() error {
	w := db.newSplitWriter()
	defer w.discard()
	err := db.view(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid() && string(it.Item().Key()) < string(chunkPrefix); it.Next() {
			p, ok, err := pointerOf(it.Item())
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := w.SetEntry(&badger.Entry{Key: ownerKey(p.segment, it.Item().KeyCopy(nil)), Value: p.owner()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		return err
	}
	db.renew()
	return db.segments.load(db.b)
}
