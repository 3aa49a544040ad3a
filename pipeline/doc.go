// Package pipeline carries Kafka records into views. A Source hands out fetched partition batches, scan reads OTLP spans straight
// off the wire, Ingest applies them and checkpoints views and positions together. It knows nobody downstream.
package pipeline
