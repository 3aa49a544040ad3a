package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gaurav/watchingcat/pipeline/kafka"
)

// use is what WatchingCat does with a topic.
type use struct {
	name, signal  string
	reads, writes bool
	queue         bool // what is written is read again and then not needed any more
	kept          bool // what is written is for others
}

// compacted says whether the topic has to be compacted; telemetry and queues must not be.
func (u use) compacted() bool { return u.reads && u.writes && !u.queue }

func (x *examination) uses() []use {
	var list []use
	for _, t := range x.Topics {
		list = append(list, use{name: t.Name, signal: t.Signal, reads: true})
	}
	for _, name := range x.Kept {
		list = append(list, use{name: name, writes: true, kept: true})
	}
	for _, name := range x.Queues {
		list = append(list, use{name: name, reads: true, writes: true, queue: true})
	}
	return append(list, use{name: x.DeadLetter, writes: true}, use{name: x.ConfigTopic, reads: true, writes: true})
}

// topics judges the topics and returns those that exist.
func (x *examination) topics(ctx context.Context) map[string]kadm.TopicDetail {
	known := map[string]kadm.TopicDetail{}
	for _, u := range x.uses() {
		a := about{x.r, "topics", u.name}
		t, err := x.topic(ctx, u.name)
		if err != nil {
			x.missing(a, u, err)
			continue
		}
		known[u.name] = t
		x.permissions(a, u, t.AuthorizedOperations)
		x.partitions(a, u, t.Partitions)
		x.settings(ctx, a, u, t)
	}
	return known
}

// find puts the topics in place of lists and patterns.
func (x *examination) find(ctx context.Context) {
	var all []Topic
	for _, t := range x.Topics {
		of, err := kafka.ParseTopics(t.Name)
		var names []string
		if err == nil {
			ask, cancel := x.ask(ctx)
			names, err = of.Find(ask, x.adm)
			cancel()
		}
		a := about{x.r, "topics", t.Name}
		if err != nil {
			a.found(Failure, "topic_exists", "Check the setting of the topics of "+t.Signal+".", "", "the topics cannot be found: %v", err)
		} else if len(names) == 0 {
			a.found(emptyLevel(t.Signal), "topic_exists", "Check the pattern, and that a Collector writes "+t.Signal+" to Kafka.", "", "no topic matches the pattern")
		}
		for _, name := range names {
			all = append(all, Topic{Name: name, Signal: t.Signal, Encoding: t.Encoding})
		}
	}
	x.Topics = all
}

// topic asks for one topic: one that this client may not see fails the request for all.
func (x *examination) topic(ctx context.Context, name string) (kadm.TopicDetail, error) {
	ctx, cancel := x.ask(ctx)
	defer cancel()
	m, err := x.adm.Metadata(kadm.WithAuthorizedOps(ctx), name)
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	t, ok := m.Topics[name]
	if !ok {
		return t, kerr.UnknownTopicOrPartition
	}
	return t, t.Err
}

// missing judges a topic that cannot be used.
func (x *examination) missing(a about, u use, err error) {
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		a.found(Failure, "topic_permission", "Give WatchingCat's principal "+u.needed()+" on the topic.", "", "the brokers do not let this client see the topic")
		return
	}
	if !errors.Is(err, kerr.UnknownTopicOrPartition) && !errors.Is(err, kerr.UnknownTopicID) {
		a.found(Failure, "topic_exists", "Run the command again; look at the brokers' logs if it stays so.", "", "the brokers report an error: %v", err)
		return
	}
	switch {
	case u.queue:
		a.found(Note, "topic_exists", "Create it with one partition if this client may not create topics.",
			"WatchingCat creates it when it starts; it holds samples until the remote write receiver has them.", "does not exist")
	case u.kept:
		a.found(Note, "topic_exists", "Create it if this client may not create topics.",
			"WatchingCat creates it when it starts, with the brokers' default number of partitions; it holds the spans of kept traces.", "does not exist")
	case u.writes && !u.compacted():
		a.found(Note, "topic_exists", "Create it if this client may not create topics.", "WatchingCat creates it when the first record cannot be decoded.", "does not exist")
	case u.compacted():
		a.found(Note, "topic_exists", "Create it with cleanup.policy=compact if this client may not create topics.",
			"WatchingCat creates it when it starts; it holds rules, objectives, users and tokens.", "does not exist")
	default:
		level := Warning
		if u.signal == Spans {
			level = Failure
		}
		a.found(level, "topic_exists", "Create it, or set WATCHINGCAT_KAFKA_"+setting(u.signal)+"_TOPIC to the topic that the Collectors export to.",
			"WatchingCat reads a topic as soon as it exists, but a name that no Collector writes to stays empty.", "does not exist")
	}
}

