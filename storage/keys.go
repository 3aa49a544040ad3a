package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Table names one kind of entry. This is the key table: every key begins with
//
//	version uint32 BE | shard uint16 BE | table byte
//
// so that one view version in one shard is one contiguous range: a replay writes beside the live version, a dropped version is
// one range delete, a shard moves alone. State that is not versioned (alerts, silences, settings) has version 0.
//
//	table            rest of the key                              value
//	TablePosition    topic, 0x00, partition uint32 BE             codec below
//	TableMeta        name                                         views: frontiers, counters, journal bounds
//	TableSeries      view byte, series id uint32 BE               views: names, first bucket, counts before the hot window
//	TableJournal     sequence uint64 BE                           views: what one checkpoint added
//	TableCells       view byte, level, bucket uint32 BE, chunk uint16 BE views: all cells of a bucket
//	TableWaiting     generation uint32 BE, chunk uint32 BE        views: span halves that wait or may be compensated
//	TableDedup       time uint32 BE, sequence uint64 BE           views: hashes of records seen by one checkpoint
//	TableSpans       time uint32 BE, sequence uint64 BE           views: hashes of spans seen by one checkpoint
//	TableAlert       group key, 0x00, fingerprint uint64 BE       evaluator: one alert's whole state
//	TableOutbox      sequence uint64 BE                           evaluator: notifications to be handed to notify
//	TableNotify      kind byte, id                                notify: silences, notification log
//	TableTraces      block uint32 BE                              views: summaries of traces
//	TableRaw         signal byte, checkpoint uint64 BE, n uint32 BE views: raw records, OTLP compressed with zstd
//	TableRuleSamples series hash uint64 BE, bucket uint32 BE      evaluator: samples written by rules
//	TableReplay      'p', or 'r' and id uint64 BE                 pipeline: which versions are read, replays; JSON
//	TableDelta       's', series hash 16 bytes                    views: running value of a series that is sent as deltas
//	                 'h', time uint64 BE, partition uint32 BE,    views: deltas that wait for the other partitions
//	                 offset uint64 BE, piece uint32 BE
//	TableFamily      name                                         views: type, unit and help of a metric family
//	TableHistory     sequence uint64 BE                           evaluator: one transition of an alert, JSON
//	TableObject      kind, 0x00, id                               what users made, JSON; kind "" is the position in its topic
//
// The positions of the metrics topic and the last two tables live in shard views.MetricsShard: what is read of one topic must not
// move with what is read of another. The samples themselves are in Prometheus' TSDB, see Samples.
type Table byte

// The tables. A value is part of the file format: never reuse one.
const (
	TablePosition    Table = 'P'
	TableMeta        Table = 'M'
	TableSeries      Table = 'S'
	TableJournal     Table = 'J'
	TableCells       Table = 'C'
	TableWaiting     Table = 'W'
	TableDedup       Table = 'H'
	TableAlert       Table = 'A'
	TableOutbox      Table = 'O'
	TableNotify      Table = 'N'
	TableRuleSamples Table = 'R'
	TableTraces      Table = 'T'
	TableRaw         Table = 'B'
	TableDelta       Table = 'D'
	TableFamily      Table = 'F'
	TableReplay      Table = 'V'
	TableSpans       Table = 'I'
	TableObject      Table = 'U'
	TableHistory     Table = 'I'
)

// versioned are the tables that belong to a view version. In version 0 they stand beside those that belong to none, so that
// dropping the views of version 0 deletes these alone. A new table of the views belongs in this list.
var versioned = []Table{TablePosition, TableMeta, TableSeries, TableJournal, TableCells, TableWaiting, TableDedup, TableTraces, TableRaw,
	TableDelta, TableFamily, TableSpans}

// ofViews reports whether a key belongs to a view version.
func ofViews(key []byte) bool {
	return len(key) >= KeyPrefixLen && (binary.BigEndian.Uint32(key) > 0 || slices.Contains(versioned, Table(key[KeyPrefixLen-1])))
}

// Versions returns the view versions that something is stored of, ascending.
func Versions(kv KV) ([]uint32, error) {
	var list []uint32
	errFound := errors.New("found")
	from := Key(0, 0, 0)
	for {
		var at []byte
		err := kv.Scan(from, nil, func(k, _ []byte) error {
			at = bytes.Clone(k)
			return errFound
		})
		if err != nil && !errors.Is(err, errFound) {
			return nil, fmt.Errorf("storage: list versions: %w", err)
		}
		switch {
		case len(at) < KeyPrefixLen:
			return list, nil
		case ofViews(at):
			list = append(list, binary.BigEndian.Uint32(at))
			if from = PrefixEnd(at[:4]); from == nil {
				return list, nil
			}
		default:
			from = PrefixEnd(at[:KeyPrefixLen])
		}
	}
}

// KeyPrefixLen is the length of what every key begins with.
const KeyPrefixLen = 4 + 2 + 1

// Key returns the key of table t in a version and shard; rest is copied.
func Key(version uint32, shard uint16, t Table, rest ...byte) []byte {
	k := make([]byte, 0, KeyPrefixLen+len(rest)+16)
	k = binary.BigEndian.AppendUint32(k, version)
	k = binary.BigEndian.AppendUint16(k, shard)
	k = append(k, byte(t))
	return append(k, rest...)
}

// PrefixEnd returns the first key after every key that begins with prefix, or nil when there is none.
func PrefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

func positionKey(version uint32, shard uint16, topic string, partition int32) []byte {
	k := Key(version, shard, TablePosition, []byte(topic)...)
	k = append(k, 0)
	return binary.BigEndian.AppendUint32(k, uint32(partition))
}

// A position's value: offset int64 BE, leader epoch int32 BE, topic id 16 bytes.
const positionLen = 8 + 4 + 16

func encodePosition(p Position) []byte {
	b := make([]byte, 0, positionLen)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Offset))
	b = binary.BigEndian.AppendUint32(b, uint32(p.LeaderEpoch))
	return append(b, p.TopicID[:]...)
}

func parsePosition(key, value []byte) (Position, error) {
	rest := key[KeyPrefixLen:]
	if len(rest) < 5 || rest[len(rest)-5] != 0 || len(value) != positionLen {
		return Position{}, fmt.Errorf("storage: position entry %x has an unknown form", key)
	}
	p := Position{
		Topic:       string(rest[:len(rest)-5]),
		Partition:   int32(binary.BigEndian.Uint32(rest[len(rest)-4:])),
		Offset:      int64(binary.BigEndian.Uint64(value)),
		LeaderEpoch: int32(binary.BigEndian.Uint32(value[8:])),
	}
	copy(p.TopicID[:], value[12:])
	return p, nil
}
