package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
)

// The headers of a dead letter. The record's own headers follow them.
const (
	headerReason    = "watchingcat.reason"
	headerTopic     = "watchingcat.topic"
	headerPartition = "watchingcat.partition"
	headerOffset    = "watchingcat.offset"
	headerTimestamp = "watchingcat.timestamp" // of the record, RFC 3339
	headerKey       = "watchingcat.key"       // the record's key
	headerSize      = "watchingcat.size"      // of the whole payload
	headerSHA256    = "watchingcat.sha256"    // of the whole payload
	headerTruncated = "watchingcat.truncated" // true where the payload was cut
)

// DeadLetter writes records that cannot be applied to the dead-letter topic, each alone, keyed by where it was read
// (topic/partition/offset). Write returns once the brokers have it; the caller moves the position after that, so that a dead
// letter is delivered at least once and its key identifies repetitions.
type DeadLetter struct {
	cl       *kgo.Client
	adm      *kadm.Client
	topic    string
	maxBytes int
	count    atomic.Int64

	mu    sync.Mutex
	found bool // the topic is there
}

// Room that a dead letter's headers and framing may take beside the payload, and what is kept of the record's own headers.
const (
	deadLetterFrame   = 16 << 10
	deadLetterHeaders = 8 << 10
	deadLetterReason  = 1 << 10
)

// NewDeadLetter checks the configuration. maxBytes is what the brokers take as one record (0: 1,000,000, which fits the default
// of Kafka).
func NewDeadLetter(c kafka.Config, topic string, maxBytes int) (*DeadLetter, error) {
	if maxBytes == 0 {
		maxBytes = 1_000_000
	}
	if maxBytes <= deadLetterFrame {
		return nil, fmt.Errorf("pipeline: dead letters of %d bytes leave no room for a payload", maxBytes)
	}
	cl, err := c.Client(append(c.Counted("dead letters"), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.UnknownTopicRetries(0))...)
	if err != nil {
		return nil, err
	}
	return &DeadLetter{cl: cl, adm: kadm.NewClient(cl), topic: topic, maxBytes: maxBytes}, nil
}

// Write stores one dead letter. ctx bounds how long it waits for the brokers.
func (d *DeadLetter) Write(ctx context.Context, r *kgo.Record, reason string) error {
	err := d.ensureTopic(ctx)
	if err == nil {
		err = d.cl.ProduceSync(ctx, d.letter(r, reason)).FirstErr()
	}
	if err != nil {
		d.mu.Lock()
		d.found = false // it may have been deleted; the next try looks, and makes it again
		d.mu.Unlock()
		d.cl.PurgeTopicsFromProducing(d.topic)
		return fmt.Errorf("pipeline: write dead letter of %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	d.count.Add(1)
	return nil
}

// Count returns how many dead letters were written.
func (d *DeadLetter) Count() int64 { return d.count.Load() }

// ensureTopic creates the topic where that is missing and allowed. Where it is not allowed, producing will say so.
func (d *DeadLetter) ensureTopic(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found {
		return nil
	}
	_, err := d.adm.CreateTopic(ctx, 1, -1, nil, d.topic)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists), errors.Is(err, kerr.TopicAuthorizationFailed),
		errors.Is(err, kerr.ClusterAuthorizationFailed):
		d.found = true
		return nil
	}
	return fmt.Errorf("create topic %s: %w", d.topic, err)
}

// letter is the dead letter of r.
func (d *DeadLetter) letter(r *kgo.Record, reason string) *kgo.Record {
	place := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
	sum := sha256.Sum256(r.Value)
	l := &kgo.Record{Topic: d.topic, Key: []byte(place)}
	add := func(k, v string) { l.Headers = append(l.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)}) }
	add(headerReason, cut(reason, deadLetterReason))
	add(headerTopic, r.Topic)
	add(headerPartition, strconv.Itoa(int(r.Partition)))
	add(headerOffset, strconv.FormatInt(r.Offset, 10))
	if !r.Timestamp.IsZero() {
		add(headerTimestamp, r.Timestamp.UTC().Format(time.RFC3339Nano))
	}
	add(headerKey, cut(string(r.Key), deadLetterReason))
	add(headerSize, strconv.Itoa(len(r.Value)))
	add(headerSHA256, hex.EncodeToString(sum[:]))
	l.Value = r.Value
	if room := d.maxBytes - deadLetterFrame; len(l.Value) > room {
		l.Value = l.Value[:room]
		add(headerTruncated, "true")
	}
	size := 0
	for _, h := range r.Headers {
		if size += len(h.Key) + len(h.Value) + 10; size > deadLetterHeaders {
			break
		}
		l.Headers = append(l.Headers, h)
	}
	return l
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// Close ends the client.
func (d *DeadLetter) Close() error {
	d.cl.Close()
	return nil
}
