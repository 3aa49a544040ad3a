package drain

import (
	"encoding/binary"
	"fmt"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// Store is the committed clusters of all partitions. It is guarded by its Set.
type Store struct {
	By    map[ClusterID]*Cluster
	dirty map[ClusterID]struct{}
}

// NewStore returns an empty Store.
func NewStore() *Store {
	return &Store{By: map[ClusterID]*Cluster{}, dirty: map[ClusterID]struct{}{}}
}

// Install adds the clusters of a batch, or replaces them.
func (p *Store) Install(b *Batch) {
	for i := range b.Clusters {
		id := ClusterID{Partition: b.Partition, ID: b.Clusters[i].ID}
		p.By[id] = &b.Clusters[i]
		p.dirty[id] = struct{}{}
	}
}

func (p *Store) key(ks model.Keyspace, id ClusterID) []byte {
	k := binary.BigEndian.AppendUint32(ks.Key(storage.TableMeta, model.MetaPatterns), uint32(id.Partition))
	return binary.BigEndian.AppendUint32(k, id.ID)
}

// Fold stores the clusters that changed and drops those given up that nothing counts under any more; counted says which those are.
func (p *Store) Fold(ks model.Keyspace, counted func() map[ClusterID]bool, then *model.Later, entries []storage.Entry) []storage.Entry {
	var held map[ClusterID]bool
	for id, c := range p.By {
		if !c.Gone {
			continue
		}
		if held == nil {
			held = counted()
		}
		if !held[id] {
			then.Do(func() { delete(p.By, id) })
			delete(p.dirty, id)
			entries = append(entries, storage.Entry{Key: p.key(ks, id)})
		}
	}
	for id := range p.dirty {
		entries = append(entries, storage.Entry{Key: p.key(ks, id), Value: p.By[id].Append(nil)})
	}
	clear(p.dirty)
	return entries
}

// Restore reads what folds stored.
func (p *Store) Restore(kv model.State) error {
	prefix := kv.Key(storage.TableMeta, model.MetaPatterns)
	err := kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		d, c := model.Decoder{B: v}, &Cluster{}
		c.Decode(&d)
		p.By[ClusterID{Partition: int32(binary.BigEndian.Uint32(k[len(prefix):])), ID: c.ID}] = c
		return d.Err
	})
	if err != nil {
		return fmt.Errorf("read log patterns: %w", err)
	}
	return nil
}

// Of returns the patterns that a partition has found so far, to be gone on from; at most limit clusters of each service.
func (p *Store) Of(partition int32, limit int) *Drains {
	ds := New(limit)
	for id, c := range p.By {
		if id.Partition == partition {
			ds.Restore(c)
		}
	}
	return ds
}

// Batch is the clusters that one partition's lines joined between two checkpoints.
type Batch struct {
	Partition int32
	Clusters  []Cluster
}

// Append encodes a batch that is not empty: the partition's number+1, how many clusters, each.
func (b *Batch) Append(out []byte) []byte {
	if len(b.Clusters) == 0 {
		return out
	}
	out = binary.AppendUvarint(out, uint64(b.Partition)+1)
	out = binary.AppendUvarint(out, uint64(len(b.Clusters)))
	for i := range b.Clusters {
		out = b.Clusters[i].Append(out)
	}
	return out
}

// Decode reads what Append wrote; false: there was a 0 in its place.
func (b *Batch) Decode(d *model.Decoder) bool {
	partition := d.Uvarint()
	if partition == 0 || d.Err != nil {
		return false
	}
	*b = Batch{Partition: int32(partition - 1), Clusters: make([]Cluster, d.Count())}
	for i := range b.Clusters {
		b.Clusters[i].Decode(d)
	}
	return d.Err == nil
}
