// Package edges makes the service map out of the halves of calls: which halves meet, and what a group of halves with one key means.
//
// What a group adds to the map is a pure function of the group, so the map depends on the halves alone and not on their order. A
// [Pairing] holds the groups that may still change. It is used by checkpoints alone: take every half, expire up to the complete frontier,
// read the edges that changed. It knows nodes by their ids only.
package edges
