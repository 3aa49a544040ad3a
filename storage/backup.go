package storage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"os"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"
)

// A backup is a line of text, then lists of entries as Badger's own backups have them, the length of each before it (uint64 LE), then an
// end: the largest length, the number of lists (uint64 LE) and the CRC-32C of what stands before (uint32 LE). In place of pointers into
// segments it has what they lead to, so it needs no other file. Restore finds out anew which entries a segment has.
const (
	backupMagic    = "watchingcat backup 2\n"
	backupMagicOld = "watchingcat backup 1\n" // before there were segments; it has no end
	backupEnd      = math.MaxUint64
)

const (
	// backupListBytes is how much a list holds before the next is begun.
	backupListBytes = 4 << 20
	// maxBackupList is the longest list that is read: Badger's own are of 100 MB or a value.
	maxBackupList = 1 << 30
	// badgerDelete is Badger's meta bit of a deleted entry.
	badgerDelete = 1 << 0
)

// ErrBackupDamaged is returned for a backup that is cut short or was changed. The data folder holds a part of it then.
var ErrBackupDamaged = errors.New("the backup is cut short or damaged: delete the data folder and restore another one")

// Backup writes every change after the state that an earlier Backup returned (0: all) and returns the state it reached. It runs
// beside commits; all of it is from one snapshot.
func (db *DB) Backup(w io.Writer, since uint64) (uint64, error) {
	f, err := db.Freeze()
	if err != nil {
		return 0, err
	}
	defer f.Release()
	return f.Backup(w, since)
}

func errBackup(err error) error { return fmt.Errorf("storage: backup: %w", err) }

func (db *DB) backup(txn *badger.Txn, w io.Writer, since uint64) (upTo uint64, err error) {
	out := &listWriter{w: w, sum: crc32.New(castagnoli)}
	if err := out.write([]byte(backupMagic)); err != nil {
		return 0, err
	}
	o := badger.DefaultIteratorOptions
	o.AllVersions, o.SinceTs = true, since // deleted entries too
	it := txn.NewIterator(o)
	defer it.Close()
	var last []byte
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if last != nil && bytes.Equal(item.Key(), last) {
			continue // an older version
		}
		last = item.KeyCopy(last)
		if bytes.Compare(last, segmentPrefix) >= 0 {
			break
		}
		upTo = max(upTo, item.Version())
		kv, err := db.backupEntry(item)
		if errors.Is(err, ErrLost) {
			db.o.Logger.Warn().Err(err).Msg("the backup lacks raw records that are lost")
			continue
		}
		if err != nil {
			return 0, err
		}
		if err := out.add(kv); err != nil {
			return 0, err
		}
	}
	return upTo, out.end()
}

func (db *DB) backupEntry(item *badger.Item) (kv *pb.KV, err error) {
	kv = &pb.KV{Key: item.KeyCopy(nil), UserMeta: []byte{item.UserMeta()}, Version: item.Version(), ExpiresAt: item.ExpiresAt(),
		Meta: []byte{0}}
	if item.IsDeletedOrExpired() {
		kv.Meta[0] = badgerDelete
		return kv, nil
	}
	p, ok, err := pointerOf(item)
	switch {
	case err != nil:
	case ok:
		kv.Value, err = db.segments.read(p)
	default:
		kv.Value, err = item.ValueCopy(nil)
	}
	return kv, err
}

// listWriter writes lists and the end.
type listWriter struct {
	w    io.Writer
	sum  hash.Hash32
	list pb.KVList
	size int
	n    uint64
}

func (l *listWriter) write(b []byte) error {
	l.sum.Write(b)
	_, err := l.w.Write(b)
	return err
}

func (l *listWriter) add(kv *pb.KV) error {
	l.list.Kv = append(l.list.Kv, kv)
	if l.size += len(kv.Key) + len(kv.Value); l.size < backupListBytes {
		return nil
	}
	return l.flush()
}

func (l *listWriter) flush() error {
	if len(l.list.Kv) == 0 {
		return nil
	}
	b, err := encodeList(&l.list)
	if err != nil {
		return err
	}
	l.list.Kv, l.size = nil, 0
	l.n++
	return l.write(b)
}

func (l *listWriter) end() error {
	if err := l.flush(); err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint64(nil, backupEnd)
	if err := l.write(binary.LittleEndian.AppendUint64(b, l.n)); err != nil {
		return err
	}
	_, err := l.w.Write(binary.LittleEndian.AppendUint32(nil, l.sum.Sum32()))
	return err
}

