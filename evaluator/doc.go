// Package evaluator evaluates Prometheus rules over the views as commits arrive.
//
// The simple version: query answers PromQL, Prometheus' own engine and rules package do the rest. What is added here is when a rule is
// evaluated (when a commit touches what it selects), as of which time (query.Classify), and that alerts are durable before anybody is
// notified (state.go).
//
// Invariants:
//   - Time is an argument; only Run reads the clock.
//   - What a rule has decided and the outbox entry that tells it are one transaction; notify sees it afterwards only.
//   - Evaluation times of a rule never go back.
package evaluator
