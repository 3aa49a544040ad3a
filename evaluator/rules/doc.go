// Package rules evaluates Prometheus rules over the views as commits arrive.
//
// query answers PromQL; Prometheus' own engine and rules package evaluate. What is added here is when a rule is evaluated (when a commit
// touches what it selects: index.go, reach.go), as of which time (query.Classify), and that alerts are durable before anybody is notified
// (state.go). When an alert begins to fire, evidence.go collects why.
//
// An evaluation goes through these files: advance.go (which passes are due), group.go (rules and passes), guard.go (bounds and panics),
// state.go (what changed, in one commit with the outbox entry). read.go is what others read. SeriesStore keeps what rules write.
//
// Rules of this package:
//   - Time is an argument; only Run reads the clock.
//   - What a rule has decided and its outbox entry are one transaction; notify sees it afterwards only.
//   - Evaluation times of a rule never go back.
package rules
