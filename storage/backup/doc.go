// Package backup writes the state to a store while the process runs, and restores it into an empty folder.
//
// The simple version: the state as of one commit, compressed and cut into files with their checksums, then a manifest. What makes it exact:
//
//   - Badger's state and the positions in it are of one commit (storage.Frozen). It is frozen first and the metric samples are copied after
//     that, so the samples hold at least what the positions say. The records after the positions are read again, and appending samples
//     again changes nothing.
//   - Raw records are in the backup, not pointers into segments, so it does not matter which segments are deleted meanwhile.
//   - The manifest is written last: a backup without one is incomplete, and is never restored. A folder that is being restored to has a marker
//     until everything in it is on disk.
package backup
