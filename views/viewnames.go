package views

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
)

// namesView keeps the ids of nodes, series and edges. Folds store those that are new as one more chunk.
type namesView struct {
	part
	names  *model.Names
	edges  *edges.Numbers
	chunks uint32
	stored struct{ nodes, series, edges int } // how many the chunks hold
}

func (v *namesView) encode(b []byte, _ *Checkpoint) []byte { return v.names.AppendNew(b) }

func (v *namesView) decode(d *model.Decoder, _ *Checkpoint) { v.names.Decode(d) }

func (v *namesView) fold(f *folding) error {
	was := v.stored
	v.stored.nodes, v.stored.series = v.names.Written()
	v.stored.edges = len(v.edges.List)
	if v.stored == was {
		return nil
	}
	b := v.edges.AppendFrom(v.names.AppendWritten(nil, was.nodes, was.series), was.edges)
	f.last = append(f.last, storage.Entry{Key: model.NamesKey(f.kv.Version, f.kv.Shard, v.chunks), Value: b})
	v.chunks++
	return nil
}

func (v *namesView) restore(kv model.State) error {
	from, to := model.NamesKey(kv.Version, kv.Shard, 0), model.NamesKey(kv.Version, kv.Shard, v.chunks)
	err := kv.KV.Scan(from, to, func(_, value []byte) error {
		d := model.Decoder{B: value}
		v.names.Decode(&d)
		v.edges.Decode(&d)
		return d.Err
	})
	if err != nil {
		return fmt.Errorf("read names: %w", err)
	}
	v.stored.nodes, v.stored.series = v.names.Size()
	v.stored.edges = len(v.edges.List)
	return nil
}

// AppendState encodes how many chunks there are.
func (v *namesView) AppendState(b []byte) []byte { return binary.AppendUvarint(b, uint64(v.chunks)) }

// RestoreState reads what AppendState wrote.
func (v *namesView) RestoreState(d *model.Decoder) { v.chunks = uint32(d.Uvarint()) }

// state is what a checkpoint derives from its inputs for readers.
type state struct {
	seq      uint64
	counters model.Counters
	head     uint64 // newest event time, Unix nanoseconds
	complete uint64 // up to here every partition has been read
}

// stateView keeps counters, frontiers and the watermarks of partitions.
type stateView struct {
	part
	marks *model.Watermarks
}

func (v *stateView) encode(b []byte, c *Checkpoint) []byte { return c.next.append(b, v.marks) }

func (v *stateView) decode(d *model.Decoder, c *Checkpoint) { c.next.decode(d, v.marks) }

func (st *state) append(b []byte, marks *model.Watermarks) []byte {
	b = model.AppendUvarint(b, st.seq)
	for _, v := range st.counters.List() {
		b = model.AppendUvarint(b, *v)
	}
	b = model.AppendUvarint(b, st.head)
	b = model.AppendUvarint(b, st.complete)
	return marks.Append(b)
}

func (st *state) decode(d *model.Decoder, marks *model.Watermarks) {
	*st = state{seq: d.Uvarint()}
	for _, v := range st.counters.List() {
		*v = d.Uvarint()
	}
	st.head, st.complete = d.Uvarint(), d.Uvarint()
	marks.Decode(d)
}

// moved reports whether the complete frontier moved by more than a second.
func (st *state) moved(from uint64) bool { return st.complete >= from+uint64(time.Second) }
