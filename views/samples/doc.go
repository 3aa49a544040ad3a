// Package samples turns the records of the metrics topic into samples: OTLP metrics as Prometheus' OTLP endpoint translates them, deltas
// added up to running values, each point counted exactly once as kept, waiting or dropped.
//
// [Metrics] is to the metrics topic what a Set is to spans and logs: Apply, Collect, Install. The samples themselves are in a TSDB, which
// is not known here but by [SampleReader].
package samples
