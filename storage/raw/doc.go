// Package raw reads the stores that hold what the views do not: Jaeger for traces, Prometheus for metrics, Elasticsearch for logs.
//
// Each store is asked through one Backend, which bounds what it may cost: a time for each attempt, few repetitions, a circuit
// breaker, and a number of requests at once. So a store that is gone or hangs costs an error, soon, and after a few of them nothing
// until it answers again. Answers about times that are over are kept in a Cache.
//
// Nothing here writes to a store.
package raw
