// Package receiver takes OTLP over gRPC and HTTP and writes it to the topics, for senders without a Collector that exports to Kafka.
package receiver
