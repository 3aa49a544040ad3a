// Package broker is a small Kafka broker within the process, for installations that have no Kafka.
//
// It is franz-go's kfake with its topics on disk: one node on a loopback address, four partitions a topic, no replication. A record is on disk
// before it is acknowledged. What it is not: a cluster, reachable from other machines, or fit for more than one server.
package broker
