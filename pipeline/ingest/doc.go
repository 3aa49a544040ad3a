// Package ingest applies fetched batches to views and metric samples, and checkpoints them together with their positions. A record applies
// to its end or not at all; a bad one goes to the dead-letter topic.
package ingest