func setting(signal string) string {
	if signal == Spans {
		return "TRACES"
	}
	return strings.ToUpper(signal)
}

// needed are the operations of ACLs that WatchingCat needs on the topic.
func (u use) needed() string {
	var names []string
	for _, op := range u.operations() {
		names = append(names, op.String())
	}
	return strings.Join(names, ", ")
}

func (u use) operations() []kmsg.ACLOperation {
	ops := []kmsg.ACLOperation{kmsg.ACLOperationDescribe}
	if u.reads {
		ops = append(ops, kmsg.ACLOperationRead)
	}
	if u.writes {
		ops = append(ops, kmsg.ACLOperationWrite)
	}
	return ops
}

func (x *examination) permissions(a about, u use, allowed []kmsg.ACLOperation) {
	if len(allowed) == 0 {
		return // the broker does not say
	}
	var lacks []string
	for _, op := range u.operations() {
		if !slices.Contains(allowed, op) && !slices.Contains(allowed, kmsg.ACLOperationAll) {
			lacks = append(lacks, op.String())
		}
	}
	if len(lacks) > 0 {
		a.found(Failure, "topic_permission", "Give WatchingCat's principal "+strings.Join(lacks, ", ")+" on the topic.",
			"Without it the topic cannot be used.", "the client lacks %s", strings.Join(lacks, ", "))
		return
	}
	a.ok("topic_permission", "this client has %s", u.needed())
}

// partitions judges leaders and replicas.
func (x *examination) partitions(a about, u use, ps kadm.PartitionDetails) {
	var leaderless, behind []string
	replicas := 0
	for _, p := range ps.Sorted() {
		if replicas == 0 || len(p.Replicas) < replicas {
			replicas = len(p.Replicas)
		}
		if p.Leader < 0 || p.Err != nil {
			leaderless = append(leaderless, strconv.Itoa(int(p.Partition)))
		} else if len(p.ISR) < len(p.Replicas) {
			behind = append(behind, strconv.Itoa(int(p.Partition)))
		}
	}
	switch {
	case len(leaderless) > 0:
		a.found(Failure, "partition_leader", "Bring the brokers with the replicas of these partitions back.",
			"Nothing of them can be read, and answers are incomplete until it can.", "no leader for partition %s", strings.Join(leaderless, ", "))
	case len(behind) > 0:
		a.found(Warning, "partition_replicas", "Look at the brokers that hold the missing replicas.",
			"If the leader fails now, acknowledged records may be lost.", "not all replicas of partition %s are in sync", strings.Join(behind, ", "))
	}
	switch {
	case replicas == 1 && !x.single && u.reads:
		a.found(Warning, "topic_replication", "Raise the replication factor to 3 (kafka-reassign-partitions.sh).",
			"Records that only one broker has are lost with its disk, before WatchingCat has read them or for every later replay.", "replication factor 1")
	default:
		a.ok("topic_replication", "%s with %s", many(len(ps), "partition", "partitions"), many(replicas, "replica", "replicas"))
	}
	if u.signal == Spans && len(ps) == 1 {
		a.found(Note, "topic_partitions", "Use as many partitions as WatchingCat has cores, before the rate exceeds what one core reads.",
			"WatchingCat reads each partition in order, on one core at a time.", "1 partition")
	}
}

// The settings of topics that are judged.
const (
	cleanupPolicy  = "cleanup.policy"
	retentionMS    = "retention.ms"
	retentionBytes = "retention.bytes"
	minInsync      = "min.insync.replicas"
	maxMessage     = "max.message.bytes"
	compression    = "compression.type"
)

