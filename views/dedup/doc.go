// Package dedup recognises what is sent again: whole records by the hash of their value ([Records]), and where batches are put together
// anew, single spans ([Spans]).
//
// Both are sets for all partitions, of a window of record time, with a limit; both may be used by several goroutines. What a checkpoint
// remembered is stored with its positions, so after a crash the copy counts whose record is read again.
package dedup
