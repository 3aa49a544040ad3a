// Package kafka holds the settings of a Kafka client, the check of a topic, and the client's metrics.
package kafka
