package model

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// Mark is what the source knows of a partition.
type Mark struct {
	Topic     string
	Partition int32
	// Watermark follows the clock while the partition has nothing to read. Zero: the views wait until it is known.
	Watermark time.Time
	// Gone means that the partition is not read any more: its topic was deleted, made again with fewer partitions, or is not configured.
	// Nothing waits for it until it is read or marked again.
	Gone bool
}

// Watermarks are how far partitions have been read, in event time and in timestamps of records.
type Watermarks struct {
	Of   map[Partition]Watermark
	Gone map[Partition]bool // see Mark.Gone; not stored
}

// NewWatermarks returns Watermarks that know no partition.
func NewWatermarks() Watermarks {
	return Watermarks{Of: map[Partition]Watermark{}, Gone: map[Partition]bool{}}
}

// Raise moves a partition's mark up to m; a partition without one gets it.
func (w *Watermarks) Raise(p Partition, m Watermark) Watermark {
	o := w.Of[p]
	o.End, o.TS = max(o.End, m.End), max(o.TS, m.TS)
	w.Of[p] = o
	return o
}

// Take applies what the source knows. follow, if not nil, is called with the new marks; the partitions that are gone are returned.
func (w *Watermarks) Take(list []Mark, follow func(p Partition, m Watermark)) (gone []Partition) {
	for i := range list {
		p := Partition{list[i].Topic, list[i].Partition}
		if list[i].Gone {
			delete(w.Of, p)
			w.Gone[p] = true
			gone = append(gone, p)
			continue
		}
		delete(w.Gone, p)
		end := uint64(0)
		if at := list[i].Watermark; !at.IsZero() {
			end = uint64(max(at.UnixNano(), 0))
		}
		if m := w.Raise(p, Watermark{End: end}); follow != nil {
			follow(p, m)
		}
	}
	return gone
}

// Ends is each watermark, in Unix nanoseconds.
func (w *Watermarks) Ends() map[Partition]uint64 {
	out := make(map[Partition]uint64, len(w.Of))
	for p, m := range w.Of {
		out[p] = m.End
	}
	return out
}

// Complete is the oldest watermark; 0 while one is not known.
func (w *Watermarks) Complete() uint64 {
	oldest := uint64(0)
	for _, m := range w.Of {
		if m.End == 0 {
			return 0
		}
		if oldest == 0 || m.End < oldest {
			oldest = m.End
		}
	}
	return oldest
}

// OldestRecord is the oldest record timestamp, in Unix milliseconds, that a partition may still have sent again; 0 while none is known. A
// quiet partition is as far as its watermark, which follows the clock: it does not keep the hashes of the others.
func (w *Watermarks) OldestRecord() int64 {
	oldest := int64(0)
	for _, m := range w.Of {
		at := max(m.TS, int64(m.End/1e6))
		if m.TS > 0 && (oldest == 0 || at < oldest) {
			oldest = at
		}
	}
	return oldest
}

// Append encodes the marks: how many, each with topic, partition, watermark and newest record timestamp.
func (w *Watermarks) Append(b []byte) []byte {
	b = AppendUvarint(b, uint64(len(w.Of)))
	for _, p := range slices.SortedFunc(maps.Keys(w.Of), Partition.Compare) {
		b = AppendString(b, p.Topic)
		b = AppendUvarint(b, uint64(p.N))
		b = AppendUvarint(b, w.Of[p].End)
		b = binary.AppendVarint(b, w.Of[p].TS)
	}
	return b
}

// Decode reads marks in place of what was known.
func (w *Watermarks) Decode(d *Decoder) {
	clear(w.Of)
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		p := Partition{d.String(), int32(d.Uvarint())}
		if m := (Watermark{End: d.Uvarint(), TS: d.Varint()}); d.Err == nil {
			w.Of[p] = m
		}
	}
}

// Compare orders by topic and number.
func (p Partition) Compare(q Partition) int {
	return cmp.Or(cmp.Compare(p.Topic, q.Topic), cmp.Compare(p.N, q.N))
}

// Partition names one partition of a topic.
type Partition struct {
	Topic string
	N     int32
}

// Watermark is how far a partition has been read.
type Watermark struct {
	End uint64 // watermark, Unix nanoseconds; 0: nothing known
	TS  int64  // newest record timestamp, Unix milliseconds
}

// Progress is how far the committed views have read a partition.
type Progress struct {
	Topic     string
	Partition int32
	Position  int64     // of the next record
	Watermark time.Time // zero while unknown
}
