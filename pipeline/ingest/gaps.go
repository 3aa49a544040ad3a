package ingest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// SaveGap remembers a gap of a view version.
func SaveGap(kv storage.KV, version uint32, shard uint16, g progress.Gap) error {
	v, err := json.Marshal(g)
	if err != nil {
		return err
	}
	key := storage.Key(version, shard, storage.TableMeta, model.MetaGaps)
	key = binary.BigEndian.AppendUint64(key, uint64(g.Found.UnixNano()))
	return kv.Commit(storage.Commit{Entries: []storage.Entry{{Key: key, Value: v}}})
}

// LoadGaps returns the gaps of a view version, oldest first.
func LoadGaps(kv storage.KV, version uint32, shard uint16) ([]progress.Gap, error) {
	var gaps []progress.Gap
	prefix := storage.Key(version, shard, storage.TableMeta, model.MetaGaps)
	err := kv.Scan(prefix, storage.PrefixEnd(prefix), func(_, v []byte) error {
		var g progress.Gap
		if err := json.Unmarshal(v, &g); err != nil {
			return fmt.Errorf("pipeline: stored gap: %w", err)
		}
		gaps = append(gaps, g)
		return nil
	})
	return gaps, err
}
