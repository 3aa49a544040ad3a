package broker

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	partitions = 4
	// retentionEvery is how often records beyond the retention are deleted.
	retentionEvery = 10 * time.Second
	// smallSegment and largeSegment bound the size of a file of a partition: records are deleted by whole files.
	smallSegment, largeSegment = 1 << 20, 64 << 20
	// maxMessage is the largest batch that a producer may send.
	maxMessage = 16 << 20
)

// Config says what to keep and where.
type Config struct {
	// Dir is the folder of the topics; only one process may use it at a time, which the caller sees to.
	Dir string
	// Addr is the loopback address to listen on, host:port.
	Addr string
	// Topics are created if they do not exist. Others keep their records for ever.
	Topics []string
	// Keep is how long records are kept, Bytes how many bytes of all topics at most (0: no bound).
	Keep  time.Duration
	Bytes int64
	// Sync writes each batch to disk before it is acknowledged; without it a batch may be lost with the machine, not with the process.
	Sync bool
}

// Broker runs until Close.
type Broker struct{ cluster *kfake.Cluster }

// Open starts the broker, with what the folder holds.
func Open(c Config) (*Broker, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("address of the broker: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("address of the broker: port %q is not a number", port)
	}
	if err := os.MkdirAll(c.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("folder of the broker: %w", err)
	}
	settings := c.settings()
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(number), kfake.DataDir(c.Dir), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(partitions),
		kfake.ListenFn(func(network, addr string) (net.Listener, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return net.Listen(network, net.JoinHostPort(host, port))
		}),
		// Retention is that of the topics below: the broker applies its own to compacted topics too, and would delete what users made.
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1", "log.segment.bytes": settings["segment.bytes"],
			"message.max.bytes": strconv.Itoa(maxMessage)})}
	if c.Sync {
		opts = append(opts, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("start the broker at %s with the topics of %s: %w", c.Addr, c.Dir, err)
	}
	for _, topic := range c.Topics {
		if topic == "" || cluster.TopicInfo(topic) != nil {
			continue
		}
		if err := cluster.CreateTopic(topic, partitions, settings); err != nil {
			cluster.Close()
			return nil, fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	return &Broker{cluster}, nil
}

// settings are those of a topic of telemetry.
func (c Config) settings() map[string]string {
	s := map[string]string{"retention.ms": strconv.FormatInt(c.Keep.Milliseconds(), 10)}
	segment := int64(8 << 20)
	if c.Bytes > 0 && len(c.Topics) > 0 {
		each := c.Bytes / int64(len(c.Topics)*partitions)
		s["retention.bytes"] = strconv.FormatInt(each, 10)
		segment = each / 8
	}
	s["segment.bytes"] = strconv.FormatInt(min(largeSegment, max(smallSegment, segment)), 10)
	return s
}

// Addrs are the addresses of the broker.
func (b *Broker) Addrs() []string { return b.cluster.ListenAddrs() }

// Run deletes what is beyond the retention until ctx ends.
func (b *Broker) Run(ctx context.Context) error {
	t := time.NewTicker(retentionEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			b.cluster.ApplyRetention()
		}
	}
}

// Close ends it; everything that was acknowledged is on disk.
func (b *Broker) Close() { b.cluster.Close() }
