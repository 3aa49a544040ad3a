package export

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
)

// The topic has one partition. A record is one part of a set, with these headers.
const (
	headerTime    = "watchingcat.time"    // of the samples, Unix milliseconds
	headerAttempt = "watchingcat.attempt" // names one computation of the set
	headerPart    = "watchingcat.part"    // number of the part and of all parts, as 0/3
	headerSamples = "watchingcat.samples" // of the part
	headerBytes   = "watchingcat.bytes"   // of all parts in the topic up to and with this one
)

// entry is a record of the topic as its headers describe it.
type entry struct {
	t        int64
	attempt  string
	part, of int
	samples  int
	end      int64 // headerBytes
	offset   int64
	payload  []byte
}

func header(key string, value any) kgo.RecordHeader {
	return kgo.RecordHeader{Key: key, Value: fmt.Append(nil, value)}
}

// parseEntry reads a record; false: it is none of ours.
func parseEntry(r *kgo.Record) (entry, bool) {
	e := entry{offset: r.Offset, payload: r.Value}
	ok := true
	number := func(text string) int64 {
		n, err := strconv.ParseInt(text, 10, 64)
		ok = ok && err == nil && n >= 0
		return n
	}
	seen := 0
	for _, h := range r.Headers {
		text := string(h.Value)
		seen++
		switch h.Key {
		case headerTime:
			e.t = number(text)
		case headerAttempt:
			e.attempt = text
		case headerPart:
			part, of, _ := strings.Cut(text, "/")
			e.part, e.of = int(number(part)), int(number(of))
		case headerSamples:
			e.samples = int(number(text))
		case headerBytes:
			e.end = number(text)
		default:
			seen--
		}
	}
	return e, ok && seen == 5 && e.t > 0 && e.of > 0 && e.of <= partsOfSet && e.part < e.of
}

// whole collects parts to sets: of several sets of a time, or of an earlier one, the first whole one counts.
type whole struct {
	last  int64              // time of the newest set that was whole
	parts map[string][]entry // of the attempts that are not whole yet, by time and attempt
}

// add returns the parts of the set that e makes whole.
func (w *whole) add(e entry) []entry {
	if e.t <= w.last {
		return nil
	}
	key := fmt.Sprint(e.t, "/", e.attempt)
	list := w.parts[key]
	if len(list) > 0 && list[0].of != e.of {
		return nil
	}
	for _, have := range list {
		if have.part == e.part {
			return nil
		}
	}
	if list = append(list, e); len(list) < e.of {
		if w.parts == nil {
			w.parts = map[string][]entry{}
		}
		w.parts[key] = list
		return nil
	}
	w.last = e.t
	clear(w.parts) // attempts at a time that has a set; what follows is computed after it was read
	return list
}

// create creates the topic where that is missing.
func (x *Exporter) create(ctx context.Context, adm *kadm.Client) error {
	set := func(v any) *string { s := fmt.Sprint(v); return &s }
	bytes := x.cfg.QueueBytes
	_, err := adm.CreateTopic(ctx, 1, -1, map[string]*string{"cleanup.policy": set("delete"), "retention.ms": set((24 * time.Hour).Milliseconds()),
		"retention.bytes": set(2 * bytes), "segment.bytes": set(max(1<<20, bytes/8))}, x.cfg.Topic)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
		return nil
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		listed, e := adm.ListTopics(ctx, x.cfg.Topic)
		if e == nil && listed.Has(x.cfg.Topic) {
			return nil
		}
		return fmt.Errorf("topic %s does not exist and may not be created: create it with one partition, or permit it (%w)", x.cfg.Topic, err)
	}
	return fmt.Errorf("create topic %s: %w", x.cfg.Topic, err)
}

// tail is what the end of the topic holds.
type tail struct {
	last   int64 // time of the newest whole set, 0: there is none
	end    int64 // headerBytes of the newest record
	series map[string]labels.Labels
}

// readTail reads the newest set.
func (x *session) readTail(ctx context.Context) (tail, error) {
	starts, err := x.Admin.ListStartOffsets(ctx, x.cfg.Topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return tail{}, fmt.Errorf("read the beginning of topic %s: %w", x.cfg.Topic, err)
	}
	ends, err := x.Admin.ListEndOffsets(ctx, x.cfg.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return tail{}, fmt.Errorf("read the end of topic %s: %w", x.cfg.Topic, err)
	}
	first, _ := starts.Lookup(x.cfg.Topic, 0)
	next, _ := ends.Lookup(x.cfg.Topic, 0)
	for back := int64(16); ; back *= 4 {
		from := max(first.Offset, next.Offset-back)
		t, err := x.readFrom(ctx, from, next.Offset)
		if err != nil || t.last > 0 || from == first.Offset {
			return t, err
		}
	}
}

// readFrom reads the newest set of some records.
func (x *session) readFrom(ctx context.Context, from, to int64) (t tail, err error) {
	t.series = map[string]labels.Labels{}
	if from >= to {
		return t, nil
	}
	cl, err := x.cfg.Kafka.Client(kgo.FetchMaxBytes(fetchBytes), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		x.cfg.Topic: {0: kgo.NewOffset().At(from)}}))
	if err != nil {
		return t, err
	}
	defer cl.Close()
	w := whole{}
	var newest []entry
	for at := from; at < to; {
		fetched := cl.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return t, fmt.Errorf("read topic %s: %w", x.cfg.Topic, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			at = r.Offset + 1
			if e, ok := parseEntry(r); ok && r.Offset < to {
				t.end = e.end
				if set := w.add(e); set != nil {
					newest = set
				}
			}
		})
	}
	t.last = w.last
	for _, e := range newest {
		if err := seriesOf(e.payload, t.series); err != nil {
			x.log.Error("a set of samples in the topic cannot be read; series that ended get no staleness marker", "topic", x.cfg.Topic, "err", err)
		}
	}
	return t, nil
}

// append writes a set; it is whole when append returns without error.
func (x *session) append(ctx context.Context, t int64, parts []part, end int64) (int64, error) {
	attempt := rand.Text()
	records := make([]*kgo.Record, len(parts))
	for i, p := range parts {
		end += int64(len(p.payload))
		records[i] = &kgo.Record{Topic: x.cfg.Topic, Value: p.payload, Timestamp: time.Now(), Headers: []kgo.RecordHeader{
			header(headerTime, t), header(headerAttempt, attempt), header(headerPart, fmt.Sprintf("%d/%d", i, len(parts))),
			header(headerSamples, p.samples), header(headerBytes, end)}}
	}
	results, err := x.Produce(ctx, records...)
	if err == nil {
		err = results.FirstErr()
	}
	if err != nil {
		return 0, fmt.Errorf("write samples to topic %s: %w", x.cfg.Topic, err)
	}
	return end, nil
}

// committed is the time of the newest set that was sent or dropped, as the offset of the group says.
func (x *session) committed(ctx context.Context) (int64, error) {
	all, err := x.Committed(ctx)
	if err != nil {
		return 0, err
	}
	o, ok := all.Lookup(x.cfg.Topic, 0)
	if !ok || o.Err != nil {
		return 0, o.Err
	}
	t, err := strconv.ParseInt(o.Metadata, 10, 64)
	if err != nil { // an offset that an administrator has set: sets are sent again, each as it was
		return 0, nil //nolint:nilerr // see above
	}
	return t, nil
}

// commit notes that everything up to a record was sent or dropped.
func (x *session) commit(ctx context.Context, e entry) error {
	return x.Commit(ctx, kafka.At{Topic: x.cfg.Topic, Offset: e.offset + 1, Metadata: strconv.FormatInt(e.t, 10)})
}
