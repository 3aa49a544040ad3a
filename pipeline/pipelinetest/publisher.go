package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// Publisher is a watermill Publisher over franz-go: idempotent, acknowledged by all in-sync replicas, in order.
type Publisher struct {
	cl     *kgo.Client
	mu     sync.RWMutex
	closed bool
}

var _ message.Publisher = (*Publisher)(nil)

var errPublisherClosed = errors.New("pipeline: publisher is closed")

// NewPublisher checks the configuration; it does not need the brokers to be there.
func NewPublisher(c kafka.Config) (*Publisher, error) {
	// kgo's defaults are idempotence and acknowledgement by all; set here because exactness depends on it
	cl, err := c.Client(kgo.RequiredAcks(kgo.AllISRAcks()), kgo.AllowAutoTopicCreation())
	if err != nil {
		return nil, err
	}
	return &Publisher{cl: cl}, nil
}

// Publish returns when the brokers have acknowledged every message, in order. The metadata become headers.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return errPublisherClosed
	}
	records := make([]*kgo.Record, len(messages))
	for i, m := range messages {
		r := &kgo.Record{Topic: topic, Value: m.Payload}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: source.UUIDHeader, Value: []byte(m.UUID)})
		for k, v := range m.Metadata {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
		}
		records[i] = r
	}
	ctx := context.Background()
	if len(messages) > 0 {
		ctx = messages[0].Context()
	}
	if err := p.cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("pipeline: publish to %s: %w", topic, err)
	}
	return nil
}

// Close waits for running calls of Publish.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.cl.Close()
	return nil
}
