// Package sums adds cells up to what services did: in single buckets, and in the minutes of an hour. It remembers what it has added up,
// until a checkpoint adds to the bucket or the hour.
package sums
