// Package evidence finds why an alert fires: where what is wrong begins, since when, and what else changed then.
//
// A Gatherer reads the views around an alert and compares them with a time in which the alert's rule had nothing to fire about
// (baseline.go). path.go ranks the calls below the alert's service by the errors and the time that begin there; findings.go looks for
// operations, traces, log patterns, exceptions and versions beside them; operands.go evaluates the parts of the condition.
//
// Rule: it reads and never writes; times come in as arguments. What cannot be read is named in Evidence.Missing.
package evidence
