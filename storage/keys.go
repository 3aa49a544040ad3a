package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Table names one kind of entry. Every key begins with
//
//	version uint32 BE | shard uint16 BE | table byte
//
// so that one view version in one shard is one contiguous range: a replay writes beside the live version, a dropped version is
// one range delete, a shard moves alone. State that is not versioned (alerts, silences, settings) has version 0.
//
// The positions of the metrics topic, TableDelta and TableFamily live in shard views.MetricsShard: what is read of one topic must
// not move with what is read of another. The samples themselves are in Prometheus' TSDB, see Samples.
type Table byte

// The tables. A letter is part of the file format: never reuse one.
const (
	TablePosition    Table = 'P'
	TableMeta        Table = 'M'
	TableSeries      Table = 'S'
	TableJournal     Table = 'J'
	TableCells       Table = 'C'
	TableWaiting     Table = 'W'
	TableDedup       Table = 'H'
	TableSpans       Table = 'K' // 'I' until format 2, where it collided with TableHistory
	TableTraces      Table = 'T'
	TableRaw         Table = 'B'
	TableDelta       Table = 'D'
	TableFamily      Table = 'F'
	TableAlert       Table = 'A'
	TableOutbox      Table = 'O'
	TableNotify      Table = 'N'
	TableRuleSamples Table = 'R'
	TableReplay      Table = 'V'
	TableHistory     Table = 'I'
	TableObject      Table = 'U'
	TableIncident    Table = 'E'
)

// tableDef describes a table.
type tableDef struct {
	owner string // package that reads and writes it
	// views: its entries belong to a view version and go with it. In version 0 they stand beside tables that belong to no version.
	views bool
	// segments: its large values stand in files of their own, see segments.go.
	segments bool
	key      string // what follows the prefix
	value    string
}

// tables is the key table: everything that depends on which tables exist reads it. Two tables with one letter do not compile.
var tables = [256]tableDef{
	TablePosition: {"storage", true, false, "topic, 0x00, partition uint32 BE", "codec below"},
	TableMeta:     {"views", true, false, "name", "frontiers, counters, journal bounds, definitions; gaps of pipeline"},
	TableSeries:   {"views", true, false, "view byte, series id uint32 BE", "first and last bucket, totals"},
	TableJournal:  {"views", true, false, "sequence uint64 BE", "what one checkpoint added"},
	TableCells:    {"views", true, false, "view byte, level, bucket uint32 BE, chunk uint16 BE", "cells of a bucket"},
	TableWaiting:  {"views", true, false, "generation uint32 BE, chunk uint32 BE", "span halves that wait or may be compensated"},
	TableDedup:    {"views", true, false, "time uint32 BE, sequence uint64 BE", "hashes of records seen by one checkpoint"},
	TableSpans:    {"views", true, false, "time uint32 BE, sequence uint64 BE", "hashes of spans seen by one checkpoint"},
	TableTraces:   {"views", true, false, "block uint32 BE", "summaries of traces"},
	TableRaw:      {"views", true, true, "signal byte, checkpoint uint64 BE, n uint32 BE", "raw records, OTLP compressed with zstd"},
	TableDelta: {"views", true, false,
		"'s', series hash 16 bytes; or 'h', time uint64 BE, partition uint32 BE, offset uint64 BE, piece uint32 BE",
		"running value of a series that is sent as deltas; deltas that wait for other partitions"},
	TableFamily:      {"views", true, false, "name", "type, unit and help of a metric family"},
	TableAlert:       {"evaluator", false, false, "group key, 0x00, fingerprint uint64 BE", "one alert's whole state"},
	TableOutbox:      {"evaluator", false, false, "sequence uint64 BE", "notifications for notify"},
	TableRuleSamples: {"evaluator", false, false, "series hash uint64 BE, bucket uint32 BE", "samples written by rules"},
	TableHistory:     {"evaluator", false, false, "sequence uint64 BE", "one transition of an alert, JSON"},
	TableIncident:    {"evaluator", false, false, "'h' or 'b', id", "header or whole of one incident, JSON"},
	TableNotify:      {"notify", false, false, "kind byte, id", "silences, notification log, notices"},
	TableReplay:      {"pipeline", false, false, "'p', or 'r' and id uint64 BE", "which versions are read, replays; JSON"},
	TableObject:      {"storage", false, false, "kind, 0x00, id", "what users made, JSON; kind \"\" is the position in its topic"},
}

// inSegments reports whether the key's value may stand in a segment.
func inSegments(key []byte) bool {
	return len(key) >= KeyPrefixLen && tables[key[KeyPrefixLen-1]].segments
}

// ofViews reports whether a key belongs to a view version.
func ofViews(key []byte) bool {
	return len(key) >= KeyPrefixLen && (binary.BigEndian.Uint32(key) > 0 || tables[key[KeyPrefixLen-1]].views)
}

// Versions returns the view versions that something is stored of, ascending.
func Versions(kv KV) ([]uint32, error) {
	var list []uint32
	from := Key(0, 0, 0)
	for {
		var at []byte
		err := kv.Keys(from, nil, func(k []byte) error {
			at = bytes.Clone(k)
			return errEnough
		})
		if err != nil && !errors.Is(err, errEnough) {
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

// errEnough ends a scan whose caller needs no more of it.
var errEnough = errors.New("storage: enough")

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
