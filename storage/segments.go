package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/rs/zerolog"
)

// Raw records are most of what is written, and are dropped in about the order in which they came. In Badger each would be rewritten by
// every compaction on its way down. So their values are appended to files of their own, the segments, which are deleted whole once nothing
// in them is stored any more. Badger holds a pointer under the entry's key, and a second key by which a segment's entries are found:
//
//	key                                                  value              user meta
//	the entry's                                          pointer            metaPointer
//	segmentPrefix, segment uint32 BE, the entry's        offset, length     none
//
// A segment is synced before the transaction that holds its pointers, so no pointer leads to bytes that a crash may lose. Bytes that a
// crash leaves without a pointer are unused space.
type segments struct {
	dir string
	log zerolog.Logger

	lost atomic.Uint64 // reads of values that are not there

	mu    sync.Mutex
	files map[uint32]*segment
	dying []dying
	next  uint32

	// of whoever holds DB.mu
	f   *os.File // the one that is appended to; nil: the next value begins one
	cur uint32
}

// segment is one file. Its size may be less than the file's: what is behind it was never committed.
type segment struct {
	size, live int64
	stuck      bool // what is live in it could not be moved
}

// dying is a segment without live values, which snapshots older than epoch may still read.
type dying struct {
	number uint32
	epoch  uint64
}

const (
	// segmentBytes is the size at which a segment is full.
	segmentBytes = 64 << 20
	// minSegmentValue is the smallest value that goes to a segment: smaller ones cost little where they are.
	minSegmentValue = 4 << 10
	// sparse is the part of a segment that must be live for it to be left as it is: 1 / sparse.
	sparse = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const segmentSuffix = ".segment"

func (s *segments) path(number uint32) string {
	return filepath.Join(s.dir, fmt.Sprintf("%08d%s", number, segmentSuffix))
}

// openSegments finds out which segments there are and what is live in them, and deletes those that hold nothing.
func openSegments(dir string, log zerolog.Logger, b *badger.DB) (*segments, error) {
	s := &segments{dir: dir, log: log}
	return s, s.load(b)
}

// load reads what the files hold. It appends to none of them afterwards. The caller holds DB.mu.
func (s *segments) load(b *badger.DB) error {
	names, err := filesIn(s.dir, segmentSuffix)
	if err != nil {
		return err
	}
	files, next := map[uint32]*segment{}, uint32(1)
	for _, name := range names {
		var n uint32
		if _, err := fmt.Sscanf(filepath.Base(name), "%08d"+segmentSuffix, &n); err != nil {
			continue
		}
		fi, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("storage: look at segment: %w", err)
		}
		files[n] = &segment{size: fi.Size()}
		next = max(next, n+1)
	}
	lost, err := countLive(b, files)
	if err != nil {
		return err
	}
	for _, n := range slices.Sorted(maps.Keys(lost)) {
		next = max(next, n+1)
		s.log.Error().Str("file", s.path(n)).Int("blocks", lost[n]).
			Msg("a file of raw records is missing or too short: traces and log lines in it cannot be shown, counts are right; replay the topics if they still hold those records")
	}
	s.mu.Lock()
	s.files, s.next = files, next
	s.mu.Unlock()
	s.settle(nil, 0)
	s.sweep(math.MaxUint64)
	return nil
}

// countLive counts what is live in files. It returns, by segment, how many values lie beyond the end of their file.
func countLive(b *badger.DB, files map[uint32]*segment) (lost map[uint32]int, err error) {
	lost = map[uint32]int{}
	return lost, b.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = segmentPrefix
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k := it.Item().Key()
			err := it.Item().Value(func(v []byte) error {
				if len(v) != 8 || len(k) < len(segmentPrefix)+4 {
					return errors.New("it has an unknown form")
				}
				n := binary.BigEndian.Uint32(k[len(segmentPrefix):])
				offset, length := binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
				f := files[n]
				if f == nil {
					f = &segment{}
					files[n] = f
				}
				f.live += int64(length)
				if int64(offset)+int64(length) > f.size {
					lost[n]++
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("storage: read %x: %w", k, err)
			}
		}
		return nil
	})
}

// toSegment reports whether the entry's value belongs in a segment.
func (e *Entry) toSegment() bool {
	return len(e.Value) >= minSegmentValue && e.ExpiresAt == 0 && inSegments(e.Key)
}

