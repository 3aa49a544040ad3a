// Package kept writes the spans of traces that are worth keeping to a topic: traces with errors, slow traces and a sample.
//
// One replica does it. It reads the topics of spans once more, apart from the views, so that these neither wait for it nor lose anything with
// it, collects the spans of a trace for a while (buffer.go), and writes those of traces that are kept (worker.go). Its positions are the
// offsets of a consumer group, which stay behind what is undecided.
//
// Rule: an offset is committed after everything that was decided about the records before it has been acknowledged by the brokers. So after a
// kill records are read again, and spans may be written twice, but none of a trace with an error is left out.
package kept
