// Package traces keeps summaries of traces, in blocks of neighbours in time, and the raw records of spans and of log lines.
//
// A [Store] says which block is the home of a trace, and holds those in memory that changed. A [RawStore] keeps records as they came, in
// blocks named by their checkpoint, within an age and a size, each with a filter that says which names and attributes it cannot have. Who
// holds them guards them.
package traces
