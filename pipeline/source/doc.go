// Package source reads topics: one message is one fetched batch of a partition, one in flight for each partition, from positions that the
// caller keeps and never from the consumer group.
package source
