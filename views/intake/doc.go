// Package intake takes records for the views: it finds what each span and each log line counts for, record by record, and keeps what a
// partition brought between two checkpoints as a Batch.
//
// An [Accumulator] is of one partition, and is used by one goroutine at a time. A record is staged span by span between Begin and End;
// what does not parse to its end applies nothing. Partitions share a [Shared] alone: names, dictionaries and what was seen before.
//
// A new table is a file here that stages its observations, a line in Accumulator.derive or Accumulator.Log, and its definition in
// model.TableDefs.
package intake
