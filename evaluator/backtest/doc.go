// Package backtest evaluates rules over the past: what would they have done?
//
// Spec.Run moves an evaluator with state in memory from moment to moment over the views; past.go reads ahead for it by range queries.
// Spec.Follow does the same over views that are being filled again from the topics. Spec.Variations tries other thresholds. UnitTest runs
// promtool's unit tests of rules, and DiffRules compares two lists of rules.
//
// Rule: the evaluator is that of live rules. A result beyond a bound is refused, not cut: a cut result would look like a calm past.
package backtest
