package views

import (
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
	// Gone means that the partition is not read any more: its topic was deleted, made again with fewer partitions, or is not configured. Nothing
	// waits for it until it is read or marked again.
	Gone bool
}

// watermarks are how far partitions have been read, in event time and in timestamps of records.
type watermarks struct {
	of   map[partition]mark
	gone map[partition]bool // see Mark.Gone; not stored
}

func newWatermarks() watermarks {
	return watermarks{of: map[partition]mark{}, gone: map[partition]bool{}}
}

// raise moves a partition's mark up to m; a partition without one gets it.
func (w *watermarks) raise(p partition, m mark) mark {
	o := w.of[p]
	o.end, o.ts = max(o.end, m.end), max(o.ts, m.ts)
	w.of[p] = o
	return o
}

// take applies what the source knows. follow, if not nil, is called with the new marks; the partitions that are gone are returned.
func (w *watermarks) take(list []Mark, follow func(p partition, m mark)) (gone []partition) {
	for i := range list {
		p := partition{list[i].Topic, list[i].Partition}
		if list[i].Gone {
			delete(w.of, p)
			w.gone[p] = true
			gone = append(gone, p)
			continue
		}
		delete(w.gone, p)
		end := uint64(0)
		if at := list[i].Watermark; !at.IsZero() {
			end = uint64(max(at.UnixNano(), 0))
		}
		if m := w.raise(p, mark{end: end}); follow != nil {
			follow(p, m)
		}
	}
	return gone
}

// ends is each watermark, in Unix nanoseconds.
func (w *watermarks) ends() map[partition]uint64 {
	out := make(map[partition]uint64, len(w.of))
	for p, m := range w.of {
		out[p] = m.end
	}
	return out
}

// complete is the oldest watermark; 0 while one is not known.
func (w *watermarks) complete() uint64 {
	oldest := uint64(0)
	for _, m := range w.of {
		if m.end == 0 {
			return 0
		}
		if oldest == 0 || m.end < oldest {
			oldest = m.end
		}
	}
	return oldest
}

// oldestRecord is the oldest record timestamp, in Unix milliseconds, that a partition may still have sent again; 0 while none is known. A quiet
// partition is as far as its watermark, which follows the clock: it does not keep the hashes of the others.
func (w *watermarks) oldestRecord() int64 {
	oldest := int64(0)
	for _, m := range w.of {
		at := max(m.ts, int64(m.end/1e6))
		if m.ts > 0 && (oldest == 0 || at < oldest) {
			oldest = at
		}
	}
	return oldest
}

// append encodes the marks: how many, each with topic, partition, watermark and newest record timestamp.
func (w *watermarks) append(b []byte) []byte {
	b = appendUvarint(b, uint64(len(w.of)))
	for _, p := range slices.SortedFunc(maps.Keys(w.of), partition.compare) {
		b = appendString(b, p.topic)
		b = appendUvarint(b, uint64(p.n))
		b = appendUvarint(b, w.of[p].end)
		b = binary.AppendVarint(b, w.of[p].ts)
	}
	return b
}

// decode reads marks in place of what was known.
func (w *watermarks) decode(d *decoder) {
	clear(w.of)
	for n := d.count(); n > 0 && d.err == nil; n-- {
		p := partition{d.string(), int32(d.uvarint())}
		if m := (mark{end: d.uvarint(), ts: d.varint()}); d.err == nil {
			w.of[p] = m
		}
	}
}