// take appends the values of raw records among entries to a segment, syncs it, and returns the entries with pointers in their place. After
// an error nothing points to what was appended. The caller holds DB.mu.
func (s *segments) take(entries []Entry) ([]Entry, error) {
	var out []Entry
	for i, e := range entries {
		if !e.toSegment() {
			continue
		}
		if out == nil {
			out = slices.Clone(entries)
		}
		p, err := s.append(e.Value)
		if err != nil {
			return nil, err
		}
		out[i] = Entry{Key: e.Key, Value: p.append(nil), pointed: true}
	}
	if out == nil {
		return entries, nil
	}
	return out, s.sync()
}

func (s *segments) append(value []byte) (p pointer, err error) {
	if s.f != nil && s.sizeOf(s.cur) >= segmentBytes {
		if err := s.seal(); err != nil {
			return p, err
		}
	}
	if s.f == nil {
		if err := s.begin(); err != nil {
			return p, err
		}
	}
	at := s.sizeOf(s.cur)
	if _, err := s.f.WriteAt(value, at); err != nil {
		return p, AsUnwritable(fmt.Errorf("storage: write raw records: %w", err))
	}
	s.mu.Lock()
	s.files[s.cur].size += int64(len(value))
	s.mu.Unlock()
	return pointer{s.cur, uint32(at), uint32(len(value)), crc32.Checksum(value, castagnoli)}, nil
}

func (s *segments) sizeOf(n uint32) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[n].size
}

func (s *segments) begin() error {
	s.mu.Lock()
	n := s.next
	s.next++
	s.mu.Unlock()
	f, err := os.OpenFile(s.path(n), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return AsUnwritable(fmt.Errorf("storage: make a segment: %w", err))
	}
	if err := syncFolder(s.dir); err != nil {
		return errors.Join(AsUnwritable(err), f.Close(), os.Remove(s.path(n)))
	}
	s.f, s.cur = f, n
	s.mu.Lock()
	s.files[n] = &segment{}
	s.mu.Unlock()
	return nil
}

// sync makes what was appended durable. After an error it is not known what a file holds, so nothing more is appended to it.
func (s *segments) sync() error {
	err := s.f.Sync()
	if err != nil {
		err = errors.Join(AsUnwritable(fmt.Errorf("storage: sync raw records: %w", err)), s.f.Close())
		s.f = nil
	}
	return err
}

// segmentMark is how far a segment had been written.
type segmentMark struct {
	number uint32
	size   int64
}

func (s *segments) mark() segmentMark {
	if s.f == nil {
		return segmentMark{}
	}
	return segmentMark{s.cur, s.sizeOf(s.cur)}
}

// rewind lets the next value overwrite what was appended to the current segment since the mark. Nothing may point to it.
func (s *segments) rewind(m segmentMark) {
	if s.f == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[s.cur]
	f.size = 0
	if s.cur == m.number {
		f.size = m.size
	}
}

// seal ends the segment that is appended to.
func (s *segments) seal() error {
	if s.f == nil {
		return nil
	}
	if err := s.sync(); err != nil {
		return err
	}
	err := s.f.Close()
	s.f = nil
	if err != nil {
		return AsUnwritable(fmt.Errorf("storage: close a segment: %w", err))
	}
	return nil
}

// close ends the file that is appended to; s may be nil.
func (s *segments) close() error {
	if s == nil || s.f == nil {
		return nil
	}
	err := s.f.Close()
	s.f = nil
	return err
}

// read returns the value that p leads to, or ErrLost.
func (s *segments) read(p pointer) ([]byte, error) {
	f, err := os.Open(s.path(p.segment))
	if err != nil {
		return nil, s.unread(err)
	}
	defer f.Close()
	b := make([]byte, p.length)
	if _, err := f.ReadAt(b, int64(p.offset)); err != nil {
		return nil, s.unread(fmt.Errorf("%s at %d: %w", f.Name(), p.offset, err))
	}
	if crc32.Checksum(b, castagnoli) != p.sum {
		return nil, s.unread(fmt.Errorf("%s at %d: %w", f.Name(), p.offset, errChecksum))
	}
	return b, nil
}

var errChecksum = errors.New("the checksum differs")

// unread is the error for a value that could not be read. That may pass, unless the value is not there.
func (s *segments) unread(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) || errors.Is(err, errChecksum) {
		s.lost.Add(1)
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return fmt.Errorf("storage: read raw records: %w", err)
}

// totals returns how many segments there are, their bytes, and those of values that are stored.
func (s *segments) totals() (files int, size, live int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		size += f.size
		live += f.live
	}
	return len(s.files) + len(s.dying), size, live
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("storage: sync folder: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("storage: sync folder: %w", err)
	}
	return nil
}
