// Package model is what the views count and by what names: spans and records as they come in, counts, histograms, keys of series, levels
// of buckets, limits, the layout of versions, the feed of changes, and how all of it is stored.
//
// Its types are values, or are guarded by who holds them: only [Names], [Feed] and [Dimensions] may be used by several goroutines at
// once. It imports no other package of the views; all of them import it.
package model
