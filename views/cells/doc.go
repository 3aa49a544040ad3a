// Package cells keeps what is counted: for each series its total over all time, and its cells by bucket in each level.
//
// A [Store] keeps the cells of one view, whatever is counted in them; a [TableStore] is a Store of tallies with the dictionary of its label
// values. Recent buckets are in memory, older ones are read from the KV. A fold returns what is to be stored; what it changes for readers
// is done when its checkpoint is installed. Who holds a Store guards it; a [Dict] guards itself.
package cells
