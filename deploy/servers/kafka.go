package servers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
)

// Kafka is a cluster of Apache Kafka nodes (KRaft, each broker and controller), replicated as far as there are nodes.
type Kafka struct {
	run, dir string
	nodes    []*node
}

type node struct {
	ID               int
	Port, Control    int
	Dir, Voters      string
	Replicas, MinISR int
	Tokens           int // port that takes OAUTHBEARER; 0: none does
	process          *Process
	clusterUUID      string
}

var properties = template.Must(template.New("server.properties").Parse(`process.roles=broker,controller
node.id={{.ID}}
controller.quorum.voters={{.Voters}}
listeners=PLAINTEXT://127.0.0.1:{{.Port}},CONTROLLER://127.0.0.1:{{.Control}}{{if .Tokens}},SASL_PLAINTEXT://127.0.0.1:{{.Tokens}}{{end}}
advertised.listeners=PLAINTEXT://127.0.0.1:{{.Port}}{{if .Tokens}},SASL_PLAINTEXT://127.0.0.1:{{.Tokens}}
sasl.enabled.mechanisms=OAUTHBEARER
connections.max.reauth.ms=3600000
listener.name.sasl_plaintext.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";{{end}}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
log.dirs={{.Dir}}/logs
num.partitions=4
default.replication.factor={{.Replicas}}
min.insync.replicas={{.MinISR}}
offsets.topic.replication.factor={{.Replicas}}
offsets.topic.num.partitions=8
transaction.state.log.replication.factor={{.Replicas}}
transaction.state.log.min.isr={{.MinISR}}
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor={{.Replicas}}
share.coordinator.state.topic.min.isr={{.MinISR}}
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=8388608
broker.session.timeout.ms=6000
replica.lag.time.max.ms=5000
message.max.bytes=16777216
`))

const log4j = `<Configuration status="WARN"><Appenders><Console name="c"><PatternLayout pattern="%d %p %c{1} %m%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="c"/></Root></Loggers></Configuration>
`

// NewKafka prepares a cluster in dir; run is setup.sh's folder. Nothing is started yet.
func NewKafka(run, dir string, nodes int) (*Kafka, error) { return cluster(run, dir, nodes, false) }

// NewTokenKafka prepares a node that takes OAUTHBEARER with unsecured tokens at TokenBrokers, and anyone at Brokers.
func NewTokenKafka(run, dir string) (*Kafka, error) { return cluster(run, dir, 1, true) }

func cluster(run, dir string, nodes int, tokens bool) (*Kafka, error) {
	k := &Kafka{run: run, dir: dir}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	id[0] &= 0x7f        // a cluster id must not begin with a dash
	var voters []string
	for i := range nodes {
		port, err := freeport.Servers.Port()
		if err != nil {
			return nil, err
		}
		control, err := freeport.Servers.Port()
		if err != nil {
			return nil, err
		}
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, control))
		k.nodes = append(k.nodes, &node{ID: i + 1, Port: port, Control: control, Dir: filepath.Join(dir, fmt.Sprintf("node%d", i+1)),
			Replicas: nodes, MinISR: (nodes + 1) / 2, clusterUUID: base64.RawURLEncoding.EncodeToString(id)})
	}
	for _, n := range k.nodes {
		if tokens {
			var err error
			if n.Tokens, err = freeport.Servers.Port(); err != nil {
				return nil, err
			}
		}
		n.Voters = strings.Join(voters, ",")
		if err := k.format(n); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (k *Kafka) java(heap string, n *node) []string {
	return []string{"-Xmx" + heap, "-XX:+UseSerialGC", "-Xshare:auto", "-Dlog4j2.configurationFile=" + filepath.Join(n.Dir, "log4j2.xml"),
		"-cp", filepath.Join(k.run, "kafka", "lib", "*")}
}

func (k *Kafka) format(n *node) error {
	if err := os.MkdirAll(n.Dir, 0o750); err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	var b strings.Builder
	if err := properties.Execute(&b, n); err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	for name, text := range map[string]string{"server.properties": b.String(), "log4j2.xml": log4j} {
		if err := os.WriteFile(filepath.Join(n.Dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("servers: %w", err)
		}
	}
	args := append(k.java("64m", n), "kafka.tools.StorageTool", "format", "-t", n.clusterUUID, "-c",
		filepath.Join(n.Dir, "server.properties"))
	if out, err := exec.Command("java", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("servers: format Kafka's folder: %w\n%s", err, out)
	}
	return nil
}

// Start starts every node that does not run and waits until each answers.
func (k *Kafka) Start(ctx context.Context) error {
	for i, n := range k.nodes {
		if n.process != nil && n.process.Running() {
			continue
		}
		if err := k.launch(i); err != nil {
			return err
		}
	}
	for i := range k.nodes {
		if err := k.wait(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// StartNode starts one node, counted from 0, and waits until it answers.
func (k *Kafka) StartNode(ctx context.Context, i int) error {
	if err := k.launch(i); err != nil {
		return err
	}
	return k.wait(ctx, i)
}

func (k *Kafka) launch(i int) (err error) {
	n := k.nodes[i]
	args := append(k.java("512m", n), "kafka.Kafka", filepath.Join(n.Dir, "server.properties"))
	n.process, err = Start(Spec{Name: "kafka", Path: "java", Args: args, Dir: n.Dir})
	return err
}

func (k *Kafka) wait(ctx context.Context, i int) error {
	n := k.nodes[i]
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.addr()), kgo.RetryTimeout(time.Second))
	if err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	defer cl.Close()
	return n.process.WaitFor(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return cl.Ping(ctx)
	})
}

func (n *node) addr() string { return fmt.Sprintf("127.0.0.1:%d", n.Port) }

// Nodes is how many nodes the cluster has.
func (k *Kafka) Nodes() int { return len(k.nodes) }

// Kill ends one node as `kill -9` does.
func (k *Kafka) Kill(i int) { k.nodes[i].process.Kill() }

// Close kills what runs.
func (k *Kafka) Close() {
	for _, n := range k.nodes {
		if n.process != nil {
			n.process.Kill()
		}
	}
}

// TokenBrokers are the addresses that take OAUTHBEARER.
func (k *Kafka) TokenBrokers() (list []string) {
	for _, n := range k.nodes {
		list = append(list, fmt.Sprintf("127.0.0.1:%d", n.Tokens))
	}
	return list
}

// Brokers are the addresses to start from.
func (k *Kafka) Brokers() []string {
	var list []string
	for _, n := range k.nodes {
		list = append(list, n.addr())
	}
	return list
}
