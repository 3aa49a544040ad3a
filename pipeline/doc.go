// Package pipeline carries Kafka records into views. It is split by what each part owns; imports go down this list only:
//
//   - replay: generations of views, replays and their swap
//   - receiver: OTLP over gRPC and HTTP, written to the topics
//   - configtopic: the topic of what users make
//   - ingest: records into views and samples, checkpoints, dead letters
//   - otlp: OTLP off the wire
//   - source: batches of partitions, in order
//   - kafka: the client's settings
//
// None of them imports what lies downstream: evaluator, notify and api.
package pipeline
