package cells

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// Horizon says what a fold keeps: buckets from hot on in memory, those from since on at all, series counted since forget.
type Horizon struct {
	Hot, Since model.Sinces
	Forget     int64
	Bytes      int // of packed buckets in memory, for each level
}

// Fold returns the entries that bring the stored state up to checkpoint seq. Each stands for itself. Cold and expired buckets leave
// memory; stored ones that expired are deleted.
func (s *Store[C, P]) Fold(kv model.State, seq uint64, h Horizon, then *model.Later, entries []storage.Entry) ([]storage.Entry, error) {
	ks := kv.Keyspace
	for id := range s.dirty {
		se := s.Series[id]
		se.stamp = seq
		enc := binary.AppendUvarint(nil, seq)
		enc = binary.AppendVarint(enc, se.First)
		enc = binary.AppendVarint(enc, se.Last)
		entries = append(entries, storage.Entry{Key: s.seriesKey(ks, id), Value: P(&se.Total).Append(enc)})
	}
	clear(s.dirty)
	for id, se := range s.Series {
		if se.Last < h.Forget {
			then.Do(func() { delete(s.Series, id) })
			entries = append(entries, storage.Entry{Key: s.seriesKey(ks, id)})
		}
	}
	for l := range s.Levels {
		entries = s.foldLevel(ks, seq, l, h, then, entries)
		var err error
		if entries, err = s.expire(kv, l, h.Since[l], entries); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func (s *Store[C, P]) foldLevel(ks model.Keyspace, seq uint64, l int, h Horizon, then *model.Later,
	entries []storage.Entry) []storage.Entry {
	t := &s.Levels[l]
	h.Hot[l] = max(h.Hot[l], t.fits(h.Bytes))
	for start, b := range t.buckets {
		if start < h.Since[l] {
			then.Do(func() { delete(t.buckets, start) }) // what is stored of it is deleted by expire
			continue
		}
		for n, c := range b {
			if c.dirty {
				c.stamp, c.dirty, c.resting = seq, false, false
				entries = append(entries, storage.Entry{Key: s.cellsKey(ks, l, start, n), Value: s.pack(c)})
			} else if c.open != nil {
				if c.resting {
					packed := s.pack(c)
					then.Do(func() { c.packed, c.open = packed, nil })
				}
				c.resting = true
			}
		}
		if start < h.Hot[l] {
			then.Do(func() { delete(t.buckets, start) })
		}
	}
	for start := range t.Changed {
		if start < h.Since[l] {
			then.Do(func() { delete(t.Changed, start) })
		}
	}
	t.nextHot = max(t.hotFrom, h.Hot[l])
	then.Do(func() { t.hotFrom = t.nextHot })
	return entries
}

// fits is where the buckets begin that may stay in memory: as many of the newest as fit.
func (t *tier[C]) fits(limit int) int64 {
	starts := slices.Sorted(maps.Keys(t.buckets))
	for i, size := len(starts)-1, 0; i >= 0; i-- {
		for _, c := range t.buckets[starts[i]] {
			size += len(c.packed) + len(c.open)*openCellBytes
		}
		if size > limit {
			return starts[min(i+1, len(starts)-1)]
		}
	}
	return 0
}

// openCellBytes is about what a decoded cell takes.
const openCellBytes = 400

// expire deletes stored buckets older than since.
func (s *Store[C, P]) expire(kv model.State, l int, since int64, entries []storage.Entry) ([]storage.Entry, error) {
	t := &s.Levels[l]
	if t.Oldest == 0 || t.Oldest >= since {
		return entries, nil
	}
	err := kv.KV.Keys(s.cellsKey(kv.Keyspace, l, t.Oldest-t.Oldest%model.LevelSeconds[l], 0), s.cellsKey(kv.Keyspace, l, since, 0),
		func(k []byte) error {
			entries = append(entries, storage.Entry{Key: slices.Clone(k)})
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("find expired buckets of view %c: %w", s.view, err)
	}
	t.Oldest = since
	return entries, nil
}
