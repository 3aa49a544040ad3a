// Package export sends series of the views and of recording rules to a Prometheus remote write receiver.
//
// One replica writes: the one that holds the topic of the samples in a consumer group. The writer computes the samples at aligned
// timestamps behind the complete frontier (collect.go), appends them to the topic (outbox.go) and sends what the topic holds (send.go).
//
// Rule: what is sent comes from the topic, never from a computation. Of several sets of samples with one timestamp the first whole one in
// the topic counts, for every replica. So a series has one value at a timestamp, whichever replica is killed when, and whatever late
// records change in the views meanwhile; a set that may not have been received is sent again with the same bytes.
package export