// settings judges the settings of a topic.
func (x *examination) settings(ctx context.Context, a about, u use, t kadm.TopicDetail) {
	asked, cancel := x.ask(ctx)
	defer cancel()
	described, err := x.adm.DescribeTopicConfigs(asked, u.name)
	if err == nil && len(described) > 0 {
		err = described[0].Err
	}
	if err != nil || len(described) == 0 {
		a.found(Note, "topic_settings", "Give this client DescribeConfigs on the topic to have them checked.", "WatchingCat itself does not need it.",
			"the settings of the topic cannot be seen: %v", err)
		return
	}
	of := map[string]string{}
	for _, c := range described[0].Configs {
		of[c.Key] = c.MaybeValue()
	}
	x.cleanup(a, u, of)
	if u.reads && !u.writes {
		x.retention(a, of)
		x.sizes(a, of)
	}
	if n, err := strconv.Atoi(of[minInsync]); err == nil && len(t.Partitions) > 0 {
		insync(a, n, len(t.Partitions.Sorted()[0].Replicas))
	}
}

func (x *examination) cleanup(a about, u use, of map[string]string) {
	policy, known := of[cleanupPolicy]
	compacts := strings.Contains(policy, "compact")
	switch {
	case !known:
	case u.compacted() && (!compacts || strings.Contains(policy, "delete")):
		a.found(Failure, "topic_cleanup", x.alter(u.name, "cleanup.policy=compact"),
			"The topic holds rules, objectives, users and tokens; with this policy Kafka deletes them when they are older than its retention.", "cleanup.policy is %s", policy)
	case !u.compacted() && compacts:
		a.found(Failure, "topic_cleanup", x.alter(u.name, "cleanup.policy=delete"),
			"Compaction deletes all records but the last of each key; with partition_traces_by_id the key is the trace ID.", "cleanup.policy is %s", policy)
	default:
		a.ok("topic_cleanup", "cleanup.policy is %s", policy)
	}
}

// alter is the command that changes a setting of a topic.
func (x *examination) alter(topic, setting string) string {
	server := "BROKER"
	if len(x.Kafka.Brokers) > 0 {
		server = x.Kafka.Brokers[0]
	}
	return fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s", server, topic, setting)
}

const (
	shortRetention = 6 * time.Hour
	fineRetention  = 24 * time.Hour
	whyRetention   = "WatchingCat reads what it missed while it was down, and a replay or a new replica rebuilds views, from what Kafka still has; older records are lost to it."
)

func (x *examination) retention(a about, of map[string]string) {
	ms, err := strconv.ParseInt(of[retentionMS], 10, 64)
	if err != nil {
		return
	}
	// Kafka allows milliseconds beyond what a Duration holds.
	keeps := time.Duration(min(ms, int64(10_000*24*time.Hour/time.Millisecond))) * time.Millisecond
	change := x.alter(a.subject, "retention.ms=86400000")
	switch {
	case ms < 0:
		a.ok("topic_retention", "retention.ms is unlimited")
	case keeps < shortRetention:
		a.found(Warning, "topic_retention", change, whyRetention, "retention.ms is %v", keeps)
	case keeps < fineRetention:
		a.found(Note, "topic_retention", change, whyRetention, "retention.ms is %v", keeps)
	default:
		a.ok("topic_retention", "records are kept for %s", days(keeps))
	}
}

func days(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%.4g days", d.Hours()/24)
	}
	return d.String()
}

// collectorMessage is the Collector's default of max_message_bytes.
const collectorMessage = 1_000_000

func (x *examination) sizes(a about, of map[string]string) {
	if n, err := strconv.ParseInt(of[maxMessage], 10, 64); err == nil && n < collectorMessage {
		a.found(Warning, "topic_message_size", x.alter(a.subject, "max.message.bytes=10485760"),
			"The Collector's Kafka exporter sends batches of up to 1,000,000 bytes by default, and drops those that the brokers reject.", "max.message.bytes is %d", n)
	}
	if c := of[compression]; c != "" && c != "producer" {
		a.found(Note, "topic_compression", x.alter(a.subject, "compression.type=producer"),
			"The brokers decompress and compress each batch again if the Collectors use another codec.", "compression.type is %s", c)
	}
}

func insync(a about, least, replicas int) {
	switch {
	case replicas >= 3 && least < 2:
		a.found(Warning, "topic_min_insync", "Set min.insync.replicas=2 on the topic.",
			"With acks=all and one replica in sync a record is acknowledged that only one broker has.", "min.insync.replicas is %d of %d replicas", least, replicas)
	case replicas > 1 && least >= replicas:
		a.found(Warning, "topic_min_insync", fmt.Sprintf("Set min.insync.replicas=%d on the topic.", replicas-1),
			"While one broker is down nothing can be written, and the Collectors' queues fill up.", "min.insync.replicas is %d of %d replicas", least, replicas)
	}
}