// encodeList is a list with its length before it.
func encodeList(list *pb.KVList) ([]byte, error) {
	b := make([]byte, 8, 8+proto.Size(list))
	b, err := proto.MarshalOptions{}.MarshalAppend(b, list)
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, nil
}

// eachList calls fn for each list of a backup, and checks its end.
func eachList(r io.Reader, fn func(*pb.KVList) error) error {
	sum := crc32.New(castagnoli)
	in := io.TeeReader(bufio.NewReaderSize(r, 64<<10), sum)
	magic := make([]byte, len(backupMagic))
	_, err := io.ReadFull(in, magic)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if err != nil || string(magic) != backupMagic && string(magic) != backupMagicOld {
		return errors.New("this is no backup made by watchingcat")
	}
	var buf bytes.Buffer
	for n := uint64(0); ; n++ {
		var size uint64
		err := binary.Read(in, binary.LittleEndian, &size)
		switch {
		case errors.Is(err, io.EOF) && string(magic) == backupMagicOld:
			return nil
		case err == nil && size == backupEnd:
			return checkEnd(in, sum, n)
		case err == nil && size > maxBackupList:
			err = fmt.Errorf("a list of %d bytes", size)
		case err == nil:
			buf.Reset()
			_, err = io.CopyN(&buf, in, int64(size)) // grows with what is there, not with what is claimed
		}
		list := &pb.KVList{}
		if err == nil {
			err = proto.Unmarshal(buf.Bytes(), list)
		}
		if err != nil {
			return fmt.Errorf("%w (%w)", ErrBackupDamaged, err)
		}
		if err := fn(list); err != nil {
			return err
		}
	}
}

func checkEnd(in io.Reader, sum hash.Hash32, lists uint64) error {
	var n uint64
	var want uint32
	err := binary.Read(in, binary.LittleEndian, &n)
	got := sum.Sum32()
	if err == nil {
		err = binary.Read(in, binary.LittleEndian, &want)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w (%w)", ErrBackupDamaged, err)
	case n != lists || want != got:
		return ErrBackupDamaged
	}
	return nil
}

// OpenToRestore opens an empty data folder, or one into which a restore did not end, whose remains it deletes. Open refuses the folder
// until EndRestore.
func OpenToRestore(dir string, o Options) (*DB, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("storage: make data folder: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := clearToRestore(dir); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return openLocked(dir, o, lock)
}

// Restore loads a full Backup, and the increments after it in their order, into an empty database.
func (db *DB) Restore(parts ...io.Reader) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed.Load() {
		return ErrClosed
	}
	if err := db.Keys(nil, nil, func([]byte) error { return errEnough }); errors.Is(err, errEnough) {
		return fmt.Errorf("%w: %s", ErrNotEmpty, db.dir)
	} else if err != nil {
		return err
	}
	for _, r := range parts {
		if err := db.load(r); err != nil {
			return fmt.Errorf("storage: restore: %w", err)
		}
	}
	if err := db.recoverLarge(); err != nil { // a backup of format 1 may have been made in the midst of one
		return err
	}
	if err := db.own(); err != nil {
		return fmt.Errorf("storage: restore: %w", err)
	}
	return nil
}

func (db *DB) load(r io.Reader) error {
	out, pipe := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := db.takeOut(r, pipe)
		pipe.CloseWithError(err)
		ended <- err
	}()
	err := loadBadger(db.b, out)
	out.CloseWithError(err) // ends takeOut
	if cause := <-ended; cause != nil {
		err = cause
	}
	if err != nil {
		return err
	}
	if err := db.segments.seal(); err != nil {
		return err
	}
	db.renew()
	return nil
}

// loadBadger makes a panic over damaged entries an error.
func loadBadger(b *badger.DB, r io.Reader) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w (%v)", ErrBackupDamaged, p)
		}
	}()
	return b.Load(r, 16)
}

// takeOut copies a backup for Badger and puts pointers in the place of values, which go to segments.
func (db *DB) takeOut(r io.Reader, w io.Writer) error {
	return eachList(r, func(list *pb.KVList) error {
		if err := db.space.Check(2 * uint64(proto.Size(list))); err != nil { // Badger writes a list to its log and to a table
			return err
		}
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
		b, err := encodeList(list)
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
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
		for it.Rewind(); it.Valid() && bytes.Compare(it.Item().Key(), chunkPrefix) < 0; it.Next() {
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
