package samples

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/prometheus/common/model"

	"github.com/gaurav/watchingcat/storage"
	viewmodel "github.com/gaurav/watchingcat/views/model"
)

// A family's value: type, unit, help.
func (f *Family) append(b []byte) []byte {
	b = viewmodel.AppendString(b, string(f.Type))
	b = viewmodel.AppendString(b, f.Unit)
	return viewmodel.AppendString(b, f.Help)
}

// The state: sequence, complete, head, number of partitions, each: topic, partition, watermark, newest record timestamp.
func (m *Metrics) appendState(b []byte) []byte {
	b = append(b, metricsFormat)
	for _, v := range []uint64{m.seq, m.complete, m.head} {
		b = binary.AppendUvarint(b, v)
	}
	return m.marks.Append(b)
}

// metricsFormat is the version of the state's form.
const metricsFormat = 1

func (m *Metrics) restore() error {
	positions, err := m.Positions()
	if err != nil {
		return err
	}
	for _, p := range positions {
		id := viewmodel.Partition{Topic: p.Topic, N: p.Partition}
		m.next[id], m.ids[id] = p.Offset, p.TopicID
		m.progress[id] = viewmodel.Progress{Topic: p.Topic, Partition: p.Partition, Position: p.Offset}
	}
	v, err := m.kv.KV.Get(viewmodel.StateKey(m.kv.Keyspace))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("read state: %w", err)
	}
	if err == nil {
		if err := m.restoreState(v); err != nil {
			return err
		}
	}
	if err := m.dedup.Restore(m.kv); err != nil {
		return fmt.Errorf("read record hashes: %w", err)
	}
	if err := m.deltas.restore(m.kv, m.next); err != nil {
		return fmt.Errorf("read deltas: %w", err)
	}
	m.counters.DeltaSeries, m.counters.HeldDeltas = len(m.deltas.series), m.deltas.held
	prefix := m.kv.Key(storage.TableFamily)
	return m.kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		d := viewmodel.Decoder{B: v}
		f := Family{Name: string(k[len(prefix):]), Type: model.MetricType(d.String()), Unit: d.String(), Help: d.String()}
		m.families[f.Name] = f
		return d.Err
	})
}

func (m *Metrics) restoreState(v []byte) error {
	d := viewmodel.Decoder{B: v}
	if f := d.Byte(); f != metricsFormat {
		return fmt.Errorf("state has the unknown form %d: it was written by another version of WatchingCat", f)
	}
	m.seq, m.complete, m.head = d.Uvarint(), d.Uvarint(), d.Uvarint()
	m.marks.Decode(&d)
	for p, k := range m.marks.Of {
		at := m.progress[p]
		at.Topic, at.Partition, at.Watermark = p.Topic, p.N, viewmodel.Time(k.End)
		m.progress[p] = at
	}
	m.frontier = viewmodel.Frontier{Seq: m.seq, Version: m.cfg.Version, Head: viewmodel.Time(m.head), Complete: viewmodel.Time(m.complete)}
	return d.Err
}
