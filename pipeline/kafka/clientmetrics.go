package kafka

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// ClientMetrics shows what the Kafka clients of a process count of themselves: connections, bytes, records, time of requests, each
// under the label client. Clients come and go with replays; one that is closed is no longer shown.
type ClientMetrics struct {
	mu      sync.Mutex
	clients map[string]*kprom.Metrics
}

var _ prometheus.Collector = (*ClientMetrics)(nil)

// Counted are the options of a client that is shown under a name; of two with one name the newer is shown.
func (c Config) Counted(name string) []kgo.Opt {
	if c.Clients == nil {
		return nil
	}
	m := kprom.NewMetrics("watchingcat_kafka", kprom.Registry(nil), kprom.WithStaticLabel(prometheus.Labels{"client": name}),
		kprom.FetchAndProduceDetail(kprom.ByTopic, kprom.Records, kprom.CompressedBytes, kprom.UncompressedBytes, kprom.ConsistentNaming),
		kprom.Histograms(kprom.RequestDurationE2E), kprom.NativeBucketFactor(1),
		kprom.Buckets([]float64{.001, .005, .01, .05, .1, .5, 1, 5}))
	return []kgo.Opt{kgo.WithHooks(m, clientLife{m, name, c.Clients})}
}

// clientLife is called when a client begins and ends, after kprom.
type clientLife struct {
	metrics *kprom.Metrics
	name    string
	of      *ClientMetrics
}

var (
	_ kgo.HookNewClient    = clientLife{}
	_ kgo.HookClientClosed = clientLife{}
)

func (l clientLife) OnNewClient(*kgo.Client) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if l.of.clients == nil {
		l.of.clients = map[string]*kprom.Metrics{}
	}
	l.of.clients[l.name] = l.metrics
}

func (l clientLife) OnClientClosed(*kgo.Client) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if l.of.clients[l.name] == l.metrics {
		delete(l.of.clients, l.name)
	}
}

// Describe sends nothing: which clients there are is not known beforehand.
func (*ClientMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads the counters of every client.
func (c *ClientMetrics) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	list := slices.Collect(maps.Values(c.clients))
	c.mu.Unlock()
	for _, m := range list {
		m.Collect(ch)
	}
}
