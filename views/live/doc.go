// Package live reads the versions of the views that a Layout names as if they were one, and outlives their swaps.
//
// A [Live] hands out a [View], which is immutable: who needs several reads that agree takes one View for all of them. A View cuts a range
// along the versions and adds up what they counted before anything is derived from it, so a splice equals one version that read
// everything. The value of a counter goes on over an edge: what the versions before had reached is its carry.
package live
