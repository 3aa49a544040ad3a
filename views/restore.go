package views

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// formatVersion is that of everything a Set stores; the state begins with it. Change it with any change of a key or a value.
const formatVersion = 3

// ErrFormat says that the stored views were written in another format.
var ErrFormat = errors.New("views: the stored views have another format")

func floorKey(ks model.Keyspace) []byte { return ks.Key(storage.TableMeta, model.MetaFloor) }

// FloorEntry makes the Set of a new version count nothing that ended before from, Unix seconds: an older version has it. It is to be
// committed before the Set is opened for the first time.
func FloorEntry(version uint32, shard uint16, from int64) storage.Entry {
	return storage.Entry{Key: floorKey(model.Keyspace{Version: version, Shard: shard}),
		Value: binary.BigEndian.AppendUint64(nil, uint64(from))}
}

func (s *Set) restoreFloor() error {
	v, err := s.kv.KV.Get(floorKey(s.kv.Keyspace))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read floor: %w", err)
	}
	if len(v) != 8 {
		return fmt.Errorf("floor: %w", model.ErrCorrupt)
	}
	floor := int64(binary.BigEndian.Uint64(v))
	s.red.Floor, s.edges.Floor = floor, floor
	for _, t := range s.tables {
		t.Floor = floor
	}
	return nil
}

// restore reads the last fold and replays the journal after it.
func (s *Set) restore() error {
	stored, current, known, err := StoredFormat(s.kv.KV, s.kv.Version, s.kv.Shard)
	if err == nil && known && stored != current {
		err = fmt.Errorf("%w: %d, this program writes %d", ErrFormat, stored, current)
	}
	if err != nil {
		return err
	}
	if err := s.restoreFloor(); err != nil {
		return err
	}
	v, err := s.kv.KV.Get(model.StateKey(s.kv.Keyspace))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("read state: %w", err)
	}
	s.journal.first = 1
	if err == nil {
		if err := s.restoreFold(v); err != nil {
			return err
		}
	}
	prefix := s.kv.Key(storage.TableJournal)
	err = s.kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		if seq := binary.BigEndian.Uint64(k[len(prefix):]); seq != s.seq+1 {
			return fmt.Errorf("journal entry %d follows %d: %w", seq, s.seq, model.ErrCorrupt)
		}
		return s.replay(v)
	})
	if err != nil {
		return fmt.Errorf("replay journal: %w", err)
	}
	for _, v := range s.views {
		if err := v.resume(s.kv, s.seq, &s.counters); err != nil {
			return err
		}
	}
	positions, err := s.Positions()
	if err != nil {
		return err
	}
	for _, p := range positions {
		a := s.Partition(p.Topic, p.Partition)
		at := s.progress[model.Partition{Topic: p.Topic, N: p.Partition}]
		at.Topic, at.Partition, at.Position = p.Topic, p.Partition, p.Offset
		mark := s.marks.Of[model.Partition{Topic: p.Topic, N: p.Partition}].End
		a.Resume(p, mark)
		at.Watermark = model.Time(mark)
		s.progress[model.Partition{Topic: p.Topic, N: p.Partition}] = at
	}
	return nil
}

func (s *Set) restoreFold(v []byte) error {
	d := model.Decoder{B: v}
	d.Uvarint() // the format
	var st state
	st.decode(&d, &s.marks)
	for _, v := range s.stateful {
		v.RestoreState(&d)
	}
	if d.Err != nil {
		return fmt.Errorf("state: %w", d.Err)
	}
	for _, v := range s.views {
		if err := v.restore(s.kv); err != nil {
			return err
		}
	}
	s.edges.pairing.Complete = st.complete
	s.seq, s.journal.first = st.seq, st.seq+1
	return s.install(&Checkpoint{next: st})
}

// replay does again what a checkpoint did.
func (s *Set) replay(v []byte) error {
	c, err := s.decodeEntry(v)
	if err != nil {
		return err
	}
	s.seq = c.next.seq
	s.journal.count++
	s.journal.bytes += len(v)
	s.edges.pair(c)
	return s.install(c)
}

// formatEntry notes the format and the dimensions with the first checkpoint.
func (s *Set) formatEntry() storage.Entry {
	b := binary.AppendUvarint(nil, formatVersion)
	list := s.names.Dimensions.Names()
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, n := range list {
		b = model.AppendString(b, n)
	}
	return storage.Entry{Key: formatKey(s.kv.Keyspace), Value: b}
}

// storedDimensions are those that a version was made with; those of the configuration for a new one.
func storedDimensions(kv model.State, configured []string) (*model.Dimensions, error) {
	v, err := kv.KV.Get(formatKey(kv.Keyspace))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return model.NewDimensions(configured)
	case err != nil:
		return nil, fmt.Errorf("read dimensions: %w", err)
	}
	d := model.Decoder{B: v}
	if d.Uvarint() != formatVersion {
		return model.NewDimensions(configured) // refused when the rest is read
	}
	list := make([]string, min(d.Uvarint(), model.MaxDimensions))
	for i := range list {
		list[i] = d.String()
	}
	if d.Err != nil {
		return nil, fmt.Errorf("dimensions: %w", d.Err)
	}
	return model.NewDimensions(list)
}

// formatKey is where the first checkpoint says the format, because the journal alone does not.
func formatKey(ks model.Keyspace) []byte { return ks.Key(storage.TableMeta, model.MetaFormat) }

// StoredFormat is the format in which a version is stored, and that of this program; known is false while nothing is stored.
func StoredFormat(kv storage.KV, version uint32, shard uint16) (stored, current uint64, known bool, err error) {
	for _, key := range [][]byte{model.StateKey(model.Keyspace{Version: version, Shard: shard}),
		formatKey(model.Keyspace{Version: version, Shard: shard})} {
		v, err := kv.Get(key)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, formatVersion, false, fmt.Errorf("views: read format: %w", err)
		}
		d := model.Decoder{B: v}
		stored = d.Uvarint()
		return stored, formatVersion, d.Err == nil, d.Err
	}
	return 0, formatVersion, false, nil
}
