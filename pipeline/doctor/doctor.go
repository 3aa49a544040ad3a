package doctor

import (
	"cmp"
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
)

// The signals of topics.
const (
	Spans   = "spans"
	Metrics = "metrics"
	Logs    = "logs"
)

// Topic is one that WatchingCat reads telemetry from; its name may be a list of them or a pattern, as kafka.ParseTopics reads them.
type Topic struct {
	Name, Signal string
	Encoding     string // of its records; "" is encoding.Auto
}

// Config says what to look at.
type Config struct {
	Kafka  kafka.Config
	Topics []Topic
	// DeadLetter and ConfigTopic are the topics that WatchingCat writes, Group is the one whose offsets it commits.
	DeadLetter, ConfigTopic, Group string
	// Queues are topics that WatchingCat creates, writes and reads: that of remote write.
	Queues []string
	// Kept are topics that WatchingCat creates and writes for others: that of kept traces.
	Kept []string
	// Dimensions are the attributes that become labels.
	Dimensions []string
	// ReadyMaxLag is how far behind a partition may be.
	ReadyMaxLag time.Duration
	// LimitOperations is how many operations of a service are tracked.
	LimitOperations int
	// Now is the clock of this machine.
	Now func() time.Time

	// SampleRecords is how many of the newest records of each partition are read (0: 200), SampleBytes how many bytes of all (0: 64 MiB).
	SampleRecords, SampleBytes int
	// RequestTimeout bounds each question to the brokers, SampleTimeout the reading of records of one topic (0: 10 s).
	RequestTimeout, SampleTimeout time.Duration
}

const (
	// maxRecord is the most that WatchingCat takes of one record, decompressBatch what a sampled batch may decompress to.
	maxRecord       = 16 << 20
	decompressBatch = 64 << 20
	// maxSampled bounds the partitions of a topic that are sampled.
	maxSampled = 64
	// rateWindow is the time over which rates are measured.
	rateWindow = 10 * time.Minute
)

func (c Config) withDefaults() Config {
	c.SampleRecords = cmp.Or(c.SampleRecords, 200)
	c.SampleBytes = cmp.Or(c.SampleBytes, 64<<20)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 10*time.Second)
	c.SampleTimeout = cmp.Or(c.SampleTimeout, 10*time.Second)
	c.ReadyMaxLag = cmp.Or(c.ReadyMaxLag, time.Minute)
	c.LimitOperations = cmp.Or(c.LimitOperations, 500)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// examination is one run over one cluster.
type examination struct {
	Config
	cl  *kgo.Client
	adm *kadm.Client
	r   *Report
	// single: the cluster has one broker.
	single bool
}

// Examine adds what it finds to r. An error is one of the settings; whatever is wrong with Kafka is a finding.
func Examine(ctx context.Context, c Config, r *Report) error {
	c = c.withDefaults()
	cl, err := c.Kafka.Client(kgo.RequestRetries(2), kgo.RetryTimeout(c.RequestTimeout), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	x := &examination{Config: c, cl: cl, adm: kadm.NewClient(cl), r: r}
	if !x.brokers(ctx) {
		return nil
	}
	x.find(ctx)
	known := x.topics(ctx)
	for _, t := range x.Topics {
		if detail, ok := known[t.Name]; ok {
			s := x.sample(ctx, t, detail)
			x.records(&s)
			x.senders(&s)
			x.consumption(ctx, t, &s)
		}
	}
	x.group(ctx)
	return ctx.Err()
}

// ask bounds one question to the brokers.
func (x *examination) ask(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, x.RequestTimeout)
}
