package views

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
)

// redView keeps the series of spans.
type redView struct {
	part
	*cells.Store[model.REDCounts, *model.REDCounts]
	oldest int64 // start of the first 10 s bucket that was counted, Unix seconds; 0: none was
}

func (v *redView) encode(b []byte, c *Checkpoint) []byte {
	for _, t := range c.taken {
		b = t.RED.AppendTo(b)
	}
	return append(b, 0)
}

func (v *redView) decode(d *model.Decoder, c *Checkpoint) { c.taken[0].RED.Decode(d) }

func (v *redView) install(c *Checkpoint, in *installing) error {
	for _, t := range c.taken {
		for _, s := range t.RED.Dirty {
			if err := v.add(s, in); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *redView) add(s *cells.REDSeries, in *installing) error {
	touched := model.Touched{Bucket: math.MaxInt64}
	for _, c := range s.Cells {
		if c.C.Calls == 0 {
			continue
		}
		touched.Bucket, touched.Calls = min(touched.Bucket, c.Start), touched.Calls+c.C.Calls
		late, err := v.Add(in.kv, in.seq, s.ID, c.Start, c.C, in.since)
		if err != nil {
			return err
		}
		switch {
		case late:
			in.counters.TooLate += c.C.Calls
		case c.Start >= v.Floor && (v.oldest == 0 || c.Start < v.oldest):
			v.oldest = c.Start
		}
	}
	in.red = append(in.red, model.Touch{ID: s.ID, Touched: touched})
	return nil
}

func (v *redView) fold(f *folding) (err error) {
	f.entries, err = v.Fold(f.kv, f.seq, f.horizon, f.then, f.entries)
	return err
}

func (v *redView) restore(kv model.State) error { return v.Restore(kv) }

// AppendState encodes the oldest bucket and where the levels begin.
func (v *redView) AppendState(b []byte) []byte {
	return v.Store.AppendState(binary.AppendUvarint(b, uint64(v.oldest)))
}

// RestoreState reads what AppendState wrote.
func (v *redView) RestoreState(d *model.Decoder) {
	v.oldest = int64(d.Uvarint())
	v.Store.RestoreState(d)
}

// mapView keeps the edges of the service map and the halves that wait for their other side.
type mapView struct {
	part
	*cells.Store[model.EdgeCounts, *model.EdgeCounts]
	pairing *edges.Pairing // used by checkpoints alone
	ids     *edges.Numbers
}

func (v *mapView) encode(b []byte, c *Checkpoint) []byte {
	halves := make([][]edges.Half, len(c.taken))
	for i, t := range c.taken {
		halves[i] = t.Halves
	}
	return edges.AppendHalves(b, halves)
}

func (v *mapView) decode(d *model.Decoder, c *Checkpoint) { c.taken[0].Halves = edges.DecodeHalves(d) }

// pair meets the halves of a checkpoint.
func (v *mapView) pair(c *Checkpoint) {
	for _, t := range c.taken {
		for i := range t.Halves {
			v.pairing.Take(&t.Halves[i])
		}
	}
	v.pairing.Expire(c.next.complete)
}

func (v *mapView) install(_ *Checkpoint, in *installing) error {
	in.counters.Overflowed += v.ids.Number(v.pairing.Edges)
	for k, e := range v.pairing.Edges {
		id, ok := v.ids.ID(k.Edge)
		if !ok {
			in.counters.Overflowed++
		}
		if _, err := v.Add(in.kv, in.seq, id, k.Start, e, in.since); err != nil {
			return err
		}
		in.edges = append(in.edges, model.Touch{ID: v.ids.Label[id], Touched: model.Touched{Bucket: k.Start}})
	}
	v.pairing.Forget()
	in.counters.Waiting = uint64(v.pairing.Waiting)
	return nil
}

func (v *mapView) fold(f *folding) (err error) {
	f.entries, err = v.Fold(f.kv, f.seq, f.horizon, f.then, f.entries)
	f.entries, f.last = v.pairing.Fold(f.kv.Keyspace, f.entries, f.last)
	return err
}

func (v *mapView) restore(kv model.State) error {
	if err := v.Restore(kv); err != nil {
		return err
	}
	return v.pairing.Restore(kv)
}

// tableView keeps one table.
type tableView struct {
	part
	*cells.TableStore
	table model.Table
}

// collect defines again the series that were forgotten while a batch still used them.
func (v *tableView) collect(c *Checkpoint) {
	for _, t := range c.taken {
		for _, s := range t.Tables[v.table].Dirty {
			v.Dict.Again(s.ID, s.Key)
		}
	}
}

func (v *tableView) encode(b []byte, c *Checkpoint) []byte {
	b = v.Dict.AppendNew(b)
	for _, t := range c.taken {
		b = t.Tables[v.table].AppendTo(b)
	}
	return append(b, 0)
}

func (v *tableView) decode(d *model.Decoder, c *Checkpoint) {
	v.Dict.DecodeNew(d)
	c.taken[0].Tables[v.table].Decode(d)
}

func (v *tableView) install(c *Checkpoint, in *installing) error {
	for _, t := range c.taken {
		b := &t.Tables[v.table]
		if len(b.Dirty) > 0 {
			in.tables = in.tables.With(v.table)
		}
		if err := v.Install(in.kv, in.seq, b, in.since); err != nil {
			return err
		}
	}
	return nil
}

func (v *tableView) fold(f *folding) (err error) {
	f.entries, err = v.Fold(f.kv, f.seq, f.horizon, f.then, f.entries)
	return err
}

func (v *tableView) restore(kv model.State) error {
	if err := v.Restore(kv); err != nil {
		return fmt.Errorf("table %s: %w", v.Def.Name, err)
	}
	return nil
}
