// Package evaltest is what tests of evaluator's rooms share: a reader of views that a test fills by hand, feeds of spans and of OTLP
// metrics, and rules. It imports no room of evaluator, so that the tests within each of them can use it.
package evaltest
