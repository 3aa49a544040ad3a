// Package evaluator answers PromQL from the views and evaluates Prometheus rules over them as commits arrive.
//
// The simple version: Queryable shows the views as the counters and histograms that the collector's connectors would have
// exported; Prometheus' own engine and rules package do the rest. What is added here is when a rule is evaluated (when a commit
// touches what it selects), as of which time (see classify.go), and that alerts are durable before anybody is told (state.go).
//
// Invariants:
//   - Time is an argument; only Run reads the clock.
//   - What a rule has decided and the outbox entry that tells it are one transaction; notify sees it afterwards only.
//   - Evaluation times of a rule never go back.
package evaluator
