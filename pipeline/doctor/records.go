package doctor

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/docker/go-units"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// records judges what Kafka says of the sampled records, without looking into them.
func (x *examination) records(s *sampled) {
	a := about{x.r, "records", s.Name}
	if len(s.records) == 0 {
		if !s.left {
			a.found(emptyLevel(s.Signal), "records_present", "Check that a Collector exports "+s.Signal+" to this topic (exporters.kafka), and its log.", "", "no record is in the topic")
		}
		return
	}
	part := ""
	if s.left {
		part = ", the newest ones"
	}
	a.ok("records_present", "%s looked at (%s)%s; %s in the last %v", many(len(s.records), "record", "records"), size(s.bytes), part,
		rate(s.perSecond()), s.window().Round(time.Second))
	x.age(a, s)
	x.keys(a, s)
	x.codec(a, s)
	x.large(a, s)
	x.producers(a, s)
	x.repeated(a, s)
	x.balance(a, s)
}

func emptyLevel(signal string) Level {
	if signal == Spans {
		return Warning
	}
	return Note
}

func size(n int) string { return units.BytesSize(float64(n)) }

func rate(perSecond float64) string { return fmt.Sprintf("%.3g records/s", perSecond) }

func percent(n, of int) string { return fmt.Sprintf("%.3g %%", 100*float64(n)/float64(max(1, of))) }

const (
	oldRecord = 5 * time.Minute
	// clockSlack is what clocks may differ by before it is named.
	clockSlack = time.Second
)

// age looks at the newest record's timestamp.
func (x *examination) age(a about, s *sampled) {
	newest := s.records[0].Timestamp
	for _, r := range s.records {
		if r.Timestamp.After(newest) {
			newest = r.Timestamp
		}
	}
	switch old := s.at.Sub(newest); {
	case old < -clockSlack:
		a.found(Warning, "record_clock", "Synchronize the clocks of the Collectors, the brokers and this machine (NTP).",
			"WatchingCat takes the timestamp of a record as the time at which it was received.", "the newest record's timestamp is %v ahead of this machine's clock", (-old).Round(time.Millisecond))
	case old > oldRecord:
		a.found(Warning, "records_recent", "Check that a Collector still exports "+s.Signal+" to this topic.", "", "the newest record is %v old", old.Round(time.Second))
	default:
		a.ok("records_recent", "the newest record is %v old", max(0, old).Round(time.Millisecond))
	}
}

// keys matter for spans: with the trace ID as key all spans of a trace are in one partition.
func (x *examination) keys(a about, s *sampled) {
	if s.Signal != Spans || len(s.partitions) < 2 {
		return
	}
	without := 0
	for _, r := range s.records {
		if r.Key == nil {
			without++
		}
	}
	if without == 0 {
		a.ok("record_keys", "every record has a key")
		return
	}
	a.found(Note, "record_keys", "Set partition_traces_by_id: true in the Collector's Kafka exporter.",
		"The spans of one call arrive in different partitions; WatchingCat pairs them, but waits for the slower partition.",
		"%s of the records have no key", percent(without, len(s.records)))
}

// dearTraffic is from how many bytes a second on missing compression is a warning.
const dearTraffic = 100 << 10

// codec names the codec, and what zstd would save where there is none.
func (x *examination) codec(a about, s *sampled) {
	counts := map[kgo.CompressionCodecType]int{}
	for _, r := range s.records {
		counts[kgo.CompressionCodecType(r.Attrs.CompressionType())]++ //nolint:gosec // three bits
	}
	plain := counts[kgo.CodecNone]
	if plain == 0 {
		var names []string
		for c := range counts {
			names = append(names, codecName(c))
		}
		slices.Sort(names)
		a.ok("record_compression", "compressed with %s", join(names))
		return
	}
	level, saves := Note, zstdRatio(s.records)
	if saves >= 2 && s.perSecond()*float64(s.bytes)/float64(len(s.records)) > dearTraffic {
		level = Warning
	}
	a.found(level, "record_compression", "Set producer.compression: zstd in the Collector's Kafka exporter.",
		"It is network and disk of the brokers, and network of every reader.", "%s of the records are not compressed; zstd would make the sample %.1f times smaller",
		percent(plain, len(s.records)), saves)
}

