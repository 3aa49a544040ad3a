package ingest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
)

// A Gap is a stretch of a partition that the brokers no longer had when it was to be read. What it held is missing from the views,
// and every answer says so until it is out of their range.
type Gap struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	From      int64     `json:"from"` // offset that was to be read next
	To        int64     `json:"to"`   // offset where the log begins now; below From: another log under the same name
	Found     time.Time `json:"found"`
}

func (g Gap) String() string {
	return fmt.Sprintf("records %d to %d of %s/%d were gone before they were read", g.From, g.To, g.Topic, g.Partition)
}

// SaveGap remembers a gap of a view version.
func SaveGap(kv storage.KV, version uint32, shard uint16, g Gap) error {
	v, err := json.Marshal(g)
	if err != nil {
		return err
	}
	key := storage.Key(version, shard, storage.TableMeta, views.MetaGaps)
	key = binary.BigEndian.AppendUint64(key, uint64(g.Found.UnixNano()))
	return kv.Commit(storage.Commit{Entries: []storage.Entry{{Key: key, Value: v}}})
}

// LoadGaps returns the gaps of a view version, oldest first.
func LoadGaps(kv storage.KV, version uint32, shard uint16) ([]Gap, error) {
	var gaps []Gap
	prefix := storage.Key(version, shard, storage.TableMeta, views.MetaGaps)
	err := kv.Scan(prefix, storage.PrefixEnd(prefix), func(_, v []byte) error {
		var g Gap
		if err := json.Unmarshal(v, &g); err != nil {
			return fmt.Errorf("pipeline: stored gap: %w", err)
		}
		gaps = append(gaps, g)
		return nil
	})
	return gaps, err
}