func codecName(c kgo.CompressionCodecType) string {
	names := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("codec %d", c)
}

// zstdRatio compresses batches of about a megabyte, as a producer would.
func zstdRatio(records []*kgo.Record) float64 {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return 1
	}
	const batch, most = 1 << 20, 8 << 20
	before, after := 0, 0
	var pending []byte
	flush := func() {
		before += len(pending)
		after += len(w.EncodeAll(pending, nil))
		pending = pending[:0]
	}
	for _, r := range records {
		if pending = append(pending, r.Value...); len(pending) >= batch {
			flush()
		}
		if before >= most {
			break
		}
	}
	flush()
	return float64(before) / float64(max(1, after))
}

// large looks at the sizes of records.
func (x *examination) large(a about, s *sampled) {
	largest := 0
	for _, r := range s.records {
		largest = max(largest, len(r.Value))
	}
	switch {
	case largest > maxRecord:
		a.found(Failure, "record_size", "Lower send_batch_max_size of the Collector's batch processor.",
			"WatchingCat moves records over 16 MiB to the dead-letter topic.", "the largest record has %s", size(largest))
	case largest > collectorMessage*8/10:
		a.found(Note, "record_size", "Set send_batch_max_size of the Collector's batch processor, or raise producer.max_message_bytes together with the topic's max.message.bytes.",
			"The Collector drops a batch that is larger than max_message_bytes (1,000,000 by default) or than the topic allows.", "the largest record has %s", size(largest))
	default:
		a.ok("record_size", "the largest record has %s, the mean is %s", size(largest), size(s.bytes/len(s.records)))
	}
}

// producers looks at who wrote: acknowledgements cannot be seen, idempotence can.
func (x *examination) producers(a about, s *sampled) {
	plain := 0
	for _, r := range s.records {
		if r.ProducerID < 0 {
			plain++
		}
	}
	if plain == 0 {
		a.ok("record_producer", "all records are from idempotent producers, which Kafka's clients require to wait for all replicas")
		return
	}
	a.found(Warning, "record_producer", "Set producer.required_acks: -1 in the Collector's Kafka exporter, with a persistent sending_queue.",
		"The acknowledgements that a producer waited for cannot be seen in a record. With the exporter's default of 1 a record that only one broker has is acknowledged, and the producer is not idempotent.",
		"%s of the records are from producers that are not idempotent", percent(plain, len(s.records)))
}

// repeated counts records with equal values.
func (x *examination) repeated(a about, s *sampled) {
	seed := maphash.MakeSeed()
	seen, again := map[uint64][]byte{}, 0
	for _, r := range s.records {
		h := maphash.Bytes(seed, r.Value)
		if v, ok := seen[h]; ok && bytes.Equal(v, r.Value) {
			again++
		}
		seen[h] = r.Value
	}
	if again == 0 {
		return
	}
	a.found(Note, "record_repeated", "Nothing, if Collectors restarted or lost connections just now; else look for two exporters of the same data.",
		"WatchingCat counts identical records within WATCHINGCAT_DEDUP_WINDOW once.", "%s in the sample more than once", many(again, "record is", "records are"))
}

// fewRecords is too little traffic to judge how it is divided.
const fewRecords = 1000

// balance compares the partitions by what came within the last minutes.
func (x *examination) balance(a about, s *sampled) {
	sum, most, at := int64(0), int64(-1), int32(0)
	for _, p := range s.partitions {
		if sum += p.recent; p.recent > most {
			most, at = p.recent, p.id
		}
	}
	if len(s.partitions) < 2 || sum < fewRecords {
		return
	}
	mean := float64(sum) / float64(len(s.partitions))
	if float64(most) > 3*mean {
		a.found(Warning, "partition_balance", "Partition by trace ID (partition_traces_by_id: true) or without keys.",
			"One core reads a partition, so the fullest one limits the rate and holds back what is complete.",
			"partition %d gets %.1f times the mean of the partitions", at, float64(most)/mean)
		return
	}
	a.ok("partition_balance", "the fullest partition gets %.1f times the mean", float64(most)/mean)
}

func join(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	var b bytes.Buffer
	for i, n := range names {
		switch {
		case i == len(names)-1:
			b.WriteString(" and ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(n)
	}
	return b.String()
}
